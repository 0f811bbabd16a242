"""No skips, from scratch, with distillation: a control (docs/methods/controls.md).

python -m experiments.train --config=experiments/configs/kd_only_resnet20.py --workdir=runs/kd_only_resnet20
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config()
    config.method = 'kd_only'
    return config
