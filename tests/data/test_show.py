"""The contact sheet: what it picks and how it lays it out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from run_processes import HUNG_S

from experiments import show_data
from tailor_jax.data.source import MemorySplit, Source


def test_contact_sheet_has_a_row_per_class():
    rng = np.random.default_rng(0)
    split = MemorySplit(
        'train', rng.integers(0, 256, (60, 10, 20, 1), dtype=np.uint8), (np.arange(60) % 4).astype(np.int32)
    )
    source = Source('made', '1.0.0', '', (10, 20, 1), 5, tuple('abcde'), (0.4,), (0.2,), split, split, varying=False)
    classes, images = show_data.pick(source, 'train', rows=3, columns=6, augmented=False)
    assert classes == [0, 2, 4] and [len(row) for row in images] == [6, 6, 0]  # class 4 has no images
    assert all(np.array_equal(image, split.images[2 + 4 * k]) for k, image in enumerate(images[1]))
    sheet = show_data.contact_sheet(['a', 'c', 'e'], images)
    scale = show_data.TILE // 20
    assert sheet.height == 4 + 3 * (10 * scale + 4) and sheet.width > 6 * 20 * scale
    _, augmented = show_data.pick(source, 'train', rows=4, columns=5, augmented=True)
    assert augmented[0][0].shape == (10, 20, 1)


def test_the_command_writes_a_picture(tmp_path):
    command = [
        sys.executable,
        '-m',
        'experiments.show_data',
        '--name=digits',
        '--columns=2',
        f'--out={tmp_path}/sheet.png',
    ]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=HUNG_S)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'sheet.png').read_bytes().startswith(b'\x89PNG')
    assert 'digits 1.0.0: 1,437 train, 360 test, (8, 8, 1), 10 classes' in done.stdout
