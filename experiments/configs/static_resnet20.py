"""No skips, from scratch: the first of the controls (docs/methods/controls.md).

python -m experiments.train --config=experiments/configs/static_resnet20.py --workdir=runs/static_resnet20
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config()
    config.method = 'static'
    return config
