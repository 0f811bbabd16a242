// The clock of the cycle simulation. Every process runs in a fiber and keeps its own time; no global clock ticks.
//
//     t(trip) = max(t(previous trip) + 1, write time of every token it reads, release time + 1 - L of every place it writes to)
//
// A trip of a pipelined loop reads in the cycle t and writes in the cycle t + L, L = process_latency_cycles being the depth of the pipeline
// (timing.h); another trip can start every cycle. A token written in cycle t can be read in cycle t; the place that a read frees in cycle t
// can be written in cycle t + 1. Because t depends on tokens
// only by their position in their FIFO, the times are exact and the same in whatever order the fibers run.
#pragma once

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "timing.h"

namespace sim {

using cycles = long long;

// What a fiber needs of a stream to end a trip and to explain a deadlock.
struct channel {
    virtual ~channel() = default;
    virtual bool has_place() const = 0;
    virtual cycles place_free_since() const = 0;
    virtual void commit_write(cycles time) = 0;
    virtual void commit_read(cycles time) = 0;
    std::string name;
    int depth = 0;
    struct fiber *reader_waits = nullptr, *writer_waits = nullptr;
};

struct fiber {
    std::string name;
    std::function<void()> body;
    ucontext_t context;
    void* stack = nullptr;
    cycles time = 0;        // of the trip that is open, or the first cycle after the last one
    bool trip_open = false, finished = false;
    std::vector<channel*> reads, writes;  // of the open trip
    const channel* waits_for = nullptr;
    bool waits_to_write = false;
};

struct scheduler {
    std::vector<std::unique_ptr<fiber>> fibers;
    std::deque<fiber*> ready;
    ucontext_t main;
    fiber* current = nullptr;
    std::string deadlock;  // empty, or the report in JSON
};

inline scheduler& state() {
    static scheduler instance;
    return instance;
}

constexpr std::size_t stack_bytes = std::size_t(64) << 20;  // reserved, and touched only as far as line buffers need

// Hands control back until another fiber changes this channel.
inline void wait_for(channel& place, bool to_write) {
    fiber& self = *state().current;
    (to_write ? place.writer_waits : place.reader_waits) = &self;
    self.waits_for = &place;
    self.waits_to_write = to_write;
    swapcontext(&self.context, &state().main);
}

inline void wake(fiber*& waiting) {
    if (!waiting) return;
    waiting->waits_for = nullptr;
    state().ready.push_back(waiting);
    waiting = nullptr;
}

// Ends the open trip: waits for its places, then reads, and writes as many cycles later as the pipeline is deep.
inline void end_trip() {
    fiber& self = *state().current;
    if (!self.trip_open) return;
    for (channel* each : self.writes) {
        while (!each->has_place()) wait_for(*each, true);
        if (each->place_free_since() > self.time + process_latency_cycles) self.time = each->place_free_since() - process_latency_cycles;
    }
    for (channel* each : self.reads) each->commit_read(self.time);
    for (channel* each : self.writes) each->commit_write(self.time + process_latency_cycles);
    self.reads.clear();
    self.writes.clear();
    ++self.time;
    self.trip_open = false;
}

inline void trip() {
    end_trip();
    state().current->trip_open = true;
}

inline void fiber_main() {
    fiber& self = *state().current;
    self.body();
    end_trip();
    self.finished = true;
    swapcontext(&self.context, &state().main);
}

inline void spawn(const char* name, std::function<void()> body) {
    state().fibers.emplace_back(new fiber);
    fiber& made = *state().fibers.back();
    made.name = name;
    made.body = std::move(body);
    made.stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made.stack == MAP_FAILED) {
        std::perror("cannot reserve the stack of a process");
        std::exit(2);
    }
    getcontext(&made.context);
    made.context.uc_stack.ss_sp = made.stack;
    made.context.uc_stack.ss_size = stack_bytes;
    made.context.uc_link = nullptr;
    makecontext(&made.context, fiber_main, 0);
    state().ready.push_back(&made);
}

// The process at one end of a FIFO, by its name: producer__consumer, where a tensor with several readers goes through producer__clone.
inline fiber* process_at(const channel& place, bool writer) {
    const auto split = place.name.find("__");
    const std::string producer = place.name.substr(0, split), rest = split == std::string::npos ? "" : place.name.substr(split + 2);
    const std::string consumer = rest.substr(0, rest.find("__"));  // a node that reads a tensor twice does so by `producer__consumer__2`
    const std::string clone = producer + "__clone";
    fiber *exact = nullptr, *copy = nullptr;
    for (auto& each : state().fibers) {
        if (each->name == (writer ? producer : consumer)) exact = each.get();
        if (each->name == clone) copy = each.get();
    }
    return copy && (writer ? consumer != "clone" : consumer == "clone") ? copy : exact;
}

inline std::string waiting(const fiber& process) {
    const std::string what = process.waits_to_write ? "waits to write into the full FIFO " : "waits to read from the empty FIFO ";
    return process.name + " " + what + process.waits_for->name + " (depth " + std::to_string(process.waits_for->depth) + ")";
}

// Follows who waits for whom until a process comes back: the cycle of the deadlock.
inline std::string explain_deadlock() {
    std::vector<fiber*> path;
    for (auto& each : state().fibers)
        if (!each->finished) {
            path.push_back(each.get());
            break;
        }
    std::size_t start = 0;
    for (bool closed = false; !closed;) {
        fiber* next = process_at(*path.back()->waits_for, !path.back()->waits_to_write);
        if (!next || next->finished) break;
        for (std::size_t i = 0; i < path.size() && !closed; ++i)
            if (path[i] == next) {
                start = i;
                closed = true;
            }
        if (!closed) path.push_back(next);
    }
    std::string fifos, lines;
    for (std::size_t i = start; i < path.size(); ++i) {
        if (path[i]->waits_to_write) fifos += (fifos.empty() ? "\"" : ", \"") + path[i]->waits_for->name + "\"";
        lines += (lines.empty() ? "\"" : ", \"") + waiting(*path[i]) + "\"";
    }
    return "{\"full_fifos\": [" + fifos + "], \"waiting\": [" + lines + "]}";
}

// Runs every spawned process to its end, or to a deadlock, which it records.
inline void run() {
    scheduler& all = state();
    all.deadlock.clear();
    while (!all.ready.empty()) {
        all.current = all.ready.front();
        all.ready.pop_front();
        swapcontext(&all.main, &all.current->context);
    }
    all.current = nullptr;  // from here on the testbench touches the ports
    bool stuck = false;
    for (auto& each : all.fibers) stuck = stuck || !each->finished;
    if (stuck) all.deadlock = explain_deadlock();
    for (auto& each : all.fibers) munmap(each->stack, stack_bytes);
    all.fibers.clear();
}

}  // namespace sim
