"""Tailor's SkipRemover with its published recipe (docs/methods/remove.md): one skip every 3 epochs, input side first,
distillation 0.35 / 0.65.

python -m experiments.train --config=experiments/configs/remove_resnet20.py --workdir=runs/remove_resnet20

Days on two CPU cores, so for a GPU. A first look: --config.data.name=photo_digits/small, a tenth of the epochs,
--config.removal.every_epochs=0.
"""

from experiments.configs import photo_digits_resnet20


def get_config():
    config = photo_digits_resnet20.get_config('remove')
    config.removal.every_epochs = 3.0
    config.train.batch_size = 32
    config.train.schedule = 'step'
    config.train.decay_every_epochs = 30.0
    config.train.teacher.epochs = 200.0
    config.train.teacher.warmup_epochs = 0.0
    config.train.student.epochs = 200.0
    config.train.student.learning_rate = 0.1
    config.train.student.warmup_epochs = 0.0
    return config
