// ROMs that memory_libmap has made of memories (rom32.txt, rom512.txt), as LUTs: as many whatever the words are. All are LUT6_2, which yosys leaves
// as they are; a LUT6 it makes smaller where its words happen to be alike.

// Two bits of up to 32 words: a LUT.
module \$__ROM32_ (input [4:0] PORT_R_ADDR, output [1:0] PORT_R_RD_DATA);
    parameter [63:0] INIT = 64'bx;
    LUT6_2 #(.INIT(known(0))) words (.O6(PORT_R_RD_DATA[1]), .O5(PORT_R_RD_DATA[0]), .I0(PORT_R_ADDR[0]), .I1(PORT_R_ADDR[1]),
        .I2(PORT_R_ADDR[2]), .I3(PORT_R_ADDR[3]), .I4(PORT_R_ADDR[4]), .I5(1'b1));
    // The bits in the order of the LUT's outputs.
    function [63:0] known(input integer unused);
        integer n;
        for (n = 0; n < 32; n = n + 1) begin
            known[n] = INIT[2*n] === 1'b1;
            known[32+n] = INIT[2*n+1] === 1'b1;
        end
    endfunction
endmodule

// A bit of up to 512 words: a LUT for every 64, which the slices' own multiplexers join. Words that there are not are unknown.
module \$__ROM512_ (input [8:0] PORT_R_ADDR, output PORT_R_RD_DATA);
    parameter [511:0] INIT = 512'bx;
    localparam BANKS = banks(0), WIDE = BANKS > 1 ? $clog2(BANKS) : 0;
    wire [(2 << WIDE)-2:0] node;  // node k joins nodes 2k + 1 and 2k + 2; the last are the LUTs
    assign PORT_R_RD_DATA = node[0];
    genvar k;
    generate
        for (k = 0; k < (1 << WIDE); k = k + 1) begin : bank
            if (k < BANKS)
                LUT6_2 #(.INIT(known(k))) words (.O6(node[(1<<WIDE)-1+k]), .O5(), .I0(PORT_R_ADDR[0]), .I1(PORT_R_ADDR[1]),
                    .I2(PORT_R_ADDR[2]), .I3(PORT_R_ADDR[3]), .I4(PORT_R_ADDR[4]), .I5(PORT_R_ADDR[5]));
            else assign node[(1<<WIDE)-1+k] = node[(1<<WIDE)-1+(k%2 ? k - 1 : 0)];
        end
        for (k = 0; k + 1 < (1 << WIDE); k = k + 1) begin : join_of
            localparam HEIGHT = WIDE - $clog2(k + 2) + 1;  // above the LUTs
            if (HEIGHT == 1) MUXF7 mux (.O(node[k]), .I0(node[2*k+1]), .I1(node[2*k+2]), .S(PORT_R_ADDR[6]));
            else if (HEIGHT == 2) MUXF8 mux (.O(node[k]), .I0(node[2*k+1]), .I1(node[2*k+2]), .S(PORT_R_ADDR[7]));
            else MUXF9 mux (.O(node[k]), .I0(node[2*k+1]), .I1(node[2*k+2]), .S(PORT_R_ADDR[8]));
        end
    endgenerate
    function integer banks(input integer unused);
        integer n;
        begin
            banks = 1;
            for (n = 1; n < 8; n = n + 1) if (INIT[64*n +: 64] !== 64'bx) banks = n + 1;
        end
    endfunction
    function [63:0] known(input integer bank);
        integer n;
        for (n = 0; n < 64; n = n + 1) known[n] = INIT[64*bank+n] === 1'b1;
    endfunction
endmodule
