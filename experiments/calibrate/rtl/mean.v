// The mean of TAPS unsigned values, for each lane of a window: a tree, and a quotient a lane. Value (tap, lane) is at bit (tap LANES + lane) BITS.
module mean #(parameter TAPS = 4, LANES = 4, BITS = 8, MULTIPLY = 0, M = 1, B = 2, SHIFT = 2) (
    input clk, input rst,
    input [TAPS*LANES*BITS-1:0] in_data, input in_valid, output in_take,
    output reg [LANES*BITS-1:0] out_data, input out_room, output out_promise, output out_valid
);
    localparam LATENCY = $clog2(TAPS) + (MULTIPLY ? 4 : 1), SUM = BITS + $clog2(TAPS);
    wire go = in_valid && out_room;
    assign in_take = go;
    assign out_promise = go;
    reg [LATENCY-1:0] valid;
    assign out_valid = valid[LATENCY-1];
    always @(posedge clk) valid <= rst ? 0 : {valid, go};
    genvar c, k;
    generate
        for (c = 0; c < LANES; c = c + 1) begin : lane
            wire [TAPS*(BITS+1)-1:0] values;
            wire signed [SUM:0] sum;
            wire unused;
            for (k = 0; k < TAPS; k = k + 1) begin : tap
                assign values[k*(BITS+1) +: BITS+1] = {1'b0, in_data[(k*LANES+c)*BITS +: BITS]};
            end
            tree #(TAPS, BITS + 1) adders (clk, rst, values, {TAPS{1'b0}}, sum, unused);
            wire [BITS-1:0] value;
            quotient #(SUM, BITS, MULTIPLY, M, B, SHIFT) out (clk, sum[SUM-1:0], value);
            always @(posedge clk) out_data[c*BITS +: BITS] <= value;
        end
    endgenerate
endmodule
