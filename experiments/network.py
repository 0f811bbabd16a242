"""The network that a config describes."""

from __future__ import annotations

from experiments.config import Config, ConfigError
from tailor_jax import build, data
from tailor_jax.graph import Graph


def build_graph(config: Config, source: data.Source) -> Graph:
    """The network with its learnable gates that a config describes, for a data set's image shape and classes. Raises
    ConfigError.
    """
    net = config.model
    try:
        if net.name == 'mobilenet_v2':
            return build.mobilenet_v2(source.image_shape, source.classes, net.multiplier, net.skips)
        return build.resnet(net.depth, source.image_shape, source.classes, net.width or None, net.skips)
    except ValueError as error:
        raise ConfigError(f'config.model cannot be built for images of {source.image_shape}: {error}') from None
