// Where the anchor of a window stands: the pixel LAG before the newest one. `advance` goes on to the next pixel.
//
// on: it lies on the grid of STRIDE pixels and in an image that has come in. inside_row[i], inside_column[j]: whether tap (i, j) lies in the
// image. start: the anchor stands on the first column.
module anchor #(parameter KH = 3, KW = 3, TOP = 1, LEFT = 1, HEIGHT = 8, COLUMNS = 8, STRIDE = 1) (
    input clk, input rst, input advance,
    output reg on, output reg [KH-1:0] inside_row, output reg [KW-1:0] inside_column, output last_column
);
    localparam LAG = (KH - 1 - TOP) * COLUMNS + KW - 1 - LEFT, PIXELS = HEIGHT * COLUMNS, FROM = (PIXELS - LAG % PIXELS) % PIXELS;
    localparam OUT_ROWS = (HEIGHT + STRIDE - 1) / STRIDE, OUT_COLUMNS = (COLUMNS + STRIDE - 1) / STRIDE;
    localparam RB = HEIGHT > 1 ? $clog2(HEIGHT) : 1, CB = COLUMNS > 1 ? $clog2(COLUMNS) : 1;
    reg [RB-1:0] row;
    reg [CB-1:0] column;
    reg started;
    assign last_column = column == COLUMNS - 1;
    wire last = last_column && row == HEIGHT - 1;
    wire [CB-1:0] next_column = rst ? FROM % COLUMNS : last_column ? 0 : column + 1'b1;
    wire [RB-1:0] next_row = rst ? FROM / COLUMNS : !last_column ? row : last ? 0 : row + 1'b1;
    wire next_started = rst ? LAG == 0 : started || last;
    integer i;
    always @(posedge clk)
        if (rst || advance) begin
            {row, column, started} <= {next_row, next_column, next_started};
            on <= next_started && next_row % STRIDE == 0 && next_column % STRIDE == 0;
            for (i = 0; i < KH; i = i + 1) inside_row[i] <= next_row + i >= TOP && next_row + i < HEIGHT + TOP;
            for (i = 0; i < KW; i = i + 1) inside_column[i] <= next_column + i >= LEFT && next_column + i < COLUMNS + LEFT;
        end
endmodule
