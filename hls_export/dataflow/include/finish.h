// Words of one width into words of another, as they are (adapt), or from sums to outputs (finish): bias, ReLU and requantization, and
// the add that a convolution has taken in.
//
// A trip handles as many values as the narrower word has. Several narrow words make a wide one, or one is taken apart.
#pragma once

#include "words.h"

namespace tailor {

template <class cfg> struct conversion {
    static constexpr int step = smaller(cfg::lanes_in, cfg::lanes_out);
    static constexpr int gather = cfg::lanes_out / step, split = cfg::lanes_in / step;  // one of them is 1
    static constexpr int trips = cfg::words * gather * split;                           // of an image
};

template <class cfg>
void adapt(const int images, hls::stream<word<typename cfg::in_t, cfg::lanes_in>>& in, hls::stream<word<typename cfg::in_t, cfg::lanes_out>>& out) {
#pragma HLS INLINE
    using shape = conversion<cfg>;
    word<typename cfg::in_t, cfg::lanes_in> arrived;
    word<typename cfg::in_t, cfg::lanes_out> result;
#pragma HLS AGGREGATE variable=arrived
#pragma HLS AGGREGATE variable=result
    number<shape::split - 1> part = 0;
    number<shape::gather - 1> filled = 0;
trips:
    for (counter<shape::trips> at; at.image < images; at.advance()) {
#pragma HLS LOOP_TRIPCOUNT min=shape::trips max=shape::trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
        TRIP(1);
        if (part == 0) arrived = in.read();
        pass<shape::step>(arrived, result);
        if (filled == shape::gather - 1) out.write(result);
        part = next<shape::split>(part);
        filled = next<shape::gather>(filled);
    }
}

template <class cfg> using biases = rom<cfg::bias_bits>[cfg::channels / conversion<cfg>::step][conversion<cfg>::step];

// A trip of finish: the lowest sums and their biases become outputs at the top of `result`. Half an output step is part of the biases, so that
// rounding takes no adder.
template <class cfg, int step>
inline void finish_some(word<typename cfg::acc_t, cfg::lanes_in>& arrived, const rom<cfg::bias_bits> (&bias)[step],
                        word<typename cfg::out_t, cfg::lanes_out>& result) {
#pragma HLS INLINE
    using acc_t = typename cfg::acc_t;
    word<typename cfg::out_t, step> done;
    for (int c = 0; c < step; ++c) done[c] = saturate<cfg>(acc_t(arrived[c] + acc_t(bias[c])));
    pass<step>(done, result);
    word<acc_t, step> gone;
    pass<step>(arrived, gone);
}

// What goes out: the outputs of the convolution, or with a skip's word their `sum`.
template <class value_t> inline const value_t& joined(const value_t& result) {
#pragma HLS INLINE
    return result;
}

template <class sum>
inline word<typename sum::out_t, sum::lanes> joined(const word<typename sum::main_t, sum::lanes>& result,
                                                    const word<typename sum::skip_t, sum::lanes>& skip) {
#pragma HLS INLINE
    return added<sum>(result, skip);
}

// `sum`: the add that the convolution has taken in, if it has, whose skip is read in the trip that writes.
template <class cfg, class... sum, class out_word, class... skips>
void finish(const int images, hls::stream<word<typename cfg::acc_t, cfg::lanes_in>>& in, hls::stream<out_word>& out, const biases<cfg>& bias,
            skips&... skip) {
#pragma HLS INLINE
#pragma HLS ARRAY_RESHAPE variable=bias complete dim=2
    using shape = conversion<cfg>;
    word<typename cfg::acc_t, cfg::lanes_in> arrived;
    word<typename cfg::out_t, cfg::lanes_out> result;
#pragma HLS AGGREGATE variable=arrived
#pragma HLS AGGREGATE variable=result
    number<shape::split - 1> part = 0;
    number<shape::gather - 1> filled = 0;
    number<cfg::channels / shape::step - 1> entry = 0;
trips:
    for (counter<shape::trips> at; at.image < images; at.advance()) {
#pragma HLS LOOP_TRIPCOUNT min=shape::trips max=shape::trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
        TRIP(1);
        if (part == 0) arrived = in.read();
        finish_some<cfg, shape::step>(arrived, bias[entry], result);
        if (filled == shape::gather - 1) out.write(joined<sum...>(result, skip.read()...));
        part = next<shape::split>(part);
        filled = next<shape::gather>(filled);
        entry = next<cfg::channels / shape::step>(entry);
    }
}

}  // namespace tailor
