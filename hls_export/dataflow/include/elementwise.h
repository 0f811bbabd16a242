// Processes of one trip a token: the addition of a skip connection, the copy of a tensor for several readers, a ReLU of its own.
#pragma once

#include "types.h"

namespace tailor {

// out = requantize((main << align_main) + (skip << align_skip)); both tokens are read in the same cycle.
template <class cfg>
void add(const int images, hls::stream<pixel<typename cfg::main_t, cfg::channels>>& main_in,
         hls::stream<pixel<typename cfg::skip_t, cfg::channels>>& skip_in, hls::stream<pixel<typename cfg::out_t, cfg::channels>>& out) {
    using acc_t = typename cfg::acc_t;
    constexpr int image_trips = cfg::height * cfg::width;
    const int tokens = images * image_trips;
pixels:
    for (int k = 0; k < tokens; ++k) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
        TRIP();
        const pixel<typename cfg::main_t, cfg::channels> main_token = main_in.read();
        const pixel<typename cfg::skip_t, cfg::channels> skip_token = skip_in.read();
        pixel<typename cfg::out_t, cfg::channels> result;
#pragma HLS AGGREGATE variable=result
        for (int c = 0; c < cfg::channels; ++c) {
#pragma HLS UNROLL
            const acc_t main_value = main_token[c], skip_value = skip_token[c];
            result[c] = requantize<cfg>(acc_t(shifted<cfg::align_main>(main_value) + shifted<cfg::align_skip>(skip_value)));
        }
        out.write(result);
    }
}

template <class token> inline void write_all(const token&) {}

template <class token, class... streams> inline void write_all(const token& value, hls::stream<token>& first, streams&... rest) {
#pragma HLS INLINE
    first.write(value);
    write_all(value, rest...);
}

// Copies every token of a tensor of height x width pixels to all its readers, in the same cycle.
template <class cfg, class token, class... streams> void clone(const int images, hls::stream<token>& in, streams&... outs) {
    constexpr int image_trips = cfg::height * cfg::width;
    const int tokens = images * image_trips;
pixels:
    for (int k = 0; k < tokens; ++k) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
        TRIP();
        const token value = in.read();
        write_all(value, outs...);
    }
}

template <class cfg>
void relu(const int images, hls::stream<pixel<typename cfg::in_t, cfg::channels>>& in, hls::stream<pixel<typename cfg::out_t, cfg::channels>>& out) {
    constexpr int image_trips = cfg::height * cfg::width;
    const int tokens = images * image_trips;
pixels:
    for (int k = 0; k < tokens; ++k) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
        TRIP();
        const pixel<typename cfg::in_t, cfg::channels> token = in.read();
        pixel<typename cfg::out_t, cfg::channels> result;
#pragma HLS AGGREGATE variable=result
        for (int c = 0; c < cfg::channels; ++c) {
#pragma HLS UNROLL
            result[c] = token[c] > 0 ? typename cfg::out_t(token[c]) : typename cfg::out_t(0);
        }
        out.write(result);
    }
}

}  // namespace tailor
