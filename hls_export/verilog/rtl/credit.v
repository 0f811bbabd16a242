// Counts the words that were promised to a FIFO of DEPTH places and are not yet read: no word is promised beyond DEPTH.
// Input 0 offers words to promise, input 1 reads.
module credit #(parameter DEPTH = 8) (
    input clk, input rst,
    input [1:0] in_data, input [1:0] in_valid, output [1:0] in_take,
    output out_data, input out_room, output out_promise, output out_valid
);
    localparam BITS = $clog2(DEPTH + 1);
    reg [BITS-1:0] places;
    reg room, some;
    wire promise = in_valid[0] && room && out_room, read = in_valid[1] && some;
    assign in_take = {read, promise};
    assign {out_promise, out_valid} = {2{promise}};
    assign out_data = in_data[0];
    wire [BITS-1:0] next = places + {{(BITS-1){!promise && read}}, promise != read};
    always @(posedge clk)
        if (rst) begin
            places <= 0;
            room <= 1;
            some <= 0;
        end else begin
            places <= next;
            room <= next != DEPTH;
            some <= next != 0;
        end
endmodule
