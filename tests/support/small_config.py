"""The config of a run that takes seconds."""

from experiments import config as config_lib
from experiments.configs import digits_resnet8


def small_config():
    """A width-4 network, an epoch a phase."""
    config = digits_resnet8.get_config()
    config.model.width = 4
    config.cost.dataflow.interval_cycles = 4096
    for phase in config_lib.PHASES:
        config.train[phase].epochs = 1.0
    config.train.teacher.epochs = 3.0
    return config
