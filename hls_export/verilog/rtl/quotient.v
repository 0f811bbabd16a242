// A mean from its sum of IN bits, SIGNED or not: clip(relu(((x M + B) >> SHIFT) << LEFT)) by a DSP, three cycles later, or
// clip(relu(((x + B) >> SHIFT) << LEFT)) at once where MULTIPLY is 0.
module quotient #(parameter IN = 12, SIGNED = 0, MULTIPLY = 1, parameter [63:0] M = 1, parameter [63:0] B = 0, parameter SHIFT = 4, LEFT = 0,
    RELU = 0, BITS = 8, OUT_SIGNED = 0) (input clk, input [IN-1:0] x, output [BITS-1:0] y);
    localparam XB = IN + (SIGNED ? 0 : 1), MB = $clog2(M + 1) + 1, BB = $clog2(B + 1) + 1;
    localparam PRODUCT = MULTIPLY ? XB + MB : XB, WIDE = (PRODUCT > BB ? PRODUCT : BB) + 1;
    // Bits above those that are shifted in on the right: a shift to the left follows one to the right, and what is shifted out is gone.
    localparam RIGHT = SHIFT < WIDE ? SHIFT : WIDE - 1;
    wire signed [XB-1:0] value = SIGNED ? {x[IN-1], x} : {1'b0, x};
    wire signed [WIDE-1:0] sum;
    wire signed [WIDE-RIGHT-1:0] divided = sum[WIDE-1:RIGHT];
    generate
        if (MULTIPLY) begin : multiplied
            localparam P = WIDE > 48 ? WIDE : 48;
            wire [P-1:0] p, unused;
            wire [P-1:0] constant = B;
            wire signed [MB-1:0] factor = M;
            product #(XB, MB, P, "constant") of (clk, value, factor, constant, {P{1'b0}}, p, unused);
            assign sum = p[WIDE-1:0];
        end else begin : rounded
            wire signed [BB-1:0] constant = B;
            assign sum = value + constant;
        end
    endgenerate
    saturate #(WIDE - RIGHT, -LEFT, BITS, OUT_SIGNED, RELU) out (divided, y);
endmodule
