"""A sample of the Verilog parts that has every kind: in sizes of the cost model's grid, and in others that it has not:
signed inputs, shifts to the left and beyond the width, unequal strides and paddings, groups, one pixel, one lane, ...
"""

from experiments.calibrate.point import Point, parse


def _points(keys: str) -> list[Point]:
    return [parse(key) for key in keys.splitlines()]


GRID = _points("""\
clone count=2 width=5
credit depth=5
add lanes=2 bits=5 align=2 shift=3 relu=1
add lanes=2 bits=5 align=0 shift=1 relu=0
relu lanes=2 bits=5
convert in=2 out=6 bits=5
convert in=6 out=2 bits=5
maximum taps=9 lanes=2 bits=5
mean taps=4 lanes=2 bits=5
mean taps=9 lanes=2 bits=5
average pixels=16 words=3 lanes=2 bits=5
average pixels=9 words=1 lanes=3 bits=8
rom style=lut depth=20 width=9
rom style=lut depth=300 width=9
rom style=lut depth=1100 width=3
finish pe=2 lanes=4 acc=20 bits=8 shift=7 relu=0 depth=8 add=1
finish pe=6 lanes=2 acc=20 bits=8 shift=7 relu=1 depth=9 add=1
finish pe=4 lanes=1 acc=20 bits=8 shift=5 relu=0 depth=32 add=0
finish pe=4 lanes=4 acc=20 bits=20 shift=0 relu=0 depth=1 add=0
window style=bram kh=3 kw=3 height=4 columns=5 stride=1 words=3 width=6 hand=0
window style=lutram kh=3 kw=3 height=6 columns=6 stride=2 words=1 width=6 hand=1
window style=lutram kh=1 kw=1 height=6 columns=6 stride=2 words=4 width=6 hand=0
ring style=lutram column=1 kh=3 kw=3 height=6 columns=6 stride=2 words=4 group=2 width=6
ring style=bram column=0 kh=3 kw=3 height=5 columns=7 stride=1 words=4 group=1 width=6
mac multiplier=lut style=lutram slices=3 blocks=2 simd=5 pe=2 w=3 a=4 depthwise=0
mac multiplier=pair style=lutram slices=3 blocks=3 simd=7 pe=3 w=8 a=8 depthwise=0
mac multiplier=pair style=lutram slices=1 blocks=4 simd=9 pe=2 w=8 a=8 depthwise=0
mac multiplier=dsp style=bram slices=5 blocks=3 simd=7 pe=2 w=16 a=16 depthwise=0
mac multiplier=dsp style=lutram slices=3 blocks=1 simd=6 pe=2 w=8 a=8 depthwise=1
""")
GENERAL = _points("""\
clone count=4 width=1
add lanes=1 a_bits=6 a_signed=0 b_bits=4 b_signed=1 align_a=0 align_b=3 shift=2 relu=0 bits=5 signed=1
add lanes=3 a_bits=4 a_signed=1 b_bits=7 b_signed=0 align_a=1 align_b=0 shift=5 relu=1 bits=4 signed=1
add lanes=2 a_bits=4 a_signed=1 b_bits=4 b_signed=1 align_a=0 align_b=0 shift=-3 relu=0 bits=6 signed=1
add lanes=2 a_bits=4 a_signed=1 b_bits=4 b_signed=1 align_a=0 align_b=0 shift=40 relu=0 bits=6 signed=0
add lanes=2 a_bits=4 a_signed=1 b_bits=4 b_signed=1 align_a=0 align_b=0 shift=-40 relu=0 bits=6 signed=0
add lanes=2 a_bits=5 a_signed=1 b_bits=6 b_signed=1 align_a=4 align_b=0 shift=5 relu=0 bits=1 signed=1
relu lanes=1 bits=5 signed=0 out_bits=5
relu lanes=3 bits=4 signed=1 out_bits=5
leaky_relu lanes=2 in_bits=8 align=10 factor=102 shift=10 bits=8
leaky_relu lanes=1 in_bits=20 align=20 factor=104858 shift=-2 bits=12
leaky_relu lanes=1 in_bits=5 in_signed=0 align=3 factor=2 shift=4 bits=5 signed=0
maximum taps=1 lanes=2 bits=5 signed=1
maximum taps=6 lanes=1 bits=5 signed=1
mean taps=1 lanes=2 in_bits=5 in_signed=1 bits=5 signed=1
mean taps=6 lanes=2 in_bits=5 in_signed=1 right=3 bits=6 signed=1
mean taps=4 lanes=1 in_bits=5 in_signed=1 right=-2 bits=6 signed=1 relu=1
mean taps=12 lanes=1 in_bits=12 in_signed=0 right=1 bits=12 signed=0
average pixels=1 words=3 lanes=2 in_bits=5 in_signed=1 bits=5 signed=1
average pixels=6 words=1 lanes=1 in_bits=5 in_signed=1 right=2 bits=7 signed=1
average pixels=8 words=2 lanes=3 in_bits=5 in_signed=0 right=-1 bits=4 signed=0
rom style=lut depth=1 width=9
rom style=bram depth=5 width=9
finish pe=1 lanes=1 sum=12 acc=16 bits=6 signed=1 relu=1 shift=4 depth=5 add=0
finish pe=2 lanes=1 sum=12 acc=14 bits=6 signed=0 relu=0 shift=-2 depth=6 add=0
finish pe=1 lanes=3 sum=12 acc=14 bits=6 signed=1 relu=0 shift=14 depth=6 add=0
finish pe=1 lanes=2 sum=12 acc=14 bits=6 signed=1 relu=0 shift=3 depth=6 add=1 skip_bits=4 skip_signed=0 \
align_main=0 align_skip=2 add_shift=1 add_relu=1 out_bits=5 out_signed=1
window style=bram kh=3 kw=2 top=2 left=0 height=4 columns=5 stride_h=2 stride_w=1 out_rows=1 out_columns=4 \
words=2 width=6 outside=33 hands=2 hand_row=1 hand_column=1
window style=uram kh=3 kw=3 height=1 columns=1 words=1 width=6 hand=1
window style=uram kh=5 kw=5 height=2 columns=2 words=1 width=6 hand=1
window style=lutram kh=1 kw=5 height=3 columns=2 stride_w=3 words=2 width=4
window style=lutram kh=3 kw=3 top=0 left=0 height=7 columns=7 stride_h=3 stride_w=3 out_rows=2 out_columns=2 \
words=1 width=4 hand=1 hand_row=2 hand_column=2
ring style=lutram column=1 kh=3 kw=5 top=1 left=2 height=3 columns=2 stride_h=1 stride_w=1 words=2 group=2 \
width=6
ring style=bram column=0 kh=5 kw=5 height=1 columns=1 words=1 group=1 width=6
ring style=bram column=0 kh=3 kw=1 height=6 columns=5 stride_h=3 stride_w=2 out_rows=1 words=4 group=2 width=6
mac multiplier=lut style=lutram slices=3 blocks=2 groups=3 simd=2 pe=2 w=3 a=4 signed=1 depthwise=0
mac multiplier=pair style=lutram slices=2 blocks=3 groups=2 simd=5 pe=3 w=8 a=8 signed=1 depthwise=0
mac multiplier=dsp style=bram slices=3 blocks=3 groups=2 simd=5 pe=1 w=6 a=20 signed=1 depthwise=0
mac multiplier=dsp style=bram slices=3 blocks=1 groups=2 simd=5 pe=1 w=20 a=20 depthwise=0
mac multiplier=dsp style=lutram slices=1 blocks=1 groups=4 simd=6 pe=2 w=8 a=8 signed=1 depthwise=1
mac multiplier=lut style=lutram slices=1 blocks=1 groups=1 simd=1 pe=1 w=1 a=1 depthwise=0
""")
EVERY = GRID + GENERAL

# A part, and what breaks it: (text of the part's file, other text).
BROKEN: list[tuple[Point, str, str]] = [
    (GRID[0], 'in_valid && (&out_room)', 'in_valid && (|out_room)'),
    (GRID[5], 'trip == TIMES - 1', 'trip == TIMES - 2'),
    (GRID[7], '$signed(x) > $signed(y) : x > y', '$signed(x) > $signed(y) : x < y'),
    (GRID[10], 'waiting <= LANES', 'waiting <= LANES - 1'),
    (GRID[15], 'place == DEPTH - 1 ? 0', 'place == DEPTH - 2 ? 0'),
    (GRID[16], 'ends[LATENCY-1]', 'ends[LATENCY-2]'),
    (GRID[19], 'place == DEPTH - 1 ? 0', 'place == DEPTH - 2 ? 0'),
    (GRID[20], '(!emits || out_room[0])', '1'),
    (GRID[22], 'rotation <= first_bank', 'rotation <= bank'),
    (GRID[25], 'PAIR && p[17]', "1'b0"),
    (GENERAL[7], 'SIGNED && in_data', 'in_data'),
    (GENERAL[9], 'BELOW = FACTOR', 'BELOW = FACTOR + 1'),
]
