"""The quantization types of a network, quant.json: `quant.calibrate` chooses them, lowering takes them."""

from __future__ import annotations

import dataclasses
from typing import Any

from tailor_jax.fields import Fields, header
from tailor_jax.integers import fixed
from tailor_jax.integers.fixed import Fixed

FORMAT = ('quant', 1)


@dataclasses.dataclass(frozen=True)
class QuantSpec:
    """Quantization types of a folded network, hashable: ((node, type), ...) of outputs and of kernels."""

    activations: tuple[tuple[str, Fixed], ...]
    weights: tuple[tuple[str, Fixed], ...]

    def to_json(self) -> dict:
        """Plain JSON values; `from_json` is the inverse."""
        return header(*FORMAT) | {
            kind: {name: dataclasses.asdict(value) for name, value in getattr(self, kind)}
            for kind in ('activations', 'weights')
        }

    @classmethod
    def from_json(cls, data: Any, where: str = 'quant.json') -> QuantSpec:
        """The types in what `to_json` gave. Raises FormatError naming `where`, the field, given and expected."""
        fields = Fields(data, where)
        fields.header(*FORMAT)
        activations, weights = (_types(fields.object(kind)) for kind in ('activations', 'weights'))
        fields.end()
        return cls(activations, weights)


def _types(fields: Fields) -> tuple[tuple[str, Fixed], ...]:
    return tuple((name, fixed.from_fields(fields.object(name))) for name in fields.names())
