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
    using columns = column_word[before > 0 ? cfg::words : 1];
};

constexpr int power_of_two(int least) { return least > 1 ? 2 * power_of_two((least + 1) / 2) : 1; }

// The memory of a window whose taps come one after another: a bank for each row, or rows `pitch` words apart, so that an address is the
// row's number beside the place in it.
template <class cfg> struct ring_shape {
    using pixels = typename window_shape<cfg>::pixels;
    static constexpr int row_words = window_shape<cfg>::row_words, pitch = power_of_two(row_words);
    using banks = pixels[cfg::ring_rows][row_words];
    using ring = pixels[(cfg::ring_rows - 1) * pitch + row_words];
};

// Where the anchor is, in counters: no division. `phase` is the position modulo the stride.
template <class cfg> struct anchor {
    number<cfg::height - 1> row = 0;
    number<cfg::width - 1> column = 0;
    number<cfg::stride_h - 1> row_phase = 0;
    number<cfg::stride_w - 1> column_phase = 0;

    // Whether the anchor lies on the stride grid, inside the output.
    bool on_grid() const {
#pragma HLS INLINE
        return row_phase == 0 && column_phase == 0 && row <= (cfg::out_height - 1) * cfg::stride_h && column <= (cfg::out_width - 1) * cfg::stride_w;
    }

    bool row_inside(const int i) const {
#pragma HLS INLINE
        return row + i >= cfg::pad_top && row + i < cfg::height + cfg::pad_top;
    }

    bool column_inside(const int j) const {
#pragma HLS INLINE
        return column + j >= cfg::pad_left && column + j < cfg::width + cfg::pad_left;
    }

    // Whether a new row begins.
    bool advance() {
#pragma HLS INLINE
        column = next<cfg::width>(column);
        column_phase = next<cfg::stride_w>(column_phase);
        if (column != 0) return false;
        column_phase = 0;
        row = next<cfg::height>(row);
        row_phase = next<cfg::stride_h>(row_phase);
        if (row == 0) row_phase = 0;
        return true;
    }
};

// How far the visits are. Images and pixels are counted apart; `trailing` visits follow the last pixel of the batch.
template <class cfg> struct visits {
    int image = 0;                      // of the pixel that comes in, as the two below
    number<cfg::height - 1> row = 0;
    number<cfg::width - 1> column = 0;
    number<cfg::trailing> seen = 0;    // visits before this one, counted up to `trailing`
    number<cfg::trailing> behind = 0;  // visits since the last pixel of the batch

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
    number<cfg::words - 1> trip = 0;        // word of the visit
    number<shape::row_words - 1> place = 0;  // (column, word)
trips:
    for (bool more = images > 0; more;) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::image_trips max=cfg::image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=rows inter RAW distance=shape::row_words true
#pragma HLS DEPENDENCE variable=columns inter RAW distance=cfg::words true
        TRIP(1);
        const typename shape::pixels fresh = at.reads(images) ? in.read() : unread<typename cfg::in_t, cfg::lanes>();
        typename shape::row_word row = rows[has_rows ? int(place) : 0];
        typename shape::column_word column = columns[has_columns ? int(trip) : 0];
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

// The trips of the other two: the words that come in, those that go out, and their places in the ring. Words go out in the order
// [group][i][j][word of the group], with all rows of a column at once where `rows` is 1. No address is computed: each is the one before
// and a constant.
template <class cfg, int rows> struct ring_trips {
    static constexpr int row_words = window_shape<cfg>::row_words, groups = cfg::words / cfg::group_words;
    // From the last word of a group's tap to the next column, to the next row, and to the next group, where the next pixel's window begins.
    static constexpr int to_column = cfg::words - cfg::group_words + 1, to_group = 1 - (cfg::kernel_w - 1) * cfg::words;
    static constexpr int to_row = to_group - cfg::group_words, in_first_column = -cfg::pad_left * cfg::words;
    visits<cfg> at;
    anchor<cfg> here;
    bool reading = true;                         // the visit's words still come in
    number<cfg::words - 1> incoming = 0;         // which of them
    number<row_words - 1> place = 0;             // its place in its row
    number<cfg::group_words - 1> inner = 0;      // of the word that goes out: word of the group, column, row and group
    number<cfg::kernel_w - 1> j = 0;
    number<rows - 1> i = 0;
    number<groups - 1> group = 0;
    number<row_words - 1> tap = in_first_column;  // its place in its row, modulo a power of two where it is outside
    // Rows of the ring: of the newest pixel, of the window's first row, of the tap.
    static constexpr int above = (cfg::ring_rows - cfg::pad_top % cfg::ring_rows) % cfg::ring_rows;
    number<cfg::ring_rows - 1> newest = 0, first = above, row = above;

    bool reads(const int images) const {
#pragma HLS INLINE
        return reading && at.reads(images);
    }

    bool emits(const int images) const {
#pragma HLS INLINE
        return at.reaches(window_shape<cfg>::lag, images) && here.on_grid();
    }

    // Whether another trip follows.
    bool advance(const int images) {
#pragma HLS INLINE
        const bool emitting = emits(images), last_in = incoming == cfg::words - 1, last_word = inner == cfg::group_words - 1;
        const bool last_column = last_word && j == cfg::kernel_w - 1, last_row = last_column && i == rows - 1;
        const bool last = emitting ? last_row && group == groups - 1 : last_in;
        if (reading) {
            incoming = next<cfg::words>(incoming);
            place = next<row_words>(place);
            if (place == 0) newest = next<cfg::ring_rows>(newest);
        }
        reading = last || (reading && !last_in);
        if (emitting) {
            tap = tap + (!last_word ? 1 : !last_column ? to_column : !last_row ? to_row : to_group);
            inner = next<cfg::group_words>(inner);
            if (last_word) j = next<cfg::kernel_w>(j);
            if (last_column) i = next<rows>(i);
            if (last_column) row = last_row ? first : next<cfg::ring_rows>(row);
            if (last_row) group = next<groups>(group);
        }
        if (!last) return true;
        if (at.seen >= window_shape<cfg>::lag) {
            if (!emitting) tap = tap + cfg::words;
            if (here.advance()) {
                tap = in_first_column;
                first = next<cfg::ring_rows>(first);
            }
            row = first;
        }
        return at.advance(images);
    }
};

// An address that counts only where the tap is inside: a simulation reads no place that a memory does not have.
inline int known(const bool inside, const int address) {
#pragma HLS INLINE
    return synthesis || inside ? address : 0;
}

template <class cfg>
void window_column(const int images, hls::stream<typename window_shape<cfg>::pixels>& in, typename ring_shape<cfg>::banks& ring,
                   hls::stream<typename window_shape<cfg>::column>& out) {
#pragma HLS INLINE
#pragma HLS ARRAY_PARTITION variable=ring complete dim=1
    using pixels = typename window_shape<cfg>::pixels;
    for (auto& bank : ring) poison(bank);
    ring_trips<cfg, 1> trip;
trips:
    for (bool more = images > 0; more; more = trip.advance(images)) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::image_trips max=cfg::image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=ring inter RAW distance=cfg::ring_distance true
        TRIP(1);
        if (trip.reads(images)) {
            const pixels fresh = in.read();
            for (int bank = 0; bank < cfg::ring_rows; ++bank)
                if (bank == trip.newest) ring[bank][trip.place] = fresh;
        }
        if (trip.emits(images)) {
            const bool inside = trip.here.column_inside(trip.j);
            pixels found[cfg::ring_rows];
#pragma HLS ARRAY_PARTITION variable=found complete dim=0
            for (int bank = 0; bank < cfg::ring_rows; ++bank) found[bank] = ring[bank][known(inside, trip.tap)];
            typename window_shape<cfg>::column result;
#pragma HLS AGGREGATE variable=result
            for (int i = 0; i < cfg::kernel_h; ++i) {
                pixels tap = found[0];
                for (int first = 0; first < cfg::ring_rows; ++first)
                    if (first == trip.first) tap = found[(first + i) % cfg::ring_rows];
                for (int c = 0; c < cfg::lanes; ++c)
                    result[i * cfg::lanes + c] = inside && trip.here.row_inside(i) ? tap[c] : typename cfg::in_t(cfg::outside);
            }
            out.write(result);
        }
    }
}

template <class cfg>
void window_one(const int images, hls::stream<typename window_shape<cfg>::pixels>& in, typename ring_shape<cfg>::ring& ring,
                hls::stream<typename window_shape<cfg>::pixels>& out) {
#pragma HLS INLINE
    using pixels = typename window_shape<cfg>::pixels;
    poison(ring);
    ring_trips<cfg, cfg::kernel_h> trip;
trips:
    for (bool more = images > 0; more; more = trip.advance(images)) {
#pragma HLS LOOP_TRIPCOUNT min=cfg::image_trips max=cfg::image_trips
#pragma HLS PIPELINE II=1 style=flp
#pragma HLS LATENCY min=cfg::depth_cycles max=cfg::depth_cycles
#pragma HLS DEPENDENCE variable=ring inter RAW distance=cfg::ring_distance true
        TRIP(1);
        if (trip.reads(images)) ring[trip.newest * ring_shape<cfg>::pitch + trip.place] = in.read();
        if (trip.emits(images)) {
            const bool inside = trip.here.column_inside(trip.j) && trip.here.row_inside(trip.i);
            const pixels tap = ring[known(inside, trip.row * ring_shape<cfg>::pitch + trip.tap)];
            pixels result;
#pragma HLS AGGREGATE variable=result
            for (int c = 0; c < cfg::lanes; ++c) result[c] = inside ? tap[c] : typename cfg::in_t(cfg::outside);
            out.write(result);
        }
    }
}

#endif

}  // namespace tailor
