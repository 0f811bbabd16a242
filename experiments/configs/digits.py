"""Scikit-learn's 8x8 digits for any network: what digits_resnet8 is without its depth. docs/networks.md

python -m experiments.train --config=experiments/configs/digits.py --workdir=runs/mine --config.model.graph=mine.json
"""

from experiments.configs import digits_resnet8


def get_config():
    config = digits_resnet8.get_config()
    config.model.depth = None
    return config
