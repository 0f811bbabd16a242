// Dense layer on one token: slices * blocks trips over channels_in / slices * channels_out / blocks multipliers.
#pragma once

#include "types.h"

namespace tailor {

template <class cfg>
void dense(const int images, hls::stream<pixel<typename cfg::in_t, cfg::channels_in>>& in,
           hls::stream<pixel<typename cfg::out_t, cfg::channels_out>>& out, const rom<cfg::weight_bits> (&weight)[cfg::channels_in][cfg::channels_out],
           const rom<cfg::bias_bits> (&bias)[cfg::channels_out]) {
    using acc_t = typename cfg::acc_t;
    using weight_t = typename cfg::weight_t;
    constexpr int slices = passes(cfg::slices), blocks = passes(cfg::blocks);
    constexpr int slice_products = cfg::channels_in / slices, block_channels = cfg::channels_out / blocks;
    constexpr int image_trips = slices * blocks;
#pragma HLS ARRAY_RESHAPE variable=weight type=cyclic factor=slice_products dim=1
#pragma HLS ARRAY_RESHAPE variable=weight type=cyclic factor=block_channels dim=2
#pragma HLS ARRAY_RESHAPE variable=bias type=cyclic factor=block_channels dim=1
    acc_t sum[block_channels];
#pragma HLS ARRAY_PARTITION variable=sum type=complete dim=0
    typename cfg::in_t x[slices][slice_products];  // the token, by slices
#pragma HLS ARRAY_PARTITION variable=x type=complete dim=0
    pixel<typename cfg::out_t, cfg::channels_out> result;
#pragma HLS AGGREGATE variable=result

    int slice = 0, block = 0;
tokens:
    for (int image = 0; image < images;) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
        TRIP();
        const bool last = slice == slices - 1 && block == blocks - 1;
        if (slice == 0 && block == 0) {
            const pixel<typename cfg::in_t, cfg::channels_in> token = in.read();
            for (int c = 0; c < cfg::channels_in; ++c) x[c / slice_products][c % slice_products] = token[c];
        }
        acc_t part[block_channels];  // the products of this pass; the sum of earlier ones joins behind the tree
        for (int o = 0; o < block_channels; ++o) part[o] = 0;
        for (int p = 0; p < slice_products; ++p) {
#pragma HLS UNROLL
            const int k_product = slice * slice_products + p;
            for (int o = 0; o < block_channels; ++o) {
#pragma HLS UNROLL
                part[o] += product<acc_t>(weight_t(weight[k_product][block * block_channels + o]), x[slice][p]);
            }
        }
        for (int o = 0; o < block_channels; ++o) {
#pragma HLS UNROLL
            const acc_t before = slice == 0 ? acc_t(bias[block * block_channels + o]) : sum[o];
            sum[o] = before + part[o];
            if (slice == slices - 1) result[block * block_channels + o] = requantize<cfg>(sum[o]);
        }
        if (last) {
            out.write(result);
            slice = block = 0;
            ++image;
        } else if (slice == slices - 1) {
            slice = 0;
            ++block;
        } else {
            ++slice;
        }
    }
}

}  // namespace tailor
