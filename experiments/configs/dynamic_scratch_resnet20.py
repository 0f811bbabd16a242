"""Skips removed one by one from a network that starts from scratch, without distillation: a control
(docs/methods/controls.md).

python -m experiments.train --config=experiments/configs/dynamic_scratch_resnet20.py
--workdir=runs/dynamic_scratch_resnet20
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config()
    config.method = 'dynamic_scratch'
    return config
