// A plain queue in place of AMD's hls::stream: the fast simulation runs one process after the other, so a stream fills, then drains.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace hls {

template <class T> class stream {
    std::vector<T> words;
    std::size_t head = 0;

    static std::vector<std::vector<T>>& left() {
        static thread_local std::vector<std::vector<T>> memory;
        return memory;
    }

public:
    // A batch's streams take the memory that those of the batch before have left.
    explicit stream(const char*) {
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
        const T value = words.at(head);  // throws where hardware would wait for ever
        if (++head == words.size()) {
            words.clear();
            head = 0;
        }
        return value;
    }
};

}  // namespace hls
