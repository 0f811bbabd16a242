"""ResNet-20 at half width on 2,000 images of photo_digits/easy: small enough to compare every method over three seeds
on two CPU cores.

python -m experiments.compare --config=experiments/configs/compare_resnet20.py --workdir=runs/compare

What that gave is in docs/results.md. In full, for a GPU: --config.model.width=16 --config.data.name=photo_digits
--config.data.train_split=train --config.data.test_split='' --config.train.batch_size=128 and ten times the epochs.
"""

from experiments.config import defaults


def get_config():
    config = defaults()
    config.data.name = 'photo_digits/easy'
    config.data.train_split = 'train[:4%]'
    config.data.test_split = 'test[:10%]'
    config.model.depth = 20
    config.model.width = 8
    config.train.batch_size = 32
    config.train.log_every_steps = 20
    config.train.save_every_epochs = 100.0  # at the end of a phase
    config.train.teacher.epochs = 8.0
    config.train.student.epochs = 6.0
    config.train.finetune.epochs = 1.0
    config.train.qat.epochs = 2.0
    config.cost.weight = 0.3
    return config
