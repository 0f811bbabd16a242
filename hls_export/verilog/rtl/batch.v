// A batch of images: from its first word until all results have left.
//
// taken: a word comes in, `last` with the last of the batch. done: all processes have nothing left. ended: no word of the batch will come; open: one
// may be taken. `done` falls some cycles after the first word, so it counts only once it has fallen.
module batch (input clk, input rst, input taken, input last, input done, output reg ended, output open);
    reg flowing, fallen, single;
    assign open = !ended && !single || !flowing;
    always @(posedge clk)
        if (rst) begin
            ended <= 1;
            {flowing, fallen, single} <= 0;
        end else begin
            single <= taken && last && !flowing;
            if (taken) begin
                ended <= last && flowing;
                flowing <= 1;
            end else begin
                if (single) ended <= 1;
                if (flowing && !done) fallen <= 1;
                if (fallen && ended && done) {flowing, fallen} <= 0;
            end
        end
endmodule

// Whether a process has nothing left of the batch: its inlets have ended, and it is in no trip that reads nothing.
module done #(parameter INLETS = 1) (input clk, input rst, input [INLETS-1:0] ended, input idle, output reg all);
    always @(posedge clk) all <= rst || (&ended && idle);
endmodule
