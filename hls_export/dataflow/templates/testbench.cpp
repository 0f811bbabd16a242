// Runs the images of tb_data through the design and compares every value with the integer reference.
//
//     testbench [--images=N] [--json=FILE] [--trace=FILE] [--stall=SEED] [--progress]
//
// tb_data (little-endian, no header): images.bin, tb_pixel_t [images][height][width][channels]; expected.bin, int32 [images][values];
// labels.bin, int32 [images]. Exit status: 0 all values equal, 1 a mismatch, 2 unusable input, 3 a deadlock (of fast, a FIFO that runs dry).
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "simulate.h"

template <class T> static std::vector<T> load(const std::string& path) {
    std::vector<T> values;
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) {
        std::fprintf(stderr, "testbench: cannot open %s; run it in the project's directory\n", path.c_str());
        std::exit(2);
    }
    std::vector<char> bytes;
    char buffer[1 << 16];
    for (std::size_t size; (size = std::fread(buffer, 1, sizeof buffer, file)) > 0;) bytes.insert(bytes.end(), buffer, buffer + size);
    if (std::ferror(file) || bytes.size() % sizeof(T)) {
        std::fprintf(stderr, std::ferror(file) ? "testbench: cannot read %s\n" : "testbench: %s is cut short (%zu bytes)\n", path.c_str(), bytes.size());
        std::exit(2);
    }
    std::fclose(file);
    values.resize(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

static void write_trace(const char* path) {
#ifdef TAILOR_CLOCK
    std::FILE* file = std::fopen(path, "w");
    if (!file) {
        std::fprintf(stderr, "testbench: cannot write %s\n", path);
        std::exit(2);
    }
    std::fprintf(file, "fifo,cycle,occupancy\n");
    const auto& fifos = sim::recorded().fifos;
    for (auto fifo = fifos.rbegin(); fifo != fifos.rend(); ++fifo)
        for (const auto& change : fifo->changes) std::fprintf(file, "%s,%lld,%d\n", fifo->name.c_str(), change.time, change.words);
    std::fclose(file);
#else
    std::fprintf(stderr, "testbench: only the cycle simulation can write a trace, not to %s\n", path);
    std::exit(2);
#endif
}

// The number behind an option, of 1 or more.
static int number(const char* option, const char* text) {
    char* end = nullptr;
    const long given = std::strtol(text, &end, 10);
    if (end == text || *end || given < 1 || given > 2147483647) {
        std::fprintf(stderr, "testbench: %s must be a positive number, got %s\n", option, text);
        std::exit(2);
    }
    return int(given);
}

int main(int argc, char** argv) {
    int count = -1, stall = 0;
    const char *json = nullptr, *trace = nullptr;
    bool progress = false;
    for (int i = 1; i < argc; ++i) {
        if (!std::strncmp(argv[i], "--images=", 9)) {
            count = number("--images", argv[i] + 9);
        } else if (!std::strncmp(argv[i], "--stall=", 8)) {
            stall = number("--stall", argv[i] + 8);
        } else if (!std::strncmp(argv[i], "--json=", 7)) {
            json = argv[i] + 7;
        } else if (!std::strncmp(argv[i], "--trace=", 8)) {
            trace = argv[i] + 8;
        } else if (!std::strcmp(argv[i], "--progress")) {
            progress = true;
        } else {
            std::fprintf(stderr, "testbench: unknown argument %s; known are --images=N, --json=FILE, --trace=FILE, --stall=SEED, --progress\n", argv[i]);
            return 2;
        }
    }
    constexpr int values = output_words * output_lanes;
    const auto images = load<tb_pixel_t>("tb_data/images.bin");
    const auto expected = load<std::int32_t>("tb_data/expected.bin");
    const auto labels = load<std::int32_t>("tb_data/labels.bin");
    const int stored = int(labels.size());
    if (images.size() != std::size_t(stored) * input_words * input_lanes || expected.size() != std::size_t(stored) * values) {
        std::fprintf(stderr, "testbench: tb_data holds %d labels, but %zu pixel values and %zu expected values; this design has %d and %d an image\n",
                     stored, images.size(), expected.size(), input_words * input_lanes, values);
        return 2;
    }
    if (stored == 0 || count > stored) {
        std::fprintf(stderr, "testbench: tb_data holds %d images, so %d cannot be run\n", stored, count);
        return 2;
    }
    if (count < 0) count = stored;

#ifdef TAILOR_CLOCK
    sim::recorded().trace = trace != nullptr;
    sim::recorded().stall_seed = unsigned(stall);
#else
    if (stall) {
        std::fprintf(stderr, "testbench: only the simulations with a clock can stall\n");
        return 2;
    }
#endif
    std::vector<std::int32_t> got(std::size_t(count) * values, 0);
    const simulation result = simulate(images.data(), count, got.data(), progress);

    long long mismatched = 0, worst = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < got.size(); ++i)
        if (got[i] != expected[i]) {
            if (mismatched++ == 0) first = i;
            worst = std::max(worst, std::llabs((long long)got[i] - expected[i]));
        }
    if (mismatched < result.missing_values) mismatched = result.missing_values;
    int right = 0;  // of the images whose values are all there
    const int finished = (int(got.size()) - result.missing_values) / values;
    for (int i = 0; i < finished; ++i) {
        const auto logits = got.begin() + std::ptrdiff_t(i) * values;
        right += std::max_element(logits, logits + values) - logits == labels[i];
    }

    std::printf("%d images, %lld of %zu values mismatched, accuracy %.4f, %.3f s, %.1f images/s\n", count, mismatched, got.size(), double(right) / count,
                result.seconds, count / result.seconds);
    if (!result.deadlock.empty()) std::printf("DEADLOCK %s\n", result.deadlock.c_str());
    if (result.missing_values) std::printf("the design wrote %d values fewer or more than expected\n", result.missing_values);
    if (mismatched && got[first] != expected[first])
        std::printf("first mismatch: image %zu, class %zu: got %d, expected %d; largest difference %lld\n", first / values, first % values, got[first],
                    expected[first], worst);
    if (trace) write_trace(trace);
    if (json) {
        std::FILE* file = std::fopen(json, "w");
        if (!file) {
            std::fprintf(stderr, "testbench: cannot write %s\n", json);
            return 2;
        }
        std::fprintf(file, "{\"images\": %d,\n \"values\": %zu,\n \"mismatched_values\": %lld,\n \"largest_difference\": %lld,\n \"first_mismatch\": ", count,
                     got.size(), mismatched, worst);
        if (mismatched) {
            std::fprintf(file, "{\"image\": %zu, \"class\": %zu, \"got\": %d, \"expected\": %d}", first / values, first % values, got[first],
                         expected[first]);
        } else {
            std::fprintf(file, "null");
        }
        std::fprintf(file, ",\n \"accuracy\": %.9g,\n \"seconds\": %.6g,\n \"images_per_second\": %.6g%s}\n", double(right) / count, result.seconds,
                     count / result.seconds, measured_members(result, count).c_str());
        std::fclose(file);
    }
    return !result.deadlock.empty() ? 3 : mismatched ? 1 : 0;
}
