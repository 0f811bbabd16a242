// Convolution, grouped and depthwise too, over a stream of pixels; bias, ReLU and requantization on its output.
//
// One trip of the loop is one cycle. An iteration reads token k into the line buffers and the window; if an output pixel is anchored
// lag tokens behind it, the iteration takes slices * blocks trips over products / slices * channels_out / blocks multipliers, and the
// last trip writes the output token. Any other iteration takes one trip.
#pragma once

#include "window.h"

namespace tailor {

template <class cfg>
void conv(const int images, hls::stream<pixel<typename cfg::in_t, cfg::channels_in>>& in,
          hls::stream<pixel<typename cfg::out_t, cfg::channels_out>>& out,
          const rom<cfg::weight_bits> (&weight)[cfg::kernel_h * cfg::kernel_w * cfg::channels_in / cfg::groups][cfg::channels_out],
          const rom<cfg::bias_bits> (&bias)[cfg::channels_out]) {
    using shape = window_shape<cfg>;
    using acc_t = typename cfg::acc_t;
    using weight_t = typename cfg::weight_t;
    constexpr int lag = shape::lag;
    constexpr int group_in = cfg::channels_in / cfg::groups, group_out = cfg::channels_out / cfg::groups;
    constexpr int products = shape::taps * group_in;
    constexpr int slices = passes(cfg::slices), blocks = passes(cfg::blocks);
    constexpr int slice_products = products / slices, block_channels = cfg::channels_out / blocks;
    constexpr int lanes = tile(block_channels);
    constexpr int image_trips = cfg::height * cfg::width + lag + (slices * blocks - 1) * cfg::out_height * cfg::out_width;
#pragma HLS ARRAY_RESHAPE variable=weight type=cyclic factor=slice_products dim=1
#pragma HLS ARRAY_RESHAPE variable=weight type=cyclic factor=block_channels dim=2
#pragma HLS ARRAY_RESHAPE variable=bias type=cyclic factor=block_channels dim=1

    typename shape::line_buffers lines;
#pragma HLS ARRAY_PARTITION variable=lines type=complete dim=1
#pragma HLS ARRAY_RESHAPE variable=lines type=complete dim=3
#pragma HLS BIND_STORAGE variable=lines type=ram_s2p
    typename shape::registers window;
#pragma HLS ARRAY_PARTITION variable=window type=complete dim=0
    // The window with the taps outside the image at zero, by slices: product p of a pass picks one of `slices` values, and only of its own.
    typename cfg::in_t x[cfg::groups][slices][slice_products];
#pragma HLS ARRAY_PARTITION variable=x type=complete dim=0
    acc_t sum[block_channels];
#pragma HLS ARRAY_PARTITION variable=sum type=complete dim=0
    pixel<typename cfg::out_t, cfg::channels_out> result;
#pragma HLS AGGREGATE variable=result
    clear<cfg>(lines, window);

    anchor<cfg> at;
    const int tokens = images * (cfg::height * cfg::width);
    int column = 0, slice = 0, block = 0;
pixels:
    for (int k = 0; k < tokens + lag;) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS DEPENDENCE variable=lines type=inter direction=RAW distance=cfg::width dependent=true
        TRIP();
        const bool first = slice == 0 && block == 0;
        const bool writes = k >= lag && at.on_grid();
        const bool last = !writes || (slice == slices - 1 && block == blocks - 1);

        if (first) {
            typename shape::token token = {};
            if (k < tokens) token = in.read();
            shift_in<cfg>(token, column, lines, window);
        }
        if (writes) {
            if (first || synthesis)  // wires in hardware; a simulation need not repeat them each pass
                for (int i = 0; i < cfg::kernel_h; ++i)
                    for (int j = 0; j < cfg::kernel_w; ++j) {
                        const bool inside = at.inside(i, j);
                        for (int c = 0; c < cfg::channels_in; ++c) {
                            const int k_product = (i * cfg::kernel_w + j) * group_in + c % group_in;
                            x[c / group_in][k_product / slice_products][k_product % slice_products] = inside ? window[i][j][c] : typename cfg::in_t(0);
                        }
                    }
            for (int tile_start = 0; tile_start < block_channels; tile_start += lanes) {
#pragma HLS UNROLL
                const int channel = block * block_channels + tile_start;
                acc_t part[lanes];  // the products of this pass; the sum of earlier ones joins behind the tree, so that only an adder feeds back
                for (int o = 0; o < lanes; ++o) part[o] = 0;
                for (int p = 0; p < slice_products; ++p) {
#pragma HLS UNROLL
                    const int k_product = slice * slice_products + p;
                    for (int o = 0; o < lanes; ++o) {
#pragma HLS UNROLL
                        const int group = cfg::groups == 1 ? 0 : (channel + o) / group_out;
                        part[o] += product<acc_t>(weight_t(weight[k_product][channel + o]), x[group][slice][p]);
                    }
                }
                for (int o = 0; o < lanes; ++o) {
                    const acc_t before = slice == 0 ? acc_t(bias[channel + o]) : sum[tile_start + o];
                    const acc_t total = before + part[o];
                    sum[tile_start + o] = total;
                    if (slice == slices - 1) result[channel + o] = requantize<cfg>(total);
                }
            }
            if (last) out.write(result);
        }

        if (last) {
            slice = block = 0;
            column = column == cfg::width - 1 ? 0 : column + 1;
            if (k >= lag) at.advance();
            ++k;
        } else if (slice == slices - 1) {
            slice = 0;
            ++block;
        } else {
            ++slice;
        }
    }
}

}  // namespace tailor
