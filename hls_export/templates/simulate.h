// Runs the design on images in memory, for the testbench and for the shared library. One definition for the three simulations.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tailor_top.h"

struct simulation {
    double seconds = 0;
    int missing_values = 0;  // that the design did not write, or that it wrote too many
    std::string deadlock;    // in the cycle simulation: JSON of who waits for whom
};

// images: [count][height][width][channels]; logits: [count][values], values = out_height * out_width * out_channels.
template <class integer> inline int run_batch(const integer* images, int count, std::int32_t* logits) {
#ifdef TAILOR_CYCLE
    hls::stream<pixel_input> in("input_port", true);
    hls::stream<pixel_output> out("output_port", true);
#else
    hls::stream<pixel_input> in("input_port");
    hls::stream<pixel_output> out("output_port");
#endif
    for (int k = 0; k < count * input_pixels; ++k) {
        pixel_input token;
        for (int c = 0; c < input_channels; ++c) token[c] = *images++;
        in.write(token);
    }
    tailor_top(count, in, out);
    int missing = 0;
    for (int k = 0; k < count * output_pixels; ++k) {
        if (out.empty()) {
            missing += output_channels;
            continue;
        }
#ifdef TAILOR_CYCLE
        const pixel_output token = out.take();
#else
        const pixel_output token = out.read();
#endif
        for (int c = 0; c < output_channels; ++c) *logits++ = static_cast<std::int32_t>(token[c]);
    }
    for (; !out.empty(); missing += output_channels) out.read();
    return missing;
}

template <class integer> inline simulation simulate(const integer* images, int count, std::int32_t* logits, bool progress = false) {
    simulation result;
    const auto start = std::chrono::steady_clock::now();
#ifdef TAILOR_THREADS
    // A few images at a time keep the streams in cache; the threads share the work.
    constexpr int chunk = 4;
    std::atomic<int> next(0), missing(0), done(0);
    const auto work = [&] {
        for (int first; (first = next.fetch_add(chunk)) < count;) {
            const int images_here = count - first < chunk ? count - first : chunk;
            missing += run_batch(images + std::ptrdiff_t(first) * input_pixels * input_channels, images_here,
                                 logits + std::ptrdiff_t(first) * output_pixels * output_channels);
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
#ifdef TAILOR_CYCLE
    sim::recorded().fifos.clear();
    sim::recorded().output_times.clear();
    sim::recorded().first_read = -1;
#endif
    result.missing_values = run_batch(images, count, logits);
#ifdef TAILOR_CYCLE
    result.deadlock = sim::state().deadlock;
#endif
#endif
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

// What the cycle simulation measured, as JSON members that start with a comma; nothing in the other two.
inline std::string cycle_members(const simulation& result, int count) {
#ifdef TAILOR_CYCLE
    const sim::record& seen = sim::recorded();
    const std::vector<sim::cycles>& times = seen.output_times;
    const auto last_output = [&](int image) { return times[std::size_t(image + 1) * output_pixels - 1]; };
    const int finished = int(times.size() / output_pixels);
    // The outputs of the last images come early, because too few follow them to fill the design: the median of the first half of the
    // differences is the steady state.
    std::vector<sim::cycles> intervals;
    for (int image = 1; image <= finished / 2; ++image) intervals.push_back(last_output(image) - last_output(image - 1));
    std::sort(intervals.begin(), intervals.end());
    std::string text;
    // Both ends count: an image that is read and written in one cycle has a latency of one cycle.
    text += ",\n \"latency_cycles\": " + (finished > 0 ? std::to_string(last_output(0) - seen.first_read + 1) : "null");
    text += ",\n \"interval_cycles\": " + (intervals.empty() ? "null" : std::to_string(intervals[intervals.size() / 2]));
    text += ",\n \"total_cycles\": " + (finished > 0 ? std::to_string(last_output(finished - 1) - seen.first_read + 1) : "null");
    text += ",\n \"deadlock\": " + (result.deadlock.empty() ? "null" : result.deadlock);
    text += ",\n \"fifos\": [";
    for (auto fifo = seen.fifos.rbegin(); fifo != seen.fifos.rend(); ++fifo)  // streams are destroyed last to first
        text += std::string(fifo == seen.fifos.rbegin() ? "" : ",") + "\n  {\"name\": \"" + fifo->name + "\", \"depth\": " + std::to_string(fifo->depth) +
                ", \"max_occupancy\": " + std::to_string(fifo->max_occupancy) + "}";
    return text + "]";
#else
    (void)result, (void)count;
    return "";
#endif
}
