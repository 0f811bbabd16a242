// What a simulation with a clock records: of the C++ in fibers, and of the Verilog.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sim {

using cycles = long long;

struct occupancy_change {
    cycles time;
    int words;
};

struct fifo_record {
    std::string name;
    int depth;
    int max_occupancy;
    std::vector<occupancy_change> changes;  // kept only for a trace
};

struct record {
    bool trace = false;
    unsigned stall_seed = 0;  // 0: words come as they are taken, and are taken as they come
    std::vector<fifo_record> fifos;
    cycles driven_until = -1;          // when the first process to do so read the last word of its last image
    std::vector<cycles> output_times;  // when each word of the output port can be read
    std::string deadlock;              // empty, or who waits for whom, in JSON
    void ends(cycles last_read) {
        if (driven_until < 0 || last_read < driven_until) driven_until = last_read;
    }
};

inline record& recorded() {
    static record instance;
    return instance;
}

// Cycles that a source or a sink idles before its next word, drawn from a seed: mostly none, sometimes many.
class stalls {
    std::uint64_t state;

public:
    explicit stalls(unsigned seed) : state(seed * 0x9e3779b97f4a7c15ull) {}
    cycles next() {
        if (state == 0) return 0;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % 16 ? 0 : cycles(state >> 8 & 255);
    }
};

}  // namespace sim
