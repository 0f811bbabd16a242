// Drives a part with the words of NAME_in0.hex (and NAME_in1.hex), and writes what comes out to NAME_out.txt: outlet, cycle of its promise, word.
//
// An inlet offers its words when it likes, an outlet is a FIFO of 3 places or 1, read when it likes, each eager for a while and then slow; +stalls=0:
// all always do. A word must be promised only where a place is free, and come LATENCY cycles later: else ERROR is written. Outlets behind the first
// are of one width. `done` at the end.
module bench #(parameter NAME = "part", INS = 1, IN0 = 8, IN1 = 0, OUTS = 1, OUT0 = 8, OUT1 = 0, COUNT0 = 10, COUNT1 = 0, EXPECTED0 = 10,
    EXPECTED1 = 0, LATENCY = 1) (
    input clk, output reg rst, output reg done,
    output [IN0+IN1-1:0] in_data, output reg [INS-1:0] offer, input [INS-1:0] in_take,
    input [OUT0+(OUTS-1)*OUT1-1:0] out_data, output reg [OUTS-1:0] room, input [OUTS-1:0] out_promise, input [OUTS-1:0] out_valid
);
    localparam PLACES = 3, SECOND = IN1 > 0 ? IN1 : 1, OTHER = OUT1 > 0 ? OUT1 : 1;
    reg [IN0-1:0] word0 [0:COUNT0];
    reg [SECOND-1:0] word1 [0:COUNT1];
    integer given0, given1, cycle, idle, seed, file, stalls, k;
    integer count [0:OUTS-1];
    integer places [0:OUTS-1];
    reg [LATENCY:0] under_way [0:OUTS-1];
    reg all;
    reg [INS-1:0] slow_in;
    reg [OUTS-1:0] slow_out;
    function likes(input slow);  // now and then, or mostly
        likes = !stalls[0] || (slow ? $random(seed) % 8 == 0 : $random(seed) % 4 != 0);
    endfunction
    assign in_data[IN0-1:0] = word0[given0];
    generate if (IN1 > 0) assign in_data[IN0 +: SECOND] = word1[given1]; endgenerate
    initial begin
        if (!$value$plusargs("stalls=%d", stalls)) stalls = 1;
        {rst, done, offer, room, given0, given1, cycle, idle, slow_in, slow_out} = 0;
        rst = 1;
        seed = COUNT0 + 1;
        $readmemh({NAME, "_in0.hex"}, word0);
        if (IN1 > 0) $readmemh({NAME, "_in1.hex"}, word1);
        file = $fopen({NAME, "_out.txt"}, "w");
        for (k = 0; k < OUTS; k = k + 1) begin
            count[k] = 0;
            places[k] = 0;
            under_way[k] = 0;
        end
    end
    always @(negedge clk) begin  // between the clock edges: what was taken at the last edge is counted below
        if (cycle > 5 && !done) begin
            for (k = 0; k < INS; k = k + 1) if ($random(seed) % 16 == 0) slow_in[k] = !slow_in[k];
            for (k = 0; k < OUTS; k = k + 1) if ($random(seed) % 16 == 0) slow_out[k] = !slow_out[k];
            if (!offer[0]) offer[0] = likes(slow_in[0]);
            if (given0 >= COUNT0) offer[0] = 0;
            if (INS > 1) begin
                if (!offer[INS-1]) offer[INS-1] = likes(slow_in[INS-1]);
                if (given1 >= COUNT1) offer[INS-1] = 0;
            end
            for (k = 0; k < OUTS; k = k + 1) begin
                if (places[k] > 0 && likes(slow_out[k])) places[k] = places[k] - 1;
                room[k] = places[k] < (stalls[0] && slow_out[k] ? 1 : PLACES);
            end
        end
    end
    always @(posedge clk) if (!done) begin
        cycle <= cycle + 1;
        idle <= |out_promise || |in_take ? 0 : idle + 1;
        if (cycle == 4) rst <= 0;
        if (cycle > 5) begin
            for (k = 0; k < INS; k = k + 1)
                if (in_take[k]) begin
                    if (!offer[k]) $fdisplay(file, "ERROR input %0d is taken without a word", k);
                    if (k == 0) given0 <= given0 + 1;
                    else given1 <= given1 + 1;
                    if (stalls[0]) offer[k] <= 0;
                end
            for (k = 0; k < OUTS; k = k + 1) begin
                if (out_promise[k]) begin
                    if (!room[k]) $fdisplay(file, "ERROR output %0d is promised without a place", k);
                    places[k] = places[k] + 1;
                end
                under_way[k] = {under_way[k], out_promise[k]};
                if (under_way[k][LATENCY] != out_valid[k])
                    $fdisplay(file, "ERROR output %0d, cycle %0d: the latency is not %0d", k, cycle, LATENCY);
                if (out_valid[k]) begin
                    if (k == 0) $fdisplay(file, "0 %0d %h", cycle - LATENCY, out_data[OUT0-1:0]);
                    else $fdisplay(file, "%0d %0d %h", k, cycle - LATENCY, out_data[OUT0+(k>0?k-1:0)*OTHER +: OTHER]);
                    count[k] = count[k] + 1;
                end
            end
        end
        all = count[0] >= EXPECTED0;
        for (k = 1; k < OUTS; k = k + 1) all = all && count[k] >= EXPECTED1;
        if ((all && idle > 4) || idle > 2000) begin
            $fclose(file);
            done <= 1;
        end
    end
endmodule
