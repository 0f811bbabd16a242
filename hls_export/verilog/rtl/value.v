// clip(relu(x >> SHIFT)) of a signed number of IN bits, to which the rounding has been added already; x << -SHIFT where SHIFT is negative.
//
// The output has BITS bits, SIGNED or not. A shift by IN bits or more leaves nothing: what is rounded is below half a step.
module saturate #(parameter IN = 20, SHIFT = 7, BITS = 8, SIGNED = 1, RELU = 0) (input signed [IN-1:0] x, output [BITS-1:0] y);
    localparam CLIPS = RELU || !SIGNED, MOST = RELU && SIGNED ? BITS - 1 : BITS;  // what is negative becomes 0; bits of the largest output
    localparam RIGHT = SHIFT > 0 ? SHIFT : 0, LEFT = SHIFT >= 0 ? 0 : -SHIFT < BITS ? -SHIFT : BITS, WIDE = IN - RIGHT + LEFT;
    generate
        if (RIGHT >= IN || (CLIPS && MOST == 0)) begin : nothing
            assign y = 0;
        end else begin : some
            wire signed [IN-RIGHT-1:0] right = x[IN-1:RIGHT];
            wire signed [WIDE-1:0] kept;
            if (LEFT > 0) assign kept = {right, {(LEFT > 0 ? LEFT : 1){1'b0}}};
            else assign kept = right;
            if (CLIPS && WIDE - 1 <= MOST) begin : narrow
                wire signed [BITS-1:0] same = kept;
                assign y = same & {BITS{!kept[WIDE-1]}};
            end else if (CLIPS) begin : clipped
                wire over = |kept[WIDE-2:MOST];
                wire [MOST-1:0] most = (kept[MOST-1:0] | {MOST{over}}) & {MOST{!kept[WIDE-1]}};
                assign y = most;
            end else if (WIDE <= BITS) begin : whole
                assign y = kept;
            end else begin : signed_out
                wire fits = (&kept[WIDE-1:BITS-1]) || !(|kept[WIDE-1:BITS-1]);
                if (BITS > 1) assign y = fits ? kept[BITS-1:0] : {kept[WIDE-1], {(BITS > 1 ? BITS - 1 : 1){!kept[WIDE-1]}}};
                else assign y = kept[WIDE-1];
            end
        end
    endgenerate
endmodule

// clip(relu(((a << ALIGN_A) + (b << ALIGN_B) + half) >> SHIFT)), half = 2^(SHIFT-1): one adder where half stands below the bits of the one that is
// shifted further, or is the adder's carry.
module add_value #(parameter A_BITS = 8, A_SIGNED = 1, B_BITS = 8, B_SIGNED = 1, ALIGN_A = 0, ALIGN_B = 0, SHIFT = 1, RELU = 0, BITS = 8, SIGNED = 1) (
    input [A_BITS-1:0] a, input [B_BITS-1:0] b, output [BITS-1:0] y
);
    localparam WIDE_A = A_BITS + (A_SIGNED ? 0 : 1) + ALIGN_A, WIDE_B = B_BITS + (B_SIGNED ? 0 : 1) + ALIGN_B;  // signed
    localparam EXACT = (WIDE_A > WIDE_B ? WIDE_A : WIDE_B) + 1, ALIGN = ALIGN_A > ALIGN_B ? ALIGN_A : ALIGN_B;
    localparam THREE = SHIFT > ALIGN + 1 && SHIFT < EXACT, IN = EXACT + THREE;
    wire signed [A_BITS:0] wide_a = {A_SIGNED ? a[A_BITS-1] : 1'b0, a};
    wire signed [B_BITS:0] wide_b = {B_SIGNED ? b[B_BITS-1] : 1'b0, b};
    wire signed [IN-1:0] shifted_a = wide_a, shifted_b = wide_b, first, second;
    wire signed [IN-1:0] sum;
    wire signed [IN-1:0] half = {{(IN-1){1'b0}}, 1'b1} << (SHIFT > 0 && SHIFT < IN ? SHIFT - 1 : 0);
    assign second = ALIGN_A >= ALIGN_B ? shifted_b <<< ALIGN_B : shifted_a <<< ALIGN_A;
    wire signed [IN-1:0] aligned = ALIGN_A >= ALIGN_B ? shifted_a <<< ALIGN_A : shifted_b <<< ALIGN_B;
    generate
        if (SHIFT > 0 && SHIFT <= ALIGN) assign first = aligned | half;
        else assign first = aligned;
        if (SHIFT == ALIGN + 1) begin : carried  // a carry into the lowest bit of the first, which is a bit of half's own weight
            wire signed [IN-ALIGN:0] high = {first[IN-1:ALIGN], 1'b1} + {second[IN-1:ALIGN], 1'b1};
            if (ALIGN > 0) assign sum = {high[IN-ALIGN:1], second[(ALIGN > 0 ? ALIGN : 1)-1:0]};
            else assign sum = high[IN-ALIGN:1];
        end else if (THREE) begin : three
            assign sum = first + second + half;
        end else begin : two
            assign sum = first + second;
        end
    endgenerate
    saturate #(IN, SHIFT, BITS, SIGNED, RELU) out (sum, y);
endmodule
