"""Networks as graphs."""

from tailor_jax.build.mobilenet import mobilenet_v2
from tailor_jax.build.named import named
from tailor_jax.build.quartznet import quartznet
from tailor_jax.build.resnet import SKIPS, resnet

__all__ = ['SKIPS', 'mobilenet_v2', 'named', 'quartznet', 'resnet']
