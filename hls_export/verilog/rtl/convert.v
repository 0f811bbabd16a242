// Words of IN values of BITS bits into words of OUT, one of which is a multiple of the other.
//
// More out than in: words are gathered in a register. Fewer: a word is held, and its parts are chosen one after another.
module convert #(parameter IN = 4, OUT = 1, BITS = 8) (
    input clk, input rst,
    input [IN*BITS-1:0] in_data, input in_valid, output in_take,
    output [OUT*BITS-1:0] out_data, input out_room, output out_promise, output reg out_valid, output idle
);
    localparam TIMES = IN > OUT ? IN / OUT : OUT / IN, COUNT = $clog2(TIMES);
    reg [COUNT-1:0] trip;
    wire first = trip == 0, last = trip == TIMES - 1;
    wire go = IN > OUT ? (in_valid || !first) && out_room : in_valid && (out_room || !last);
    assign in_take = go && (IN < OUT || first);
    assign idle = IN < OUT || first;  // nothing is left of the word that was read
    assign out_promise = go && (IN > OUT || last);
    always @(posedge clk) begin
        if (rst) trip <= 0;
        else if (go) trip <= last ? 0 : trip + 1'b1;
        out_valid <= out_promise && !rst;
    end
    generate
        if (IN > OUT) begin : split
            reg [IN*BITS-1:0] held;
            reg [COUNT-1:0] part;
            always @(posedge clk) begin
                if (in_take) held <= in_data;
                if (go) part <= trip;
            end
            choose #(TIMES, OUT * BITS) chosen (held, part, out_data);
        end else begin : gather
            reg [OUT*BITS-1:0] held;
            assign out_data = held;
            always @(posedge clk) if (go) held <= {in_data, held[OUT*BITS-1:IN*BITS]};
        end
    endgenerate
endmodule

// One of COUNT fields of WIDTH bits.
module choose #(parameter COUNT = 4, WIDTH = 8) (input [COUNT*WIDTH-1:0] fields, input [$clog2(COUNT)-1:0] which, output [WIDTH-1:0] field);
    genvar b, k;
    generate
        for (b = 0; b < WIDTH; b = b + 1) begin : bits
            wire [COUNT-1:0] choices;
            for (k = 0; k < COUNT; k = k + 1) begin : choice
                assign choices[k] = fields[k*WIDTH+b];
            end
            assign field[b] = choices[which];
        end
    endgenerate
endmodule
