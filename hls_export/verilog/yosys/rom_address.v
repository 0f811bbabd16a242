// A ROM whose address register was merged into it, and the register again.
(* techmap_celltype = "$mem_v2" *)
module rom_address (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
    parameter MEMID = "", SIZE = 16, OFFSET = 0, ABITS = 4, WIDTH = 8, INIT = 0;
    parameter RD_PORTS = 1, RD_CLK_ENABLE = 0, RD_CLK_POLARITY = 1, RD_TRANSPARENCY_MASK = 0, RD_COLLISION_X_MASK = 0, RD_WIDE_CONTINUATION = 0,
        RD_CE_OVER_SRST = 0, RD_ARST_VALUE = 0, RD_SRST_VALUE = 0, RD_INIT_VALUE = 0;
    parameter WR_PORTS = 0, WR_CLK_ENABLE = 0, WR_CLK_POLARITY = 0, WR_PRIORITY_MASK = 0, WR_WIDE_CONTINUATION = 0;
    input [RD_PORTS-1:0] RD_CLK, RD_EN, RD_ARST, RD_SRST;
    input [RD_PORTS*ABITS-1:0] RD_ADDR;
    output [RD_PORTS*WIDTH-1:0] RD_DATA;
    input [WR_PORTS-1:0] WR_CLK;
    input [WR_PORTS*WIDTH-1:0] WR_EN, WR_DATA;
    input [WR_PORTS*ABITS-1:0] WR_ADDR;
    wire _TECHMAP_FAIL_ = WR_PORTS != 0 || RD_PORTS != 1 || !RD_CLK_ENABLE;
    reg [ABITS-1:0] address;
    always @(posedge RD_CLK) if (RD_EN) address <= RD_ADDR;
    (* rom_style = "distributed" *) \$mem_v2 #(.MEMID(MEMID), .SIZE(SIZE), .OFFSET(OFFSET), .ABITS(ABITS), .WIDTH(WIDTH), .INIT(INIT), .RD_PORTS(1),
        .RD_CLK_ENABLE(1'b0), .RD_CLK_POLARITY(1'b1), .RD_TRANSPARENCY_MASK(1'b0), .RD_COLLISION_X_MASK(1'b0), .RD_WIDE_CONTINUATION(1'b0),
        .RD_CE_OVER_SRST(1'b0), .RD_ARST_VALUE({WIDTH{1'bx}}), .RD_SRST_VALUE({WIDTH{1'bx}}), .RD_INIT_VALUE({WIDTH{1'bx}}),
        .WR_PORTS(0), .WR_CLK_ENABLE(1'b0), .WR_CLK_POLARITY(1'b0), .WR_PRIORITY_MASK(1'b0), .WR_WIDE_CONTINUATION(1'b0)) words
        (.RD_CLK(1'b0), .RD_EN(1'b1), .RD_ARST(1'b0), .RD_SRST(1'b0), .RD_ADDR(address), .RD_DATA(RD_DATA), .WR_CLK(), .WR_EN(), .WR_ADDR(), .WR_DATA());
endmodule
