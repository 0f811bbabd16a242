// A FIFO of DEPTH tokens; STYLE is "srl", "lutram", "bram" or "uram".
//
// srl: a shift register a bit, read at the address of the oldest token. Others: a memory with two pointers and a registered output, which
// in block RAM is the memory's own output latch; the register is one place more, so the pointers count DEPTH - 1 places of a memory of DEPTH.
module fifo #(parameter STYLE = "bram", DEPTH = 16, WIDTH = 8) (
    input clk, input rst,
    input [WIDTH-1:0] in_data, input in_valid, output in_ready,
    output [WIDTH-1:0] out_data, output out_valid, input out_ready
);
    localparam ADDRESS = DEPTH > 2 ? $clog2(DEPTH) : 1;
    generate
        if (STYLE == "srl") begin : shift_registers
            reg [ADDRESS-1:0] oldest;
            reg some, full;
            assign out_valid = some;
            assign in_ready = !full;
            wire push = in_valid && in_ready, pop = out_valid && out_ready;
            always @(posedge clk)
                if (rst) begin
                    oldest <= 0;
                    some <= 0;
                    full <= 0;
                end else if (push && !pop) begin
                    some <= 1;
                    full <= some && oldest == DEPTH - 2;
                    if (some) oldest <= oldest + 1'b1;
                end else if (pop && !push) begin
                    full <= 0;
                    some <= oldest != 0;
                    if (oldest != 0) oldest <= oldest - 1'b1;
                end
            genvar b;
            for (b = 0; b < WIDTH; b = b + 1) begin : bits
                reg [DEPTH-1:0] line;
                always @(posedge clk) if (push) line <= {line[DEPTH-2:0], in_data[b]};
                assign out_data[b] = line[oldest];
            end
        end else begin : memory
            reg [ADDRESS-1:0] head, tail;  // of the memory: the next place to write, the next to read
            reg many, held;                // tokens in the memory if head == tail; a token in the output register
            wire same = head == tail, next_same = tail == (head == DEPTH - 2 ? 0 : head + 1'b1);
            assign out_valid = held;
            assign in_ready = !(same && many);
            wire push = in_valid && in_ready, fetch = !(same && !many) && (!held || out_ready);
            always @(posedge clk)
                if (rst) begin
                    head <= 0;
                    tail <= 0;
                    many <= 0;
                    held <= 0;
                end else begin
                    if (push) head <= head == DEPTH - 2 ? 0 : head + 1'b1;
                    if (fetch) tail <= tail == DEPTH - 2 ? 0 : tail + 1'b1;
                    if (push != fetch) many <= push;
                    if (fetch) held <= 1;
                    else if (out_ready) held <= 0;
                end
            reg [WIDTH-1:0] token;
            assign out_data = token;
            if (STYLE == "lutram") begin : lutram
                (* ram_style = "distributed" *) reg [WIDTH-1:0] places [0:DEPTH-1];
                always @(posedge clk) begin
                    if (push) places[head] <= in_data;
                    if (fetch) token <= places[tail];
                end
            end else if (STYLE == "uram") begin : uram
                (* ram_style = "ultra" *) reg [WIDTH-1:0] places [0:DEPTH-1];
                always @(posedge clk) begin
                    if (push) places[head] <= in_data;
                    if (fetch) token <= places[tail];
                end
            end else begin : bram
                (* ram_style = "block" *) reg [WIDTH-1:0] places [0:DEPTH-1];
                always @(posedge clk) begin
                    if (push) places[head] <= in_data;
                    if (fetch) token <= places[tail];
                end
            end
        end
    endgenerate
endmodule
