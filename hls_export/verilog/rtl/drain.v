// Beside a window: when no word of the batch is left, the window goes on for VISITS pixels that are not read, until it has emitted and handed on
// all that it holds; then it starts anew.
//
// ended: no word will come. valid, took: of the window's inlet; take: of the FIFO's. mute: the anchor is beyond the last image. restart: the window's
// reset. idle: nothing is held that is still to be written.
module drain #(parameter VISITS = 9, LAG = 9, WORDS = 4, LATENCY = 2) (
    input clk, input rst, input ended, input in_valid, output take, output valid, input took, output mute, output restart, output idle
);
    localparam TRIPS = VISITS * WORDS, COUNT = TRIPS > 1 ? $clog2(TRIPS + 1) : 1;
    reg [COUNT-1:0] left;  // words of the visits that are not read
    reg busy, over;
    reg [LATENCY:0] clearing;
    wire drains = ended && busy && !over;
    assign valid = in_valid || drains;
    assign take = took && in_valid;
    assign mute = VISITS > LAG && drains && left <= (VISITS - LAG) * WORDS;
    assign restart = clearing[LATENCY];
    assign idle = !busy || over;
    always @(posedge clk)
        if (rst) begin
            left <= TRIPS;
            busy <= 0;
            over <= TRIPS == 0;
            clearing <= 0;
        end else begin
            if (took && in_valid) busy <= 1;
            else if (restart) busy <= 0;
            if (restart) begin
                left <= TRIPS;
                over <= TRIPS == 0;
            end else if (took && drains) begin
                left <= left - 1'b1;
                over <= left == 1;
            end
            clearing <= restart ? 0 : {clearing, ended && busy && over};
        end
endmodule
