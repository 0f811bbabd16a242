// Runs the design on images in memory, for the testbench and for the shared library. One definition for all simulations.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tailor_top.h"

struct simulation {
    double seconds = 0;
    int missing_values = 0;  // that the design did not write, or that it wrote too many
    std::string deadlock;    // JSON of who waits for whom
};

// images: [count][height][width][channels]; logits: [count][values], values = output_words * output_lanes. Returns how many values are
// missing.
#ifdef TAILOR_VERILOG
#include "sim/verilog/run.h"
#else
template <class integer> inline int run_batch(const integer* images, int count, std::int32_t* logits) {
#ifdef TAILOR_CYCLE
    hls::stream<input_word> in("input_port", true);
    hls::stream<output_word> out("output_port", true);
#else
    hls::stream<input_word> in("input_port");
    hls::stream<output_word> out("output_port");
#endif
    for (std::ptrdiff_t k = 0; k < std::ptrdiff_t(count) * input_words; ++k) {
        input_word value;
        for (int c = 0; c < input_lanes; ++c) value[c] = *images++;
        in.write(value);
    }
    tailor_top(count, in, out);
    int missing = 0;
    for (std::ptrdiff_t k = 0; k < std::ptrdiff_t(count) * output_words; ++k) {
        if (out.empty()) {
            missing += output_lanes;
            continue;
        }
#ifdef TAILOR_CYCLE
        const output_word value = out.take();
#else
        const output_word value = out.read();
#endif
        for (int c = 0; c < output_lanes; ++c) *logits++ = static_cast<std::int32_t>(value[c]);
    }
    for (; !out.empty(); missing += output_lanes) out.read();
    return missing;
}
#endif

template <class integer> inline simulation simulate(const integer* images, int count, std::int32_t* logits, bool progress = false) {
    simulation result;
    const auto start = std::chrono::steady_clock::now();
#ifdef TAILOR_THREADS
    // A few images at a time keep the streams in cache; the threads share the work.
    constexpr int chunk = 4;
    std::atomic<int> next(0), missing(0), done(0);
    std::mutex reports;
    const auto work = [&] {
        for (int first; (first = next.fetch_add(chunk)) < count;) {
            const int images_here = count - first < chunk ? count - first : chunk;
            try {
                missing += run_batch(images + std::ptrdiff_t(first) * input_words * input_lanes, images_here,
                                     logits + std::ptrdiff_t(first) * output_words * output_lanes);
            } catch (const std::runtime_error& error) {  // a plain queue has run dry
                missing += images_here * output_words * output_lanes;
                const std::lock_guard<std::mutex> one_at_a_time(reports);
                result.deadlock = std::string("{\"full_fifos\": [], \"waiting\": [\"") + error.what() + "\"]}";
            }
            const int finished = done += images_here;
            if (progress) std::fprintf(stderr, "\r%d of %d images%s", finished, count, finished == count ? "\n" : "");
        }
    };
    std::vector<std::thread> helpers;
    const int threads = int(std::thread::hardware_concurrency());
    for (int i = 1; i < threads && i * chunk < count; ++i) helpers.emplace_back(work);
    work();
    for (auto& helper : helpers) helper.join();
    result.missing_values = missing;
#else
    (void)progress;
#ifdef TAILOR_CLOCK
    sim::recorded().fifos.clear();
    sim::recorded().output_times.clear();
    sim::recorded().driven_until = -1;
#endif
    result.missing_values = run_batch(images, count, logits);
#ifdef TAILOR_CLOCK
    result.deadlock = sim::recorded().deadlock;
#endif
#endif
    result.seconds = std::max(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 1e-9);
    return result;
}

#ifdef TAILOR_CLOCK
// The cycles between images that neither the start nor the end of the batch has moved. An image that left while every
// process still had words to read left when it would have if images followed for ever; of these the first half fills
// the FIFOs. Intervals may alternate: of a pattern that comes at least twice, whole repetitions are taken.
inline std::vector<sim::cycles> steady_intervals(const sim::record& seen) {
    std::vector<sim::cycles> gaps;
    for (std::size_t next = 2 * output_words - 1; next < seen.output_times.size() && seen.output_times[next] <= seen.driven_until; next += output_words)
        gaps.push_back(seen.output_times[next] - seen.output_times[next - output_words]);
    gaps.erase(gaps.begin(), gaps.begin() + std::ptrdiff_t(gaps.size() / 2));
    std::size_t period = 1;
    while (2 * period <= gaps.size() && !std::equal(gaps.begin() + std::ptrdiff_t(period), gaps.end(), gaps.begin())) ++period;
    if (2 * period <= gaps.size()) gaps.erase(gaps.begin(), gaps.begin() + std::ptrdiff_t(gaps.size() % period));
    return gaps;
}

// The mean, an integer where it is whole.
inline std::string mean_of(const std::vector<sim::cycles>& values) {
    if (values.empty()) return "null";
    const sim::cycles sum = std::accumulate(values.begin(), values.end(), sim::cycles(0)), count = sim::cycles(values.size());
    if (sum % count == 0) return std::to_string(sum / count);
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", double(sum) / double(count));
    return text;
}
#endif

// What a simulation with a clock measured, as JSON members that start with a comma; of the others no more than a deadlock.
inline std::string measured_members(const simulation& result, int count) {
#ifdef TAILOR_CLOCK
    const sim::record& seen = sim::recorded();
    const std::vector<sim::cycles>& times = seen.output_times;
    const auto last_output = [&](int image) { return times[std::size_t(image + 1) * output_words - 1]; };
    const int finished = int(times.size() / output_words);
    const std::vector<sim::cycles> intervals = result.deadlock.empty() ? steady_intervals(seen) : std::vector<sim::cycles>();
    std::string text;
    // From cycle 0, in which the first word can be read, to the one in which the last word can.
    text += ",\n \"latency_cycles\": " + (finished > 0 ? std::to_string(last_output(0)) : "null");
    text += ",\n \"interval_cycles\": " + mean_of(intervals);
    text += ",\n \"interval_images\": " + std::to_string(intervals.size());
    text += ",\n \"total_cycles\": " + (finished > 0 ? std::to_string(last_output(finished - 1)) : "null");
    text += ",\n \"deadlock\": " + (result.deadlock.empty() ? "null" : result.deadlock);
    text += ",\n \"fifos\": [";
    for (auto fifo = seen.fifos.rbegin(); fifo != seen.fifos.rend(); ++fifo)  // streams are destroyed last to first
        text += std::string(fifo == seen.fifos.rbegin() ? "" : ",") + "\n  {\"name\": \"" + fifo->name + "\", \"depth\": " + std::to_string(fifo->depth) +
                ", \"max_occupancy\": " + std::to_string(fifo->max_occupancy) + "}";
    return text + "]";
#else
    (void)count;
    return result.deadlock.empty() ? "" : ",\n \"deadlock\": " + result.deadlock;
#endif
}
