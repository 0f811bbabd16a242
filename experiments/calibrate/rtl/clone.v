// Copies each token to two streams; a register for the token, a flag for each reader that still has to take it.
module clone #(parameter WIDTH = 8) (
    input clk, input rst,
    input [WIDTH-1:0] in_data, input in_valid, output in_ready,
    output [2*WIDTH-1:0] out_data, output [1:0] out_valid, input [1:0] out_ready
);
    reg [WIDTH-1:0] token;
    reg [1:0] pending;
    assign out_data = {2{token}};
    assign out_valid = pending;
    assign in_ready = (pending & ~out_ready) == 0;
    wire take = in_valid && in_ready;
    always @(posedge clk) begin
        if (rst) pending <= 0;
        else if (take) pending <= 2'b11;
        else pending <= pending & ~out_ready;
        if (take) token <= in_data;
    end
endmodule
