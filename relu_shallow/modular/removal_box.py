"""How far a removal of weights can move the outputs at any point of a box.

Two bounds, each proved including rounding, of which the smaller counts for every output and side: linear relaxation of
the *difference network*, both networks side by side with their common first layers shared and f~ - f as output; and
the recursion of `removal.py` with the largest |E_l h_{l-1}| in the box.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import ModelError
from relu_shallow.modular.removal import removed_weights
from relu_shallow.network import Affine, Gate, Matrix, Network, dense
from relu_shallow.precision import TINY, gamma
from relu_shallow.relaxation import Bounds, preactivation_bounds


def change_in_box(
    before: Network, after: Network, lo: Float[np.ndarray, " inputs"], hi: Float[np.ndarray, " inputs"]
) -> tuple[Float[np.ndarray, " outputs"], Float[np.ndarray, " outputs"]]:
    """(least, most) with least <= f~(x) - f(x) <= most at every x of the box, output by output."""
    removed = removed_weights(before, after)
    of_pair = preactivation_bounds(difference_network(before, after), lo, hi)
    most = _by_recursion(before, after, removed, preactivation_bounds(before, lo, hi))
    return np.maximum(of_pair.lower[-1], -most), np.minimum(of_pair.upper[-1], most)


def difference_network(before: Network, after: Network) -> Network:
    """The network whose outputs are those of `after` minus those of `before`, two networks with the same gates.

    Layers up to the first that differs are there once.
    """
    if before.widths != after.widths or before.inputs != after.inputs or before.outputs != after.outputs:
        raise ModelError(f"{after} has not the layers of {before}, so they have no difference network")
    depth = len(before.gates)
    common = next((i for i, (one, other) in enumerate(zip(before.affine, after.affine, strict=True))
                   if not _same(one, other)), depth)  # fmt: skip
    affine, gates = list(before.affine[:common]), list(before.gates[:common])
    for index in range(common, depth):
        one, other = before.affine[index], after.affine[index]
        W = np.concatenate([dense(one.W), dense(other.W)]) if index == common else _beside(one.W, other.W)
        affine.append(Affine(W, np.concatenate([one.b, other.b])))
        gates.append(_twice(before.gates[index], after.gates[index]))
    one, other = before.affine[-1], after.affine[-1]
    # where only the last layer differs, its difference is exact if weights were made zero
    apart = dense(other.W) - dense(one.W) if common == depth else None
    last = np.concatenate([-dense(one.W), dense(other.W)], axis=1) if apart is None else apart
    none = np.zeros((0, 3), np.int64)
    end = Affine(last, other.b - one.b)
    return replace(before, affine=(*affine, end), gates=tuple(gates), head="identity", brackets=none)


def _by_recursion(
    before: Network, after: Network, removed: list[Matrix], bounds: Bounds
) -> Float[np.ndarray, " outputs"]:
    """delta_{L+1} of `removal.py`, with |E h| at its largest for h in the bounds of each layer."""
    d = np.zeros(before.inputs)
    for index, layer in enumerate(after.affine):
        size = abs(layer.W)
        grown = 1 + gamma(size.shape[1] + 8)
        delta = (size @ d) * grown + _largest_image(removed[index], *_values_into(before, bounds, index))
        delta = delta + TINY * bool(delta.any())
        if index < len(before.gates):
            gate = before.gates[index]
            d = np.maximum(np.abs(gate.active), np.abs(gate.inactive)) * delta * (1 + gamma(2))
    return delta


def _values_into(network: Network, bounds: Bounds, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of what comes into a layer: a gate's values at both ends of z, and 0 between them, rounded outward."""
    if index == 0:
        return bounds.lo, bounds.hi
    gate, low, high = network.gates[index - 1], bounds.lower[index - 1], bounds.upper[index - 1]
    ends = [z * np.where(z > 0, gate.active, gate.inactive) for z in (low, high)]
    ends.append(np.where((low < 0) & (high > 0), 0.0, ends[0]))
    least, most = np.min(ends, axis=0), np.max(ends, axis=0)
    return least - gamma(2) * np.abs(least), most + gamma(2) * np.abs(most)


def _largest_image(E: Matrix, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """An upper bound of |E h| for low <= h <= high."""
    middle, half = 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low
    size = abs(E)
    reach = size @ np.maximum(np.abs(low), np.abs(high))
    return (np.abs(E @ middle) + size @ half + gamma(2 * E.shape[1] + 12) * reach) * (1 + gamma(E.shape[1] + 8))


def _beside(one: Matrix, other: Matrix) -> np.ndarray:
    """Two matrices on the diagonal of one."""
    one, other = dense(one), dense(other)
    across = np.zeros((one.shape[0], other.shape[1]))
    return np.block([[one, across], [across, other]])


def _twice(one: Gate, other: Gate) -> Gate:
    pairs = (np.concatenate([one.inactive, other.inactive]), np.concatenate([one.active, other.active]))
    return Gate(*pairs)


def _same(one: Affine, other: Affine) -> bool:
    if not np.array_equal(one.b, other.b):
        return False
    if isinstance(one.W, np.ndarray) and isinstance(other.W, np.ndarray):
        return np.array_equal(one.W, other.W)
    from scipy.sparse import csr_array

    return not (csr_array(one.W) != csr_array(other.W)).count_nonzero()
