// A ROM of DEPTH words of WIDTH bits; the word of an address is there in the next cycle.
//
// STYLE "lut": a register for the address, LUTs behind it, whose outputs the slices' own multiplexers join up to 512 words (F7, F8, F9). Up to
// 32 words a LUT gives two bits. The LUTs are instances, so every tool counts them alike. STYLE "bram": FILE holds the words in hexadecimal.
module rom #(parameter STYLE = "lut", DEPTH = 16, WIDTH = 8, WORDS = 0, FILE = "rom.hex", ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1) (
    input clk, input [ADDRESS-1:0] at, output [WIDTH-1:0] word
);
    genvar b, k;
    generate
        if (DEPTH == 1) begin : constant
            assign word = WORDS;
        end else if (STYLE == "bram") begin : bram
            (* rom_style = "block", ram_style = "block" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            reg [WIDTH-1:0] held;
            initial $readmemh(FILE, words);
            always @(posedge clk) held <= words[at];
            assign word = held;
        end else begin : lut
            localparam BANKS = (DEPTH + 63) / 64, WIDE = BANKS > 1 ? $clog2(BANKS) : 0;
            reg [ADDRESS-1:0] address;
            always @(posedge clk) address <= at;
            wire [8:0] from = address;  // up to 512 words
            for (b = 0; b < WIDTH; b = b + (DEPTH > 32 ? 1 : 2)) begin : bits
                if (DEPTH <= 32) begin : pair
                    wire other;
                    LUT6_2 #(.INIT({column(b, 0, 32), column(b + 1, 0, 32)})) both (.O6(word[b]), .O5(other), .I0(from[0]), .I1(from[1]),
                        .I2(from[2]), .I3(from[3]), .I4(from[4]), .I5(1'b1));
                    if (b + 1 < WIDTH) assign word[b+1] = other;
                end else begin : column_of
                    wire [(2 << WIDE)-2:0] node;  // node k joins nodes 2k + 1 and 2k + 2; the last are the LUTs
                    assign word[b] = node[0];
                    for (k = 0; k < (1 << WIDE); k = k + 1) begin : bank
                        if (k < BANKS) begin : some
                            LUT6 #(.INIT({column(b, 64 * k + 32, 32), column(b, 64 * k, 32)})) table_of (.O(node[(1<<WIDE)-1+k]), .I0(from[0]),
                                .I1(from[1]), .I2(from[2]), .I3(from[3]), .I4(from[4]), .I5(from[5]));
                        end else assign node[(1<<WIDE)-1+k] = node[(1<<WIDE)-1+(k%2 ? k - 1 : 0)];
                    end
                    for (k = 0; k + 1 < (1 << WIDE); k = k + 1) begin : join_of
                        localparam LEVEL = $clog2(k + 2) - 1;  // from the output: the highest bit of the address decides at the root
                        if (WIDE - LEVEL == 1) MUXF7 mux (.O(node[k]), .I0(node[2*k+1]), .I1(node[2*k+2]), .S(from[6]));
                        else if (WIDE - LEVEL == 2) MUXF8 mux (.O(node[k]), .I0(node[2*k+1]), .I1(node[2*k+2]), .S(from[7]));
                        else if (WIDE - LEVEL == 3) MUXF9 mux (.O(node[k]), .I0(node[2*k+1]), .I1(node[2*k+2]), .S(from[8]));
                        else assign node[k] = address[5+WIDE-LEVEL] ? node[2*k+2] : node[2*k+1];
                    end
                end
            end
        end
    endgenerate
    // Bit b of 32 words from `first` on.
    function [31:0] column(input integer b, input integer first, input integer count);
        integer n;
        begin
            column = 0;
            for (n = 0; n < count; n = n + 1)
                if (first + n < DEPTH && b < WIDTH) column[n] = WORDS[(first+n)*WIDTH+b];
        end
    endfunction
endmodule
