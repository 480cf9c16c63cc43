"""Segments in pieces along which one layer is affine, and the finer pieces between the zeros of its pre-activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Pieces:
    """Stretches along which one layer's pre-activations are affine: from point left[k] to the point after it.

    Z are the pre-activations at the points and t is where on its segment each lies, 0 at b and 1 at x.
    """

    Z: Float[np.ndarray, "points width"]
    t: Float[np.ndarray, " points"]
    left: Int[np.ndarray, " pieces"]


@dataclass(frozen=True, eq=False)
class Cuts:
    """The zeros of the pre-activations strictly inside the pieces, in order.

    Piece k is cut at t = at[begin[k] : begin[k + 1]], no two of them equal, into so many finer pieces and one more. The
    finer pieces of all pieces are numbered through; along finer piece f of piece k the neurons
    neuron[first[k] : after[f]] have changed sign, and no others.
    """

    begin: Int[np.ndarray, " pieces_plus_1"]
    at: Float[np.ndarray, " cuts"]
    neuron: Int[np.ndarray, " changes"]
    first: Int[np.ndarray, " pieces_plus_1"]
    after: Int[np.ndarray, " finer"]


@dataclass(frozen=True, eq=False)
class Finer:
    """Some of the finer pieces: the gates' values H and t at their points, and the point at which each begins.

    `parent` is the piece that each is part of and `active` says which gates are active along it.
    """

    H: Float[np.ndarray, "points width"]
    t: Float[np.ndarray, " points"]
    left: Int[np.ndarray, " finer"]
    parent: Int[np.ndarray, " finer"]
    active: Bool[np.ndarray, "finer width"]


def cut(pieces: Pieces, switching: Bool[np.ndarray, " width"]) -> Cuts:
    """Where the switching gates change sign; a zero that rounds to an end of its piece is no cut."""
    from relu_shallow.explanation.path_kernel import changes

    Z, t, left = pieces.Z, pieces.t, pieces.left
    piece, neuron = changes(Z, left)
    p = left[piece]
    a, b = Z[p, neuron], Z[p + 1, neuron]
    at = t[p] + a / (a - b) * (t[p + 1] - t[p])
    order = np.lexsort((at, piece))
    order = order[((at < t[p + 1]) & switching[neuron])[order]]  # a zero at the end changes nothing before it
    piece, neuron, at = piece[order], neuron[order], at[order]
    inside = at > t[left[piece]]  # a zero at the beginning has changed already
    again = np.zeros(len(at), dtype=bool)
    again[1:] = (piece[1:] == piece[:-1]) & (at[1:] == at[:-1])
    cuts = np.flatnonzero(inside & ~again)
    first, begin = (_offsets(where, len(left)) for where in (piece, piece[cuts]))
    after = np.empty(len(left) + len(cuts), dtype=np.int64)
    after[begin[:-1] + np.arange(len(left))] = first[:-1] + np.bincount(piece[~inside], minlength=len(left))
    after[np.arange(len(cuts)) + piece[cuts] + 1] = np.minimum(np.append(cuts[1:], len(at)), first[piece[cuts] + 1])
    return Cuts(begin, at[cuts], neuron, first, after)


def _offsets(sorted_numbers: Int[np.ndarray, " entries"], count: int) -> Int[np.ndarray, " count_plus_1"]:
    """Where each of the numbers 0, .., count - 1 begins."""
    return np.concatenate([[0], np.cumsum(np.bincount(sorted_numbers, minlength=count))])


def finer(
    pieces: Pieces, cuts: Cuts, lo: Float[np.ndarray, " width"], hi: Float[np.ndarray, " width"], begin: int, stop: int
) -> Finer:
    """The finer pieces begin, .., stop - 1, by the gates' slopes; neighbours share the point between them."""
    from relu_shallow.explanation.path_kernel import active_gates, gated

    Z, t, left = pieces.Z, pieces.t, pieces.left
    number = np.arange(begin, stop)
    parent = np.searchsorted(cuts.begin + np.arange(len(cuts.begin)), number, side="right") - 1
    r = number - cuts.begin[parent] - parent  # the first of its piece is 0
    last = r == np.diff(cuts.begin)[parent]
    p = left[parent]
    at = np.append(cuts.at, np.inf)  # what is picked beyond the last cut is not used
    start = np.where(r == 0, t[p], at[cuts.begin[parent] + r - 1])
    end = np.where(last, t[p + 1], at[cuts.begin[parent] + r])
    apart = np.ones(len(number), dtype=bool)  # begins at a point of its own
    apart[1:] = (r[1:] == 0) & (p[1:] != p[:-1] + 1)
    right = np.arange(len(number)) + np.cumsum(apart)
    point, place = np.empty(right[-1] + 1, dtype=np.int64), np.empty(right[-1] + 1)
    point[right], place[right] = p, end
    point[right[apart] - 1], place[right[apart] - 1] = p[apart], start[apart]
    share = (place - t[point]) / (t[point + 1] - t[point])
    H = gated(Z, point, share, lo, hi)
    active = active_gates(Z, left, parent, cuts.first[parent], cuts.after[number], cuts.neuron)
    return Finer(H, place, right - 1, parent, active)
