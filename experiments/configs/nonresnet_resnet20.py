"""NonResNet (docs/methods/nonresnet.md): ShortResNet-20 first, then its nine skips in three rounds of three, each from
the weights of the one before.

python -m experiments.train --config=experiments/configs/nonresnet_resnet20.py --workdir=runs/nonresnet_resnet20
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config('nonresnet')
    config.train.student.epochs = 15.0  # over the three rounds
    return config
