// Numbers, words and the process macros that every layer shares. Written against AMD's ap_int.h and hls_stream.h; the g++
// simulations put other headers of those names on the include path (see the Makefile):
//
//     strict   AMD's own             fast   sim/native: native integers, plain queues        cycle   sim/cycle: bounded queues with a clock
#pragma once

#include "ap_int.h"
#include "hls_stream.h"

// PROCESS(name, call) is the call itself; JOIN_PROCESSES() and TRIP(cycles) are nothing. The cycle simulation runs each process in a
// fiber of its own, waits for all of them, and ends the trip that is open when the next one begins.
#ifdef TAILOR_CYCLE
#define PROCESS(name, ...) sim::spawn(#name, ::latency_##name, [&] { __VA_ARGS__; })
#define JOIN_PROCESSES() sim::run()
#define TRIP(cycles) sim::trip(cycles)
#else
#define PROCESS(name, ...) __VA_ARGS__
#define JOIN_PROCESSES()
#define TRIP(cycles) static_cast<void>(0)
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

// A size as the design is folded, and as the fast simulation takes it: whole pixels, all taps, every output channel at once. Integer
// sums do not depend on order.
#ifdef TAILOR_FAST
constexpr int fold(int, int whole) { return whole; }
#else
constexpr int fold(int folded, int) { return folded; }
#endif

constexpr int smaller(int one, int other) { return one < other ? one : other; }

// One word of a stream: some channels of a pixel, taps of them, or sums.
template <class T, int size> struct word {
    T data[size];
    T& operator[](int index) { return data[index]; }
    const T& operator[](int index) const { return data[index]; }
};

// What a simulation finds where nothing was written: a value that would show. Hardware finds anything.
template <class T, int size> inline void poison(word<T, size>& value) {
    if (synthesis) return;
    for (T& each : value.data) each = T(0x55);
}

template <class T, int size, int count> inline void poison(word<T, size> (&memory)[count]) {
    if (synthesis) return;
    for (auto& each : memory) poison(each);
}

template <class T, int size> inline word<T, size> unread() {
#pragma HLS INLINE
    word<T, size> value;
    poison(value);
    return value;
}

// The lowest values of `from` enter `into` at its top; both shift down. So a word is put together, or taken apart, without an index.
template <int step, class T, int from_size, int into_size> inline void pass(word<T, from_size>& from, word<T, into_size>& into) {
#pragma HLS INLINE
    for (int c = 0; c + step < into_size; ++c) into[c] = into[c + step];
    for (int c = 0; c < step; ++c) into[into_size - step + c] = from[c];
    for (int c = 0; c + step < from_size; ++c) from[c] = from[c + step];
}

// A number of 0..most: of no more bits than it takes, so that a counter of hardware has no more either; an int where integers are native.
#ifdef TAILOR_NATIVE
template <int most> using number = int;
#else
constexpr int bits_of(int most) { return most > 1 ? 1 + bits_of(most / 2) : 1; }
template <int most> using number = ap_uint<bits_of(most)>;
#endif

// Position `value` of `count`, and the one behind it.
template <int count> inline number<count - 1> next(const number<count - 1> value) {
#pragma HLS INLINE
    return value == count - 1 ? number<count - 1>(0) : number<count - 1>(value + 1);
}

// The trips of an image, and images, counted apart.
template <int trips> struct counter {
    int image = 0;
    number<trips - 1> trip = 0;
    void advance() {
#pragma HLS INLINE
        trip = next<trips>(trip);
        if (trip == 0) ++image;
    }
};

// An operand of a product whose result fits a type: of that type where integers are native, of its own width elsewhere.
#ifdef TAILOR_NATIVE
template <class product_t, class operand_t> inline product_t operand(const operand_t value) { return product_t(value); }
#else
template <class product_t, class operand_t> inline operand_t operand(const operand_t value) { return value; }
#endif

// value * 2^shift, of a negative value too; acc_t has room for it.
template <int shift, class acc_t> inline acc_t shifted(const acc_t value) {
#ifdef TAILOR_NATIVE
    return acc_t(value * (1LL << shift));  // a native << of a negative value is undefined in C++14
#else
    return value << shift;
#endif
}

// ReLU and saturation of what half an output step has been added to: clip(a >> shift), or clip(a << -shift), no less than 0 with ReLU: of an a
// in [-2^(shift - 1), 0), too, (a + 2^(shift - 1)) >> shift is 0. `cfg::scaled_t` has room for the left shift.
template <class cfg> inline typename cfg::out_t saturate(const typename cfg::acc_t accumulator) {
#pragma HLS INLINE
    constexpr int right = cfg::shift > 0 ? cfg::shift : 0, left = cfg::shift < 0 ? -cfg::shift : 0;
    constexpr int least = cfg::relu && cfg::out_lo < 0 ? 0 : cfg::out_lo;
    typename cfg::scaled_t value = accumulator;
    if (right > 0) value = value >> right;
    if (left > 0) value = shifted<left>(value);
    if (value > cfg::out_hi) return typename cfg::out_t(cfg::out_hi);
    if (value < least) return typename cfg::out_t(least);
    return typename cfg::out_t(value);
}

// ReLU, rounding half up and saturation. `cfg::acc_t` has room for half an output step.
template <class cfg> inline typename cfg::out_t requantize(const typename cfg::acc_t accumulator) {
#pragma HLS INLINE
    using acc_t = typename cfg::acc_t;
    constexpr int right = cfg::shift > 0 ? cfg::shift : 0;
    return saturate<cfg>(acc_t(accumulator + acc_t(1LL << right >> 1)));
}

}  // namespace tailor
