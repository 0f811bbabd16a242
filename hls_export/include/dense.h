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
#pragma HLS ARRAY_RESHAPE variable=weight type=cyclic factor=slice_products dim=1
#pragma HLS ARRAY_RESHAPE variable=weight type=cyclic factor=block_channels dim=2
#pragma HLS ARRAY_RESHAPE variable=bias type=cyclic factor=block_channels dim=1
    acc_t sum[block_channels];
#pragma HLS ARRAY_PARTITION variable=sum type=complete dim=0
    pixel<typename cfg::in_t, cfg::channels_in> x = {};
#pragma HLS ARRAY_PARTITION variable=x.data type=complete dim=0
    pixel<typename cfg::out_t, cfg::channels_out> result;
#pragma HLS AGGREGATE variable=result

    int slice = 0, block = 0;
tokens:
    for (int image = 0; image < images;) {
#pragma HLS PIPELINE II=1
        TRIP();
        const bool last = slice == slices - 1 && block == blocks - 1;
        if (slice == 0 && block == 0) x = in.read();
        for (int o = 0; o < block_channels; ++o) {
#pragma HLS UNROLL
            if (slice == 0) sum[o] = acc_t(bias[block * block_channels + o]);
        }
        for (int p = 0; p < slice_products; ++p) {
#pragma HLS UNROLL
            const int k_product = slice * slice_products + p;
            for (int o = 0; o < block_channels; ++o) {
#pragma HLS UNROLL
                sum[o] += product<acc_t>(weight_t(weight[k_product][block * block_channels + o]), x[k_product]);
            }
        }
        for (int o = 0; o < block_channels; ++o) {
#pragma HLS UNROLL
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
