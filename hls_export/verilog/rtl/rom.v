// A ROM of DEPTH words of WIDTH bits, those in FILE in hexadecimal; the word of an address is there in the next cycle.
//
// STYLE "lut": a register for the address, LUTs behind it, whose outputs the slices' own multiplexers join up to 512 words (F7, F8, F9); up to
// 32 words a LUT gives two bits. yosys/rom_map.v makes them so whatever the words are. STYLE "bram": block RAM. A single word is wiring.
module rom #(parameter STYLE = "lut", DEPTH = 16, WIDTH = 8, FILE = "rom.hex", ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1) (
    input clk, input [ADDRESS-1:0] at, output [WIDTH-1:0] word
);
    generate
        if (DEPTH == 1) begin : constant
            reg [WIDTH-1:0] words [0:0];
            initial $readmemh(FILE, words);
            assign word = words[0];
        end else if (STYLE == "bram") begin : bram
            (* rom_style = "block", ram_style = "block" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            reg [WIDTH-1:0] held;
            initial $readmemh(FILE, words);
            always @(posedge clk) held <= words[at];
            assign word = held;
        end else begin : lut
            (* rom_style = "distributed" *) reg [WIDTH-1:0] words [0:DEPTH-1];
            reg [ADDRESS-1:0] address;
            initial $readmemh(FILE, words);
            always @(posedge clk) address <= at;
            assign word = words[address];
        end
    endgenerate
endmodule
