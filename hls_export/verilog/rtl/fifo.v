// A FIFO of DEPTH words: a word takes its place when it is promised, comes some cycles later, and can be read two cycles after that.
//
// in_room: a place is free for a word promised in this cycle. out_valid: out_data is the oldest word; out_take takes it. empty: no word is there, and
// none was promised.
// STYLE "srl": a shift register of ROWS words, then a register. "ram": memories of ROWS words and, behind them, MORE words, whose own output is the
// register. "uram": as that, but the memories answer a cycle later; words pass through a queue of 16 words, and through the memories
// only where it is full. The memories are SLICES pieces: of slice k STYLES has a code (0 lutram, 1 bram, 2 uram), WORDS its first word (0 or ROWS),
// DEPTHS its words, BITS its first bit, WIDTHS its bits.
module fifo #(parameter DEPTH = 8, WIDTH = 8, STYLE = "srl", ROWS = 7, MORE = 0, SLICES = 1, parameter [SLICES*32-1:0] STYLES = 0, WORDS = 0,
    DEPTHS = ROWS, BITS = 0, WIDTHS = WIDTH) (
    input clk, input rst,
    input in_promise, input in_valid, input [WIDTH-1:0] in_data, output in_room,
    output [WIDTH-1:0] out_data, output out_valid, input out_take, output reg empty
);
    localparam COUNT = $clog2(DEPTH + 1);
    // Words that were promised and are not yet read.
    reg [COUNT-1:0] places;
    reg room;
    wire [COUNT-1:0] next = places + {{(COUNT-1){!in_promise && out_take}}, in_promise != out_take};
    assign in_room = room;
    always @(posedge clk)
        if (rst) begin
            places <= 0;
            room <= 1;
            empty <= 1;
        end else begin
            places <= next;
            room <= next != DEPTH;
            empty <= next == 0;
        end
    generate
        if (STYLE == "srl") begin : srl
            fifo_srl #(ROWS, WIDTH) words (clk, rst, in_valid, in_data, out_data, out_valid, out_take);
        end else if (STYLE == "ram") begin : ram
            fifo_ram #(WIDTH, ROWS, MORE, SLICES, STYLES, WORDS, DEPTHS, BITS, WIDTHS) words
                (clk, rst, in_valid, in_data, out_data, out_valid, out_take);
        end else begin : uram
            fifo_uram #(WIDTH, ROWS, MORE, SLICES, STYLES, WORDS, DEPTHS, BITS, WIDTHS) words
                (clk, rst, in_valid, in_data, out_data, out_valid, out_take);
        end
    endgenerate
`ifdef TAILOR_OCCUPANCY
    // For the simulation: what it says of itself at the end.
    import "DPI-C" function void tailor_fifo(input string name, input int depth, input int most, input int present, input longint last_read);
    int most = 0;
    longint now = 0, last_read = -1;
    string name;
    always @(posedge clk)
        if (rst) begin
            most <= 0;
            now <= 0;
            last_read <= -1;
        end else begin
            now <= now + 1;
            if (in_promise && int'(places) + 1 > most) most <= int'(places) + 1;
            if (out_take) last_read <= now;
        end
    final begin
        name = $sformatf("%m");
        tailor_fifo(name, DEPTH, most, int'(places), last_read);
    end
`endif
endmodule

// Words in a shift register, the newest at address 0; the oldest moves on to the output.
module fifo_srl #(parameter ROWS = 7, WIDTH = 8) (
    input clk, input rst, input in_valid, input [WIDTH-1:0] in_data, output reg [WIDTH-1:0] out_data, output reg out_valid, input out_take
);
    localparam AT = ROWS > 1 ? $clog2(ROWS) : 1;
    reg [AT-1:0] oldest;
    reg some;
    wire fetch = some && (!out_valid || out_take);
    wire [WIDTH-1:0] word;
    shift #(ROWS, WIDTH) words (clk, in_valid, in_data, oldest, word);
    always @(posedge clk)
        if (rst) begin
            oldest <= {AT{1'b1}};
            some <= 0;
            out_valid <= 0;
        end else begin
            // one word stands at address 0; none is address -1
            if (in_valid != fetch) begin
                oldest <= in_valid ? (some ? oldest + 1'b1 : {AT{1'b0}}) : oldest - 1'b1;
                some <= in_valid || oldest != 0;
            end
            out_valid <= fetch || (out_valid && !out_take);
        end
    always @(posedge clk) if (fetch) out_data <= word;
endmodule

// ROWS words of WIDTH bits that shift on with every write; a LUT holds 32 of a bit.
module shift #(parameter ROWS = 31, WIDTH = 8, AT = ROWS > 1 ? $clog2(ROWS) : 1) (
    input clk, input write, input [WIDTH-1:0] written, input [AT-1:0] at, output [WIDTH-1:0] word
);
    localparam BANKS = (ROWS + 31) / 32;
    wire [4:0] low = at;
    genvar b, k;
    generate
        for (b = 0; b < WIDTH; b = b + 1) begin : bits
            wire [BANKS-1:0] taps;
            wire [BANKS:0] chain;
            assign chain[0] = written[b];
            for (k = 0; k < BANKS; k = k + 1) begin : bank
                SRLC32E #(.INIT(32'd0)) of (.Q(taps[k]), .Q31(chain[k+1]), .A(low), .CE(write), .CLK(clk), .D(chain[k]));
            end
            if (BANKS == 1) assign word[b] = taps;
            else assign word[b] = taps[at[AT-1:5]];
        end
    endgenerate
endmodule

// Words in memories, the output of which is the output.
module fifo_ram #(parameter WIDTH = 8, ROWS = 32, MORE = 0, SLICES = 1, parameter [SLICES*32-1:0] STYLES = 0, WORDS = 0, DEPTHS = ROWS, BITS = 0,
    WIDTHS = WIDTH) (
    input clk, input rst, input in_valid, input [WIDTH-1:0] in_data, output [WIDTH-1:0] out_data, output reg out_valid, input out_take
);
    localparam HOLDS = ROWS + MORE, AT = HOLDS > 1 ? $clog2(HOLDS) : 1;
    reg [AT-1:0] write_at, read_at;
    reg some;
    wire fetch = some && (!out_valid || out_take);
    wire [AT-1:0] after_write = HOLDS == 1 << AT || write_at != HOLDS - 1 ? write_at + 1'b1 : {AT{1'b0}};
    wire [AT-1:0] after_read = HOLDS == 1 << AT || read_at != HOLDS - 1 ? read_at + 1'b1 : {AT{1'b0}};
    slices #(WIDTH, ROWS, MORE, SLICES, STYLES, WORDS, DEPTHS, BITS, WIDTHS, AT) words (clk, in_valid, write_at, in_data, fetch, read_at, out_data);
    always @(posedge clk)
        if (rst) begin
            write_at <= 0;
            read_at <= 0;
            some <= 0;
            out_valid <= 0;
        end else begin
            if (in_valid) write_at <= after_write;
            if (fetch) read_at <= after_read;
            if (in_valid != fetch) some <= in_valid || after_read != write_at;
            out_valid <= fetch || (out_valid && !out_take);
        end
endmodule

// The memories of a FIFO: a port to write, one to read, the word read in the next cycle and held.
module slices #(parameter WIDTH = 8, ROWS = 32, MORE = 0, SLICES = 1, parameter [SLICES*32-1:0] STYLES = 0, WORDS = 0, DEPTHS = ROWS, BITS = 0,
    WIDTHS = WIDTH, parameter AT = 5) (
    input clk, input write, input [AT-1:0] write_at, input [WIDTH-1:0] written, input read, input [AT-1:0] read_at, output [WIDTH-1:0] word
);
    localparam PART = ROWS > 1 ? $clog2(ROWS) : 1;  // the bit that tells the rest from the main part
    wire write_more = MORE > 0 && write_at[AT-1], read_more = MORE > 0 && read_at[AT-1];
    reg more;
    always @(posedge clk) if (read) more <= read_more;
    wire [WIDTH-1:0] main, rest;
    assign word = MORE > 0 && more ? rest : main;
    genvar k;
    generate
        for (k = 0; k < SLICES; k = k + 1) begin : slice
            localparam CODE = STYLES[32*k +: 32], FIRST = WORDS[32*k +: 32], LOW = BITS[32*k +: 32], WIDE = WIDTHS[32*k +: 32];
            localparam DEEP = DEPTHS[32*k +: 32], OWN = DEEP > 1 ? $clog2(DEEP) : 1;
            wire [WIDE-1:0] value;
            if (FIRST == 0) assign main[LOW +: WIDE] = value;
            else assign rest[LOW +: WIDE] = value;
            ram #(CODE == 0 ? "lutram" : CODE == 1 ? "bram" : "uram", DEEP, WIDE, OWN) memory (clk, write && write_more == (FIRST != 0),
                write_at[OWN-1:0], written[LOW +: WIDE], read && read_more == (FIRST != 0), read_at[OWN-1:0], value);
        end
        if (MORE == 0) assign rest = 0;
    endgenerate
endmodule

// Memories that answer two cycles later, and a queue in front of the output that hides it: a word goes into the queue, or into the memories as long as
// there are words in them or on their way from them, or the queue is full.
module fifo_uram #(parameter WIDTH = 8, ROWS = 4096, MORE = 0, SLICES = 1, parameter [SLICES*32-1:0] STYLES = 2, WORDS = 0, DEPTHS = ROWS,
    BITS = 0, WIDTHS = WIDTH) (
    input clk, input rst, input in_valid, input [WIDTH-1:0] in_data, output [WIDTH-1:0] out_data, output out_valid, input out_take
);
    localparam HOLDS = ROWS + MORE, AT = $clog2(HOLDS), QUEUE = 16;
    reg [AT-1:0] write_at, read_at;
    reg some, under_way, arrives;  // words in the memories; read from them a cycle ago, two
    reg [4:0] queued;              // words in the queue or on their way to it
    wire direct = in_valid && !some && !under_way && !arrives && queued != QUEUE, store = in_valid && !direct;
    wire leaves, fetch = some && queued != QUEUE;
    wire [AT-1:0] after_write = HOLDS == 1 << AT || write_at != HOLDS - 1 ? write_at + 1'b1 : {AT{1'b0}};
    wire [AT-1:0] after_read = HOLDS == 1 << AT || read_at != HOLDS - 1 ? read_at + 1'b1 : {AT{1'b0}};
    wire [WIDTH-1:0] answer;
    reg [WIDTH-1:0] answered;
    slices #(WIDTH, ROWS, MORE, SLICES, STYLES, WORDS, DEPTHS, BITS, WIDTHS, AT) words (clk, store, write_at, in_data, fetch, read_at, answer);
    fifo_srl #(QUEUE, WIDTH) queue (clk, rst, direct || arrives, arrives ? answered : in_data, out_data, out_valid, out_take);
    assign leaves = queue.fetch;
    always @(posedge clk) begin
        if (rst) begin
            write_at <= 0;
            read_at <= 0;
            queued <= 0;
            {some, under_way, arrives} <= 0;
        end else begin
            if (store) write_at <= after_write;
            if (fetch) read_at <= after_read;
            if (store != fetch) some <= store || after_read != write_at;
            queued <= queued + (direct || fetch) - leaves;
            {under_way, arrives} <= {fetch, under_way};
        end
        answered <= answer;
    end
endmodule
