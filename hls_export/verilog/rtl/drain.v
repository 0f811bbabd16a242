// Beside a window: when no word of the batch is left, the window goes on for pixels that are not read: WINDOWS of them until its last window is
// written, HANDED until the last pixel is handed on. Then it starts anew.
//
// ended: no word will come. valid, took: of the window's inlet; take: of the FIFO's. whole: the window is in no visit. mute: the anchor is beyond
// the last image. restart: the window's reset. idle: nothing is left to write of windows, and of what is handed on.
module drain #(parameter WINDOWS = 9, HANDED = 0, LAG = 9, WORDS = 4, LATENCY = 2) (
    input clk, input rst, input ended, input in_valid, output take, output valid, input took, input whole, output mute, output restart,
    output [1:0] idle
);
    localparam VISITS = WINDOWS > HANDED ? WINDOWS : HANDED, TRIPS = VISITS * WORDS, COUNT = TRIPS > 1 ? $clog2(TRIPS + 1) : 1;
    reg [COUNT-1:0] left;  // words of the visits that are not read
    reg busy, over;
    reg [LATENCY:0] clearing;
    wire drains = ended && busy && !over;
    assign valid = in_valid || drains;
    assign take = took && in_valid;
    assign mute = VISITS > LAG && drains && left <= (VISITS - LAG) * WORDS;
    assign restart = clearing[LATENCY];
    localparam AFTER_WINDOWS = (VISITS - WINDOWS) * WORDS, AFTER_HANDED = (VISITS - HANDED) * WORDS;
    assign idle[0] = !busy || left < AFTER_WINDOWS || left == AFTER_WINDOWS && whole;
    assign idle[1] = !busy || left < AFTER_HANDED || left == AFTER_HANDED && whole;
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
            clearing <= restart ? 0 : {clearing, ended && busy && over && whole};
        end
endmodule
