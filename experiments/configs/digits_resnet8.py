"""ResNet-8 on scikit-learn's 8x8 digits: the whole road in under a minute a run.

python -m experiments.train --config=experiments/configs/digits_resnet8.py --workdir=runs/digits
"""

from experiments.config import defaults


def get_config():
    config = defaults()
    config.data.name = 'digits'
    config.model.depth = 8
    config.train.batch_size = 64
    config.cost.dataflow.interval_cycles = 16384  # some 12,000 images/s at 200 MHz, with about 50 DSPs
    return config
