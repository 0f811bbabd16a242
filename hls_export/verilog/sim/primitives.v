// The vendor's LUTs and multiplexers, for the simulation (AMD UG574); synthesis has its own.
module LUT6 #(parameter [63:0] INIT = 0) (output O, input I0, I1, I2, I3, I4, I5);
    assign O = INIT[{I5, I4, I3, I2, I1, I0}];
endmodule
module LUT6_2 #(parameter [63:0] INIT = 0) (output O6, output O5, input I0, I1, I2, I3, I4, I5);
    assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
    assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];
endmodule
module MUXF7 (output O, input I0, I1, S);
    assign O = S ? I1 : I0;
endmodule
module MUXF8 (output O, input I0, I1, S);
    assign O = S ? I1 : I0;
endmodule
module MUXF9 (output O, input I0, I1, S);
    assign O = S ? I1 : I0;
endmodule
// What the simulation takes for the vendor's DSP48E2, as far as dsp.v uses it (AMD UG579); synthesis has its own.
module DSP48E2 #(
    parameter AMULTSEL = "A", BMULTSEL = "B", PREADDINSEL = "A", USE_MULT = "MULTIPLY", A_INPUT = "DIRECT", B_INPUT = "DIRECT",
    AREG = 1, ACASCREG = 1, BREG = 1, BCASCREG = 1, DREG = 1, ADREG = 0, CREG = 0, MREG = 1, PREG = 1,
    ALUMODEREG = 0, CARRYINREG = 0, CARRYINSELREG = 0, INMODEREG = 0, OPMODEREG = 0
) (
    input CLK, input signed [29:0] A, input signed [17:0] B, input signed [47:0] C, input signed [26:0] D, input signed [47:0] PCIN,
    output reg signed [47:0] P, output signed [47:0] PCOUT,
    input [8:0] OPMODE, input [3:0] ALUMODE, input [4:0] INMODE, input CARRYIN, input [2:0] CARRYINSEL,
    input CEA1, CEA2, CEB1, CEB2, CEC, CED, CEAD, CEM, CEP, CEALUMODE, CECARRYIN, CECTRL, CEINMODE,
    input RSTA, RSTB, RSTC, RSTD, RSTM, RSTP, RSTALUMODE, RSTALLCARRYIN, RSTCTRL, RSTINMODE
);
    reg signed [26:0] a1, a2, d1;
    reg signed [17:0] b1, b2;
    reg signed [44:0] m;
    wire signed [26:0] ad = AMULTSEL == "AD" && INMODE[2] ? a2 + d1 : a2;
    wire signed [47:0] z = OPMODE[6:4] == 3'b001 ? PCIN : OPMODE[6:4] == 3'b011 ? C : 48'd0;
    assign PCOUT = P;
    always @(posedge CLK) begin
        a1 <= A[26:0];
        a2 <= AREG == 2 ? a1 : A[26:0];
        d1 <= D;
        b1 <= B;
        b2 <= BREG == 2 ? b1 : B;
        m <= ad * b2;
        P <= z + m;
    end
    initial if (DREG != 1 || ADREG != 0 || MREG != 1 || PREG != 1 || OPMODE[3:0] != 4'b0101) $fatal(1, "this use of a DSP48E2 is not modelled");
endmodule
