"""A network's values and slopes in twice the precision, for where its terms cancel.

A number is kept as the unevaluated sum of two floats, `head` rounded to nearest and `tail` what that left over. Sums
and products of floats are split without error (Knuth 1969, Dekker 1971); errors of a sum of k products are then some
k u^2 of its magnitudes (Ogita, Rump and Oishi 2005), so a head is right to its last digit unless as many digits cancel
twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.network import Gate, Matrix, Network
from relu_shallow.precision import EXACT_PRODUCTS

SPLIT = 2.0**27 + 1  # takes the upper 26 bits of a float
AT_ONCE = 1 << 17  # numbers in one array: what stays in the cache is fastest


@dataclass(frozen=True, eq=False)
class Pairs:
    """Numbers head + tail, with |tail| at most half a unit in the last place of head."""

    head: Float[np.ndarray, "rows columns"]
    tail: Float[np.ndarray, "rows columns"]


def twofold_values(
    network: Network, X: Float[np.ndarray, "points inputs"], layers: int | None = None
) -> Float[np.ndarray, "points outputs"]:
    """The outputs at float points, or the pre-activations after so many affine maps, rounded at the very end."""
    return np.concatenate([walk[-1].head for walk in _walks(network, X, layers)])


def twofold_slopes(
    network: Network, X: Float[np.ndarray, "points inputs"], j: int
) -> Float[np.ndarray, "points outputs"]:
    """The outputs' derivatives by feature j at points inside linear pieces, rounded at the very end."""
    parts = []
    for walk in _walks(network, X, None):
        rate = np.zeros((len(walk[0].head), network.inputs))
        rate[:, j] = 1.0
        pairs = Pairs(rate, np.zeros_like(rate))
        for index, layer in enumerate(network.affine):
            pairs = _affine(layer.W, np.zeros_like(layer.b), pairs)
            if index < len(network.gates):
                pairs = _gated(network.gates[index], pairs, walk[index].head > 0)
        parts.append(pairs.head)
    return np.concatenate(parts)


def can_be_split(network: Network, X: Float[np.ndarray, "points inputs"]) -> bool:
    """Whether no number on the way is so large that splitting it would overflow."""
    reach = float(np.abs(X).max(initial=1.0))
    for index, layer in enumerate(network.affine):
        reach = float(abs(layer.W).sum(axis=1).max()) * reach + float(np.abs(layer.b).max())
        if index < len(network.gates):
            gate = network.gates[index]
            reach *= max(float(np.maximum(np.abs(gate.active), np.abs(gate.inactive)).max(initial=0.0)), 1.0)
        if not reach < EXACT_PRODUCTS:
            return False
    return True


def _walks(network: Network, X: np.ndarray, layers: int | None) -> Iterator[list[Pairs]]:
    """The pre-activations after each affine map, for some of the points at a time."""
    step = max(1, AT_ONCE // max(network.inputs, *(len(layer.b) for layer in network.affine)))
    for start in range(0, max(len(X), 1), step):
        part = X[start : start + step]
        pairs, walk = Pairs(part, np.zeros_like(part)), []
        for index, layer in enumerate(network.affine[:layers]):
            walk.append(_affine(layer.W, layer.b, pairs))
            if index < len(network.gates):
                pairs = _gated(network.gates[index], walk[-1], walk[-1].head > 0)
        yield walk


def _affine(W: Matrix, b: Float[np.ndarray, " out"], x: Pairs) -> Pairs:
    """W x + b, a term of all sums at a time."""
    head = np.tile(b, (len(x.head), 1))
    tail = np.zeros_like(head)
    columns: Any = W.T if isinstance(W, np.ndarray) else W.T.tocsr()
    for i in range(x.head.shape[1]):
        column = columns[i] if isinstance(W, np.ndarray) else columns[[i]].toarray()[0]
        used = np.flatnonzero(column)
        if not len(used):
            continue
        some: slice | np.ndarray = slice(None) if len(used) == len(column) else used
        weights, value, rest = column[some], x.head[:, i, None], x.tail[:, i, None]
        product, lost = _product(value, weights)
        total, more = _sum(head[:, some], product)
        head[:, some] = total
        tail[:, some] += lost + more + rest * weights
    return Pairs(*_sum(head, tail))


def _gated(gate: Gate, z: Pairs, on: Bool[np.ndarray, "points neurons"]) -> Pairs:
    slope = np.where(on, gate.active, gate.inactive)
    product, lost = _product(z.head, slope)
    return Pairs(*_sum(product, lost + z.tail * slope))


def _sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(fl(a + b), what it left over)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(fl(a b), what it left over), for numbers that do not overflow when they are split."""
    product = a * b
    a_high, b_high = SPLIT * a - (SPLIT * a - a), SPLIT * b - (SPLIT * b - b)
    a_low, b_low = a - a_high, b - b_high
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
