"""Skips removed one by one from the trained network, without distillation: a control (docs/methods/controls.md).

python -m experiments.train --config=experiments/configs/dynamic_pretrained_resnet20.py
--workdir=runs/dynamic_pretrained_resnet20
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config()
    config.method = 'dynamic_pretrained'
    return config
