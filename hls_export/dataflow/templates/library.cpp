// The design as a shared library: numpy in and out (hls_export.compile).
#include <cstring>

#include "simulate.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

static std::string report;

// images: int32 [count][height][width][channels]; logits: int32 [count][values]. Returns 0, 1 if values are missing, 3 on a deadlock.
EXPORTED int tailor_simulate(const std::int32_t* images, int count, std::int32_t* logits) {
    std::memset(logits, 0, sizeof(std::int32_t) * count * output_words * output_lanes);
    const simulation result = simulate(images, count, logits);
    char head[160];
    std::snprintf(head, sizeof head, "{\"images\": %d, \"seconds\": %.6g, \"images_per_second\": %.6g", count, result.seconds, count / result.seconds);
    report = head + measured_members(result, count) + "}";
    return !result.deadlock.empty() ? 3 : result.missing_values ? 1 : 0;
}

// Values of an image, and of its result.
EXPORTED int tailor_inputs() { return input_words * input_lanes; }
EXPORTED int tailor_values() { return output_words * output_lanes; }

// What the last call measured, as JSON.
EXPORTED const char* tailor_report() { return report.c_str(); }
