// Where the anchor of a window stands: the pixel LAG before the newest one. `advance` goes on to the next pixel.
//
// on: it lies on the grid of STRIDE_H x STRIDE_W pixels, within OUT_ROWS x OUT_COLUMNS of them, and in an image that has come in. inside_row[i],
// inside_column[j]: whether tap (i, j) lies in the image. last_column: the anchor stands on it.
module anchor #(parameter KH = 3, KW = 3, TOP = 1, LEFT = 1, HEIGHT = 8, COLUMNS = 8, STRIDE_H = 1, STRIDE_W = 1, OUT_ROWS = 8, OUT_COLUMNS = 8) (
    input clk, input rst, input advance,
    output reg on, output reg [KH-1:0] inside_row, output reg [KW-1:0] inside_column, output last_column
);
    localparam LAG = (KH - 1 - TOP) * COLUMNS + KW - 1 - LEFT, PIXELS = HEIGHT * COLUMNS, FROM = (PIXELS - LAG % PIXELS) % PIXELS;
    localparam RB = HEIGHT > 1 ? $clog2(HEIGHT) : 1, CB = COLUMNS > 1 ? $clog2(COLUMNS) : 1;
    localparam WAITS = (LAG + PIXELS - 1) / PIXELS, NB = WAITS > 0 ? $clog2(WAITS + 1) : 1;  // images until the anchor is in one that has come in
    reg [RB-1:0] row;
    reg [CB-1:0] column;
    reg [NB-1:0] waits;
    assign last_column = column == COLUMNS - 1;
    wire last = last_column && row == HEIGHT - 1;
    wire [CB-1:0] next_column = rst ? FROM % COLUMNS : last_column ? 0 : column + 1'b1;
    wire [RB-1:0] next_row = rst ? FROM / COLUMNS : !last_column ? row : last ? 0 : row + 1'b1;
    wire [NB-1:0] next_waits = rst ? WAITS : waits - (last && waits != 0);
    wire row_on, column_on;
    grid #(HEIGHT, RB, STRIDE_H, OUT_ROWS, FROM / COLUMNS) rows (clk, rst, advance && last_column, next_row, row_on);
    grid #(COLUMNS, CB, STRIDE_W, OUT_COLUMNS, FROM % COLUMNS) columns (clk, rst, advance, next_column, column_on);
    integer i;
    always @(posedge clk)
        if (rst || advance) begin
            {row, column, waits} <= {next_row, next_column, next_waits};
            on <= next_waits == 0 && row_on && column_on;
            for (i = 0; i < KH; i = i + 1) inside_row[i] <= next_row + i >= TOP && next_row + i < HEIGHT + TOP;
            for (i = 0; i < KW; i = i + 1) inside_column[i] <= next_column + i >= LEFT && next_column + i < COLUMNS + LEFT;
        end
endmodule

// Whether a position that counts up from FROM below SIZE is one of the first OUT multiples of STRIDE.
module grid #(parameter SIZE = 8, BITS = 3, STRIDE = 1, OUT = 8, FROM = 0) (
    input clk, input rst, input advance, input [BITS-1:0] next, output on
);
    wire on_stride, in_range;
    assign on = on_stride && in_range;
    generate
        if ((OUT - 1) * STRIDE + STRIDE < SIZE) assign in_range = next <= (OUT - 1) * STRIDE;
        else assign in_range = 1;
        if ((STRIDE & (STRIDE - 1)) == 0) assign on_stride = next % STRIDE == 0;
        else begin : counted
            localparam PB = $clog2(STRIDE);
            reg [PB-1:0] phase;
            wire [PB-1:0] next_phase = rst ? FROM % STRIDE : !advance ? phase : next == 0 ? 0 : phase == STRIDE - 1 ? 0 : phase + 1'b1;
            assign on_stride = next_phase == 0;
            always @(posedge clk) phase <= next_phase;
        end
    endgenerate
endmodule
