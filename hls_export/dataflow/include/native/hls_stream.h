// A plain queue in place of AMD's hls::stream: the fast simulation runs one process after the other, so a stream fills, then drains.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hls {

template <class T> class stream {
    const char* name;
    std::vector<T> words;
    std::size_t head = 0;

    static std::vector<std::vector<T>>& left() {
        static thread_local std::vector<std::vector<T>> memory;
        return memory;
    }

public:
    // A batch's streams take the memory that those of the batch before have left.
    explicit stream(const char* given) : name(given) {
        if (left().empty()) return;
        words.swap(left().back());
        left().pop_back();
    }
    ~stream() {
        words.clear();
        left().push_back(std::move(words));
    }
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    bool empty() const { return head == words.size(); }
    void write(const T& value) { words.push_back(value); }
    T read() {
        if (empty()) throw std::runtime_error(std::string("a process waits to read from the empty FIFO ") + name);
        const T value = words[head];
        if (++head == words.size()) {
            words.clear();
            head = 0;
        }
        return value;
    }
};

}  // namespace hls
