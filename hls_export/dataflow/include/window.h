// The taps of a window over a stream of pixels, for convolutions and pools.
//
// Visit k takes in pixel k, `words` words of `lanes` channels. The anchor of the window is pixel k - lag, at (row, column) of its image;
// tap (i, j) is the pixel (row - pad_top + i, column - pad_left + j), which came in (kernel_h - 1 - i) width + kernel_w - 1 - j visits
// ago. If the anchor lies on the stride grid, the visit emits the taps; those outside the image are `outside`. So padding costs neither
// words nor cycles, and the next image may follow at once.
//
//     taps    a word holds                words of a visit, in order                  memories
//     all     [i][j][lane]                [word]                                      rows: the rows above at (column, word); columns: the
//                                                                                     columns before, at (word)
//     column  [i][lane]                   [group][j][word of the group]               ring_rows banks of a row
//     one     [lane]                      [group][i][j][word of the group]            ring_rows rows
#pragma once

#include "types.h"

namespace tailor {

template <class cfg> struct window_shape {
    using in_t = typename cfg::in_t;
    static constexpr int lag = (cfg::kernel_h - 1 - cfg::pad_top) * cfg::width + (cfg::kernel_w - 1 - cfg::pad_left);
    static constexpr int taps = cfg::kernel_h * cfg::kernel_w;
    static constexpr int above = cfg::kernel_h - 1, before = cfg::kernel_w - 1;
    static constexpr int row_words = cfg::width * cfg::words;
    using pixels = word<in_t, cfg::lanes>;                                            // what comes in
    using whole = word<in_t, taps * cfg::lanes>;                                      // all taps
    using column = word<in_t, cfg::kernel_h * cfg::lanes>;                            // those of a column
    using row_word = word<in_t, (above > 0 ? above : 1) * cfg::lanes>;                // the rows above, at a place
    using column_word = word<in_t, cfg::kernel_h * (before > 0 ? before : 1) * cfg::lanes>;
    using rows = row_word[above > 0 ? row_words : 1];
    using columns = column_word[cfg::words];
};

// The memory of a window whose taps come one after another.
template <class cfg> struct ring_shape {
    using pixels = typename window_shape<cfg>::pixels;
    using banks = pixels[cfg::ring_rows][window_shape<cfg>::row_words];
    using ring = pixels[cfg::ring_rows * window_shape<cfg>::row_words];
};

// Where the anchor is, in counters: no division. `phase` is the position modulo the stride.
template <class cfg> struct anchor {
    int row = 0, column = 0, row_phase = 0, column_phase = 0;

    // Whether the anchor lies on the stride grid, inside the output.
    bool on_grid() const {
#pragma HLS INLINE
        return row_phase == 0 && column_phase == 0 && row <= (cfg::out_height - 1) * cfg::stride_h && column <= (cfg::out_width - 1) * cfg::stride_w;
    }

    bool row_inside(int i) const {
#pragma HLS INLINE
        const int y = row - cfg::pad_top + i;
        return y >= 0 && y < cfg::height;
    }

    bool column_inside(int j) const {
#pragma HLS INLINE
        const int x = column - cfg::pad_left + j;
        return x >= 0 && x < cfg::width;
    }

    // Whether a new row begins.
    bool advance() {
#pragma HLS INLINE
        column_phase = next<cfg::stride_w>(column_phase);
        if (++column < cfg::width) return false;
        column = column_phase = 0;
        row_phase = next<cfg::stride_h>(row_phase);
        if (++row == cfg::height) row = row_phase = 0;
        return true;
    }
};

// How far the visits are. Images and pixels are counted apart; `trailing` visits follow the last pixel of the batch.
template <class cfg> struct visits {
    int image = 0, row = 0, column = 0;  // of the pixel that comes in
    int seen = 0;                        // visits before this one, counted up to `trailing`
    int behind = 0;                      // visits since the last pixel of the batch

    bool reads(const int images) const {
#pragma HLS INLINE
        return image < images;
    }

    // Whether the pixel that came in so many visits ago is one of the batch.
    bool reaches(const int pixels, const int images) const {
#pragma HLS INLINE
        return seen >= pixels && (image < images || behind < pixels);
    }

    // Whether another visit follows.
    bool advance(const int images) {
#pragma HLS INLINE
        if (seen < cfg::trailing) ++seen;
        if (image == images) {
            ++behind;
        } else {
            column = next<cfg::width>(column);
            if (column == 0) row = next<cfg::height>(row);
            if (column == 0 && row == 0) ++image;
        }
        return image < images || behind < cfg::trailing;
    }
};

// Hands on the raw words of a pixel: of that tap of the window which came in so many visits ago.
template <class cfg> inline void hand_on(const typename window_shape<cfg>::whole&, const visits<cfg>&, const int) {}

template <class cfg, int pixels, int... more, class... streams>
inline void hand_on(const typename window_shape<cfg>::whole& window, const visits<cfg>& at, const int images,
                    hls::stream<typename window_shape<cfg>::pixels>& first, streams&... rest) {
#pragma HLS INLINE
    constexpr int up = smaller(pixels / cfg::width, cfg::kernel_h - 1), left = pixels - up * cfg::width;
    static_assert(left < cfg::kernel_w, "only the words of a tap can be handed on");
    constexpr int tap = (cfg::kernel_h - 1 - up) * cfg::kernel_w + cfg::kernel_w - 1 - left;
    if (at.reaches(pixels, images)) {
        typename window_shape<cfg>::pixels value;
#pragma HLS AGGREGATE variable=value
        for (int c = 0; c < cfg::lanes; ++c) value[c] = window[tap * cfg::lanes + c];
        first.write(value);
    }
    hand_on<cfg, more...>(window, at, images, rest...);
}

// Takes the newest word in: the window of the words at this place, and what the memories keep of it.
template <class cfg>
inline void shift_in(const typename window_shape<cfg>::pixels& fresh, typename window_shape<cfg>::row_word& row,
                     typename window_shape<cfg>::column_word& column, typename window_shape<cfg>::whole& window) {
#pragma HLS INLINE
    constexpr int lanes = cfg::lanes, high = cfg::kernel_h, wide = cfg::kernel_w, before = wide - 1;
    for (int i = 0; i < high; ++i) {
        for (int j = 0; j < before; ++j)
            for (int c = 0; c < lanes; ++c) window[(i * wide + j) * lanes + c] = column[(i * before + j) * lanes + c];
        for (int c = 0; c < lanes; ++c) window[(i * wide + before) * lanes + c] = i + 1 < high ? row[(i + 1 < high ? i : 0) * lanes + c] : fresh[c];
    }
    for (int i = 0; i < high; ++i)
        for (int j = 0; j < before; ++j)
            for (int c = 0; c < lanes; ++c) column[(i * before + j) * lanes + c] = window[(i * wide + j + 1) * lanes + c];
    for (int i = 0; i + 1 < high; ++i)
        for (int c = 0; c < lanes; ++c) row[i * lanes + c] = window[((i + 1) * wide + before) * lanes + c];
}

template <class cfg, int... pixels, class... streams>
void window_all(const int images, hls::stream<typename window_shape<cfg>::pixels>& in, typename window_shape<cfg>::rows& rows,
                typename window_shape<cfg>::columns& columns, hls::stream<typename window_shape<cfg>::whole>& out,
                streams&... skips) {
#pragma HLS INLINE
    using shape = window_shape<cfg>;
    constexpr bool has_rows = cfg::kernel_h > 1, has_columns = cfg::kernel_w > 1;
    poison(rows);
    poison(columns);
    visits<cfg> at;
    anchor<cfg> here;
    int trip = 0, place = 0;  // word of the visit; (column, word)
trips:
    for (bool more = images > 0; more;) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::image_trips max=cfg::image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=rows type=inter direction=RAW distance=shape::row_words dependent=true
#pragma HLS DEPENDENCE variable=columns type=inter direction=RAW distance=cfg::words dependent=true
        TRIP(1);
        const typename shape::pixels fresh = at.reads(images) ? in.read() : unread<typename cfg::in_t, cfg::lanes>();
        typename shape::row_word row = rows[has_rows ? place : 0];
        typename shape::column_word column = columns[has_columns ? trip : 0];
        typename shape::whole window;
#pragma HLS AGGREGATE variable=row
#pragma HLS AGGREGATE variable=column
#pragma HLS AGGREGATE variable=window
        shift_in<cfg>(fresh, row, column, window);
        if (has_rows) rows[place] = row;
        if (has_columns) columns[trip] = column;
        hand_on<cfg, pixels...>(window, at, images, skips...);
        if (at.reaches(shape::lag, images) && here.on_grid()) {
            for (int i = 0; i < cfg::kernel_h; ++i)
                for (int j = 0; j < cfg::kernel_w; ++j) {
                    const bool inside = here.row_inside(i) && here.column_inside(j);
                    for (int c = 0; c < cfg::lanes; ++c) {
                        typename cfg::in_t& value = window[(i * cfg::kernel_w + j) * cfg::lanes + c];
                        if (!inside) value = typename cfg::in_t(cfg::outside);
                    }
                }
            out.write(window);
        }
        place = next<shape::row_words>(place);
        trip = next<cfg::words>(trip);
        if (trip == 0) {
            if (at.seen >= shape::lag) here.advance();
            more = at.advance(images);
        }
    }
}

#ifdef TAILOR_FAST

// Whole pixels have all their taps at once.
template <class cfg, class memory>
void window_column(const int images, hls::stream<typename window_shape<cfg>::pixels>& in, memory&, hls::stream<typename window_shape<cfg>::whole>& out) {
    typename window_shape<cfg>::rows rows;
    typename window_shape<cfg>::columns columns;
    window_all<cfg>(images, in, rows, columns, out);
}

template <class cfg, class memory>
void window_one(const int images, hls::stream<typename window_shape<cfg>::pixels>& in, memory& ring, hls::stream<typename window_shape<cfg>::whole>& out) {
    window_column<cfg>(images, in, ring, out);
}

#else

// The order in which the other two emit: words of the group, then taps, then groups.
template <class cfg, int taps> struct emission {
    int trip = 0, inner = 0, tap = 0, group = 0;
    int place() const {
#pragma HLS INLINE
        return group * cfg::group_words + inner;
    }
    void advance() {
#pragma HLS INLINE
        ++trip;
        inner = next<cfg::group_words>(inner);
        if (inner == 0) tap = next<taps>(tap);
        if (inner == 0 && tap == 0) ++group;
    }
};

// The row of the ring, `i` rows below `first`.
template <class cfg> inline int ring_row(const int first, const int i) {
#pragma HLS INLINE
    return first + i < cfg::ring_rows ? first + i : first + i - cfg::ring_rows;
}

template <class cfg>
void window_column(const int images, hls::stream<typename window_shape<cfg>::pixels>& in, typename ring_shape<cfg>::banks& ring,
                   hls::stream<typename window_shape<cfg>::column>& out) {
#pragma HLS INLINE
#pragma HLS ARRAY_PARTITION variable=ring type=complete dim=1
    using shape = window_shape<cfg>;
    using pixels = typename shape::pixels;
    for (auto& bank : ring) poison(bank);
    visits<cfg> at;
    anchor<cfg> here;
    emission<cfg, cfg::kernel_w> order;
    int newest = 0, first = (cfg::ring_rows - cfg::pad_top % cfg::ring_rows) % cfg::ring_rows;  // rows of the ring
trips:
    for (bool more = images > 0; more;) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::image_trips max=cfg::image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=ring type=inter direction=RAW distance=cfg::ring_distance dependent=true
        TRIP(1);
        const bool emits = at.reaches(shape::lag, images) && here.on_grid();
        const bool last = order.trip == (emits ? cfg::kernel_w * cfg::words : cfg::words) - 1;
        if (at.reads(images) && order.trip < cfg::words) {
            const pixels fresh = in.read();
            for (int bank = 0; bank < cfg::ring_rows; ++bank)
                if (bank == newest) ring[bank][at.column * cfg::words + order.trip] = fresh;
        }
        if (emits) {
            const bool inside = here.column_inside(order.tap);
            const int place = inside ? (here.column - cfg::pad_left + order.tap) * cfg::words + order.place() : 0;
            pixels found[cfg::ring_rows];
#pragma HLS ARRAY_PARTITION variable=found type=complete dim=0
            for (int bank = 0; bank < cfg::ring_rows; ++bank) found[bank] = ring[bank][place];
            typename shape::column result;
#pragma HLS AGGREGATE variable=result
            for (int i = 0; i < cfg::kernel_h; ++i) {
                const pixels tap = found[ring_row<cfg>(first, i)];
                for (int c = 0; c < cfg::lanes; ++c)
                    result[i * cfg::lanes + c] = inside && here.row_inside(i) ? tap[c] : typename cfg::in_t(cfg::outside);
            }
            out.write(result);
        }
        order.advance();
        if (last) {
            order = {};
            if (at.seen >= shape::lag && here.advance()) first = next<cfg::ring_rows>(first);
            if (at.reads(images) && at.column == cfg::width - 1) newest = next<cfg::ring_rows>(newest);
            more = at.advance(images);
        }
    }
}

template <class cfg>
void window_one(const int images, hls::stream<typename window_shape<cfg>::pixels>& in, typename ring_shape<cfg>::ring& ring,
                hls::stream<typename window_shape<cfg>::pixels>& out) {
#pragma HLS INLINE
    using shape = window_shape<cfg>;
    using pixels = typename shape::pixels;
    poison(ring);
    visits<cfg> at;
    anchor<cfg> here;
    emission<cfg, shape::taps> order;
    int i = 0, j = 0;  // of the tap
    int newest = 0, first = (cfg::ring_rows - cfg::pad_top % cfg::ring_rows) % cfg::ring_rows;  // rows of the ring
trips:
    for (bool more = images > 0; more;) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::image_trips max=cfg::image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=ring type=inter direction=RAW distance=cfg::ring_distance dependent=true
        TRIP(1);
        const bool emits = at.reaches(shape::lag, images) && here.on_grid();
        const bool last = order.trip == (emits ? shape::taps * cfg::words : cfg::words) - 1;
        if (at.reads(images) && order.trip < cfg::words) ring[(newest * cfg::width + at.column) * cfg::words + order.trip] = in.read();
        if (emits) {
            const bool inside = here.column_inside(j) && here.row_inside(i);
            const int column = inside ? here.column - cfg::pad_left + j : 0;
            const pixels tap = ring[(ring_row<cfg>(first, i) * cfg::width + column) * cfg::words + order.place()];
            pixels result;
#pragma HLS AGGREGATE variable=result
            for (int c = 0; c < cfg::lanes; ++c) result[c] = inside ? tap[c] : typename cfg::in_t(cfg::outside);
            out.write(result);
        }
        order.advance();
        if (order.inner == 0) {
            j = next<cfg::kernel_w>(j);
            if (j == 0) i = next<cfg::kernel_h>(i);
        }
        if (last) {
            order = {};
            i = j = 0;
            if (at.seen >= shape::lag && here.advance()) first = next<cfg::ring_rows>(first);
            if (at.reads(images) && at.column == cfg::width - 1) newest = next<cfg::ring_rows>(newest);
            more = at.advance(images);
        }
    }
}

#endif

}  // namespace tailor
