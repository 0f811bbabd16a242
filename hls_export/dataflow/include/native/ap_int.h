// Native integers in place of AMD's ap_int and ap_uint: the narrowest carrier that holds every value of the type.
//
// The layers saturate explicitly and their accumulators never overflow (the integer graph proves it), so a carrier that is wider than
// the type computes the same values; the strict simulation, with AMD's own types, is the check of that.
#pragma once
#define TAILOR_NATIVE

#include <cstdint>

namespace tailor {

template <int bytes, bool is_signed> struct carrier;
template <> struct carrier<1, true> { using type = std::int8_t; };
template <> struct carrier<1, false> { using type = std::uint8_t; };
template <> struct carrier<2, true> { using type = std::int16_t; };
template <> struct carrier<2, false> { using type = std::uint16_t; };
template <> struct carrier<4, true> { using type = std::int32_t; };
template <> struct carrier<8, true> { using type = std::int64_t; };

constexpr int carrier_bytes(int bits) { return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8; }

template <int bits> struct unsigned_carrier {
    static_assert(bits < 64, "an unsigned type has at most 63 bits");
    // Only the types that fill their carrier need an unsigned one, and 32 bits take the next signed one: mixed comparisons stay right.
    static constexpr bool fills = bits == 8 || bits == 16;
    using type = typename carrier<fills ? bits / 8 : carrier_bytes(bits + 1), !fills>::type;
};

}  // namespace tailor

template <int bits> using ap_int = typename tailor::carrier<tailor::carrier_bytes(bits), true>::type;
template <int bits> using ap_uint = typename tailor::unsigned_carrier<bits>::type;
