// The vendor's shift register of a LUT (AMD UG574); synthesis has its own.
module SRLC32E #(parameter [31:0] INIT = 0) (output Q, output Q31, input [4:0] A, input CE, CLK, D);
    reg [31:0] bits = INIT;
    assign Q = bits[A];
    assign Q31 = bits[31];
    always @(posedge CLK) if (CE) bits <= {bits[30:0], D};
endmodule
