"""Preparing data sets: `python -m tailor_jax.data.prepare NAME [--tfds_dir=ROOT]`.

    python -m tailor_jax.data.prepare photo_digits      # embedded: no network, no TensorFlow; also done on first use
    pip install -e '.[prepare]'                         # TensorFlow, which TFDS needs to encode public sets; once
    python -m tailor_jax.data.prepare cifar10           # then cifar100, svhn_cropped, imagenet2012 or any TFDS name

Prints the prepared directory. The default ROOT is $TFDS_DATA_DIR, else ~/tensorflow_datasets.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from tailor_jax.command import Parser, status
from tailor_jax.data import locate
from tailor_jax.data.description import DataError
from tailor_jax.data.embedded import prepare_embedded


def prepare_public(name: str, root: Path) -> Path:
    """Downloads and prepares a set of the TFDS catalogue as array_record; returns its directory. Needs TensorFlow."""
    if importlib.util.find_spec('tensorflow') is None:
        raise DataError(f"preparing {name!r} needs TensorFlow (reading it will not): pip install -e '.[prepare]'")
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=root, file_format='array_record')
    builder.download_and_prepare()
    return Path(builder.data_path)


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    return status(lambda: _run(arguments), DataError)


def _run(arguments: Sequence[str]) -> int:
    parser = Parser('python -m tailor_jax.data.prepare', __doc__)
    parser.add_argument('name', metavar='NAME', help='digits, photo_digits[/CONFIG], or a TFDS name such as cifar10')
    default = '$TFDS_DATA_DIR, else ~/tensorflow_datasets'
    parser.add_argument('--tfds_dir', metavar='ROOT', help=f'data root to prepare in (default: {default})')
    args = parser.parse_args(arguments)
    root = Path(args.tfds_dir).expanduser() if args.tfds_dir else locate.data_root()
    embedded = args.name.partition('/')[0] in locate.EMBEDDED
    print(prepare_embedded(args.name, root) if embedded else prepare_public(args.name, root))
    return 0


if __name__ == '__main__':
    raise SystemExit(main(sys.argv[1:]))
