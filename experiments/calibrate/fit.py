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

from costmodel.streams.area import equations, memory
from costmodel.streams.area.coefficients import Coefficients
from costmodel.streams.area.equations import Terms
from experiments.calibrate import grid, parts, templates
from experiments.calibrate.point import TEXTS, Point


def part(point: Point) -> str:
    """The name under which the part's coefficients stand."""
    if point.kind == 'mac':
        return 'mac'  # adders and accumulators are the same whatever multiplies
    style = {'uram': 'bram'}.get(point.text('style'), point.text('style'))  # the same around both
    return f'{point.kind}_{style}' if style else point.kind


def terms(point: Point) -> dict[str, Terms]:
    """The amounts that its LUTs and flip-flops are made of."""
    given = {name: value for name, value in point.parameters if name not in TEXTS}
    match point.kind:
        case 'clone':
            return equations.clone(point['count'])
        case 'credit' | 'relu' | 'maximum' | 'mean' | 'average':
            return getattr(equations, point.kind)(**given)
        case 'add':
            return equations.add(point['lanes'], point['bits'], point['align'], point['shift'], bool(point['relu']))
        case 'convert':
            return equations.convert(point['in'], point['out'], point['bits'])
        case 'finish':
            units, sums = (point['pe'], point['lanes']), (point['acc'], point['bits'], point['shift'])
            return equations.finish(*units, *sums, point['depth'], bool(point['add']))
        case 'window':
            return equations.window(
                point.text('style'), *_kernel_and_size(point), point['words'], point['width'], point['hand']
            )
        case 'ring':
            sizes = (point['words'], point['group'], point['width'], point['kh'])
            return equations.ring(point.text('style'), bool(point['column']), *_kernel_and_size(point), *sizes)
        case 'mac':
            return equations.mac(
                point.text('multiplier'), point.text('style'), point['slices'], point['blocks'], parts.products(point),
                point['pe'], point['w'], point['a'], bool(point['depthwise']),
            )  # fmt: skip
        case 'rom':
            return equations.rom(point.text('style'), point['depth'], point['width'])
        case _:
            raise ValueError(f'no equations for parts of the kind {point.kind!r}')


def _kernel_and_size(point: Point) -> tuple[tuple[int, int], tuple[int, int]]:
    return (point['kh'], point['kw']), (point['height'], point['columns'])


def blocks(point: Point) -> dict[str, int]:
    """The closed forms' block RAMs, UltraRAMs and DSPs."""
    found = {'bram18': 0, 'uram': 0, 'dsp': 0}
    style, kind = point.text('style'), point.kind
    match kind, style:
        case 'rom', 'bram':
            found['bram18'] = memory.bram18(point['depth'], point['width'])
        case 'window', 'bram' if point['kh'] > 1:
            found['bram18'] = memory.bram18(point['columns'] * point['words'], (point['kh'] - 1) * point['width'])
        case 'window', 'uram':
            found['uram'] = memory.uram(point['columns'] * point['words'], (point['kh'] - 1) * point['width'])
        case 'ring', 'bram':
            one = memory.ring(bool(point['column']), point['kh'], point['columns'] * point['words'], point['width'])
            found['bram18'] = memory.bram18(*one) * (point['kh'] if point['column'] else 1)
        case 'mac', _ if point.text('multiplier') != 'lut':
            pairs = point.text('multiplier') == 'pair'
            found['dsp'] = parts.products(point) * (math.ceil(point['pe'] / 2) if pairs else point['pe'])
        case (('mean' | 'average'), _):
            found['dsp'] = templates.numbers(point)['multiply'] * (point['lanes'] if kind == 'mean' else 1)
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
    if not names:
        return {}
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
    """Of some points: how many, and the median, the 95th percentile and the largest of |predicted / measured - 1|."""

    points: int
    median: float
    percentile95: float
    worst: float


def errors(coefficients: Coefficients, measured: Mapping[Point, Mapping[str, int]], resource: str) -> Errors:
    """Relative errors of the LUTs or flip-flops. Points that have none of it are left out."""
    found = [
        abs(predicted(coefficients, point, resource) / row[resource] - 1)
        for point, row in measured.items()
        if row[resource]
    ]
    return (
        Errors(len(found), float(np.median(found)), float(np.percentile(found, 95)), max(found))
        if found
        else Errors(0, 0.0, 0.0, 0.0)
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
