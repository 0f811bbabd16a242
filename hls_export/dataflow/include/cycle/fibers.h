// The clock of the cycle simulation. Every process runs in a fiber and keeps its own time; no global clock ticks.
//
//     begin(trip) = max(end(previous trip) + 1, t of every word it reads)                t: cycle from which a word can be read
//     end(trip)   = max(begin + cycles - 1, cycle behind the read that frees each place it writes to)
//     t           = end + latency + forward_cycles
//
// A trip of one cycle reads when it ends, a longer one when it begins; a word takes its place in a FIFO when the trip that writes it
// ends, and gives it back behind the cycle of its read. So nothing that is under way ever waits. `latency` is that of the process's
// pipeline (timing.h). Because times depend on words only by their position in their FIFO, they are exact and the same in whatever
// order the fibers run.
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

#include "record.h"
#include "timing.h"

namespace sim {

// What a fiber needs of a stream to end a trip and to explain a deadlock.
struct channel {
    virtual ~channel() = default;
    virtual bool has_place() const = 0;
    virtual cycles place_free_from() const = 0;
    virtual void commit_write(cycles placed, cycles readable) = 0;
    virtual void commit_read(cycles time) = 0;
    std::string name;
    int depth = 0;
    struct fiber *reader_waits = nullptr, *writer_waits = nullptr;
};

struct fiber {
    std::string name;
    cycles latency = 0;
    std::function<void()> body;
    ucontext_t context;
    void* stack = nullptr;
    cycles time = 0;   // the beginning of the trip that is open, or the first cycle after the last one
    cycles lasts = 0;  // cycles of the open trip; 0 if none is
    bool finished = false;
    std::vector<channel*> reads, writes;  // of the open trip
    channel* waits_for = nullptr;
    bool waits_to_write = false;
};

struct scheduler {
    std::vector<std::unique_ptr<fiber>> fibers;
    std::deque<fiber*> ready;
    ucontext_t main;
    fiber* current = nullptr;
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

// Ends the open trip: waits for its places, then reads and writes.
inline void end_trip() {
    fiber& self = *state().current;
    if (self.lasts == 0) return;
    cycles end = self.time + self.lasts - 1;
    for (channel* each : self.writes) {
        while (!each->has_place()) wait_for(*each, true);
        if (each->place_free_from() > end) end = each->place_free_from();
    }
    for (channel* each : self.reads) each->commit_read(end);
    for (channel* each : self.writes) each->commit_write(end, end + self.latency + forward_cycles);
    self.reads.clear();
    self.writes.clear();
    self.time = end + 1;
    self.lasts = 0;
}

inline void trip(cycles lasts) {
    end_trip();
    state().current->lasts = lasts;
}

inline void fiber_main() {
    fiber& self = *state().current;
    self.body();
    end_trip();
    self.finished = true;
    swapcontext(&self.context, &state().main);
}

inline void spawn(const char* name, cycles latency, std::function<void()> body) {
    state().fibers.emplace_back(new fiber);
    fiber& made = *state().fibers.back();
    made.name = name;
    made.latency = latency;
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

// The process at one end of a FIFO; none at the outer end of a port.
inline fiber* process_at(const channel& place, bool writer) {
    for (const auto& row : fifo_ends)
        if (place.name == row.fifo)
            for (auto& each : state().fibers)
                if (each->name == (writer ? row.producer : row.consumer)) return each.get();
    return nullptr;
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
    recorded().deadlock.clear();
    while (!all.ready.empty()) {
        all.current = all.ready.front();
        all.ready.pop_front();
        swapcontext(&all.main, &all.current->context);
    }
    all.current = nullptr;  // from here on the testbench touches the ports
    bool stuck = false;
    for (auto& each : all.fibers) stuck = stuck || !each->finished;
    if (stuck) recorded().deadlock = explain_deadlock();
    for (auto& each : all.fibers) munmap(each->stack, stack_bytes);
    all.fibers.clear();
}

}  // namespace sim
