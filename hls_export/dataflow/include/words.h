// Processes of a word a cycle: the addition of a skip connection, the copy of a tensor for several readers, activations of their own.
#pragma once

#include "types.h"

namespace tailor {

// requantize((main << align_main) + (skip << align_skip))
template <class cfg>
inline word<typename cfg::out_t, cfg::lanes> added(const word<typename cfg::main_t, cfg::lanes>& main, const word<typename cfg::skip_t, cfg::lanes>& skip) {
#pragma HLS INLINE
    using acc_t = typename cfg::acc_t;
    word<typename cfg::out_t, cfg::lanes> result;
#pragma HLS AGGREGATE variable=result
    for (int c = 0; c < cfg::lanes; ++c) {
        const acc_t main_value = main[c], skip_value = skip[c];
        result[c] = requantize<cfg>(acc_t(shifted<cfg::align_main>(main_value) + shifted<cfg::align_skip>(skip_value)));
    }
    return result;
}

template <class cfg>
void add(const int images, hls::stream<word<typename cfg::main_t, cfg::lanes>>& main, hls::stream<word<typename cfg::skip_t, cfg::lanes>>& skip,
         hls::stream<word<typename cfg::out_t, cfg::lanes>>& out) {
#pragma HLS INLINE
trips:
    for (counter<cfg::words> at; at.image < images; at.advance()) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::words max=cfg::words
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
        TRIP(1);
        const word<typename cfg::main_t, cfg::lanes> first = main.read();
        const word<typename cfg::skip_t, cfg::lanes> second = skip.read();
        out.write(added<cfg>(first, second));
    }
}

// What `change::of` makes of every word.
template <class cfg, class change, class in_word, class out_word>
inline void each_word(const int images, hls::stream<in_word>& in, hls::stream<out_word>& out) {
#pragma HLS INLINE
trips:
    for (counter<cfg::words> at; at.image < images; at.advance()) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::words max=cfg::words
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
        TRIP(1);
        const in_word value = in.read();
        out_word result;
#pragma HLS AGGREGATE variable=result
        for (int c = 0; c < cfg::lanes; ++c) result[c] = change::of(value, c);
        out.write(result);
    }
}

template <class cfg> struct rectified {
    static typename cfg::out_t of(const word<typename cfg::in_t, cfg::lanes>& value, const int c) {
#pragma HLS INLINE
        return value[c] > 0 ? typename cfg::out_t(value[c]) : typename cfg::out_t(0);
    }
};

template <class cfg>
void relu(const int images, hls::stream<word<typename cfg::in_t, cfg::lanes>>& in, hls::stream<word<typename cfg::out_t, cfg::lanes>>& out) {
#pragma HLS INLINE
    each_word<cfg, rectified<cfg>>(images, in, out);
}

// requantize(value << align) where it is positive, requantize(value multiplier) elsewhere.
template <class cfg> struct leaking {
    static typename cfg::out_t of(const word<typename cfg::in_t, cfg::lanes>& value, const int c) {
#pragma HLS INLINE
        using acc_t = typename cfg::acc_t;
        const acc_t wide = value[c];
        return requantize<cfg>(value[c] < 0 ? acc_t(wide * acc_t(cfg::multiplier)) : acc_t(shifted<cfg::align>(wide)));
    }
};

template <class cfg>
void leaky_relu(const int images, hls::stream<word<typename cfg::in_t, cfg::lanes>>& in, hls::stream<word<typename cfg::out_t, cfg::lanes>>& out) {
#pragma HLS INLINE
    each_word<cfg, leaking<cfg>>(images, in, out);
}

template <class value_t> inline void write_all(const value_t&) {}

template <class value_t, class... streams> inline void write_all(const value_t& value, hls::stream<value_t>& first, streams&... rest) {
#pragma HLS INLINE
    first.write(value);
    write_all(value, rest...);
}

// Copies every word of a tensor to all its readers, in the same cycle.
template <class cfg, class value_t, class... streams> void clone(const int images, hls::stream<value_t>& in, streams&... outs) {
#pragma HLS INLINE
trips:
    for (counter<cfg::words> at; at.image < images; at.advance()) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::words max=cfg::words
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
        TRIP(1);
        const value_t value = in.read();
        write_all(value, outs...);
    }
}

}  // namespace tailor
