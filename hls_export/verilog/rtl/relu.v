// Zero for what is negative of BITS bits, lane by lane: the register's reset. What is not SIGNED passes. OUT_BITS hold every output.
module relu #(parameter LANES = 4, BITS = 8, SIGNED = 1, OUT_BITS = BITS - 1) (
    input clk, input rst,
    input [LANES*BITS-1:0] in_data, input in_valid, output in_take,
    output reg [LANES*OUT_BITS-1:0] out_data, input out_room, output out_promise, output reg out_valid
);
    wire go = in_valid && out_room;
    assign in_take = go;
    assign out_promise = go;
    integer c;
    always @(posedge clk) begin
        out_valid <= go && !rst;
        for (c = 0; c < LANES; c = c + 1)
            if (SIGNED && in_data[c*BITS+BITS-1]) out_data[c*OUT_BITS +: OUT_BITS] <= 0;
            else out_data[c*OUT_BITS +: OUT_BITS] <= in_data[c*BITS +: BITS];
    end
endmodule
