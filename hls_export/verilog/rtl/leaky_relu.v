// clip(relu(x < 0 ? x FACTOR : x << ALIGN)), rounded >> SHIFT, lane by lane: a DSP multiplies by FACTOR or 2^ALIGN and rounds, a register saturates.
module leaky_relu #(parameter LANES = 4, IN_BITS = 8, IN_SIGNED = 1, ALIGN = 8, parameter [63:0] FACTOR = 26,
    parameter SHIFT = 8, RELU = 0, BITS = 8, SIGNED = 1) (
    input clk, input rst,
    input [LANES*IN_BITS-1:0] in_data, input in_valid, output in_take,
    output reg [LANES*BITS-1:0] out_data, input out_room, output out_promise, output out_valid
);
    localparam LATENCY = 4, FB = ($clog2(FACTOR + 1) > ALIGN + 1 ? $clog2(FACTOR + 1) : ALIGN + 1) + 1, XB = IN_BITS + (IN_SIGNED ? 0 : 1);
    localparam EXACT = FB + XB, IN = (EXACT > SHIFT ? EXACT : SHIFT) + 1, P = IN > 48 ? IN : 48;  // with its rounding; SHIFT >= EXACT leaves 0
    localparam [P-1:0] ONE = 1, HALF = SHIFT > 0 ? ONE << (SHIFT - 1) : 0;
    localparam [FB-1:0] BELOW = FACTOR, ABOVE = {{(FB-1){1'b0}}, 1'b1} << ALIGN;
    wire go = in_valid && out_room;
    assign in_take = go;
    assign out_promise = go;
    reg [LATENCY-1:0] valid;
    assign out_valid = valid[LATENCY-1];
    always @(posedge clk) valid <= rst ? 0 : {valid, go};
    genvar c;
    generate
        for (c = 0; c < LANES; c = c + 1) begin : lane
            wire [IN_BITS-1:0] value = in_data[c*IN_BITS +: IN_BITS];
            wire signed [XB-1:0] x = IN_SIGNED ? {value[IN_BITS-1], value} : {1'b0, value};
            wire signed [FB-1:0] factor = IN_SIGNED && value[IN_BITS-1] ? BELOW : ABOVE;
            wire [P-1:0] p, unused;
            wire [BITS-1:0] result;
            product #(FB, XB, P, "constant") of (clk, factor, x, HALF, {P{1'b0}}, p, unused);
            saturate #(IN, SHIFT, BITS, SIGNED, RELU) out (p[IN-1:0], result);
            always @(posedge clk) out_data[c*BITS +: BITS] <= result;
        end
    endgenerate
endmodule
