// The window of window.v, KW taps after another: COLUMN = 1: in words of KH taps, [group][column][word of the group]; COLUMN = 0: of one tap,
// [group][row][column][word of the group], GROUP words each. Taps outside the image are 0.
//
// The last ROWS rows lie in a ring; KH are enough where the window is no wider than the image. COLUMN: ROWS memories of COLUMNS x WORDS words, row
// n of all images in memory n mod ROWS; what is read of them is rotated. Else one memory. A visit has WORDS trips, or as many as the window has
// words; the first WORDS of them read. whole: a visit ends or begins.
module ring #(parameter STYLE = "bram", COLUMN = 1, KH = 3, KW = 3, TOP = (KH - 1) / 2, LEFT = (KW - 1) / 2, HEIGHT = 8, COLUMNS = 8, STRIDE_H = 1,
    STRIDE_W = 1, OUT_ROWS = (HEIGHT + STRIDE_H - 1) / STRIDE_H, OUT_COLUMNS = (COLUMNS + STRIDE_W - 1) / STRIDE_W, WORDS = 4, GROUP = 4, WIDTH = 8,
    ROWS = KH) (
    input clk, input rst,
    input [WIDTH-1:0] in_data, input in_valid, output in_take,
    output [(COLUMN?KH:1)*WIDTH-1:0] out_data, input out_room, output out_promise, output out_valid, output whole
);
    localparam DEPTH = COLUMNS * WORDS, GROUPS = WORDS / GROUP, TAPS = COLUMN ? KH : 1, ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    localparam BB = ROWS > 1 ? $clog2(ROWS) : 1, IB = KH > 1 ? $clog2(KH) : 1, JB = KW > 1 ? $clog2(KW) : 1, WB = WORDS > 1 ? $clog2(WORDS) : 1;
    localparam FB = GROUP > 1 ? $clog2(GROUP) : 1, GB = GROUPS > 1 ? $clog2(GROUPS) : 1;
    localparam LAG_ROWS = ((KH - 1 - TOP) * COLUMNS + KW - 1 - LEFT + COLUMNS - 1) / COLUMNS, FIRST_BANK = (ROWS - (LAG_ROWS + TOP) % ROWS) % ROWS;
    reg [WB-1:0] unread;   // words of the visit still to come, less one
    reg reading;
    reg [ADDRESS-1:0] place, at;
    reg [BB-1:0] bank, first_bank, row_bank;  // of the words read; of the window's first row; of the row that is read
    reg [FB-1:0] word;
    reg [JB-1:0] j;
    reg [IB-1:0] i;
    reg [GB-1:0] group;
    wire emits, last_column;
    wire [KH-1:0] inside_row;
    wire [KW-1:0] inside_column;
    wire last_read = unread == 0, last_word = word == GROUP - 1, last_j = last_word && j == KW - 1;
    wire last_i = last_j && (COLUMN || i == KH - 1), last_trip = emits ? last_i && group == GROUPS - 1 : last_read;
    wire go = (!reading || in_valid) && (!emits || out_room);
    anchor #(KH, KW, TOP, LEFT, HEIGHT, COLUMNS, STRIDE_H, STRIDE_W, OUT_ROWS, OUT_COLUMNS) anchor_of
        (clk, rst, go && last_trip, emits, inside_row, inside_column, last_column);
    assign in_take = go && reading;
    assign whole = reading && unread == WORDS - 1;
    assign out_promise = go && emits;
    function [BB-1:0] following(input [BB-1:0] b);
        following = b == ROWS - 1 ? 0 : b + 1'b1;
    endfunction
    // From the end of a group's column to the next column, of its row to the next row, of the group to the next, of a visit to the next.
    localparam [ADDRESS:0] NEXT_COLUMN = WORDS - GROUP + 1, NEXT_ROW = 1 - GROUP - (KW - 1) * WORDS, NEXT_GROUP = 1 - (KW - 1) * WORDS;
    localparam [ADDRESS:0] FIRST = -LEFT * WORDS, LAG_COLUMN = (COLUMNS - (KW - 1 - LEFT) % COLUMNS) % COLUMNS * WORDS - LEFT * WORDS;
    wire [ADDRESS-1:0] step = !emits ? (last_read ? WORDS : 0) : !last_word ? 1 : !last_j ? NEXT_COLUMN : !last_i ? NEXT_ROW : NEXT_GROUP;
    wire [BB-1:0] next_first = last_column ? following(first_bank) : first_bank;
    always @(posedge clk)
        if (rst) begin
            {place, bank, word, j, i, group} <= 0;
            at <= LAG_COLUMN;
            unread <= WORDS - 1;
            reading <= 1;
            first_bank <= FIRST_BANK;
            row_bank <= FIRST_BANK;
        end else if (go) begin
            if (reading) begin
                unread <= last_read ? WORDS - 1 : unread - 1'b1;
                place <= place == DEPTH - 1 ? 0 : place + 1'b1;
                if (place == DEPTH - 1) bank <= following(bank);
            end
            reading <= last_trip || reading && !last_read;
            if (emits) begin
                word <= last_word ? 0 : word + 1'b1;
                if (last_word) j <= last_j ? 0 : j + 1'b1;
                if (last_j && !COLUMN) i <= last_i ? 0 : i + 1'b1;
                if (last_i && GROUPS > 1) group <= last_trip ? 0 : group + 1'b1;
            end
            at <= last_trip && last_column ? FIRST : at + step;
            if (last_trip) first_bank <= next_first;
            if (!COLUMN) row_bank <= last_trip ? next_first : !emits || !last_j ? row_bank : last_i ? first_bank : following(row_bank);
        end

    reg emitted, done;
    reg [BB-1:0] rotation;
    reg [TAPS-1:0] outside;
    integer m;
    always @(posedge clk) begin
        emitted <= out_promise && !rst;
        done <= emitted && !rst;
        rotation <= first_bank;
        for (m = 0; m < TAPS; m = m + 1) outside[m] <= !(inside_row[COLUMN ? m : i] && inside_column[j]);
    end
    assign out_valid = done;
    genvar k;
    generate
        if (COLUMN) begin : banks
            wire [ROWS*WIDTH-1:0] read;
            for (k = 0; k < ROWS; k = k + 1) begin : bank_of
                ram #(STYLE, DEPTH, WIDTH) memory (clk, in_take && bank == k, place, in_data, go, at, read[k*WIDTH +: WIDTH]);
            end
            wire [2*ROWS*WIDTH-1:0] twice = {read, read};
            for (k = 0; k < KH; k = k + 1) begin : tap
                reg [WIDTH-1:0] held;
                wire [ROWS*WIDTH-1:0] turned = twice[k*WIDTH +: ROWS*WIDTH];
                wire [WIDTH-1:0] value;
                if (ROWS > 1) choose #(ROWS, WIDTH) rotated (turned, rotation, value);
                else assign value = turned;
                assign out_data[k*WIDTH +: WIDTH] = held;
                always @(posedge clk)
                    if (outside[k]) held <= 0;
                    else held <= value;
            end
        end else begin : one
            wire [WIDTH-1:0] read;
            reg [WIDTH-1:0] held;
            ram #(STYLE, ((ROWS - 1) << ADDRESS) + DEPTH, WIDTH, BB + ADDRESS) memory (clk, in_take, {bank, place}, in_data, go, {row_bank, at}, read);
            assign out_data = held;
            always @(posedge clk)
                if (outside) held <= 0;
                else held <= read;
        end
    endgenerate
endmodule
