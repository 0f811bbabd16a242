// A mean from its sum of IN bits: clip((x M + B) >> SHIFT) by a DSP, three cycles later, or clip((x + B) >> SHIFT) at once where MULTIPLY is 0.
module quotient #(parameter IN = 12, BITS = 8, MULTIPLY = 1, M = 1, B = 0, SHIFT = 4) (
    input clk, input [IN-1:0] x, output [BITS-1:0] y
);
    generate
        if (MULTIPLY) begin : multiplied
            wire [47:0] p, unused;
            wire [47:0] constant = B;
            wire [17:0] factor = M;
            dsp #("constant", 0, 1) of (clk, {{(27-IN){1'b0}}, x}, 27'd0, factor, constant, 48'd0, p, unused);
            saturate #(IN + 19, BITS, SHIFT, 1) out (p[IN+18:0], y);
        end else begin : rounded
            wire [IN+1:0] sum = x + B;
            saturate #(IN + 2, BITS, SHIFT, 1) out (sum, y);
        end
    endgenerate
endmodule
