"""Tailor's SkipShortener (docs/methods/shorten.md): block after block, the skip over two convolutions gives way to one
over each.

python -m experiments.train --config=experiments/configs/shorten_resnet20.py --workdir=runs/shorten_resnet20
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config()
    config.method = 'shorten'
    config.model.skips = 'long_post+short'
    return config
