// A memory of DEPTH words of WIDTH bits with a port to write and one to read, the word read being there in the next cycle.
// STYLE is "lutram", "bram" or "uram".
module ram #(parameter STYLE = "bram", DEPTH = 16, WIDTH = 8, ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1) (
    input clk,
    input write, input [ADDRESS-1:0] write_at, input [WIDTH-1:0] written,
    input read, input [ADDRESS-1:0] read_at, output reg [WIDTH-1:0] word
);
    generate
        if (STYLE == "lutram") begin : lutram
            (* ram_style = "distributed" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            always @(posedge clk) begin
                if (write) words[write_at] <= written;
                if (read) word <= words[read_at];
            end
        end else if (STYLE == "uram") begin : uram
            (* ram_style = "ultra" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            always @(posedge clk) begin
                if (write) words[write_at] <= written;
                if (read) word <= words[read_at];
            end
        end else begin : bram
            (* ram_style = "block" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            always @(posedge clk) begin
                if (write) words[write_at] <= written;
                if (read) word <= words[read_at];
            end
        end
    endgenerate
endmodule

// A memory of LUTs whose word is there at once, written at the same address: what is written is read from the next cycle on.
// One word is a register.
module delay #(parameter DEPTH = 4, WIDTH = 8, ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1) (
    input clk, input write, input [ADDRESS-1:0] at, input [WIDTH-1:0] written, output [WIDTH-1:0] word
);
    generate
        if (DEPTH == 1) begin : one
            reg [WIDTH-1:0] held;
            always @(posedge clk) if (write) held <= written;
            assign word = held;
        end else begin : many
            (* ram_style = "distributed" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            always @(posedge clk) if (write) words[at] <= written;
            assign word = words[at];
        end
    endgenerate
endmodule
