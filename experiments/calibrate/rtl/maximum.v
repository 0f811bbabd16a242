// The largest of TAPS signed values, for each channel of a window: a tree of compare-and-select, an output register.
// Value (tap, channel) is at bit (tap CHANNELS + channel) BITS.
module maximum #(parameter TAPS = 4, CHANNELS = 4, BITS = 8) (
    input clk, input rst,
    input [TAPS*CHANNELS*BITS-1:0] in_data, input in_valid, output in_ready,
    output reg [CHANNELS*BITS-1:0] out_data, output reg out_valid, input out_ready
);
    wire [CHANNELS*BITS-1:0] values;
    assign in_ready = !out_valid || out_ready;
    genvar c, k;
    generate
        for (c = 0; c < CHANNELS; c = c + 1) begin : channel
            // node k is the larger of nodes 2k + 1 and 2k + 2; the last TAPS nodes are the values themselves
            for (k = 2 * TAPS - 2; k >= 0; k = k - 1) begin : node
                wire signed [BITS-1:0] value;
                if (k >= TAPS - 1) assign value = in_data[((k-TAPS+1)*CHANNELS+c)*BITS +: BITS];
                else assign value = node[2*k+1].value > node[2*k+2].value ? node[2*k+1].value : node[2*k+2].value;
            end
            assign values[c*BITS +: BITS] = node[0].value;
        end
    endgenerate
    always @(posedge clk) begin
        if (rst) out_valid <= 0;
        else if (in_ready) out_valid <= in_valid;
        if (in_ready && in_valid) out_data <= values;
    end
endmodule
