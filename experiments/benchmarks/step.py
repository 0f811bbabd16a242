"""Times the training step of a gated ResNet against the same network written by hand in Flax Linen, and in PyTorch.

    python -m experiments.benchmarks.step                      # ResNet-8, 32x32x3, batch 128: a table in Markdown
    python -m experiments.benchmarks.step --depth=20 --torch   # PyTorch too, which is no dependency: pip install torch
    python -m experiments.benchmarks.step --parts              # where the time goes

    gated     the pmapped step: learned gates, expected cost on the dataflow target, no distillation
    plain     nn.Conv, nn.BatchNorm, nn.relu, jitted with the same loss and optimizer
    plain+    plain with the kernel gradients of `tailor_jax.conv`
    torch     channels last, the same recipe
    forward, gradient, no batch norm
              parts: the network's forward pass in training; that and its gradient; the gradient of the network with
              batch norms folded away

Blocks of steps alternate between the kinds. `wall` and `processor` are medians over blocks of the mean time of a step,
on the clock and of all threads; the ratios are medians over blocks of the ratio to `plain` in the same round, which is
what other jobs on the machine disturb least.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import cli
from experiments.config import ConfigError, defaults
from experiments.cost import cost_of
from tailor_jax import build, gates, model, rewrite
from tailor_jax.conv import conv_general_dilated
from tailor_jax.train import losses, step
from tailor_jax.train.recipe import Recipe

SIZE, CLASSES, WIDTH = 32, 10, 16
LEARNING_RATE, WEIGHT_DECAY = 0.1, 1e-4
Step = Callable[[], Any]


class PlainResNet(nn.Module):
    """`build.resnet(depth)` of CIFAR shape, as one would write it without a graph; `conv` as in nn.Conv."""

    depth: int
    conv: Callable | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def conv_norm(x: jax.Array, channels: int, size: int = 3, stride: int = 1) -> jax.Array:
            pad = ((size // 2, size // 2),) * 2
            x = nn.Conv(channels, (size, size), stride, pad, use_bias=False, conv_general_dilated=self.conv)(x)
            return nn.BatchNorm(use_running_average=False, momentum=0.9)(x)

        x = nn.relu(conv_norm(x, WIDTH))
        for stage in range(3):
            for block in range((self.depth - 2) // 6):
                channels, stride = WIDTH * 2**stage, 2 if stage and not block else 1
                skip = conv_norm(x, channels, 1, stride) if stride == 2 else x
                x = nn.relu(conv_norm(nn.relu(conv_norm(x, channels, 3, stride)), channels) + skip)
        return nn.Dense(CLASSES)(x.mean((1, 2)))


def batch_of(size: int) -> dict[str, np.ndarray]:
    """Random images [b, 32, 32, 3] and labels [b]."""
    rng = np.random.default_rng(0)
    return {
        'image': rng.normal(size=(size, SIZE, SIZE, 3)).astype(np.float32),
        'label': rng.integers(0, CLASSES, size).astype(np.int32),
    }


def gated_step(depth: int, batch: Mapping[str, np.ndarray]) -> Step:
    graph, recipe = (
        build.resnet(depth, (SIZE, SIZE, 3), CLASSES, WIDTH),
        Recipe(10**6, LEARNING_RATE, 0.01, WEIGHT_DECAY),
    )
    train_step = step.make_train_step(
        step.Objective(graph, cost=cost_of(defaults(), graph)), recipe, (jax.local_devices()[0],)
    )
    state = step.init_state(model.init(graph, 0), gates.init(graph.gates, 0.9), recipe)
    state, context = step.replicate((state, step.Context(jnp.uint32(0), {}, jnp.float32(0.1))), jax.local_devices()[:1])
    fed = jax.device_put({key: value[None] for key, value in batch.items()})

    def run() -> None:
        nonlocal state
        state, metrics = train_step(state, fed, context)
        jax.block_until_ready((state, metrics))

    return run


def plain_step(depth: int, batch: Mapping[str, np.ndarray], conv: Callable | None = None) -> Step:
    net, fed = PlainResNet(depth, conv), jax.device_put(dict(batch))
    optimizer = optax.chain(
        optax.add_decayed_weights(WEIGHT_DECAY, mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)),
        optax.sgd(
            optax.warmup_cosine_decay_schedule(LEARNING_RATE, LEARNING_RATE, 0, 10**6), momentum=0.9, nesterov=True
        ),
    )
    variables = jax.jit(net.init)(jax.random.key(0), fed['image'])
    check_size(sum(leaf.size for leaf in jax.tree.leaves(variables['params'])), depth, 'Linen')
    state = variables['params'], variables['batch_stats'], optimizer.init(variables['params'])

    def train_step(state: tuple, fed: Mapping) -> tuple[tuple, dict]:
        params, statistics, moments = state

        def loss_of(params: dict) -> tuple[jax.Array, Any]:
            logits, updates = net.apply(
                {'params': params, 'batch_stats': statistics}, fed['image'], mutable=['batch_stats']
            )
            loss = jnp.mean(losses.cross_entropy(logits, fed['label']))
            return loss, (updates['batch_stats'], jnp.mean(jnp.argmax(logits, -1) == fed['label']))

        (loss, (statistics, accuracy)), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), statistics, moments), {'loss': loss, 'accuracy': accuracy}

    compiled = jax.jit(train_step, donate_argnums=0)

    def run() -> None:
        nonlocal state
        state, metrics = compiled(state, fed)
        jax.block_until_ready((state, metrics))

    return run


def part_steps(depth: int, batch: Mapping[str, np.ndarray]) -> dict[str, Step]:
    graph = build.resnet(depth, (SIZE, SIZE, 3), CLASSES, WIDTH)
    opened, fed = rewrite.binarize(graph, dict.fromkeys(graph.gates, 1)), jax.device_put(dict(batch))

    def call(graph: Any, differentiate: bool) -> Step:
        variables = jax.device_put(model.init(graph, 0))

        def loss_of(params: dict) -> Any:
            logits, updates = model.Net(graph).apply(
                {**variables, 'params': params}, fed['image'], train=True, mutable=['batch_stats']
            )
            return jnp.mean(losses.cross_entropy(logits, fed['label'])), updates

        compiled = jax.jit(jax.value_and_grad(loss_of, has_aux=True) if differentiate else loss_of)
        return lambda: jax.block_until_ready(compiled(variables['params']))

    return {
        'forward': call(opened, False),
        'gradient': call(opened, True),
        'no batch norm': call(rewrite.fold(opened), True),
    }


def torch_step(depth: int, batch: Mapping[str, np.ndarray]) -> Step:
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            f'--torch needs PyTorch in this environment ({error}); pip install torch, or leave the flag out'
        ) from None
    from torch import nn as layers
    from torch.nn import functional

    class Conv(layers.Sequential):
        def __init__(self, wide: int, channels: int, size: int = 3, stride: int = 1):
            super().__init__(
                layers.Conv2d(wide, channels, size, stride, size // 2, bias=False), layers.BatchNorm2d(channels)
            )

    class Block(layers.Module):
        def __init__(self, wide: int, channels: int, stride: int):
            super().__init__()
            self.first, self.second = Conv(wide, channels, 3, stride), Conv(channels, channels)
            self.skip = Conv(wide, channels, 1, stride) if stride == 2 else layers.Identity()

        def forward(self, x: Any) -> Any:
            return functional.relu(self.second(functional.relu(self.first(x))) + self.skip(x))

    stages, wide = [Conv(3, WIDTH), layers.ReLU()], WIDTH
    for stage in range(3):
        for block in range((depth - 2) // 6):
            stages.append(Block(wide, WIDTH * 2**stage, 2 if stage and not block else 1))
            wide = WIDTH * 2**stage
    device = 'cuda' if jax.default_backend() == 'gpu' else 'cpu'
    net = layers.Sequential(*stages, layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Linear(wide, CLASSES))
    net = net.to(device, memory_format=torch.channels_last)
    params = list(net.parameters())
    check_size(sum(value.numel() for value in params), depth, 'PyTorch')
    groups = [
        {'params': [value for value in params if (value.ndim > 1) == kernels], 'weight_decay': WEIGHT_DECAY * kernels}
        for kernels in (0, 1)
    ]
    optimizer = torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=0.9, nesterov=True)
    images = torch.from_numpy(batch['image'].transpose(0, 3, 1, 2)).to(device, memory_format=torch.channels_last)
    labels = torch.from_numpy(batch['label']).long().to(device)

    def run() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for the device

    return run


def check_size(parameters: int, depth: int, where: str) -> None:
    """Raises ValueError where a network written by hand is not the graph's."""
    ours = sum(
        value.size
        for value in jax.tree.leaves(model.init(build.resnet(depth, (SIZE, SIZE, 3), CLASSES, WIDTH), 0)['params'])
    )
    if parameters != ours:
        raise ValueError(f'the {where} ResNet-{depth} has {parameters:,} parameters, the graph {ours:,}')


def measure(steps: Mapping[str, Step], blocks: int, per_block: int) -> dict[str, np.ndarray]:
    """{kind: [blocks, 2] seconds a step, on the clock and of all threads}; kinds take turns, after two to warm up."""
    seconds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in steps}
    for block in range(-2, blocks):
        for kind, run in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            for _ in range(per_block):
                run()
            if block >= 0:
                seconds[kind].append(
                    ((time.perf_counter() - wall) / per_block, (time.process_time() - processor) / per_block)
                )
    return {kind: np.array(values) for kind, values in seconds.items()}


def table(seconds: Mapping[str, np.ndarray], batch: int) -> str:
    """Markdown: a row a kind."""
    lines = [
        '| step | wall / plain | processor / plain | wall, ms | processor, ms | images/s |',
        '|---|---:|---:|---:|---:|---:|',
    ]
    for kind, values in seconds.items():
        ratio, (wall, processor) = np.median(values / seconds['plain'], 0), np.median(values, 0)
        lines.append(
            f'| {kind} | {ratio[0]:.3f} | {ratio[1]:.3f} | {1e3 * wall:.1f} | {1e3 * processor:.1f} | '
            f'{batch / wall:,.0f} |'
        )
    return '\n'.join(lines)


def load(values: Sequence[float]) -> str:
    return ', '.join(f'{value:.1f}' for value in values)


def main(options: Any) -> None:
    for name in ('batch', 'blocks', 'steps'):
        if getattr(options, name) < 1:
            raise ConfigError(f'--{name} is {getattr(options, name)}; expected a positive number')
    if options.depth < 8 or (options.depth - 2) % 6:
        raise ConfigError(f'--depth is {options.depth}; expected 6n + 2, as 8, 14, 20')
    batch, before = batch_of(options.batch), os.getloadavg()
    steps = {'gated': gated_step(options.depth, batch), 'plain': plain_step(options.depth, batch)}
    steps['plain+'] = plain_step(options.depth, batch, conv_general_dilated)
    if options.torch:
        steps['torch'] = torch_step(options.depth, batch)
    if options.parts:
        steps |= part_steps(options.depth, batch)
    print(table(measure(steps, options.blocks, options.steps), options.batch))
    device = jax.local_devices()[0].device_kind
    print(
        f'\nResNet-{options.depth}, batch {options.batch}, on {os.cpu_count()} cores and one {device}, jax '
        f'{jax.__version__}; ',
        end='',
    )
    print(
        f'{options.blocks} blocks of {options.steps} steps; load average {load(before)} before, '
        f'{load(os.getloadavg())} after'
    )


if __name__ == '__main__':
    _FLAGS = {
        'depth': (8, 'Depth of the ResNet, 6n + 2.'),
        'batch': (128, 'Images a step.'),
        'blocks': (12, 'Blocks of each kind.'),
        'steps': (5, 'Steps a block.'),
        'torch': (False, 'Also PyTorch, if it is installed.'),
        'parts': (False, 'Also parts of the step.'),
    }
    cli.run(main, _FLAGS)
