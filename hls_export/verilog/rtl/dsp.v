// P = (A + D) B, and C, or what the DSP before it hands on, on top: one DSP48E2. Registers: A (A_DELAY of them, 1 or 2), D; B (B_DELAY); the product; P.
// SUM: "none", "cascade" or "constant" (C is not registered). PAIR: D is used. With GENERIC defined, the same registers around a multiplication.
module dsp #(parameter SUM = "none", PAIR = 0, A_DELAY = 1, B_DELAY = 1) (
    input clk, input signed [26:0] a, input signed [26:0] d, input signed [17:0] b, input signed [47:0] c, input [47:0] cascade_in,
    output [47:0] p, output [47:0] cascade_out
);
    wire signed [26:0] added = PAIR ? d : 27'd0;
`ifdef GENERIC
    reg signed [26:0] d1;
    wire signed [26:0] a1;
    always @(posedge clk) d1 <= added;
    registers #(27, A_DELAY) a_of (clk, a, a1);
    wire signed [26:0] factor = a1 + d1;
    plain #(27, 18, 48, SUM, 0, B_DELAY) of (clk, factor, b, c, cascade_in, p);
    assign cascade_out = p;
`else
    wire [8:0] mode = SUM == "cascade" ? 9'b000010101 : SUM == "constant" ? 9'b000110101 : 9'b000000101;
    DSP48E2 #(
        .AMULTSEL(PAIR ? "AD" : "A"), .BMULTSEL("B"), .PREADDINSEL("A"), .USE_MULT("MULTIPLY"), .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
        .AREG(A_DELAY), .ACASCREG(A_DELAY), .BREG(B_DELAY), .BCASCREG(B_DELAY), .DREG(1), .ADREG(0), .CREG(0), .MREG(1), .PREG(1),
        .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(0)
    ) of (
        .CLK(clk), .A({{3{a[26]}}, a}), .B(b), .C(c), .D(added), .PCIN(cascade_in), .P(p), .PCOUT(cascade_out),
        .OPMODE(mode), .ALUMODE(4'd0), .INMODE(PAIR ? 5'b00100 : 5'b00000), .CARRYIN(1'b0), .CARRYINSEL(3'd0),
        .CEA1(1'b1), .CEA2(1'b1), .CEB1(1'b1), .CEB2(1'b1), .CEC(1'b1), .CED(1'b1), .CEAD(1'b1), .CEM(1'b1), .CEP(1'b1),
        .CEALUMODE(1'b1), .CECARRYIN(1'b1), .CECTRL(1'b1), .CEINMODE(1'b1),
        .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0),
        .RSTALUMODE(1'b0), .RSTALLCARRYIN(1'b0), .RSTCTRL(1'b0), .RSTINMODE(1'b0)
    );
`endif
endmodule

// P = A B of A and B signed bits, and C, or what the product before it hands on, on top: a DSP where they fit its 27 and 18 bits, else the same
// registers around a multiplication.
module product #(parameter A = 8, B = 8, P = 48, SUM = "none", A_DELAY = 1, B_DELAY = 1) (
    input clk, input signed [A-1:0] a, input signed [B-1:0] b, input [P-1:0] c, input [P-1:0] cascade_in, output [P-1:0] p, output [P-1:0] cascade_out
);
    generate
        if (P == 48 && A <= 27 && B <= 18) begin : one
            wire signed [26:0] wide = a;
            wire signed [17:0] narrow = b;
            dsp #(SUM, 0, A_DELAY, B_DELAY) of (clk, wide, 27'd0, narrow, c, cascade_in, p, cascade_out);
        end else if (P == 48 && A <= 18 && B <= 27) begin : other
            wire signed [26:0] wide = b;
            wire signed [17:0] narrow = a;
            dsp #(SUM, 0, B_DELAY, A_DELAY) of (clk, wide, 27'd0, narrow, c, cascade_in, p, cascade_out);
        end else begin : wider
            plain #(A, B, P, SUM, A_DELAY, B_DELAY) of (clk, a, b, c, cascade_in, p);
            assign cascade_out = p;
        end
    endgenerate
endmodule

// The registers of a DSP around a multiplication.
module plain #(parameter A = 27, B = 18, P = 48, SUM = "none", A_DELAY = 1, B_DELAY = 1) (
    input clk, input signed [A-1:0] a, input signed [B-1:0] b, input [P-1:0] c, input [P-1:0] cascade_in, output [P-1:0] p
);
    wire signed [A-1:0] x;
    wire signed [B-1:0] y;
    wire [P-1:0] added = SUM == "cascade" ? cascade_in : SUM == "constant" ? c : {P{1'b0}};
    reg signed [A+B-1:0] multiplied;
    reg signed [P-1:0] sum;
    registers #(A, A_DELAY) a_of (clk, a, x);
    registers #(B, B_DELAY) b_of (clk, b, y);
    assign p = sum;
    always @(posedge clk) begin
        multiplied <= x * y;
        sum <= $signed(added) + multiplied;
    end
endmodule

// COUNT registers one behind another, 0 to 2.
module registers #(parameter WIDTH = 8, COUNT = 1) (input clk, input [WIDTH-1:0] from, output [WIDTH-1:0] to);
    reg [WIDTH-1:0] one, two;
    assign to = COUNT == 0 ? from : COUNT == 1 ? one : two;
    always @(posedge clk) {one, two} <= {from, one};
endmodule
