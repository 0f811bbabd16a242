// A FIFO bounded to the depth of its `#pragma HLS STREAM`, whose words carry times (see fibers.h). The Makefile takes the depths from
// the pragmas of tailor_top.cpp, so what is simulated is what the generated source says.
#pragma once

#include <algorithm>

#include "fibers.h"

namespace sim {

// {name, depth} of every `#pragma HLS STREAM variable=name depth=depth`.
struct depth_row {
    const char* name;
    int depth;
};
constexpr depth_row depths[] = {
#include "fifo_depths.inc"
    {nullptr, 2},  // what Vitis HLS gives a stream without a pragma
};

}  // namespace sim

namespace hls {

template <class T> class stream : public sim::channel {
    struct slot {
        T value;
        sim::cycles readable;
    };
    std::deque<slot> words;                         // written and not yet read
    std::deque<sim::cycles> freed;                  // from when each place that is free now is so (ports: see below)
    std::vector<sim::cycles> placed_at, reads_at;   // of every word so far, both ascending (ports: the last read)
    T staged;                                       // what the open trip writes
    sim::stalls stalled;
    sim::cycles outside = 0;                        // of a port that stalls: when the other side handles its next word

    // A fiber may run ahead of another, so who is present when is only known at the end: word m meets the placing of word n >= m, in
    // cycle w, if it is read in w or later.
    sim::fifo_record measured() const {
        sim::fifo_record result{name, depth, 0, {}};
        const bool trace = sim::recorded().trace;
        size_t gone = 0;
        for (size_t n = 0; n < placed_at.size(); ++n) {
            for (; gone < reads_at.size() && reads_at[gone] < placed_at[n]; ++gone)
                if (trace) result.changes.push_back({reads_at[gone] + 1, int(n - gone) - 1});
            const int present = int(n + 1 - gone);
            if (present > result.max_occupancy) result.max_occupancy = present;
            if (trace) result.changes.push_back({placed_at[n], present});
        }
        for (; trace && gone < reads_at.size(); ++gone) result.changes.push_back({reads_at[gone] + 1, int(placed_at.size() - gone) - 1});
        return result;
    }

public:
    const bool is_port;

    // A port that stalls takes two words before its sink must have taken one.
    explicit stream(const char* label, bool port = false) : stalled(port ? sim::recorded().stall_seed : 0), is_port(port) {
        name = label;
        for (const auto& row : sim::depths)
            if (depth == 0 && (!row.name || name == row.name)) depth = row.depth;
        freed.assign(port ? 2 : depth, 0);
    }
    ~stream() {
        if (!reads_at.empty()) sim::recorded().ends(reads_at.back());
        if (!is_port) sim::recorded().fifos.push_back(measured());
    }
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    bool empty() const { return words.empty(); }

    T read() {
        sim::fiber* self = sim::state().current;
        if (!self) return take();  // the testbench, outside any process
        while (words.empty()) sim::wait_for(*this, false);
        const slot& first = words.front();
        if (first.readable > self->time) self->time = first.readable;
        const T value = first.value;
        if (self->lasts > 1) {
            commit_read(self->time);
        } else {
            self->reads.push_back(this);
        }
        return value;
    }

    void write(const T& value) {
        sim::fiber* self = sim::state().current;
        if (!self) {
            outside += stalled.next();
            words.push_back({value, outside});
            return;
        }
        staged = value;
        self->writes.push_back(this);
    }

    T take() {
        const T value = words.front().value;
        words.pop_front();
        return value;
    }

    bool has_place() const override { return !freed.empty(); }
    sim::cycles place_free_from() const override { return freed.front(); }

    void commit_write(sim::cycles placed, sim::cycles readable) override {
        words.push_back({staged, readable});
        freed.pop_front();
        if (is_port) {
            sim::recorded().output_times.push_back(readable);
            outside = sim::recorded().stall_seed ? std::max(outside + 1, readable) + stalled.next() : -1;
            freed.push_back(outside + 1);
        } else {
            placed_at.push_back(placed);
        }
        sim::wake(reader_waits);
    }

    void commit_read(sim::cycles time) override {
        words.pop_front();
        if (is_port) {
            reads_at.assign(1, time);
            return;
        }
        reads_at.push_back(time);
        freed.push_back(time + 1);
        sim::wake(writer_waits);
    }
};

}  // namespace hls
