// Pooling: what becomes of the taps of a window, or of all pixels of an image: the maximum, or the mean by an integer factor.
#pragma once

#include "words.h"

namespace tailor {

// The largest tap; those outside the image are the lowest value of the type.
template <class cfg> struct largest {
    static typename cfg::in_t of(const word<typename cfg::in_t, cfg::taps * cfg::lanes>& window, const int c) {
#pragma HLS INLINE
        typename cfg::in_t value = window[c];
        for (int tap = 1; tap < cfg::taps; ++tap)
            if (window[tap * cfg::lanes + c] > value) value = window[tap * cfg::lanes + c];
        return value;
    }
};

template <class cfg>
void max_pool(const int images, hls::stream<word<typename cfg::in_t, cfg::taps * cfg::lanes>>& in,
              hls::stream<word<typename cfg::in_t, cfg::lanes>>& out) {
#pragma HLS INLINE
    each_word<cfg, largest<cfg>>(images, in, out);
}

// requantize((sum * multiplier + offset) >> divide): the shift to the right rounds to the output's scale, so that the requantizer only
// saturates.
template <class cfg> inline typename cfg::out_t quotient(const typename cfg::sum_t sum) {
#pragma HLS INLINE
    using product_t = typename cfg::product_t;
    const product_t scaled = product_t(typename cfg::multiplier_t(cfg::multiplier)) * product_t(sum) + product_t(cfg::offset);
    return requantize<cfg>(typename cfg::acc_t(scaled >> cfg::divide));
}

// The quotient of the sum of all taps; those outside the image are zero.
template <class cfg> struct average {
    static typename cfg::out_t of(const word<typename cfg::in_t, cfg::taps * cfg::lanes>& window, const int c) {
#pragma HLS INLINE
        typename cfg::sum_t sum = 0;
        for (int tap = 0; tap < cfg::taps; ++tap) sum += typename cfg::sum_t(window[tap * cfg::lanes + c]);
        return quotient<cfg>(sum);
    }
};

template <class cfg>
void avg_pool(const int images, hls::stream<word<typename cfg::in_t, cfg::taps * cfg::lanes>>& in,
              hls::stream<word<typename cfg::out_t, cfg::lanes>>& out) {
#pragma HLS INLINE
    each_word<cfg, average<cfg>>(images, in, out);
}

template <class cfg> using pool_sums = word<typename cfg::sum_t, cfg::lanes>[cfg::words];

// The quotients of the sums of an image's pixels. With the last pixel the lanes of a word are divided one after another, by one
// multiplier: a trip of so many cycles.
template <class cfg>
void global_avg_pool(const int images, hls::stream<word<typename cfg::in_t, cfg::lanes>>& in, hls::stream<word<typename cfg::out_t, cfg::lanes>>& out,
                     pool_sums<cfg>& memory) {
#pragma HLS INLINE
    constexpr int image_trips = cfg::words * (cfg::pixels - 1 + cfg::lanes);
    using sum_t = typename cfg::sum_t;
    poison(memory);
    word<sum_t, cfg::lanes> sums;
    word<typename cfg::out_t, cfg::lanes> result;
#pragma HLS AGGREGATE variable=sums
#pragma HLS AGGREGATE variable=result
    number<cfg::words - 1> place = 0;
    number<cfg::lanes - 1> lane = 0;
    counter<cfg::pixels> at;
trips:
    while (at.image < images) {
#pragma HLS LOOP_TRIPCOUNT min=image_trips max=image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=memory inter RAW distance=cfg::words true
        const bool divides = at.trip == cfg::pixels - 1;
        if (lane == 0) {
            TRIP(divides ? cfg::lanes : 1);
            const word<typename cfg::in_t, cfg::lanes> value = in.read();
            const word<sum_t, cfg::lanes> before = memory[place];
            for (int c = 0; c < cfg::lanes; ++c) sums[c] = at.trip == 0 ? sum_t(value[c]) : sum_t(before[c] + sum_t(value[c]));
            memory[place] = sums;
        }
        if (divides) {
            word<typename cfg::out_t, 1> divided;
            divided[0] = quotient<cfg>(sums[0]);
            pass<1>(divided, result);
            word<sum_t, 1> gone;
            pass<1>(sums, gone);
            if (lane == cfg::lanes - 1) out.write(result);
            lane = next<cfg::lanes>(lane);
        }
        if (lane == 0) {
            place = next<cfg::words>(place);
            if (place == 0) at.advance();
        }
    }
}

}  // namespace tailor
