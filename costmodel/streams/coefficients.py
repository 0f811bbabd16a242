"""The coefficients of the logic equations: LUTs and flip-flops of one of each term of `equations`, as data in `coefficients.json`.

    {'fifo_bram.lut': {'one': 22.9, 'address_bit': 1.07, 'bank_bit': 1.0}, ...}

Fitted to yosys 0.23 `synth_xilinx -family xcup` by `python -m costmodel.calibrate --fit --write`, from `costmodel/calibrate/parts.csv`.
"""

from __future__ import annotations

import json
from pathlib import Path

Coefficients = dict[str, dict[str, float]]

FILE = Path(__file__).with_suffix('.json')
COEFFICIENTS: Coefficients = json.loads(FILE.read_text())
