// Saturates a signed number of IN bits, behind a right shift of SHIFT bits whose rounding has been added already. RELU: to unsigned BITS, else signed.
module saturate #(parameter IN = 20, BITS = 8, SHIFT = 7, RELU = 0) (input signed [IN-1:0] x, output [BITS-1:0] y);
    localparam WIDE = IN - SHIFT;
    wire signed [WIDE-1:0] kept = x[IN-1:SHIFT];
    generate
        if (WIDE <= BITS) begin : narrow
            wire signed [BITS-1:0] same = kept;
            if (RELU && WIDE > 0) assign y = same & {BITS{!kept[WIDE-1]}};
            else assign y = same;
        end else if (RELU) begin : unsigned_out
            wire over = |kept[WIDE-2:0] && |(kept[WIDE-2:0] >> BITS);
            assign y = (kept[BITS-1:0] | {BITS{over}}) & {BITS{!kept[WIDE-1]}};
        end else begin : signed_out
            wire fits = (&kept[WIDE-1:BITS-1]) || !(|kept[WIDE-1:BITS-1]);
            assign y = fits ? kept[BITS-1:0] : {kept[WIDE-1], {(BITS-1){!kept[WIDE-1]}}};
        end
    endgenerate
endmodule

// clip(((a << ALIGN) + b + half) >> SHIFT) of signed a and b of BITS bits, half = 2^(SHIFT-1): one adder where half stands below the bits of a or
// is the adder's carry.
module add_value #(parameter BITS = 8, ALIGN = 0, SHIFT = 1, RELU = 0) (input signed [BITS-1:0] a, input signed [BITS-1:0] b, output [BITS-1:0] y);
    localparam IN = BITS + ALIGN + 1;
    wire signed [IN-1:0] first, second;
    wire signed [IN-1:0] sum;
    assign second = b;
    generate
        if (SHIFT > 0 && SHIFT <= ALIGN) assign first = (a <<< ALIGN) | (1 << (SHIFT - 1));
        else assign first = a <<< ALIGN;
        if (SHIFT == ALIGN + 1) begin : carried  // a carry into the lowest bit of a, which is a bit of half's own weight
            wire signed [IN-ALIGN:0] high = {first[IN-1:ALIGN], 1'b1} + {second[IN-1:ALIGN], 1'b1};
            if (ALIGN > 0) assign sum = {high[IN-ALIGN:1], second[ALIGN-1:0]};
            else assign sum = high[IN-ALIGN:1];
        end else assign sum = first + second;
    endgenerate
    saturate #(IN, BITS, SHIFT, RELU) out (sum, y);
endmodule
