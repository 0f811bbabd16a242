// The largest of TAPS values, SIGNED or not, for each lane of a window: a tree of compare-and-select, a register behind each level.
// Value (tap, lane) is at bit (tap LANES + lane) BITS.
module maximum #(parameter TAPS = 4, LANES = 4, BITS = 8, SIGNED = 0) (
    input clk, input rst,
    input [TAPS*LANES*BITS-1:0] in_data, input in_valid, output in_take,
    output [LANES*BITS-1:0] out_data, input out_room, output out_promise, output out_valid
);
    localparam LEVELS = $clog2(TAPS);
    wire go = in_valid && out_room;
    assign in_take = go;
    assign out_promise = go;
    genvar l, k, c;
    generate
        if (LEVELS > 0) begin : later
            reg [LEVELS-1:0] valid;
            assign out_valid = valid[LEVELS-1];
            always @(posedge clk) valid <= rst ? 0 : {valid, go};
        end else assign out_valid = go;
        for (l = 0; l <= LEVELS; l = l + 1) begin : level
            localparam COUNT = (TAPS + (1 << l) - 1) >> l;
            wire [COUNT*LANES*BITS-1:0] values;
            if (l == 0) assign values = in_data;
            else begin : register
                localparam BELOW = (TAPS + (1 << (l - 1)) - 1) >> (l - 1);
                reg [COUNT*LANES*BITS-1:0] held;
                assign values = held;
                for (k = 0; k < COUNT; k = k + 1) begin : node
                    for (c = 0; c < LANES; c = c + 1) begin : lane
                        wire [BITS-1:0] x = level[l-1].values[(2*k*LANES+c)*BITS +: BITS];
                        if (2 * k + 1 < BELOW) begin : two
                            wire [BITS-1:0] y = level[l-1].values[((2*k+1)*LANES+c)*BITS +: BITS];
                            wire more = SIGNED ? $signed(x) > $signed(y) : x > y;
                            always @(posedge clk) held[(k*LANES+c)*BITS +: BITS] <= more ? x : y;
                        end else begin : one
                            always @(posedge clk) held[(k*LANES+c)*BITS +: BITS] <= rst ? 0 : x;  // no shift register of LUTs
                        end
                    end
                end
            end
        end
    endgenerate
    assign out_data = level[LEVELS].values;
endmodule
