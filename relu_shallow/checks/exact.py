"""Signs in exact arithmetic: every float is an integer times a power of two, so a network is integer arithmetic."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.network import Network, dense


def is_witness(network: Network, x: Float[np.ndarray, " inputs"], pattern: Bool[np.ndarray, " neurons"]) -> bool:
    """Whether x proves the region of a pattern: each exact pre-activation has the pattern's sign and is not zero.

    A neuron whose exact row is identically zero under the pattern is inactive and needs no sign.
    """
    columns = np.concatenate([np.eye(network.inputs), np.zeros((network.inputs, 1))], axis=1)
    value, scale = _integers(np.concatenate([columns, x[:, None]], axis=1))  # (G, g) and z side by side
    start = 0
    for layer, gate in zip(network.affine, network.gates, strict=False):
        value, scale = _affine(dense(layer.W), layer.b, value, scale)
        bits = pattern[start : start + len(gate.active)]
        signs = np.array([(z > 0) - (z < 0) for z in value[:, -1]])
        blank = np.array([not row.any() for row in value[:, :-1]])
        right = np.where(blank, ~bits, signs == np.where(bits, 1, -1))
        if not np.where(gate.active == gate.inactive, ~bits, right).all():
            return False
        slope, power = _integers(np.where(bits, gate.active, gate.inactive))
        value, scale = value * slope[:, None], scale + power
        start += len(bits)
    return True


def _affine(W: np.ndarray, b: np.ndarray, value: np.ndarray, scale: int) -> tuple[np.ndarray, int]:
    """W value + b, with b added to the last two columns (the row's constant and the value at the point)."""
    numbers, power = _integers(np.concatenate([W, b[:, None]], axis=1))
    result = numbers[:, :-1] @ value
    result[:, -2:] += (numbers[:, -1] * 2**scale)[:, None]
    return result, scale + power


def _integers(array: np.ndarray) -> tuple[np.ndarray, int]:
    """(integers, power) with array = integers / 2^power exactly."""
    ratios = [float(number).as_integer_ratio() for number in array.ravel()]
    power = max((denominator.bit_length() - 1 for _, denominator in ratios), default=0)
    integers = np.empty(array.size, dtype=object)
    integers[:] = [numerator * (2**power // denominator) for numerator, denominator in ratios]
    return integers.reshape(array.shape), power
