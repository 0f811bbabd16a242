"""Learned gates within a budget (docs/methods/gates.md): the skips that fit in a given FIFO storage and LUTs.

python -m experiments.train --config=experiments/configs/budget_resnet20.py --workdir=runs/budget_resnet20
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config()
    config.cost.budget.fifo_bits = 100_000.0  # the whole network has 112,768
    config.cost.budget.lut = 60_000.0
    return config
