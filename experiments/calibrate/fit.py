"""Fits the coefficients of `costmodel.streams.area.equations` to measured parts, and says how far off they are.

For each kind of part and each of LUTs and flip-flops, coefficients >= 0 that minimize the sum of relative errors
|predicted / measured - 1|: least squares on relative errors, reweighted. Held-out points (`held_out`) are not seen. RAM
and DSP counts come from closed forms and are compared.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np

from costmodel.streams.area import equations, primitives
from costmodel.streams.area.coefficients import Coefficients
from costmodel.streams.area.equations import Terms
from experiments.calibrate import grid
from experiments.calibrate.parts import Point


def part(point: Point) -> str:
    """The name under which the part's coefficients stand."""
    if point.kind == 'fifo' and point.style == 'srl' and point['depth'] <= 2:
        return 'fifo_register'
    if point.kind == 'requantize':
        return 'requantize_relu' if point['relu'] else 'requantize'
    if point.kind == 'mac':
        return 'mac'  # adders, accumulators and multiplexers are the same whatever multiplies
    return f'{point.kind}_{point.style}' if point.style else point.kind


def terms(point: Point) -> dict[str, Terms]:
    """The amounts that its LUTs and flip-flops are made of."""
    match point.kind:
        case 'fifo':
            return equations.fifo(point.style, point['depth'], point['width'])
        case 'clone':
            return equations.clone(point['width'])
        case 'add':
            return equations.add(point['channels'], point['bits'], point['shift'], bool(point['relu']))
        case 'requantize':
            return equations.requantize(point['channels'], point['acc'], point['bits'], point['shift'])
        case 'maximum':
            return equations.maximum(point['taps'], point['channels'], point['bits'])
        case 'window':
            return equations.window(
                point.style, (point['kernel'], point['kernel']), point['height'], point['columns'], point['width'], True
            )
        case 'mac':
            return equations.mac(
                point.style, point['slices'], point['products'], point['channels'], point['w'], point['a']
            )
        case 'rom':
            return equations.rom(point.style, point['depth'], point['width'])
        case _:
            raise ValueError(f'no equations for parts of the kind {point.kind!r}')


def blocks(point: Point) -> dict[str, int]:
    """The closed forms' block RAMs, UltraRAMs and DSPs."""
    found = {'bram18': 0, 'uram': 0, 'dsp': 0}
    match point.kind, point.style:
        case (('fifo' | 'rom'), 'bram'):
            found['bram18'] = primitives.bram18_count(point['depth'], point['width'])
        case 'window', 'bram':
            found['bram18'] = (point['kernel'] - 1) * primitives.bram18_count(point['columns'], point['width'])
        case 'fifo', 'uram':
            found['uram'] = primitives.uram_count(point['depth'], point['width'])
        case 'mac', ('dsp' | 'pair') as style:
            found['dsp'] = point['products'] * (
                math.ceil(point['channels'] / 2) if style == 'pair' else point['channels']
            )
    return found


def held_out(measured: Mapping[Point, Mapping[str, int]], fifth: int = 0) -> set[str]:
    """`grid.held_out`, but of a kind of part that would be held out as a whole all points are fitted to."""
    keys = grid.held_out(list(measured), fifth)
    fitted = {part(point) for point in measured if point.key not in keys}
    return {point.key for point in measured if point.key in keys and part(point) in fitted}


def fit(measured: Mapping[Point, Mapping[str, int]], unseen: Iterable[str] = ()) -> Coefficients:
    """{part.resource: {term: coefficient}} from all points that are not held out."""
    unseen = set(unseen)
    groups: dict[str, list[tuple[Terms, int]]] = {}
    for point, found in measured.items():
        for resource, amounts in terms(point).items():
            if point.key not in unseen:
                groups.setdefault(f'{part(point)}.{resource}', []).append((amounts, found[resource]))
    return {name: solve(pairs) for name, pairs in sorted(groups.items())}


def solve(pairs: list[tuple[Terms, int]], rounds: int = 30) -> dict[str, float]:
    """{term: coefficient >= 0} of pairs (amounts, measured): see above."""
    from scipy.optimize import nnls

    names = list(dict.fromkeys(name for amounts, _ in pairs for name in amounts))
    matrix = np.array([[amounts.get(name, 0.0) for name in names] for amounts, _ in pairs], float)
    wanted = np.maximum(1.0, np.array([value for _, value in pairs], float))
    matrix /= wanted[:, None]
    weight = np.ones(len(pairs))
    for _ in range(rounds):
        found, _ = nnls(matrix * weight[:, None], weight)
        weight = 1 / np.sqrt(np.maximum(0.02, np.abs(matrix @ found - 1)))
    return {name: float(f'{value:.4g}') for name, value in zip(names, found)}


@dataclasses.dataclass(frozen=True)
class Errors:
    """Of some points: how many, and the median and 95th percentile of |predicted / measured - 1|."""

    points: int
    median: float
    percentile95: float


def errors(coefficients: Coefficients, measured: Mapping[Point, Mapping[str, int]], resource: str) -> Errors:
    """Relative errors of the LUTs or flip-flops. Points that have none of it are left out."""
    found = [
        abs(predicted(coefficients, point, resource) / row[resource] - 1)
        for point, row in measured.items()
        if row[resource]
    ]
    return (
        Errors(len(found), float(np.median(found)), float(np.percentile(found, 95))) if found else Errors(0, 0.0, 0.0)
    )


def predicted(coefficients: Coefficients, point: Point, resource: str) -> float:
    own = coefficients[f'{part(point)}.{resource}']
    return sum(own[name] * amount for name, amount in terms(point)[resource].items())


def equal_blocks(measured: Mapping[Point, Mapping[str, int]], resource: str) -> tuple[int, int, list[str]]:
    """(points that need or are given such blocks, how many of them equal the closed form, the others in words)."""
    relevant = [
        (point, row[resource], blocks(point)[resource])
        for point, row in measured.items()
        if row[resource] or blocks(point)[resource]
    ]
    wrong = [
        f'{point.key}: {found} measured, {counted} predicted' for point, found, counted in relevant if found != counted
    ]
    return len(relevant), len(relevant) - len(wrong), wrong
