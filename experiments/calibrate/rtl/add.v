// Adds the tokens of two streams channel by channel, rounds and saturates (see requantize.v); an output register.
module add #(parameter CHANNELS = 4, BITS = 8, SHIFT = 1, RELU = 0) (
    input clk, input rst,
    input [2*CHANNELS*BITS-1:0] in_data, input [1:0] in_valid, output [1:0] in_ready,
    output reg [CHANNELS*BITS-1:0] out_data, output reg out_valid, input out_ready
);
    wire [CHANNELS*BITS-1:0] values;
    wire take = (&in_valid) && (!out_valid || out_ready);
    assign in_ready = {2{take}};
    genvar c;
    generate
        for (c = 0; c < CHANNELS; c = c + 1) begin : channel
            wire signed [BITS-1:0] a = in_data[c*BITS +: BITS], b = in_data[(CHANNELS+c)*BITS +: BITS];
            wire signed [BITS:0] sum = a + b;
            requantize_value #(BITS + 1, BITS, SHIFT, RELU) value (sum, values[c*BITS +: BITS]);
        end
    endgenerate
    always @(posedge clk) begin
        if (rst) out_valid <= 0;
        else if (!out_valid || out_ready) out_valid <= take;
        if (take) out_data <= values;
    end
endmodule
