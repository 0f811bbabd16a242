// What conv.h and pool.h share: line buffers, the window and the position of its anchor pixel.
//
// Token k is the newest pixel of the window. The anchor of the window is token k - lag, at (row, column) of its image; tap (i, j) of the
// window is the pixel (row - pad_top + i, column - pad_left + j). Taps outside the image are masked: padding costs no token and no cycle,
// and the tokens of the next image may follow at once.
#pragma once

#include "types.h"

namespace tailor {

// Where the anchor is, in counters: no division. `phase` is the position modulo the stride.
template <class cfg> struct anchor {
    int row = 0, column = 0, row_phase = 0, column_phase = 0;

    // Whether the anchor lies on the stride grid, inside the output.
    bool on_grid() const {
#pragma HLS INLINE
        return row_phase == 0 && column_phase == 0 && row <= (cfg::out_height - 1) * cfg::stride_h && column <= (cfg::out_width - 1) * cfg::stride_w;
    }

    bool inside(int i, int j) const {
#pragma HLS INLINE
        const int y = row - cfg::pad_top + i, x = column - cfg::pad_left + j;
        return y >= 0 && y < cfg::height && x >= 0 && x < cfg::width;
    }

    void advance() {
#pragma HLS INLINE
        column_phase = column_phase == cfg::stride_w - 1 ? 0 : column_phase + 1;
        if (++column < cfg::width) return;
        column = column_phase = 0;
        row_phase = row_phase == cfg::stride_h - 1 ? 0 : row_phase + 1;
        if (++row < cfg::height) return;
        row = row_phase = 0;
    }
};

template <class cfg> struct window_shape {
    static constexpr int lag = (cfg::kernel_h - 1 - cfg::pad_top) * cfg::width + (cfg::kernel_w - 1 - cfg::pad_left);
    static constexpr int rows = cfg::kernel_h > 1 ? cfg::kernel_h - 1 : 1;  // line buffers (one that is never read where none is needed)
    static constexpr int taps = cfg::kernel_h * cfg::kernel_w;
    using in_t = typename cfg::in_t;
    using token = pixel<in_t, cfg::channels_in>;
    using line_buffers = in_t[rows][cfg::width][cfg::channels_in];
    using registers = in_t[cfg::kernel_h][cfg::kernel_w][cfg::channels_in];
};

// Shifts the window one pixel to the left; its new right column is the line buffers' column and the new token below.
template <class cfg>
inline void shift_in(const typename window_shape<cfg>::token& token, const int column, typename window_shape<cfg>::line_buffers& lines,
                     typename window_shape<cfg>::registers& window) {
#pragma HLS INLINE
    for (int i = 0; i < cfg::kernel_h; ++i)
        for (int j = 0; j + 1 < cfg::kernel_w; ++j)
            for (int c = 0; c < cfg::channels_in; ++c) window[i][j][c] = window[i][j + 1][c];
    for (int i = 0; i < cfg::kernel_h; ++i)
        for (int c = 0; c < cfg::channels_in; ++c) {
            const typename cfg::in_t value = i + 1 < cfg::kernel_h ? lines[i < window_shape<cfg>::rows ? i : 0][column][c] : token[c];
            window[i][cfg::kernel_w - 1][c] = value;
            if (i > 0) lines[i - 1][column][c] = value;  // each row moves up one line buffer
        }
}

// Simulations start from zeros so that they are repeatable; hardware needs no such loop, because what was not read yet is masked.
template <class cfg> inline void clear(typename window_shape<cfg>::line_buffers& lines, typename window_shape<cfg>::registers& window) {
    if (synthesis) return;
    for (auto& line : lines)
        for (auto& values : line)
            for (auto& value : values) value = 0;
    for (auto& row : window)
        for (auto& values : row)
            for (auto& value : values) value = 0;
}

}  // namespace tailor
