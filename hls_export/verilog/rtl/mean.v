// The mean of TAPS values, for each lane of a window: a tree, and a quotient a lane (see quotient.v). Value (tap, lane) is at bit
// (tap LANES + lane) IN_BITS.
module mean #(parameter TAPS = 4, LANES = 4, IN_BITS = 8, IN_SIGNED = 0, MULTIPLY = 0, parameter [63:0] M = 1, parameter [63:0] B = 2,
    parameter SHIFT = 2, LEFT = 0, RELU = 0, BITS = 8, SIGNED = 0) (
    input clk, input rst,
    input [TAPS*LANES*IN_BITS-1:0] in_data, input in_valid, output in_take,
    output reg [LANES*BITS-1:0] out_data, input out_room, output out_promise, output out_valid
);
    localparam LATENCY = $clog2(TAPS) + (MULTIPLY ? 4 : 1), SUM = IN_BITS + $clog2(TAPS);
    wire go = in_valid && out_room;
    assign in_take = go;
    assign out_promise = go;
    reg [LATENCY-1:0] valid;
    assign out_valid = valid[LATENCY-1];
    always @(posedge clk) valid <= rst ? 0 : {valid, go};
    genvar c, k;
    generate
        for (c = 0; c < LANES; c = c + 1) begin : lane
            wire [TAPS*(IN_BITS+1)-1:0] values;
            wire signed [SUM:0] sum;
            wire unused;
            for (k = 0; k < TAPS; k = k + 1) begin : tap
                localparam AT = (k * LANES + c) * IN_BITS;
                assign values[k*(IN_BITS+1) +: IN_BITS+1] = {IN_SIGNED ? in_data[AT+IN_BITS-1] : 1'b0, in_data[AT +: IN_BITS]};
            end
            tree #(TAPS, IN_BITS + 1) adders (clk, rst, values, {TAPS{1'b0}}, sum, unused);
            wire [BITS-1:0] value;
            quotient #(SUM, IN_SIGNED, MULTIPLY, M, B, SHIFT, LEFT, RELU, BITS, SIGNED) out (clk, sum[SUM-1:0], value);
            always @(posedge clk) out_data[c*BITS +: BITS] <= value;
        end
    endgenerate
endmodule
