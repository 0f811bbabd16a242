// The sum of COUNT signed numbers of BITS bits, each with one bit of carry that belongs to it: a tree with a register behind every level. The
// numbers of a level but one of each pair hand their carry to their adder; one carry is left and comes out with the sum.
module tree #(parameter COUNT = 4, BITS = 18, OUT = BITS + $clog2(COUNT)) (
    input clk, input rst, input [COUNT*BITS-1:0] values, input [COUNT-1:0] carries, output signed [OUT-1:0] sum, output carry
);
    localparam LEVELS = $clog2(COUNT);
    genvar l, k;
    generate
        for (l = 0; l <= LEVELS; l = l + 1) begin : level
            localparam HERE = (COUNT + (1 << l) - 1) >> l, WIDE = BITS + l;
            wire [HERE*WIDE-1:0] sums;
            wire [HERE-1:0] left;
            if (l == 0) begin : first
                assign sums = values;
                assign left = carries;
            end else begin : register
                localparam BELOW = (COUNT + (1 << (l - 1)) - 1) >> (l - 1);
                reg [HERE*WIDE-1:0] held;
                reg [HERE-1:0] kept;
                assign sums = held;
                assign left = kept;
                for (k = 0; k < HERE; k = k + 1) begin : adder
                    wire signed [WIDE-2:0] x = level[l-1].sums[2*k*(WIDE-1) +: WIDE-1];
                    always @(posedge clk) kept[k] <= level[l-1].left[2*k];
                    if (2 * k + 1 < BELOW) begin : two
                        wire signed [WIDE-2:0] y = level[l-1].sums[(2*k+1)*(WIDE-1) +: WIDE-1];
                        wire signed [WIDE:0] s = $signed({x, 1'b1}) + $signed({y, level[l-1].left[2*k+1]});
                        always @(posedge clk) held[k*WIDE +: WIDE] <= s[WIDE:1];
                    end else begin : one
                        wire signed [WIDE-1:0] s = x;
                        always @(posedge clk) held[k*WIDE +: WIDE] <= rst ? 0 : s;  // a register with a reset is no shift register of LUTs
                    end
                end
            end
        end
    endgenerate
    assign sum = $signed(level[LEVELS].sums);
    assign carry = level[LEVELS].left;
endmodule
