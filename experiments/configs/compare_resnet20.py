"""ResNet-20 at half width on 4,000 images of photo_digits: small enough to compare every method over three seeds on two CPU cores.

python -m experiments.compare --config=experiments/configs/compare_resnet20.py --workdir=runs/compare

What that gave is in docs/results.md. In full, for a GPU: --config.model.width=16 --config.data.name=photo_digits --config.data.train_split=train
and ten times the epochs.
"""

from experiments.config import defaults


def get_config():
    config = defaults()
    config.data.name = 'photo_digits/small'
    config.data.train_split = 'train[:40%]'
    config.model.depth = 20
    config.model.width = 8
    config.train.batch_size = 64
    config.train.log_every_steps = 20
    config.train.save_every_epochs = 100.0  # at the end of a phase
    config.train.teacher.epochs = 10.0
    config.train.student.epochs = 8.0
    config.train.finetune.epochs = 1.0
    config.train.qat.epochs = 2.0
    config.cost.weight = 0.3
    return config
