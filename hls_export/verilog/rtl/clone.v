// Hands each word to COUNT streams at once; wires for the words.
module clone #(parameter COUNT = 2, WIDTH = 8) (
    input clk, input rst,
    input [WIDTH-1:0] in_data, input in_valid, output in_take,
    output [COUNT*WIDTH-1:0] out_data, input [COUNT-1:0] out_room, output [COUNT-1:0] out_promise, output [COUNT-1:0] out_valid
);
    wire go = in_valid && (&out_room);
    assign in_take = go;
    assign out_promise = {COUNT{go}};
    assign out_valid = {COUNT{go}};
    assign out_data = {COUNT{in_data}};
endmodule
