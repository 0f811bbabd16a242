// Drives a part with words from in0.hex (and in1.hex), and writes what comes out to out0.hex (and out1.hex), each with the cycle that promised it.
//
// A stream in offers its words when it likes; a stream out is a FIFO of 3 places, read when it likes. +stalls=0: both always do. A word must be
// promised only where a place is free, and come LATENCY cycles later: else ERROR is printed.
module bench #(parameter IN0 = 8, IN1 = 0, OUT0 = 8, OUT1 = 0, COUNT0 = 10, COUNT1 = 0, EXPECTED0 = 10, EXPECTED1 = 0, LATENCY = 1);
    localparam INS = IN1 > 0 ? 2 : 1, OUTS = OUT1 > 0 ? 2 : 1, PLACES = 3;
    reg clk = 0, rst = 1;
    reg [IN0-1:0] word0 [0:COUNT0];
    reg [(IN1 > 0 ? IN1 : 1)-1:0] word1 [0:COUNT1];
    integer given [0:1], count [0:1], cycle = 0, idle = 0, seed = 1, file0, file1, k;
    integer promised_at [0:63], newest [0:1];
    reg [INS-1:0] offer = 0;
    reg [OUTS-1:0] room = 0;
    reg [LATENCY:0] under_way [0:1];
    integer places [0:1], stalls;
    wire [INS-1:0] in_take;
    wire [OUTS-1:0] out_promise, out_valid;
    wire [IN0+IN1-1:0] in_data;
    wire [OUT0+OUT1-1:0] out_data;
    assign in_data[IN0-1:0] = word0[given[0]];
    generate if (IN1 > 0) assign in_data[IN0 +: (IN1 > 0 ? IN1 : 1)] = word1[given[1]]; endgenerate
    part dut (clk, rst, in_data, offer, in_take, out_data, room, out_promise, out_valid);
    always #1 clk = !clk;
    initial begin
        if (!$value$plusargs("stalls=%d", stalls)) stalls = 1;
        $readmemh("in0.hex", word0);
        if (IN1 > 0) $readmemh("in1.hex", word1);
        file0 = $fopen("out0.hex", "w");
        file1 = $fopen("out1.hex", "w");
        for (k = 0; k < 2; k = k + 1) begin
            given[k] = 0; count[k] = 0; places[k] = 0; under_way[k] = 0;
        end
    end
    always @(negedge clk) begin  // between the clock edges: what was taken at the last edge is counted below
        if (cycle > 5) begin
            if (!offer[0]) offer[0] = !stalls || $random(seed) % 4 != 0;
            if (given[0] >= COUNT0) offer[0] = 0;
            if (INS > 1) begin
                if (!offer[INS-1]) offer[INS-1] = !stalls || $random(seed) % 4 != 0;
                if (given[1] >= COUNT1) offer[INS-1] = 0;
            end
            for (k = 0; k < OUTS; k = k + 1) begin
                if (places[k] > 0 && (!stalls || $random(seed) % 3 != 0)) places[k] = places[k] - 1;
                room[k] = places[k] < PLACES;
            end
        end
    end
    always @(posedge clk) begin
        cycle <= cycle + 1;
        idle <= |out_promise || |in_take ? 0 : idle + 1;
        if (cycle == 4) rst <= 0;
        if (cycle > 5) begin
            for (k = 0; k < INS; k = k + 1)
                if (in_take[k]) begin
                    if (!offer[k]) $display("ERROR input %0d is taken without a word", k);
                    given[k] <= given[k] + 1;
                    if (stalls) offer[k] <= 0;
                end
            for (k = 0; k < OUTS; k = k + 1) begin
                if (out_promise[k]) begin
                    if (!room[k]) $display("ERROR output %0d is promised without a place", k);
                    places[k] = places[k] + 1;
                end
                under_way[k] = {under_way[k], out_promise[k]};
                if (under_way[k][LATENCY] !== out_valid[k]) $display("ERROR output %0d, cycle %0d: the latency is not %0d", k, cycle, LATENCY);
            end
            if (out_valid[0] === 1) begin
                $fdisplay(file0, "%0d %h", cycle - LATENCY, out_data[OUT0-1:0]);
                count[0] = count[0] + 1;
            end
            if (OUTS > 1 && out_valid[OUTS-1] === 1) begin
                $fdisplay(file1, "%0d %h", cycle - LATENCY, out_data[OUT0+OUT1-1 -: (OUT1 > 0 ? OUT1 : 1)]);
                count[1] = count[1] + 1;
            end
        end
        if ((count[0] >= EXPECTED0 && count[1] >= EXPECTED1 && idle > 4) || idle > 2000) begin
            $fclose(file0);
            $fclose(file1);
            $finish;
        end
    end
endmodule
