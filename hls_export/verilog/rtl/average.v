// The mean of a whole image of PIXELS pixels of WORDS words of LANES values: sums in a memory of WORDS words, one quotient (see quotient.v).
//
// A word of the last pixel takes LANES cycles: its sums are shifted through the quotient.
module average #(parameter PIXELS = 16, WORDS = 4, LANES = 2, IN_BITS = 8, IN_SIGNED = 0, MULTIPLY = 0, parameter [63:0] M = 1,
    parameter [63:0] B = 8, parameter SHIFT = 4, LEFT = 0, RELU = 0, BITS = 8, SIGNED = 0) (
    input clk, input rst,
    input [LANES*IN_BITS-1:0] in_data, input in_valid, output in_take,
    output reg [LANES*BITS-1:0] out_data, input out_room, output out_promise, output out_valid, output idle
);
    localparam SUM = IN_BITS + $clog2(PIXELS), LATENCY = MULTIPLY ? 5 : 2, WB = WORDS > 1 ? $clog2(WORDS) : 1, PB = PIXELS > 1 ? $clog2(PIXELS) : 1;
    localparam LB = LANES > 1 ? $clog2(LANES) : 1;
    reg [WB-1:0] word;
    reg [PB-1:0] pixel;
    reg [LB-1:0] lane;
    reg begins;  // the first pixel
    wire last_word = word == WORDS - 1, ends = pixel == PIXELS - 1;
    wire first_lane = LANES == 1 || lane == 0, last_lane = LANES == 1 || lane == LANES - 1, last = !ends || last_lane;
    wire go = (!first_lane || in_valid) && (!(ends && last_lane) || out_room);
    assign in_take = go && first_lane;
    assign idle = first_lane;  // nothing is left of the word that was read
    assign out_promise = go && ends && last_lane;
    always @(posedge clk)
        if (rst) begin
            {word, pixel, lane} <= 0;
            begins <= 1;
        end else if (go) begin
            if (ends) lane <= last_lane ? 0 : lane + 1'b1;
            if (last) word <= last_word ? 0 : word + 1'b1;
            if (last && last_word) begin
                pixel <= ends ? 0 : pixel + 1'b1;
                begins <= ends;
            end
        end
    wire [LANES*SUM-1:0] stored;
    wire [LANES*SUM-1:0] after;
    reg [LANES*SUM-1:0] held;
    genvar c;
    generate
        for (c = 0; c < LANES; c = c + 1) begin : added
            wire signed [IN_BITS:0] value = {IN_SIGNED ? in_data[c*IN_BITS+IN_BITS-1] : 1'b0, in_data[c*IN_BITS +: IN_BITS]};
            wire signed [SUM-1:0] old = stored[c*SUM +: SUM] & {SUM{!begins}};
            assign after[c*SUM +: SUM] = value + old;
        end
    endgenerate
    delay #(WORDS, LANES * SUM) totals (clk, in_take, word, after, stored);
    // The lanes of the last word enter the quotient one after another; its results are gathered in the register of the output.
    localparam BEHIND = MULTIPLY ? 3 : 0;
    reg [LATENCY-1:0] promised;
    reg [LB:0] waiting;
    reg [3:0] moved;
    wire [4:0] enters = {moved, waiting != 0};
    wire [LANES*BITS-1:0] shifted;
    wire [BITS-1:0] value;
    assign out_valid = promised[LATENCY-1];
    quotient #(SUM, IN_SIGNED, MULTIPLY, M, B, SHIFT, LEFT, RELU, BITS, SIGNED) out (clk, held[SUM-1:0], value);
    generate
        if (LANES > 1) assign shifted = {value, out_data[LANES*BITS-1:BITS]};
        else assign shifted = value;
    endgenerate
    always @(posedge clk) begin
        promised <= rst ? 0 : {promised, out_promise};
        moved <= enters;
        if (rst) waiting <= 0;
        else if (in_take && ends) waiting <= LANES;
        else if (enters[0]) waiting <= waiting - 1'b1;
        held <= in_take && ends ? after : held >> SUM;
        if (enters[BEHIND]) out_data <= shifted;
    end
endmodule
