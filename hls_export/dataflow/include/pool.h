// Pooling: the maximum of a window, with padding at minus infinity; the mean of a window, with padding at zero, or of a whole image, by an
// integer factor.
#pragma once

#include "window.h"

namespace tailor {

// A token a window, each channel what `reduction::of` makes of its taps. Reads and writes as conv.h does with one pass: one trip an
// iteration.
template <class cfg, class reduction>
void window_pool(const int images, hls::stream<pixel<typename cfg::in_t, cfg::channels_in>>& in,
                 hls::stream<pixel<typename reduction::out_t, cfg::channels_in>>& out) {
#pragma HLS INLINE
    using shape = window_shape<cfg>;
    constexpr int lag = shape::lag;
    typename shape::line_buffers lines;
#pragma HLS ARRAY_PARTITION variable=lines type=complete dim=1
#pragma HLS ARRAY_RESHAPE variable=lines type=complete dim=3
#pragma HLS BIND_STORAGE variable=lines type=ram_s2p
    typename shape::registers window;
#pragma HLS ARRAY_PARTITION variable=window type=complete dim=0
    clear<cfg>(lines, window);

    anchor<cfg> at;
    constexpr int image_trips = cfg::height * cfg::width + lag;
    const int tokens = images * (cfg::height * cfg::width);
    int column = 0;
pixels:
    for (int k = 0; k < tokens + lag; ++k) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS DEPENDENCE variable=lines type=inter direction=RAW distance=cfg::width dependent=true
        TRIP();
        typename shape::token token = {};
        if (k < tokens) token = in.read();
        shift_in<cfg>(token, column, lines, window);
        column = column == cfg::width - 1 ? 0 : column + 1;
        if (k < lag) continue;
        if (at.on_grid()) {
            pixel<typename reduction::out_t, cfg::channels_in> result;
#pragma HLS AGGREGATE variable=result
            for (int c = 0; c < cfg::channels_in; ++c) {
#pragma HLS UNROLL
                result[c] = reduction::of(window, at, c);
            }
            out.write(result);
        }
        at.advance();
    }
}

// The largest tap inside the image.
template <class cfg> struct largest {
    using out_t = typename cfg::in_t;
    static out_t of(const typename window_shape<cfg>::registers& window, const anchor<cfg>& at, const int c) {
#pragma HLS INLINE
        out_t value = out_t(cfg::in_lo);
        for (int i = 0; i < cfg::kernel_h; ++i)
            for (int j = 0; j < cfg::kernel_w; ++j)
                if (at.inside(i, j) && window[i][j][c] > value) value = window[i][j][c];
        return value;
    }
};

template <class cfg>
void max_pool(const int images, hls::stream<pixel<typename cfg::in_t, cfg::channels_in>>& in,
              hls::stream<pixel<typename cfg::in_t, cfg::channels_in>>& out) {
    window_pool<cfg, largest<cfg>>(images, in, out);
}

// requantize((sum * multiplier + offset) >> divide): the shift to the right rounds to the output's scale, so that the requantizer only
// saturates.
template <class cfg> inline typename cfg::out_t quotient(const typename cfg::sum_t sum) {
#pragma HLS INLINE
    using product_t = typename cfg::product_t;
    const product_t scaled = product<product_t>(typename cfg::multiplier_t(cfg::multiplier), sum) + product_t(cfg::offset);
    return requantize<cfg>(typename cfg::acc_t(scaled >> cfg::divide));
}

// The quotient of the sum of all taps, those outside the image at zero.
template <class cfg> struct average {
    using out_t = typename cfg::out_t;
    static out_t of(const typename window_shape<cfg>::registers& window, const anchor<cfg>& at, const int c) {
#pragma HLS INLINE
        using sum_t = typename cfg::sum_t;
        sum_t sum = 0;
        for (int i = 0; i < cfg::kernel_h; ++i)
            for (int j = 0; j < cfg::kernel_w; ++j) sum += at.inside(i, j) ? sum_t(window[i][j][c]) : sum_t(0);
        return quotient<cfg>(sum);
    }
};

template <class cfg>
void avg_pool(const int images, hls::stream<pixel<typename cfg::in_t, cfg::channels_in>>& in,
              hls::stream<pixel<typename cfg::out_t, cfg::channels_in>>& out) {
    window_pool<cfg, average<cfg>>(images, in, out);
}

// The quotient of the sum of the image's pixels, written in the trip that reads the image's last token.
template <class cfg>
void global_avg_pool(const int images, hls::stream<pixel<typename cfg::in_t, cfg::channels>>& in,
                     hls::stream<pixel<typename cfg::out_t, cfg::channels>>& out) {
    using sum_t = typename cfg::sum_t;
    sum_t sum[cfg::channels];
#pragma HLS ARRAY_PARTITION variable=sum type=complete dim=0
    constexpr int image_trips = cfg::height * cfg::width;
    const int tokens = images * image_trips;
    int place = 0;
pixels:
    for (int k = 0; k < tokens; ++k) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
        TRIP();
        const bool last = place == cfg::height * cfg::width - 1;
        const pixel<typename cfg::in_t, cfg::channels> token = in.read();
        pixel<typename cfg::out_t, cfg::channels> result;
#pragma HLS AGGREGATE variable=result
        for (int c = 0; c < cfg::channels; ++c) {
#pragma HLS UNROLL
            const sum_t value = place == 0 ? sum_t(token[c]) : sum_t(sum[c] + token[c]);
            sum[c] = value;
            if (last) result[c] = quotient<cfg>(value);
        }
        if (last) out.write(result);
        place = last ? 0 : place + 1;
    }
}

}  // namespace tailor
