// Runs the Verilated design on a batch of images: drives both AXI4-Streams, keeps their rules, and records what the cycle simulation does.
//
// Cycle 0 is the first in which the first word can be taken. Registers and memories begin with random values. With a seed of stalls the source
// and the sink pause at random, and before the batch some words of another are cut off by a reset. What the rules of the streams forbid ends the run:
// a word that changes or goes away before it is taken, a TLAST elsewhere than with the last word of an image, an output that waits for its sink.
#pragma once

#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "Vtailor_top.h"
#include "svdpi.h"
#include "timing.h"
#include "verilated.h"

// What a FIFO says of itself at the end: its depth, the most words it held, those it holds, the cycle of the last read.
extern "C" void tailor_fifo(const char* name, int depth, int most, int present, long long last_read) {
    const std::string path(name), own = path.substr(path.rfind(".f_") + 3);
    if (own == "output_stream") return;
    sim::record& seen = sim::recorded();
    seen.fifos.push_back({own, depth, most, {}});
    if (last_read >= 0) seen.ends(last_read);
    if (present == depth) seen.deadlock += (seen.deadlock.empty() ? "\"" : ", \"") + own + "\"";
}

namespace sim {

// Bits of a port, which is an integer or an array of words of 32 bits.
template <class port> inline void put(port& into, int low, int bits, std::uint64_t value) {
    for (int k = 0; k < bits; ++k) {
        const bool one = value >> k & 1;
        if constexpr (std::is_integral<port>::value) {
            into = port(into & ~(port(1) << (low + k))) | port(port(one) << (low + k));
        } else {
            into[(low + k) / 32] = (into[(low + k) / 32] & ~(1u << (low + k) % 32)) | unsigned(one) << (low + k) % 32;
        }
    }
}

template <class port> inline std::uint64_t get(const port& from, int low, int bits) {
    std::uint64_t value = 0;
    for (int k = 0; k < bits; ++k) {
        bool one;
        if constexpr (std::is_integral<port>::value) {
            one = from >> (low + k) & 1;
        } else {
            one = from[(low + k) / 32] >> (low + k) % 32 & 1;
        }
        value |= std::uint64_t(one) << k;
    }
    return value;
}

[[noreturn]] inline void broken(const char* rule, cycles now) {
    std::fprintf(stderr, "error: the design breaks the rules of AXI4-Stream in cycle %lld: %s\n", now, rule);
    std::exit(2);
}

constexpr cycles patience = 2 * serial_cycles + 1000;  // cycles without a word at either port that are taken for a deadlock

template <class integer> class bench {
    VerilatedContext context;
    Vtailor_top design;
    const integer* images;
    std::int32_t* logits;
    std::ptrdiff_t inputs, outputs, given = 0, taken = 0;
    stalls source, sink;
    const bool pauses;

    void edge() {
        design.clk = 1;
        design.eval();
        design.clk = 0;
    }

    void reset() {
        design.rst = 1;
        design.input_stream_tvalid = 0;
        design.output_stream_tready = 0;
        for (int k = 0; k < 3; ++k) {
            design.clk = 0;
            design.eval();
            edge();
        }
        design.rst = 0;
        given = taken = 0;
    }

    void offer() {
        const integer* word = images + given * input_lanes;
        for (int c = 0; c < input_lanes; ++c) put(design.input_stream_tdata, c * input_bits, input_bits, std::uint64_t(std::int64_t(word[c])));
    }

    std::int32_t value(int lane) const {
        const std::uint64_t bits = get(design.output_stream_tdata, lane * output_bits, output_bits) << (64 - output_bits);
        return std::int32_t(output_signed ? std::int64_t(bits) >> (64 - output_bits) : std::int64_t(bits >> (64 - output_bits)));
    }

public:
    bench(const integer* images_, int count, std::int32_t* logits_, unsigned seed)
        : design((context.randReset(2), context.randSeed(int(seed) + 1), &context)), images(images_), logits(logits_),
          inputs(std::ptrdiff_t(count) * input_words), outputs(std::ptrdiff_t(count) * output_words), source(seed), sink(seed ? seed + 1 : 0),
          pauses(seed != 0) {
        reset();
    }

    // Until so many words have been taken in, or all results have come; whether they have.
    bool run(std::ptrdiff_t until, bool records) {
        cycles now = 0, moved = 0, source_pauses = source.next(), sink_pauses = sink.next(), last_input = -1;
        bool held = false;
        typename std::decay<decltype(design.output_stream_tdata)>::type before{};
        while (taken < outputs && given < until) {
            const bool offers = given < inputs && source_pauses == 0, takes = sink_pauses == 0;
            design.input_stream_tvalid = offers;
            design.input_stream_tlast = given == inputs - 1;
            if (offers) offer();
            if (pauses) {  // what the design offers must not wait for its sink
                design.output_stream_tready = !takes;
                design.eval();
                const bool there = design.output_stream_tvalid;
                design.output_stream_tready = takes;
                design.eval();
                if (there != bool(design.output_stream_tvalid)) broken("TVALID waits for TREADY", now);
            } else {
                design.output_stream_tready = takes;
                design.eval();
            }
            if (held && (!design.output_stream_tvalid || std::memcmp(&before, &design.output_stream_tdata, sizeof before))) broken("a word was withdrawn", now);
            held = design.output_stream_tvalid && !takes;
            std::memcpy(&before, &design.output_stream_tdata, sizeof before);
            if (offers && design.input_stream_tready) {
                ++given;
                source_pauses = source.next();
                last_input = moved = now;
            } else if (source_pauses) {
                --source_pauses;
            }
            if (takes && design.output_stream_tvalid) {
                for (int c = 0; c < output_lanes; ++c) logits[taken * output_lanes + c] = value(c);
                if (bool(design.output_stream_tlast) != (taken % output_words == output_words - 1)) broken("TLAST is not at the end of an image", now);
                ++taken;
                sink_pauses = sink.next();
                if (records) recorded().output_times.push_back(now);
                moved = now;
            } else if (sink_pauses) {
                --sink_pauses;
            }
            if (now - moved > patience) break;
            edge();
            ++now;
        }
        if (records && last_input >= 0) recorded().ends(last_input);
        return taken == outputs;
    }

    int run_all() {
        if (pauses) {
            run(std::min(inputs, std::ptrdiff_t(input_words) / 2 + 3), false);
            reset();
        }
        const bool finished = run(inputs + 1, true);
        design.final();
        record& seen = recorded();
        std::reverse(seen.fifos.begin(), seen.fifos.end());
        seen.deadlock = finished ? "" : "{\"full_fifos\": [" + seen.deadlock + "], \"waiting\": []}";
        return int((outputs - taken) * output_lanes);
    }
};

}  // namespace sim

template <class integer> inline int run_batch(const integer* images, int count, std::int32_t* logits) {
    sim::recorded().deadlock.clear();
    sim::bench<integer> bench(images, count, logits, sim::recorded().stall_seed);
    return bench.run_all();
}
