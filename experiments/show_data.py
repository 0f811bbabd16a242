"""Draws a contact sheet of a data set: a row per class, its name at the left.

    python -m experiments.show_data --name=photo_digits --out=docs/images/photo_digits.png
    python -m experiments.show_data --tfds_dir=DIR --out=sheet.png --augmented      # as training sees it

Prints the file and a line about the set: sizes, image shape, classes, normalization.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from experiments import cli
from experiments.config import ConfigError
from tailor_jax import data

TILE = 64  # pixels that an image is enlarged to, at least; whole multiples, so that pixels stay pixels


def pick(
    source: data.Source, split: str, rows: int, columns: int, augmented: bool
) -> tuple[list[int], list[list[np.ndarray]]]:
    """Up to `rows` classes, each with up to `columns` images uint8 [h, w, c], the first of the split or its batches."""
    shown: dict[int, list[np.ndarray]] = {
        c: [] for c in np.unique(np.linspace(0, source.classes - 1, min(rows, source.classes)).astype(int)).tolist()
    }
    if augmented:
        size = min(256, source.train_size // 2 * 2)
        batches = data.train_batches(
            source, batch_size=size, seed=0, steps=max(1, 4096 // size), augment=data.default_augment(source)
        )
    else:
        batches = data.eval_batches(source, split, min(256, len(source.split(split))))
    for batch in batches:
        for image, label, weight in zip(
            batch['image'], batch['label'], batch.get('weight', np.ones(len(batch['label'])))
        ):
            if weight and len(shown.get(int(label), [None] * columns)) < columns:
                pixels = (image * source.std + source.mean) * 255
                shown[int(label)].append(np.rint(pixels).clip(0, 255).astype(np.uint8))
        if all(len(images) == columns for images in shown.values()):
            break
    return list(shown), list(shown.values())


def contact_sheet(names: list[str], images: list[list[np.ndarray]]) -> Image.Image:
    """Draws rows of images, uint8 [h, w, c] of one shape, each row after its name."""
    height, width = next(image.shape[:2] for row in images for image in row)
    scale = max(1, TILE // max(height, width))
    tile_h, tile_w, gap = height * scale, width * scale, 4
    font = ImageFont.load_default(16)
    margin = 12 + int(max(font.getlength(name) for name in names))
    columns = max(map(len, images))
    sheet = Image.new('RGB', (margin + columns * (tile_w + gap), gap + len(names) * (tile_h + gap)), 'white')
    pen = ImageDraw.Draw(sheet)
    for r, (name, row) in enumerate(zip(names, images)):
        top = gap + r * (tile_h + gap)
        pen.text((6, top + tile_h // 2), name, 'black', font, anchor='lm')
        for k, image in enumerate(row):
            picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert('RGB')
            sheet.paste(picture.resize((tile_w, tile_h), Image.Resampling.NEAREST), (margin + k * (tile_w + gap), top))
    return sheet


def main(options: Any) -> None:
    out = Path(cli.required(options, 'out', f'docs/images/{options.name.replace("/", "_")}.png'))
    if min(options.columns, options.rows) < 1:
        raise ConfigError(f'--columns is {options.columns} and --rows is {options.rows}; expected at least 1')
    source = data.load(options.name, options.tfds_dir or None)
    classes, images = pick(source, options.split, options.rows, options.columns, options.augmented)
    out.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet([source.class_names[c] for c in classes], images).save(out, optimize=True)
    mean, std = (', '.join(f'{value:.3f}' for value in values) for values in (source.mean, source.std))
    print(
        f'{source.name} {source.version}: {source.train_size:,} train, {source.test_size:,} test, '
        f'{source.image_shape}, {source.classes} classes'
    )
    print(f'mean {mean}; std {std} (pixels in 0..1)\n{out}')


if __name__ == '__main__':
    _FLAGS = {
        'name': ('photo_digits', 'Data set, as config.data.name.'),
        'tfds_dir': ('', 'A prepared TFDS directory, as config.data.tfds_dir.'),
        'out': ('', 'PNG file to write.'),
        'split': ('train', "'train' or 'test'."),
        'columns': (14, 'Images per class.'),
        'rows': (10, 'Classes at most.'),
        'augmented': (False, 'Show training batches with the default augmentation.'),
    }
    cli.run(main, _FLAGS)
