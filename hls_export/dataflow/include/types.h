// Numbers, tokens and the process macros that every layer shares. Written against AMD's ap_int.h and hls_stream.h; the g++
// simulations put other headers of those names on the include path (see the Makefile):
//
//     strict   AMD's own             fast   sim/native: native integers, plain queues        cycle   sim/cycle: bounded queues with a clock
#pragma once

#include "ap_int.h"
#include "hls_stream.h"

// PROCESS(name, call) is the call itself; JOIN_PROCESSES() and TRIP() are nothing. The cycle simulation runs each process in a fiber
// of its own, waits for all of them, and advances the process's clock by one cycle a trip of its pipelined loop.
#ifdef TAILOR_CYCLE
#define PROCESS(name, ...) sim::spawn(#name, [&] { __VA_ARGS__; })
#define JOIN_PROCESSES() sim::run()
#define TRIP() sim::trip()
#else
#define PROCESS(name, ...) __VA_ARGS__
#define JOIN_PROCESSES()
#define TRIP()
#endif

namespace tailor {

#ifdef __SYNTHESIS__
constexpr bool synthesis = true;
template <int bits> using rom = ap_int<bits>;
#else
constexpr bool synthesis = false;
// g++ lays a table of native integers out at compile time; a table of ap_int it would construct at run time, element by element.
template <int size> struct rom_carrier { using type = long long; };
template <> struct rom_carrier<1> { using type = signed char; };
template <> struct rom_carrier<2> { using type = short; };
template <> struct rom_carrier<4> { using type = int; };
template <int bits> using rom = typename rom_carrier<(bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8)>::type;
#endif

// The reuse split of a layer. The fast simulation does all passes over the multipliers in one trip: integer sums do not depend on order.
#ifdef TAILOR_FAST
constexpr int passes(int) { return 1; }
#else
constexpr int passes(int count) { return count; }
#endif

// One token: all channels of one pixel.
template <class T, int channels> struct pixel {
    T data[channels];
    T& operator[](int channel) { return data[channel]; }
    const T& operator[](int channel) const { return data[channel]; }
};

// The product of a weight and an input, exact: in the width of both operands in hardware, in the accumulator's carrier otherwise.
template <class acc_t, class weight_t, class in_t> inline acc_t product(const weight_t weight, const in_t input) {
#ifdef TAILOR_NATIVE
    return acc_t(weight) * acc_t(input);
#else
    return weight * input;
#endif
}

// value * 2^shift, of a negative value too; acc_t has room for it.
template <int shift, class acc_t> inline acc_t shifted(const acc_t value) {
#ifdef TAILOR_NATIVE
    return acc_t(value * (1LL << shift));  // a native << of a negative value is undefined in C++14
#else
    return value << shift;
#endif
}

// ReLU, rounding half up and saturation: clip((a + 2^(shift - 1)) >> shift), or clip(a << -shift). `cfg::acc_t` has room for the
// rounding constant and `cfg::scaled_t` for the left shift.
template <class cfg> inline typename cfg::out_t requantize(const typename cfg::acc_t accumulator) {
#pragma HLS INLINE
    constexpr int right = cfg::shift > 0 ? cfg::shift : 0;
    constexpr int left = cfg::shift < 0 ? -cfg::shift : 0;
    typename cfg::scaled_t value = accumulator;
    if (cfg::relu && value < 0) value = 0;
    if (right > 0) value = typename cfg::scaled_t(value + typename cfg::scaled_t(1LL << right >> 1)) >> right;
    if (left > 0) value = shifted<left>(value);
    if (value > cfg::out_hi) return typename cfg::out_t(cfg::out_hi);
    if (value < cfg::out_lo) return typename cfg::out_t(cfg::out_lo);
    return typename cfg::out_t(value);
}

// How many of `count` output channels one accumulator tile holds: the largest divisor up to 16, which g++ keeps in vector registers.
constexpr int tile(int count, int lanes = 16) { return count % lanes == 0 ? lanes : tile(count, lanes - 1); }

}  // namespace tailor
