// A plain queue in place of AMD's hls::stream: the fast simulation runs one process after the other, so a stream fills, then drains.
#pragma once

#include <cstddef>
#include <vector>

namespace hls {

template <class T> class stream {
    std::vector<T> tokens;
    std::size_t head = 0;

public:
    explicit stream(const char*) {}
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    bool empty() const { return head == tokens.size(); }
    void write(const T& token) { tokens.push_back(token); }
    T read() {
        const T token = tokens.at(head);  // throws where hardware would wait for ever
        if (++head == tokens.size()) {
            tokens.clear();
            head = 0;
        }
        return token;
    }
};

}  // namespace hls
