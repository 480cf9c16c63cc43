"""Dividing part of a box in two: at the middle of an input's range, or by the sign of a neuron."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int8

FEW_INPUTS = 6  # up to so many inputs ranges are halved; with more, signs are given

Ends = tuple[Float[np.ndarray, " inputs"], Float[np.ndarray, " inputs"]]


def halves(lo: Float[np.ndarray, " inputs"], hi: Float[np.ndarray, " inputs"], axis: int) -> list[Ends]:
    """The two halves (lo, hi) of a box, cut across one input; none where no float lies between its ends."""
    middle = 0.5 * lo[axis] + 0.5 * hi[axis]
    if not lo[axis] < middle < hi[axis]:
        return []
    left, right = hi.copy(), lo.copy()
    left[axis] = right[axis] = middle
    return [(lo, left), (right, hi)]


def with_either_sign(signs: Int8[np.ndarray, " neurons"], neuron: int) -> list[Int8[np.ndarray, " neurons"]]:
    """The signs with one neuron active, and with it inactive."""
    both = []
    for sign in (1, -1):
        told = signs.copy()
        told[neuron] = sign
        both.append(told)
    return both
