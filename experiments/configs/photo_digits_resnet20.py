"""ResNet-20 on photo_digits (50,000 images, 32x32x3), which is built on first use: nothing to download or prepare.

python -m experiments.train --config=experiments/configs/photo_digits_resnet20.py --workdir=runs/photo_digits

About two hours on two CPU cores (300 images/s), minutes on a GPU. A first look: --config.data.name=photo_digits/small,
a fifth of the images. With another method than learned gates (docs/methods.md), on the network that it is for:

python -m experiments.train --config=experiments/configs/photo_digits_resnet20.py:static --workdir=runs/static
"""

from experiments.config import defaults

SKIPS = {'shorten': 'long_post+short', 'nonresnet': 'short_pre'}  # the other methods take long ones


def get_config(method='gates'):
    config = defaults()
    config.method = method
    config.model.skips = SKIPS.get(method, 'long')
    config.data.name = 'photo_digits'
    config.model.depth = 20
    config.train.batch_size = 128
    config.train.log_every_steps = 20
    config.train.save_every_epochs = 1.0
    config.train.teacher.epochs = 20.0
    config.train.student.epochs = 10.0
    config.train.finetune.epochs = 5.0
    config.train.qat.epochs = 3.0
    return config
