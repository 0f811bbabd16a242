// The window of a KH x KW convolution or pool over images of HEIGHT x COLUMNS pixels of WORDS words of WIDTH bits, all taps in a word.
//
// A trip reads word f of pixel k, and writes word f of the window whose anchor is LAG pixels earlier (see anchor.v), if that is one of OUT_ROWS x
// OUT_COLUMNS on the grid of the strides; tap (i, j) of it is the pixel i - TOP rows below and j - LEFT columns behind the anchor, at bit
// (i KW + j) WIDTH. Rows: a memory of COLUMNS x WORDS words of KH - 1 rows, read and written back a row further, STYLE "lutram", "bram" or "uram".
// Earlier columns: memories of WORDS words. Taps outside the image are OUTSIDE: the reset of the word's register. HANDS further streams get the
// words of tap (HAND_ROW, HAND_COLUMN) as they came in. mute: no window is written. whole: a visit ends or begins.
module window #(parameter STYLE = "bram", KH = 3, KW = 3, TOP = (KH - 1) / 2, LEFT = (KW - 1) / 2, HEIGHT = 8, COLUMNS = 8, STRIDE_H = 1, STRIDE_W = 1,
    OUT_ROWS = (HEIGHT + STRIDE_H - 1) / STRIDE_H, OUT_COLUMNS = (COLUMNS + STRIDE_W - 1) / STRIDE_W, WORDS = 4, WIDTH = 8,
    parameter [WIDTH-1:0] OUTSIDE = 0, parameter HANDS = 0, HAND_ROW = 0, HAND_COLUMN = 0) (
    input clk, input rst,
    input [WIDTH-1:0] in_data, input in_valid, output in_take,
    output [(KH*KW+HANDS)*WIDTH-1:0] out_data, input [HANDS:0] out_room, output [HANDS:0] out_promise, output [HANDS:0] out_valid,
    input mute, output whole
);
    localparam DEPTH = COLUMNS * WORDS, ROW = KH * WIDTH;
    localparam WB = WORDS > 1 ? $clog2(WORDS) : 1, ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    reg [WB-1:0] word;
    reg [ADDRESS-1:0] place;
    wire on, hands, room, unused;
    wire emits = on && !mute;
    wire last_word = word == WORDS - 1;
    wire [KH-1:0] inside_row;
    wire [KW-1:0] inside_column;
    wire go = in_valid && (!emits || out_room[0]) && (!hands || room);
    anchor #(KH, KW, TOP, LEFT, HEIGHT, COLUMNS, STRIDE_H, STRIDE_W, OUT_ROWS, OUT_COLUMNS) at
        (clk, rst, go && last_word, on, inside_row, inside_column, unused);
    assign in_take = go;
    assign whole = word == 0;
    assign out_promise[0] = go && emits;

    // A cycle later: the word, those of the rows above it, those of the columns before it.
    reg [WIDTH-1:0] newest;
    reg [WB-1:0] word1;
    reg [ADDRESS-1:0] place1;
    reg went, emitted, done;
    reg [KH*KW-1:0] outside;
    integer m, n;
    always @(posedge clk) begin
        if (rst) begin
            word <= 0;
            place <= 0;
        end else if (go) begin
            word <= last_word ? 0 : word + 1'b1;
            place <= place == DEPTH - 1 ? 0 : place + 1'b1;
        end
        went <= go && !rst;
        emitted <= out_promise[0] && !rst;
        done <= emitted && !rst;
        newest <= in_data;
        word1 <= word;
        place1 <= place;
        for (m = 0; m < KH; m = m + 1)
            for (n = 0; n < KW; n = n + 1) outside[m*KW+n] <= !(inside_row[m] && inside_column[n]);
    end
    wire [ROW-1:0] column;
    assign column[(KH-1)*WIDTH +: WIDTH] = newest;
    genvar i, j;
    generate
        if (KH > 1) begin : rows
            wire [(KH-1)*WIDTH-1:0] above;
            assign column[(KH-1)*WIDTH-1:0] = above;
            if (DEPTH > 1) ram #(STYLE, DEPTH, (KH - 1) * WIDTH) memory (clk, went, place1, column[ROW-1:WIDTH], go, place, above);
            else delay #(1, (KH - 1) * WIDTH) held (clk, went, 1'b0, column[ROW-1:WIDTH], above);
        end
    endgenerate
    wire [KW*ROW-1:0] columns;  // the newest in the highest bits
    assign columns[(KW-1)*ROW +: ROW] = column;
    generate
        if (KW > 1) begin : earlier
            delay #(WORDS, (KW - 1) * ROW) held_back (clk, went, word1, columns[KW*ROW-1:ROW], columns[(KW-1)*ROW-1:0]);
        end
        for (i = 0; i < KH; i = i + 1) begin : tap_row
            for (j = 0; j < KW; j = j + 1) begin : tap
                reg [WIDTH-1:0] held;
                assign out_data[(i*KW+j)*WIDTH +: WIDTH] = held;
                always @(posedge clk)
                    if (outside[i*KW+j]) held <= OUTSIDE;
                    else held <= columns[j*ROW+i*WIDTH +: WIDTH];
            end
        end
        if (HANDS > 0) begin : handed
            localparam WAIT = (KH - 1 - HAND_ROW) * COLUMNS + KW - 1 - HAND_COLUMN, WAIT_BITS = WAIT > 0 ? $clog2(WAIT + 1) : 1;
            reg [WAIT_BITS-1:0] waited;
            reg on, one, two;
            reg [WIDTH-1:0] held;
            assign hands = on;
            assign room = &out_room[HANDS:1];
            assign out_promise[HANDS:1] = {HANDS{go && on}};
            assign out_valid[HANDS:1] = {HANDS{two}};
            assign out_data[(KH*KW+HANDS)*WIDTH-1:KH*KW*WIDTH] = {HANDS{held}};
            always @(posedge clk) begin
                if (rst) begin
                    waited <= 0;
                    on <= WAIT == 0;
                end else if (go && last_word && !on) begin
                    waited <= waited + 1'b1;
                    on <= waited == WAIT - 1;
                end
                {two, one} <= rst ? 0 : {one, go && on};
                held <= columns[HAND_COLUMN*ROW+HAND_ROW*WIDTH +: WIDTH];
            end
        end else begin : kept
            assign hands = 0;
            assign room = 1;
        end
    endgenerate
    assign out_valid[0] = done;
endmodule
