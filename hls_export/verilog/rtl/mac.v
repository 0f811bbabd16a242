// A matrix-vector unit: for each of PE outputs the sum of SLICES x SIMD products, SIMD a cycle, in BLOCKS passes over the same words; then the next
// of GROUPS, with words and weights of its own.
//
// A word is SIMD activations of A bits, SIGNED or not. In the first pass it is read, and kept in a memory of SLICES words (STYLE "lutram" or "bram")
// if there are more. Weights are signed, W bits; word t = (g BLOCKS + b) SLICES + s of their ROM, [PE][SIMD]. DEPTHWISE: lane p of the PE lanes of a
// tap meets channel p only, [lane][tap].
// MULTIPLIER "dsp", "pair" (two channels share a DSP: (w1 2^18 + w0) x, the last of an odd number has its own) or "lut". Up to CHAIN products are
// added within the DSPs, one cycle after another, so many that a pair's lower sum stays within its 18 bits; product k of a chain has its weights
// read k cycles later: rom_at[k]. idle: no pass is left of the words that were read. What the lower sum borrowed is the carry of an adder behind.
module mac #(parameter MULTIPLIER = "dsp", STYLE = "lutram", SLICES = 4, BLOCKS = 2, GROUPS = 1, SIMD = 9, PE = 2, W = 8, A = 8, SIGNED = 0,
    DEPTHWISE = 0, CHAIN = 4, COUNT = SIMD / (DEPTHWISE ? PE : 1), SUM = A + W + $clog2(SLICES * COUNT), DEPTH = SLICES * BLOCKS * GROUPS,
    ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1) (
    input clk, input rst,
    input [SIMD*A-1:0] in_data, input in_valid, output in_take,
    output [PE*SUM-1:0] out_data, input out_room, output out_promise, output out_valid,
    output [CHAIN*ADDRESS-1:0] rom_at, input [PE*COUNT*W-1:0] weights, output idle
);
    localparam CHAINS = (COUNT + CHAIN - 1) / CHAIN, SB = SLICES > 1 ? $clog2(SLICES) : 1, TAP = DEPTHWISE ? PE : 1;
    localparam LEVELS = $clog2(MULTIPLIER == "lut" ? COUNT : CHAINS), ADDS = SLICES > 1 || MULTIPLIER == "pair";
    localparam LATENCY = (MULTIPLIER == "lut" ? 2 : 3 + CHAIN) + LEVELS + ADDS;
    reg [ADDRESS-1:0] trip;
    reg reading;
    wire [SB-1:0] slice;
    wire first = SLICES == 1 || slice == 0, last = SLICES == 1 || slice == SLICES - 1, last_block;
    wire go = (!reading || in_valid) && (!last || out_room);
    assign in_take = go && reading;
    assign idle = reading;
    assign out_promise = go && last;
    wire wraps = trip == DEPTH - 1;
    always @(posedge clk)
        if (rst) begin
            trip <= 0;
            reading <= 1;
        end else if (go) begin
            trip <= wraps ? 0 : trip + 1'b1;
            if (last) reading <= BLOCKS == 1 || last_block;
        end
    generate
        if (SLICES == 1) assign slice = 0;
        else if (BLOCKS * GROUPS == 1 || (SLICES & (SLICES - 1)) == 0) assign slice = trip[SB-1:0];
        else begin : counted
            reg [SB-1:0] number;
            assign slice = number;
            always @(posedge clk)
                if (rst) number <= 0;
                else if (go) number <= last ? 0 : number + 1'b1;
        end
        if (BLOCKS == 1 || GROUPS == 1) assign last_block = wraps;
        else begin : passes
            localparam BB = $clog2(BLOCKS);
            reg [BB-1:0] block;
            assign last_block = block == BLOCKS - 1;
            always @(posedge clk)
                if (rst) block <= 0;
                else if (go && last) block <= last_block ? 0 : block + 1'b1;
        end
    endgenerate
    reg [LATENCY-1:0] ends, moves, firsts;
    wire [1:0] adds = {moves[LATENCY-2], firsts[LATENCY-2]};
    always @(posedge clk) begin
        ends <= rst ? 0 : {ends, out_promise};
        moves <= rst ? 0 : {moves, go};
        firsts <= {firsts, first};
    end
    assign out_valid = ends[LATENCY-1];

    // The word, a cycle later.
    wire [SIMD*A-1:0] word;
    generate
        if (BLOCKS == 1 || SLICES == 1) begin : register
            reg [SIMD*A-1:0] held;
            assign word = held;
            always @(posedge clk) if (BLOCKS == 1 || in_take) held <= in_data;
        end else if (STYLE == "bram") begin : replay
            reg [SIMD*A-1:0] newest;
            reg was_read;
            wire [SIMD*A-1:0] again;
            ram #("bram", SLICES, SIMD * A) memory (clk, in_take, slice, in_data, 1'b1, slice, again);
            assign word = was_read ? newest : again;
            always @(posedge clk) {was_read, newest} <= {reading, in_data};
        end else begin : replay
            reg [SB-1:0] at;
            always @(posedge clk) at <= rst ? 0 : slice;  // with a reset it stays a register of the address
            (* ram_style = "distributed" *) reg [SIMD*A-1:0] words [0:SLICES-1];
            always @(posedge clk) if (in_take) words[slice] <= in_data;
            assign word = words[at];
        end
    endgenerate

    // rom_at[k] and delayed[k] are k cycles behind the word.
    genvar c, k, n;
    generate
        for (k = 0; k < CHAIN; k = k + 1) begin : behind
            if (k == 0) assign rom_at[ADDRESS-1:0] = trip;
            else begin : later
                reg [ADDRESS-1:0] address;
                assign rom_at[k*ADDRESS +: ADDRESS] = address;
                always @(posedge clk) address <= rom_at[(k-1)*ADDRESS +: ADDRESS];
            end
        end
        for (n = 0; n < SIMD; n = n + 1) begin : value
            // place of the product in its chain: the last chain may be short, and then starts late
            localparam INDEX = n / TAP, PLACE = INDEX / CHAIN < CHAINS - 1 ? INDEX % CHAIN : INDEX % CHAIN + CHAINS * CHAIN - COUNT;
            localparam WAIT = MULTIPLIER != "lut" && PLACE > 1 ? PLACE - 1 : 0;  // one more cycle is a register of the DSP
            wire [(WAIT+1)*A-1:0] line;
            assign line[A-1:0] = word[n*A +: A];
            for (k = 0; k < WAIT; k = k + 1) begin : wait_of
                reg [A-1:0] held;
                assign line[(k+1)*A +: A] = held;
                always @(posedge clk) held <= rst ? 0 : line[k*A +: A];  // a register with a reset is no shift register of LUTs
            end
            wire signed [A:0] x = {SIGNED ? line[WAIT*A+A-1] : 1'b0, line[WAIT*A +: A]};
        end
        for (c = 0; c < PE; c = c + (MULTIPLIER == "pair" && c + 1 < PE ? 2 : 1)) begin : channel
            localparam PAIR = MULTIPLIER == "pair" && c + 1 < PE, LANE = DEPTHWISE ? c : 0;
            if (MULTIPLIER == "lut") begin : logic_of
                wire [COUNT*(A+W)-1:0] products;
                for (n = 0; n < COUNT; n = n + 1) begin : product
                    wire signed [W-1:0] w = weights[(c*COUNT+n)*W +: W];
                    reg signed [A+W-1:0] held;
                    assign products[n*(A+W) +: A+W] = held;
                    always @(posedge clk) held <= w * value[n*TAP+LANE].x;
                end
                sums #(COUNT, A + W, SLICES, SUM, 0) total (clk, rst, adds, products, {COUNT{1'b0}}, out_data[c*SUM +: SUM]);
            end else begin : dsps
                localparam S = A + W + $clog2(CHAIN) > 18 && PAIR ? 18 : A + W + $clog2(CHAIN), P = S > 48 ? S : 48, X = SIGNED ? A : A + 1;
                wire [CHAINS*S-1:0] low, high;
                wire [CHAINS-1:0] borrows;
                for (n = 0; n < COUNT; n = n + 1) begin : product_of
                    localparam INDEX = n / CHAIN, START = INDEX < CHAINS - 1 ? 0 : CHAINS * CHAIN - COUNT, PLACE = n % CHAIN + START;
                    wire signed [W-1:0] w0 = weights[(c*COUNT+n)*W +: W];
                    wire [P-1:0] p, cascade, earlier_sum;
                    if (n % CHAIN == 0) assign earlier_sum = 0;
                    else assign earlier_sum = product_of[n-1].cascade;
                    if (PAIR) begin : both
                        wire signed [W-1:0] w1 = weights[((c+1)*COUNT+n)*W +: W];
                        wire signed [W+17:0] upper = {w1, 18'd0};
                        wire signed [26:0] a = upper, d = w0;
                        wire signed [17:0] b = value[n*TAP+LANE].x;
                        dsp #(n % CHAIN == 0 ? "none" : "cascade", 1, 1, PLACE == 0 ? 1 : 2) multiplier
                            (clk, a, d, b, 48'd0, earlier_sum, p, cascade);
                    end else begin : single
                        wire signed [X-1:0] b = value[n*TAP+LANE].x;
                        product #(W, X, P, n % CHAIN == 0 ? "none" : "cascade", 1, PLACE == 0 ? 1 : 2) multiplier
                            (clk, w0, b, {P{1'b0}}, earlier_sum, p, cascade);
                    end
                    if (n % CHAIN == CHAIN - 1 || n == COUNT - 1) begin : ended
                        assign low[INDEX*S +: S] = p[S-1:0];
                        assign borrows[INDEX] = PAIR && p[17];
                        if (PAIR) assign high[INDEX*S +: S] = p[18 +: S];
                    end
                end
                sums #(CHAINS, S, SLICES, SUM, MULTIPLIER == "pair") lower
                    (clk, rst, adds, low, {CHAINS{1'b0}}, out_data[c*SUM +: SUM]);
                if (PAIR) sums #(CHAINS, S, SLICES, SUM, 1) upper (clk, rst, adds, high, borrows, out_data[(c+1)*SUM +: SUM]);
            end
        end
    endgenerate
endmodule

// The tree of one output, and its accumulator. `adds`: a number is to be added; it is the first of its sum.
module sums #(parameter COUNT = 4, BITS = 16, SLICES = 1, SUM = 20, CARRY = 0) (
    input clk, input rst, input [1:0] adds, input [COUNT*BITS-1:0] values, input [COUNT-1:0] carries, output [SUM-1:0] total
);
    localparam WIDE = BITS + $clog2(COUNT);
    wire signed [WIDE-1:0] sum;
    wire carry;
    tree #(COUNT, BITS) adders (clk, rst, values, carries, sum, carry);
    wire signed [SUM-1:0] whole = sum;
    generate
        if (SLICES > 1) begin : accumulator
            reg signed [SUM-1:0] held;
            wire signed [SUM:0] next = $signed({whole, 1'b1}) + $signed({held & {SUM{!adds[0]}}, carry});
            assign total = held;
            always @(posedge clk) if (adds[1]) held <= next[SUM:1];
        end else if (CARRY) begin : rounded
            reg signed [SUM-1:0] held;
            assign total = held;
            always @(posedge clk) held <= whole + carry;
        end else assign total = whole;
    endgenerate
endmodule
