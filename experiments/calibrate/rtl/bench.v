// Drives a part with tokens from in0.hex (and in1.hex) under random stalls, and writes what comes out to out0.hex (and out1.hex).
//
// The first HOLD cycles nothing is taken; `accepted` then says how many tokens went in, the capacity of a FIFO.
module bench #(parameter IN0 = 8, IN1 = 0, OUT0 = 8, OUT1 = 0, COUNT0 = 10, COUNT1 = 0, EXPECTED = 10, HOLD = 0);
    localparam INS = IN1 > 0 ? 2 : 1, OUTS = OUT1 > 0 ? 2 : 1;
    reg clk = 0, rst = 1;
    reg [IN0-1:0] token0 [0:COUNT0];
    reg [(IN1 > 0 ? IN1 : 1)-1:0] token1 [0:COUNT1];
    integer given [0:1], taken [0:1], cycle = 0, seed = 1, file0, file1;
    reg [INS-1:0] offer = 0;
    reg [OUTS-1:0] ready = 0;
    wire [INS-1:0] in_ready;
    wire [OUTS-1:0] out_valid;
    wire [IN0+IN1-1:0] in_data;
    wire [OUT0+OUT1-1:0] out_data;
    assign in_data[IN0-1:0] = token0[given[0]];
    generate if (IN1 > 0) assign in_data[IN0 +: (IN1 > 0 ? IN1 : 1)] = token1[given[1]]; endgenerate
    part dut (clk, rst, in_data, offer, in_ready, out_data, out_valid, ready);
    always #1 clk = !clk;
    initial begin
        $readmemh("in0.hex", token0);
        if (IN1 > 0) $readmemh("in1.hex", token1);
        file0 = $fopen("out0.hex", "w");
        file1 = $fopen("out1.hex", "w");
        given[0] = 0; given[1] = 0; taken[0] = 0; taken[1] = 0;
    end
    always @(negedge clk) begin  // between the clock edges: what was transferred at the last edge is counted below
        offer[0] = given[0] < COUNT0 && !rst && (HOLD > 0 || $random(seed) % 4 != 0);
        if (INS > 1) offer[INS-1] = given[1] < COUNT1 && !rst && $random(seed) % 4 != 0;
        ready[0] = cycle > HOLD && $random(seed) % 4 != 0;
        if (OUTS > 1) ready[OUTS-1] = cycle > HOLD && $random(seed) % 4 != 0;
    end
    always @(posedge clk) begin
        cycle <= cycle + 1;
        if (cycle == 3) rst <= 0;
        if (!rst) begin
            if (offer[0] && in_ready[0]) given[0] <= given[0] + 1;
            if (INS > 1 && offer[INS-1] && in_ready[INS-1]) given[1] <= given[1] + 1;
            if (out_valid[0] && ready[0]) begin
                $fdisplay(file0, "%h", out_data[OUT0-1:0]);
                taken[0] <= taken[0] + 1;
            end
            if (OUTS > 1 && out_valid[OUTS-1] && ready[OUTS-1]) begin
                $fdisplay(file1, "%h", out_data[OUT0+OUT1-1 -: (OUT1 > 0 ? OUT1 : 1)]);
                taken[1] <= taken[1] + 1;
            end
        end
        if (cycle == HOLD) $display("accepted %0d", given[0]);
        if ((taken[0] >= EXPECTED && (OUTS == 1 || taken[1] >= EXPECTED)) || cycle > HOLD + 40 * EXPECTED + 1000) begin
            $fclose(file0);
            $fclose(file1);
            $finish;
        end
    end
endmodule
