// Sums of PE channels into words of LANES outputs: the bias, rounding, saturation; with ADD the skip's word is added to each and saturated, as add.v does.
//
// U = min(PE, LANES) channels are finished in a trip: clip(relu((sum + bias) >> SHIFT)). The ROM, of the words in FILE, holds bias + 2^(SHIFT-1) in
// DEPTH words of U x ACC bits, so that rounding takes no adder. LANES > PE: words are gathered. PE > LANES: the sums are held, and U of them are
// chosen. Input 0: sums of SUM bits; input 1: the skip. ADD: clip(relu((output << ALIGN_MAIN) + (skip << ALIGN_SKIP))), rounded >> ADD_SHIFT.
module finish #(parameter PE = 2, LANES = 2, SUM = 20, ACC = 20, BITS = 8, SIGNED = 1, SHIFT = 7, RELU = 0, DEPTH = 8, FILE = "bias.hex", ADD = 0,
    SKIP_BITS = BITS, SKIP_SIGNED = SIGNED, ALIGN_MAIN = 0, ALIGN_SKIP = 0, ADD_SHIFT = 0, ADD_RELU = 0, OUT_BITS = BITS, OUT_SIGNED = SIGNED,
    U = PE < LANES ? PE : LANES) (
    input clk, input rst,
    input [PE*SUM+ADD*LANES*SKIP_BITS-1:0] in_data, input [ADD:0] in_valid, output [ADD:0] in_take,
    output [LANES*OUT_BITS-1:0] out_data, input out_room, output out_promise, output out_valid, output idle
);
    localparam SPLIT = PE > LANES, TIMES = SPLIT ? PE / LANES : LANES / PE, COUNT = TIMES > 1 ? $clog2(TIMES) : 1;
    localparam LATENCY = 2 + SPLIT + ADD, DB = DEPTH > 1 ? $clog2(DEPTH) : 1;
    reg [COUNT-1:0] trip;
    reg [DB-1:0] place;
    wire first = TIMES == 1 || trip == 0, last = TIMES == 1 || trip == TIMES - 1, reads = !SPLIT || first, writes = SPLIT || last;
    wire go = (!reads || in_valid[0]) && (!writes || (out_room && (!ADD || in_valid[ADD])));
    wire [DB-1:0] next_place = rst ? 0 : !go ? place : place == DEPTH - 1 ? 0 : place + 1'b1;
    assign in_take[0] = go && reads;
    assign idle = !SPLIT || first;  // nothing is left of the sums that were read
    assign out_promise = go && writes;
    reg [LATENCY-1:0] ends;
    assign out_valid = ends[LATENCY-1];
    always @(posedge clk) begin
        if (rst) trip <= 0;
        else if (go) trip <= last ? 0 : trip + 1'b1;
        place <= next_place;
        ends <= rst ? 0 : {ends, out_promise};
    end

    // The sums of this trip, in the cycle of the trip or one later, and their bias.
    wire [U*SUM-1:0] sums;
    wire [U*ACC-1:0] bias;
    rom #("lut", DEPTH, U * ACC, FILE) biases (clk, SPLIT ? place : next_place, bias);
    wire go_on;
    generate
        if (SPLIT) begin : split
            reg [PE*SUM-1:0] held;
            reg [COUNT-1:0] part;
            reg went;
            always @(posedge clk) begin
                if (in_take[0]) held <= in_data[PE*SUM-1:0];
                part <= trip;
                went <= go;
            end
            choose #(TIMES, U * SUM) chosen (held, part, sums);
            assign go_on = went;
        end else begin : whole
            assign sums = in_data[PE*SUM-1:0];
            assign go_on = go;
        end
    endgenerate
    reg biased;
    reg [LANES*BITS-1:0] values;
    wire [U*BITS-1:0] finished;
    wire [LANES*BITS-1:0] shifted;
    genvar c;
    generate
        for (c = 0; c < U; c = c + 1) begin : channel
            reg signed [ACC-1:0] total;
            always @(posedge clk) total <= $signed(sums[c*SUM +: SUM]) + $signed(bias[c*ACC +: ACC]);
            saturate #(ACC, SHIFT, BITS, SIGNED, RELU) out (total, finished[c*BITS +: BITS]);
        end
        if (LANES > U) assign shifted = {finished, values[LANES*BITS-1:U*BITS]};
        else assign shifted = finished;
    endgenerate
    always @(posedge clk) begin
        biased <= go_on;
        if (biased) values <= shifted;
    end
    generate
        if (ADD) begin : add
            reg [LANES*SKIP_BITS-1:0] skip [0:1+SPLIT];
            reg [LANES*OUT_BITS-1:0] added;
            wire [LANES*OUT_BITS-1:0] results;
            integer n;
            assign in_take[ADD] = out_promise;
            assign out_data = added;
            for (c = 0; c < LANES; c = c + 1) begin : lane
                add_value #(BITS, SIGNED, SKIP_BITS, SKIP_SIGNED, ALIGN_MAIN, ALIGN_SKIP, ADD_SHIFT, ADD_RELU, OUT_BITS, OUT_SIGNED) value
                    (values[c*BITS +: BITS], skip[1+SPLIT][c*SKIP_BITS +: SKIP_BITS], results[c*OUT_BITS +: OUT_BITS]);
            end
            always @(posedge clk) begin
                skip[0] <= in_data[PE*SUM +: LANES*SKIP_BITS];
                for (n = 1; n <= 1 + SPLIT; n = n + 1) skip[n] <= rst ? 0 : skip[n-1];  // registers with a reset are no shift registers of LUTs
                added <= results;
            end
        end else assign out_data = values;
    endgenerate
endmodule
