// A ROM of DEPTH words of WIDTH bits, read in order, over and over; STYLE is "lut" or "bram". FILE holds the words in hexadecimal.
module rom #(parameter STYLE = "lut", DEPTH = 16, WIDTH = 8, FILE = "rom.hex") (
    input clk, input rst,
    input in_data, input in_valid, output in_ready,
    output [WIDTH-1:0] out_data, output reg out_valid, input out_ready
);
    localparam ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    reg [ADDRESS-1:0] at;
    reg [WIDTH-1:0] word;
    assign in_ready = !out_valid || out_ready;
    wire go = in_valid && in_ready;
    assign out_data = word;
    always @(posedge clk)
        if (rst) begin
            at <= 0;
            out_valid <= 0;
        end else begin
            if (in_ready) out_valid <= in_valid;
            if (go) at <= at == DEPTH - 1 ? 0 : at + 1'b1;
        end
    generate
        if (STYLE == "lut") begin : lut
            (* rom_style = "distributed", ram_style = "logic" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) if (go) word <= words[at];
        end else begin : bram
            (* rom_style = "block", ram_style = "block" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) if (go) word <= words[at];
        end
    endgenerate
endmodule
