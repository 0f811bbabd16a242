// Line buffers and window of a KERNEL x KERNEL convolution over images of HEIGHT x COLUMNS tokens of WIDTH bits, "same" padding, stride 1.
//
// Iteration k reads token k; its anchor is token k - LAG, and from k = LAG on the window goes out, taps outside the image at zero.
// Token (i, j) of the output is the pixel (row - TOP + i, column - LEFT + j). STYLE is "lutram" or "bram": what the rows are kept in.
module window #(parameter STYLE = "bram", KERNEL = 3, HEIGHT = 8, COLUMNS = 8, WIDTH = 8) (
    input clk, input rst,
    input [WIDTH-1:0] in_data, input in_valid, output in_ready,
    output [KERNEL*KERNEL*WIDTH-1:0] out_data, output reg out_valid, input out_ready
);
    localparam TOP = (KERNEL - 1) / 2, LEFT = TOP, LAG = (KERNEL - 1 - TOP) * COLUMNS + KERNEL - 1 - LEFT;
    localparam ADDRESS = $clog2(COLUMNS), ROWS = $clog2(HEIGHT) > 0 ? $clog2(HEIGHT) : 1, WAIT = $clog2(LAG + 1);
    reg [ADDRESS-1:0] place, column;
    reg [ROWS-1:0] row;
    reg [WAIT-1:0] waited;
    reg [KERNEL-1:0] seen_row, seen_column;
    assign in_ready = !out_valid || out_ready;
    wire go = in_valid && in_ready;
    wire [ADDRESS-1:0] next = place == COLUMNS - 1 ? 0 : place + 1'b1;
    wire [ADDRESS-1:0] next_column = column == COLUMNS - 1 ? 0 : column + 1'b1;
    wire [ROWS-1:0] next_row = column != COLUMNS - 1 ? row : row == HEIGHT - 1 ? 0 : row + 1'b1;
    always @(posedge clk)
        if (rst) begin
            {place, column, row, waited} <= 0;
            out_valid <= 0;
        end else begin
            if (in_ready) out_valid <= go && waited == LAG;
            if (go) begin
                place <= next;
                if (waited != LAG) waited <= waited + 1'b1;
            end
            if (out_valid && out_ready) begin
                column <= next_column;
                row <= next_row;
            end
        end
    // head[i]: the newest pixel of window row i, that of row KERNEL - 1 being the token read; each row moves up one line buffer.
    wire [KERNEL*WIDTH-1:0] head;
    assign head[(KERNEL-1)*WIDTH +: WIDTH] = in_data;
    genvar i, j;
    generate
        for (i = 0; i < KERNEL - 1; i = i + 1) begin : line
            if (STYLE == "lutram") begin : lutram
                (* ram_style = "distributed" *) reg [WIDTH-1:0] places [0:COLUMNS-1];
                assign head[i*WIDTH +: WIDTH] = places[place];
                always @(posedge clk) if (go) places[place] <= head[(i+1)*WIDTH +: WIDTH];
            end else begin : bram
                (* ram_style = "block" *) reg [WIDTH-1:0] places [0:COLUMNS-1];
                reg [WIDTH-1:0] ahead;
                assign head[i*WIDTH +: WIDTH] = ahead;
                always @(posedge clk) begin
                    if (go) places[place] <= head[(i+1)*WIDTH +: WIDTH];
                    if (go) ahead <= places[next];
                end
            end
        end
        for (i = 0; i < KERNEL; i = i + 1) begin : row_of
            reg [KERNEL*WIDTH-1:0] taps;
            always @(posedge clk) if (go) taps <= {head[i*WIDTH +: WIDTH], taps[KERNEL*WIDTH-1:WIDTH]};
            for (j = 0; j < KERNEL; j = j + 1) begin : tap
                assign out_data[(i*KERNEL+j)*WIDTH +: WIDTH] = taps[j*WIDTH +: WIDTH] & {WIDTH{seen_row[i] && seen_column[j]}};
            end
        end
        for (i = 0; i < KERNEL; i = i + 1) begin : masks  // registered: which rows and columns of the window lie in the image
            always @(posedge clk)
                if (rst) begin
                    seen_row[i] <= i >= TOP;
                    seen_column[i] <= i >= LEFT;
                end else if (out_valid && out_ready) begin
                    seen_row[i] <= next_row + i >= TOP && next_row + i < HEIGHT + TOP;
                    seen_column[i] <= next_column + i >= LEFT && next_column + i < COLUMNS + LEFT;
                end
        end
    endgenerate
endmodule
