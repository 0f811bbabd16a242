// The multipliers of a convolution: for each of CHANNELS outputs the sum of SLICES x PRODUCTS products, PRODUCTS in parallel, SLICES passes.
//
// Input 0 is a token of SLICES x PRODUCTS signed activations of A bits, kept through its passes; input 1, a token a pass, is CHANNELS x PRODUCTS
// signed weights of W bits. Registers stand behind products in LUTs, behind every second level of the adder tree, and hold the sums. (Behind a DSP
// the product's register is the DSP's own; yosys 0.23 does not pack it for this family, so it is left out here.)
// MULTIPLIER is "lut", "dsp", or "pair": two channels share a DSP, (w1 2^18 + w0) a, and the borrow of the low half is given back.
module mac #(parameter MULTIPLIER = "dsp", SLICES = 1, PRODUCTS = 9, CHANNELS = 2, W = 8, A = 8) (
    input clk, input rst,
    input [PRODUCTS*(SLICES*A+CHANNELS*W)-1:0] in_data, input [1:0] in_valid, output [1:0] in_ready,
    output [CHANNELS*(A+W+$clog2(SLICES*PRODUCTS))-1:0] out_data, output reg out_valid, input out_ready
);
    localparam P = A + W, LEVELS = $clog2(PRODUCTS), ACC = A + W + $clog2(SLICES * PRODUCTS);
    localparam STAGES = (MULTIPLIER == "lut") + LEVELS / 2, PASS = SLICES > 1 ? $clog2(SLICES) : 1;

    // Passes; the flags of a pass travel with it through the pipeline, which stands still when the result is not taken.
    wire go = !out_valid || out_ready, take = go && (&in_valid);
    reg [PASS-1:0] pass;
    wire first = pass == 0, last = pass == SLICES - 1;
    assign in_ready = {take, take && last};
    reg [STAGES:0] valid, firsts, lasts;  // of the pass in each stage; the last bit of each is not used
    wire [STAGES+1:0] valid_at = {valid, take}, first_at = {firsts, first}, last_at = {lasts, last};
    always @(posedge clk)
        if (rst) begin
            pass <= 0;
            valid <= 0;
            out_valid <= 0;
        end else if (go) begin
            if (take) pass <= last ? 0 : pass + 1'b1;
            valid <= valid_at;
            out_valid <= valid_at[STAGES] && last_at[STAGES];
        end
    always @(posedge clk) if (go) {firsts, lasts} <= {first_at[STAGES:0], last_at[STAGES:0]};

    genvar b, c, k, l;
    wire [PRODUCTS*A-1:0] operand;
    generate
        for (b = 0; b < PRODUCTS * A; b = b + 1) begin : bits
            wire [SLICES-1:0] choices;
            for (l = 0; l < SLICES; l = l + 1) begin : slice
                assign choices[l] = in_data[l*PRODUCTS*A + b];
            end
            if (SLICES > 1) assign operand[b] = choices[pass];
            else assign operand[b] = choices;
        end
    endgenerate
    wire [CHANNELS*PRODUCTS*W-1:0] weights = in_data[SLICES*PRODUCTS*A +: CHANNELS*PRODUCTS*W];

    wire [CHANNELS*PRODUCTS*P-1:0] product;
    generate
        for (c = 0; c < CHANNELS; c = c + 1) begin : products_of
            for (k = 0; k < PRODUCTS; k = k + 1) begin : of
                wire signed [A-1:0] a = operand[k*A +: A];
                wire signed [W-1:0] w = weights[(c*PRODUCTS+k)*W +: W];
                if (MULTIPLIER == "lut") begin : lut
                    reg signed [P-1:0] held;  // yosys is told -nodsp
                    always @(posedge clk) if (go) held <= a * w;
                    assign product[(c*PRODUCTS+k)*P +: P] = held;
                end else if (MULTIPLIER == "dsp" || (c == CHANNELS - 1 && c % 2 == 0)) begin : dsp
                    wire signed [P-1:0] whole = a * w;
                    assign product[(c*PRODUCTS+k)*P +: P] = whole;
                end else if (c % 2 == 0) begin : pair
                    wire signed [W-1:0] upper = weights[((c+1)*PRODUCTS+k)*W +: W];
                    wire signed [18+W:0] both = (upper <<< 18) + w;
                    wire signed [18+P:0] whole = both * a;
                    assign product[(c*PRODUCTS+k)*P +: P] = whole[P-1:0];
                    assign product[((c+1)*PRODUCTS+k)*P +: P] = whole[18 +: P] + whole[17];
                end
            end
        end
        for (c = 0; c < CHANNELS; c = c + 1) begin : channel
            for (l = 0; l <= LEVELS; l = l + 1) begin : level
                localparam COUNT = (PRODUCTS + (1 << l) - 1) >> l, BELOW = l > 0 ? (PRODUCTS + (1 << l) / 2 - 1) >> (l > 0 ? l - 1 : 0) : 0;
                wire [COUNT*(P+l)-1:0] values;
                if (l == 0) assign values = product[c*PRODUCTS*P +: PRODUCTS*P];
                else begin : adders
                    wire [COUNT*(P+l)-1:0] sums;
                    for (k = 0; k < COUNT; k = k + 1) begin : adder
                        wire signed [P+l-2:0] x = level[l-1].values[2*k*(P+l-1) +: P+l-1];
                        if (2 * k + 1 < BELOW) begin : two
                            wire signed [P+l-2:0] y = level[l-1].values[(2*k+1)*(P+l-1) +: P+l-1];
                            wire signed [P+l-1:0] s = x + y;
                            assign sums[k*(P+l) +: P+l] = s;
                        end else begin : one
                            wire signed [P+l-1:0] s = x;
                            assign sums[k*(P+l) +: P+l] = s;
                        end
                    end
                    if (l % 2 == 0) begin : stage
                        reg [COUNT*(P+l)-1:0] held;
                        always @(posedge clk) if (go) held <= sums;
                        assign values = held;
                    end else assign values = sums;
                end
            end
            wire signed [P+LEVELS-1:0] sum = level[LEVELS].values;
            reg signed [ACC-1:0] total;
            always @(posedge clk)
                if (go && valid_at[STAGES]) begin
                    if (SLICES == 1) total <= sum;
                    else total <= sum + (first_at[STAGES] ? $signed({ACC{1'b0}}) : total);
                end
            assign out_data[c*ACC +: ACC] = total;
        end
    endgenerate
endmodule
