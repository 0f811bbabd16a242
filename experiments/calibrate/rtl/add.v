// Adds the words of two streams lane by lane, rounds and saturates (see value.v); a register.
module add #(parameter LANES = 4, BITS = 8, ALIGN = 0, SHIFT = 1, RELU = 0) (
    input clk, input rst,
    input [2*LANES*BITS-1:0] in_data, input [1:0] in_valid, output [1:0] in_take,
    output reg [LANES*BITS-1:0] out_data, input out_room, output out_promise, output reg out_valid
);
    wire go = (&in_valid) && out_room;
    assign in_take = {2{go}};
    assign out_promise = go;
    wire [LANES*BITS-1:0] values;
    genvar c;
    generate
        for (c = 0; c < LANES; c = c + 1) begin : lane
            add_value #(BITS, ALIGN, SHIFT, RELU) value (in_data[c*BITS +: BITS], in_data[(LANES+c)*BITS +: BITS], values[c*BITS +: BITS]);
        end
    endgenerate
    always @(posedge clk) begin
        out_valid <= go && !rst;
        out_data <= values;
    end
endmodule
