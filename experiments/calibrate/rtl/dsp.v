// One DSP48E2: P = (A + D) B, and C, or what the DSP before it hands on, on top. Registers: A, D; B (DELAY of them, 1 or 2); the product; P.
// SUM: "none", "cascade" or "constant" (C is not registered). PAIR: D is used.
module dsp #(parameter SUM = "none", PAIR = 0, DELAY = 1) (
    input clk, input signed [26:0] a, input signed [26:0] d, input signed [17:0] b, input signed [47:0] c, input [47:0] cascade_in,
    output [47:0] p, output [47:0] cascade_out
);
    wire [26:0] added = PAIR ? d : 27'd0;
    wire [8:0] mode = SUM == "cascade" ? 9'b000010101 : SUM == "constant" ? 9'b000110101 : 9'b000000101;
    DSP48E2 #(
        .AMULTSEL(PAIR ? "AD" : "A"), .BMULTSEL("B"), .PREADDINSEL("A"), .USE_MULT("MULTIPLY"), .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
        .AREG(1), .ACASCREG(1), .BREG(DELAY), .BCASCREG(DELAY), .DREG(1), .ADREG(0), .CREG(0), .MREG(1), .PREG(1),
        .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(0)
    ) of (
        .CLK(clk), .A({{3{a[26]}}, a}), .B(b), .C(c), .D(added), .PCIN(cascade_in), .P(p), .PCOUT(cascade_out),
        .OPMODE(mode), .ALUMODE(4'd0), .INMODE(PAIR ? 5'b00100 : 5'b00000), .CARRYIN(1'b0), .CARRYINSEL(3'd0),
        .CEA1(1'b1), .CEA2(1'b1), .CEB1(1'b1), .CEB2(1'b1), .CEC(1'b1), .CED(1'b1), .CEAD(1'b1), .CEM(1'b1), .CEP(1'b1),
        .CEALUMODE(1'b1), .CECARRYIN(1'b1), .CECTRL(1'b1), .CEINMODE(1'b1),
        .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0),
        .RSTALUMODE(1'b0), .RSTALLCARRYIN(1'b0), .RSTCTRL(1'b0), .RSTINMODE(1'b0)
    );
endmodule
