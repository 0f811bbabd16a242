// Rounds one signed accumulator half up, saturates it: clip((x + 2^(SHIFT-1)) >> SHIFT). RELU: to unsigned BITS, else signed.
module requantize_value #(parameter IN = 20, BITS = 8, SHIFT = 7, RELU = 0) (input signed [IN-1:0] x, output [BITS-1:0] y);
    localparam WIDE = IN + 1;
    wire signed [WIDE-1:0] rounded;
    generate
        if (SHIFT > 0) assign rounded = ($signed({x[IN-1], x}) + $signed({1'b0, 1'b1, {(SHIFT > 1 ? SHIFT - 1 : 1){1'b0}}} >> (SHIFT > 1 ? 0 : 1))) >>> SHIFT;
        else assign rounded = x;
        if (RELU) begin : unsigned_out
            wire over = |(rounded[WIDE-2:0] >> BITS);
            assign y = rounded[WIDE-1] ? {BITS{1'b0}} : over ? {BITS{1'b1}} : rounded[BITS-1:0];
        end else begin : signed_out
            wire fits = (&rounded[WIDE-1:BITS-1]) || !(|rounded[WIDE-1:BITS-1]);
            assign y = fits ? rounded[BITS-1:0] : {rounded[WIDE-1], {(BITS-1){!rounded[WIDE-1]}}};
        end
    endgenerate
endmodule

// A token of accumulators to a token of activations, with an output register.
module requantize #(parameter CHANNELS = 4, ACC = 20, BITS = 8, SHIFT = 7, RELU = 0) (
    input clk, input rst,
    input [CHANNELS*ACC-1:0] in_data, input in_valid, output in_ready,
    output reg [CHANNELS*BITS-1:0] out_data, output reg out_valid, input out_ready
);
    wire [CHANNELS*BITS-1:0] values;
    assign in_ready = !out_valid || out_ready;
    genvar c;
    generate
        for (c = 0; c < CHANNELS; c = c + 1) begin : channel
            requantize_value #(ACC, BITS, SHIFT, RELU) value (in_data[c*ACC +: ACC], values[c*BITS +: BITS]);
        end
    endgenerate
    always @(posedge clk) begin
        if (rst) out_valid <= 0;
        else if (in_ready) out_valid <= in_valid;
        if (in_ready && in_valid) out_data <= values;
    end
endmodule
