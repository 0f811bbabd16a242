// A FIFO bounded to the depth of its `#pragma HLS STREAM`, whose tokens carry times (see fibers.h). The Makefile takes the depths from
// the pragmas of tailor_top.cpp, so what is simulated is what the generated source says.
#pragma once

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

struct occupancy_change {
    cycles time;
    int tokens;
};

struct fifo_record {
    std::string name;
    int depth;
    int max_occupancy;
    std::vector<occupancy_change> changes;  // kept only for a trace
};

struct record {
    bool trace = false;
    std::vector<fifo_record> fifos;
    cycles first_read = -1;    // of the input port
    cycles driven_until = -1;  // when the first process to do so read the last token of its last image
    void ends(cycles last_read) {
        if (driven_until < 0 || last_read < driven_until) driven_until = last_read;
    }
    std::vector<cycles> output_times;   // of the output port's tokens
};

inline record& recorded() {
    static record instance;
    return instance;
}

}  // namespace sim

namespace hls {

template <class T> class stream : public sim::channel {
    struct slot {
        T value;
        sim::cycles written;
    };
    std::deque<slot> tokens;              // written and not yet released
    std::deque<sim::cycles> freed;        // when each place that is free now was freed (ports: none)
    std::vector<sim::cycles> writes_at, reads_at;  // of every token so far, both ascending (ports: the last read)
    T staged;                             // what the open trip writes

    // A fiber may run ahead of another, so who is present when is only known at the end: token m meets the write of token n >= m, in
    // cycle w, if it is read in w or later.
    sim::fifo_record measured() const {
        sim::fifo_record result{name, depth, 0, {}};
        const bool trace = sim::recorded().trace;
        size_t gone = 0;
        for (size_t n = 0; n < writes_at.size(); ++n) {
            for (; gone < reads_at.size() && reads_at[gone] < writes_at[n]; ++gone)
                if (trace) result.changes.push_back({reads_at[gone] + 1, int(n - gone) - 1});
            const int present = int(n + 1 - gone);
            if (present > result.max_occupancy) result.max_occupancy = present;
            if (trace) result.changes.push_back({writes_at[n], present});
        }
        for (; trace && gone < reads_at.size(); ++gone) result.changes.push_back({reads_at[gone] + 1, int(writes_at.size() - gone) - 1});
        return result;
    }

public:
    const bool is_port;

    explicit stream(const char* label, bool port = false) : is_port(port) {
        name = label;
        for (const auto& row : sim::depths)
            if (depth == 0 && (!row.name || name == row.name)) depth = row.depth;
        if (!port) freed.assign(depth, 0);
    }
    ~stream() {
        if (!reads_at.empty()) sim::recorded().ends(reads_at.back());
        if (!is_port) sim::recorded().fifos.push_back(measured());
    }
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    bool empty() const { return tokens.empty(); }

    T read() {
        sim::fiber* self = sim::state().current;
        if (!self) return take();  // the testbench, outside any process
        while (tokens.empty()) sim::wait_for(*this, false);
        if (tokens.front().written > self->time) self->time = tokens.front().written;
        self->reads.push_back(this);
        return tokens.front().value;
    }

    void write(const T& token) {
        sim::fiber* self = sim::state().current;
        if (!self) {
            tokens.push_back({token, 0});
            return;
        }
        staged = token;
        self->writes.push_back(this);
    }

    T take() {
        const T value = tokens.front().value;
        tokens.pop_front();
        return value;
    }

    bool has_place() const override { return is_port || !freed.empty(); }
    sim::cycles place_free_since() const override { return is_port ? 0 : freed.front(); }

    void commit_write(sim::cycles time) override {
        tokens.push_back({staged, time});
        if (is_port) {
            sim::recorded().output_times.push_back(time);
        } else {
            freed.pop_front();
            writes_at.push_back(time);
        }
        sim::wake(reader_waits);
    }

    void commit_read(sim::cycles time) override {
        if (is_port) {
            if (sim::recorded().first_read < 0) sim::recorded().first_read = time;
            tokens.pop_front();
            reads_at.assign(1, time);
            return;
        }
        tokens.pop_front();
        reads_at.push_back(time);
        freed.push_back(time + 1);
        sim::wake(writer_waits);
    }
};

}  // namespace hls
