// Sums of products: a pixel and group comes in as N_s words of SIMD = taps x lanes values, and N_b words of PE sums go out, without bias.
//
// The first of N_b passes reads the words, a cycle each, and keeps them; the others read them again, N_s cycles each. The ROM has a word
// a cycle: SIMD weights for each of PE outputs; of a depthwise layer, a weight for each tap of each lane. No address is computed.
#pragma once

#include <limits>
#include <type_traits>

#include "types.h"

namespace tailor {

template <class cfg> struct mac_shape {
    static constexpr int window = cfg::kernel_h * cfg::kernel_w;
    static constexpr int group_in = cfg::channels_in / cfg::groups, group_out = cfg::channels_out / cfg::groups;
    static constexpr int simd = cfg::taps * cfg::lanes;
    static constexpr int steps = window / cfg::taps;  // words of a lane's window
    static constexpr int group_words = cfg::depthwise ? 1 : group_in / cfg::lanes;
    static constexpr int slices = steps * group_words, blocks = cfg::depthwise ? 1 : group_out / cfg::outputs;
    static constexpr int groups = cfg::depthwise ? cfg::groups / cfg::lanes : cfg::groups;
    static constexpr int rom_words = groups * blocks * slices, rom_values = cfg::depthwise ? simd : cfg::outputs * simd;
    using inputs = word<typename cfg::in_t, fold(simd, window * cfg::channels_in)>;
    using sums = word<typename cfg::sum_t, fold(cfg::outputs, cfg::channels_out)>;
    using weights = rom<cfg::weight_bits>[rom_words][rom_values];
    using replay = inputs[blocks > 1 ? slices : 1];
};

// What multiplies: a DSP block, or LUTs. The product is exact.
enum multipliers { dsp, fabric };

template <multipliers kind> struct multiplier;

template <> struct multiplier<dsp> {
    template <class product_t, class weight_t, class in_t> static product_t times(const weight_t weight, const in_t input) {
#pragma HLS INLINE
        const auto result = operand<product_t>(weight) * operand<product_t>(input);
#pragma HLS BIND_OP variable=result op=mul impl=dsp
        return product_t(result);
    }
};

template <> struct multiplier<fabric> {
    template <class product_t, class weight_t, class in_t> static product_t times(const weight_t weight, const in_t input) {
#pragma HLS INLINE
        const auto result = operand<product_t>(weight) * operand<product_t>(input);
#pragma HLS BIND_OP variable=result op=mul impl=fabric
        return product_t(result);
    }
};

// Two products of one input by one multiplier, (high 2^18 + low) input, added up over a chain of DSPs and then taken apart: the sum of
// the low products is the low 18 bits with their sign, which holds `chain` of them; where it is negative it has borrowed from the other.
using packed_t = ap_int<27>;
using chain_t = ap_int<40>;

template <class weight_t, class in_t> inline chain_t two_products(const weight_t low, const weight_t high, const in_t input) {
#pragma HLS INLINE
    const packed_t weights = packed_t(packed_t(high) * packed_t(1 << 18)) + packed_t(low);
    const auto both = operand<chain_t>(weights) * operand<chain_t>(input);  // of 27 bits and the input's, as a DSP takes them
#pragma HLS BIND_OP variable=both op=mul impl=dsp
    return chain_t(both);
}

template <class sum_t> struct pair {
    sum_t low, high;
};

template <class sum_t> inline pair<sum_t> apart(const chain_t both) {
#pragma HLS INLINE
    const chain_t upper = both >> 18, lower = both & chain_t((1 << 18) - 1);
    const bool borrowed = lower >= chain_t(1 << 17);
    return {sum_t(borrowed ? chain_t(lower - chain_t(1 << 18)) : lower), sum_t(borrowed ? chain_t(upper + chain_t(1)) : upper)};
}

// A pass's products of one ROM word, summed for each output.
template <class cfg> inline typename mac_shape<cfg>::sums products(const rom<cfg::weight_bits> (&weight)[mac_shape<cfg>::rom_values],
                                                                  const typename mac_shape<cfg>::inputs& values) {
#pragma HLS INLINE
    using sum_t = typename cfg::sum_t;
    using weight_t = typename cfg::weight_t;
    constexpr int simd = mac_shape<cfg>::simd;
    typename mac_shape<cfg>::sums result;
#pragma HLS AGGREGATE variable=result
    for (int o = 0; o < cfg::outputs; ++o) {
        sum_t sum = 0, above = 0;
        if (cfg::depthwise) {
            for (int i = 0; i < cfg::taps; ++i)
                sum += multiplier<cfg::multiply>::template times<sum_t>(weight_t(weight[o * cfg::taps + i]), values[i * cfg::lanes + o]);
        } else if (!cfg::packed || (o % 2 == 0 && o + 1 == cfg::outputs)) {
            for (int s = 0; s < simd; ++s) sum += multiplier<cfg::multiply>::template times<sum_t>(weight_t(weight[o * simd + s]), values[s]);
        } else if (o % 2 == 0) {
            for (int first = 0; first < simd; first += cfg::chain) {
                chain_t chained = 0;
                for (int s = first; s < simd && s < first + cfg::chain; ++s)
                    chained += two_products(weight_t(weight[o * simd + s]), weight_t(weight[(o + 1) * simd + s]), values[s]);
                const pair<sum_t> both = apart<sum_t>(chained);
                sum += both.low;
                above += both.high;
            }
            result[o + 1] = above;
        } else {
            continue;  // it went with the output before it
        }
        result[o] = sum;
    }
    return result;
}

#ifdef TAILOR_FAST

// What the fast simulation multiplies and sums in: g++ makes one instruction of 32 products of shorts, where both operands are some.
template <class T> constexpr bool is_short() { return std::numeric_limits<T>::max() <= 32767 && std::numeric_limits<T>::min() >= -32768; }

template <class cfg> struct whole_shape : mac_shape<cfg> {
    using shape = mac_shape<cfg>;
    static constexpr bool shorts = is_short<typename cfg::in_t>() && is_short<typename cfg::weight_t>();
    using sum_t = typename std::conditional<(sizeof(typename cfg::sum_t) < 4), int, typename cfg::sum_t>::type;
    using operand_t = typename std::conditional<shorts, short, sum_t>::type;
    static constexpr int products = shape::window * shape::group_in;  // of an output channel
};

// The ROM as [output channel][tap][channel of the group], of a depthwise layer as [tap][channel]: laid anew once, for whole pixels.
template <class cfg> struct whole_weights {
    using shape = whole_shape<cfg>;
    typename shape::operand_t data[cfg::channels_out * shape::products];

    explicit whole_weights(const typename shape::weights& rom_words) {
        for (int t = 0; t < shape::rom_words; ++t)
            for (int v = 0; v < shape::rom_values; ++v) {
                const int slice = t % shape::slices, block = t / shape::slices % shape::blocks, group = t / shape::slices / shape::blocks;
                const int step = slice / shape::group_words, word = slice % shape::group_words;
                if (cfg::depthwise) {
                    const int tap = v % cfg::taps * shape::steps + step, channel = group * cfg::lanes + v / cfg::taps;
                    data[tap * cfg::channels_out + channel] = rom_words[t][v];
                } else {
                    const int tap = v % shape::simd / cfg::lanes * shape::steps + step, channel = word * cfg::lanes + v % cfg::lanes;
                    const int output = group * shape::group_out + block * cfg::outputs + v / shape::simd;
                    data[output * shape::products + tap * shape::group_in + channel] = rom_words[t][v];
                }
            }
    }
};

template <class cfg>
inline void whole_sums(const typename whole_shape<cfg>::operand_t* weight, const typename whole_shape<cfg>::inputs& values,
                       typename whole_shape<cfg>::sums& result) {
    using shape = whole_shape<cfg>;
    using sum_t = typename shape::sum_t;
    typename shape::operand_t operands[shape::products];
    for (int group = 0; group < cfg::groups; ++group) {
        for (int tap = 0; tap < shape::window; ++tap)
            for (int c = 0; c < shape::group_in; ++c)
                operands[tap * shape::group_in + c] = values[tap * cfg::channels_in + group * shape::group_in + c];
        for (int output = group * shape::group_out; output < (group + 1) * shape::group_out; ++output) {
            sum_t sum = 0;
            for (int k = 0; k < shape::products; ++k) sum += sum_t(weight[output * shape::products + k]) * sum_t(operands[k]);
            result[output] = sum;
        }
    }
}

template <class cfg>
inline void whole_depthwise(const typename whole_shape<cfg>::operand_t* weight, const typename whole_shape<cfg>::inputs& values,
                            typename whole_shape<cfg>::sums& result) {
    constexpr int channels = cfg::channels_in;
    typename whole_shape<cfg>::sum_t sums[channels] = {};
    for (int tap = 0; tap < whole_shape<cfg>::window; ++tap)
        for (int c = 0; c < channels; ++c)
            sums[c] += typename whole_shape<cfg>::sum_t(weight[tap * channels + c]) * values[tap * channels + c];
    for (int c = 0; c < channels; ++c) result[c] = sums[c];
}

template <class cfg>
void mac(const int images, hls::stream<typename mac_shape<cfg>::inputs>& in, hls::stream<typename mac_shape<cfg>::sums>& out,
         const typename mac_shape<cfg>::weights& rom_words, typename mac_shape<cfg>::replay&) {
    static const whole_weights<cfg> weight(rom_words);
    for (int image = 0; image < images; ++image)
        for (int pixel = 0; pixel < cfg::pixels; ++pixel) {
            const typename mac_shape<cfg>::inputs values = in.read();
            typename mac_shape<cfg>::sums result;
            if (cfg::depthwise) {
                whole_depthwise<cfg>(weight.data, values, result);
            } else {
                whole_sums<cfg>(weight.data, values, result);
            }
            out.write(result);
        }
}

#else

template <class cfg>
void mac(const int images, hls::stream<typename mac_shape<cfg>::inputs>& in, hls::stream<typename mac_shape<cfg>::sums>& out,
         const typename mac_shape<cfg>::weights& weight, typename mac_shape<cfg>::replay& replay) {
#pragma HLS INLINE
#pragma HLS ARRAY_RESHAPE variable=weight complete dim=2
    using shape = mac_shape<cfg>;
    using sum_t = typename cfg::sum_t;
    constexpr int slices = shape::slices, blocks = shape::blocks;
    poison(replay);
    typename shape::sums sums;
#pragma HLS AGGREGATE variable=sums
    number<slices - 1> slice = 0;
    number<blocks - 1> block = 0;
    number<shape::rom_words - 1> entry = 0;  // of the ROM
    counter<cfg::pixels * shape::groups> at;
trips:
    while (at.image < images) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::image_trips max=cfg::image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=replay inter RAW distance=slices true
        if (block == 0) {
            TRIP(1);
        } else if (slice == 0) {
            TRIP(slices);
        }
        typename shape::inputs values;
#pragma HLS AGGREGATE variable=values
        if (block == 0) {
            values = in.read();
            if (blocks > 1) replay[slice] = values;
        } else {
            values = replay[slice];
        }
        const typename shape::sums part = products<cfg>(weight[entry], values);
        for (int o = 0; o < cfg::outputs; ++o) sums[o] = slice == 0 ? part[o] : sum_t(sums[o] + part[o]);
        if (slice == slices - 1) {
            out.write(sums);
            block = next<blocks>(block);
            if (block == 0) at.advance();
        }
        slice = next<slices>(slice);
        entry = next<shape::rom_words>(entry);
    }
}

#endif

}  // namespace tailor
