// Adds the words of two streams lane by lane: clip(relu((a << ALIGN_A) + (b << ALIGN_B))), rounded >> SHIFT (see value.v); a register.
module add #(parameter LANES = 4, A_BITS = 8, A_SIGNED = 1, B_BITS = 8, B_SIGNED = 1, ALIGN_A = 0, ALIGN_B = 0, SHIFT = 1, RELU = 0,
    BITS = 8, SIGNED = 1) (
    input clk, input rst,
    input [LANES*(A_BITS+B_BITS)-1:0] in_data, input [1:0] in_valid, output [1:0] in_take,
    output reg [LANES*BITS-1:0] out_data, input out_room, output out_promise, output reg out_valid
);
    wire go = (&in_valid) && out_room;
    assign in_take = {2{go}};
    assign out_promise = go;
    wire [LANES*BITS-1:0] values;
    genvar c;
    generate
        for (c = 0; c < LANES; c = c + 1) begin : lane
            add_value #(A_BITS, A_SIGNED, B_BITS, B_SIGNED, ALIGN_A, ALIGN_B, SHIFT, RELU, BITS, SIGNED) value
                (in_data[c*A_BITS +: A_BITS], in_data[LANES*A_BITS+c*B_BITS +: B_BITS], values[c*BITS +: BITS]);
        end
    endgenerate
    always @(posedge clk) begin
        out_valid <= go && !rst;
        out_data <= values;
    end
endmodule
