// Says of the word that is offered whether it is the last of WORDS.
module last_word #(parameter WORDS = 10) (input clk, input rst, input taken, output last);
    localparam AT = WORDS > 1 ? $clog2(WORDS) : 1;
    reg [AT-1:0] word;
    assign last = word == WORDS - 1;
    always @(posedge clk)
        if (rst) word <= 0;
        else if (taken) word <= last ? 0 : word + 1'b1;
endmodule
