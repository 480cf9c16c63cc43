"""Integrated and expected gradients, exactly: the gradient's integral along segments, cut where gates change sign.

For a row x and a baseline b (Sundararajan, Taly and Yan, arXiv 1703.01365; expected gradients, the mean over a
background of baselines: Erion and others, arXiv 1906.10670),

    phi_i = (x_i - b_i) * integral over t in [0, 1] of df/dx_i (b + t (x - b)).

On the segment z_1 is affine in t. Cut at its zeros, h_1 = gate(z_1) and z_2 are affine on each piece; cut these at the
zeros of z_2, and so on. Forward, the layers are evaluated at the pieces' ends. Backward, with J_l the integral over a
piece of df/dz_l,

    J_l(piece) = sum over its finer pieces of slope_l(finer) * (W_{l+1}^T J_{l+1}(finer)),

so each layer's matrix is applied once per piece of the layer below and never to the pieces of all layers together. The
last layer needs no cuts at all: the integral of its slopes over a piece is a closed formula of z at the two ends.

A gate is inactive where z <= 0, also where z is zero along a whole stretch: there the gradient depends on the side from
which it is taken, and this is the side of `network.activation_patterns`. A computed z no larger than the rounding of
its own sum counts as zero.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float

from relu_shallow.explanation.background import Background
from relu_shallow.explanation.exact import Progress
from relu_shallow.explanation.path_pieces import Pieces, cut, finer
from relu_shallow.machine import usable_cores
from relu_shallow.network import Matrix, Network, dense
from relu_shallow.precision import gamma

ENTRIES = 1 << 16  # of an array held at once: what stays in the cache is fastest
ROWS = 512  # but a product of matrices pays only from here on,
MOST_ENTRIES = 1 << 22  # where memory allows

LARGE = 128  # sides of a matrix


def integrated_gradients(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    *,
    deadline: float = np.inf,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Float[np.ndarray, "done outputs inputs"]:
    """The mean over the background of each row's integrated gradients; with one background row, that row's own.

    They sum to f(x) - E f(b) up to rounding. Of the first rows only if `time.monotonic()` passes the deadline.
    `progress` is called with the number of rows done. `workers` threads share the work, by default as many as there
    are cores, or one where BLAS puts its own to the products; the values do not depend on it.
    """
    X = np.asarray(X, dtype=np.float64)
    top = dense(network.affine[-1].W)[outputs]
    if not network.gates:
        phi: np.ndarray = top * (X - background.mean)[:, None, :]
        if progress is not None:
            progress(len(phi))
        return phi
    layers = _layers(network)
    paths = Paths(layers, top, X, background, _preactivations(layers[0], background.X))
    step = max(1, ENTRIES // max(_entries(layers, len(outputs)), 1))
    return _collected(paths, step, deadline, workers or _threads(layers), progress)


@dataclass(frozen=True, eq=False)
class Layer:
    """One hidden layer: z = W h + b and its gates' slopes, with the columns' matrix laid out for going backward.

    `size` is the sum of each row of |W|, `rounding` the relative error of one of its sums.
    """

    W: Matrix
    transposed: Matrix
    b: Float[np.ndarray, " width"]
    lo: Float[np.ndarray, " width"]
    hi: Float[np.ndarray, " width"]
    size: Float[np.ndarray, " width"]
    rounding: float


@dataclass(frozen=True, eq=False)
class Paths:
    """The segments from every background row to every row: pair p goes to row p // points from point p % points."""

    layers: list[Layer]
    top: Float[np.ndarray, "outputs last"]
    X: Float[np.ndarray, "rows inputs"]
    background: Background
    at_background: Float[np.ndarray, "points first"]

    @property
    def pairs(self) -> int:
        """The number of segments."""
        return len(self.X) * len(self.background.X)


Share = tuple[int, np.ndarray, int]  # the first row, what is added to it and the rows after, and the pairs done by now


def _layers(network: Network) -> list[Layer]:
    layers = []
    for affine, gate in zip(network.affine, network.gates, strict=False):
        W = affine.W
        size = np.asarray(abs(W).sum(axis=1), dtype=np.float64).ravel()
        transposed = W.T if isinstance(W, np.ndarray) else W.T.tocsr()
        layers.append(Layer(W, transposed, affine.b, gate.inactive, gate.active, size, gamma(W.shape[1] + 2)))
    return layers


def _entries(layers: list[Layer], outputs: int) -> int:
    """A guess at the numbers that one segment holds at once in its widest layer: half of the gates before it switch."""
    pieces, most = 1, 0
    for layer in layers:
        most = max(most, pieces * outputs * max(layer.W.shape))
        pieces += len(layer.b) // 2
    return most


def _threads(layers: list[Layer]) -> int:
    """One where products of large matrices take the time, which BLAS shares among the cores itself, else the cores."""
    large = any(isinstance(layer.W, np.ndarray) and min(layer.W.shape) > LARGE for layer in layers)
    return 1 if large else usable_cores()


def _collected(
    paths: Paths, step: int, deadline: float, workers: int, progress: Progress | None
) -> Float[np.ndarray, "done outputs inputs"]:
    """phi of the rows, the shares of `step` segments at a time added up in their order whatever thread made them."""
    points = len(paths.background.X)
    phi = np.zeros((len(paths.X), len(paths.top), paths.X.shape[1]))
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        begins = iter(range(0, paths.pairs, step))

        def submit(begin: int) -> Future[Share | None]:
            return pool.submit(_shares, paths, begin, min(begin + step, paths.pairs), deadline)

        waiting = [submit(begin) for begin in islice(begins, 2 * workers)]
        while waiting:
            found = waiting.pop(0).result()
            if found is None:
                break
            first, shares, stop = found
            phi[first : first + len(shares)] += shares
            done = stop // points
            if progress is not None:
                progress(done)
            waiting += [submit(begin) for begin in islice(begins, 1)]
    return phi[:done]


def _shares(paths: Paths, begin: int, stop: int, deadline: float) -> Share | None:
    """What the segments begin..stop add to phi, or None past the deadline."""
    row, point = np.divmod(np.arange(begin, stop), len(paths.background.X))
    first, layer = int(row[0]), paths.layers[0]
    Z = np.empty((2 * len(row), len(layer.b)))
    Z[0::2] = paths.at_background[point]
    Z[1::2] = _preactivations(layer, paths.X[first : row[-1] + 1])[row - first]
    pieces = Pieces(Z, np.tile([0.0, 1.0], len(row)), np.arange(0, 2 * len(row), 2))
    J = _integrals(paths, 0, pieces, deadline)
    if J is None:
        return None
    gradients = _backward(layer, J)
    B, weights = paths.background.X[point], paths.background.weights[point]
    gradients *= ((paths.X[row] - B) * weights[:, None])[:, None, :]
    return first, np.add.reduceat(gradients, np.flatnonzero(np.diff(row, prepend=-1)), axis=0), stop


def _integrals(
    paths: Paths, level: int, pieces: Pieces, deadline: float
) -> Float[np.ndarray, "pieces outputs width"] | None:
    """J: the integral of df/dz of the layer over every piece; None past the deadline."""
    from relu_shallow.explanation.path_kernel import add_slopes, mean_slopes

    layer = paths.layers[level]
    if level == len(paths.layers) - 1:
        return mean_slopes(pieces.Z, pieces.t, pieces.left, layer.lo, layer.hi)[:, None, :] * paths.top
    above = paths.layers[level + 1]
    J = np.zeros((len(pieces.left), len(paths.top), len(layer.b)))
    cuts = cut(pieces, layer.lo != layer.hi)
    for begin, stop in _windows(len(cuts.after), len(paths.top), max(above.W.shape)):
        if time.monotonic() > deadline:
            return None
        part = finer(pieces, cuts, layer.lo, layer.hi, begin, stop)
        inner = _integrals(paths, level + 1, Pieces(_preactivations(above, part.H), part.t, part.left), deadline)
        if inner is None:
            return None
        add_slopes(_backward(above, inner), part.active, part.parent, layer.lo, layer.hi, J)
    return J


def _windows(pieces: int, outputs: int, width: int) -> Iterator[tuple[int, int]]:
    """Ranges of pieces, each of which needs one row of so many numbers per output."""
    rows = max(ENTRIES // width, min(ROWS, MOST_ENTRIES // width))
    step = max(1, rows // max(outputs, 1))
    for begin in range(0, pieces, step):
        yield begin, min(begin + step, pieces)


def _preactivations(layer: Layer, H: Float[np.ndarray, "points inputs"]) -> Float[np.ndarray, "points width"]:
    """z = W h + b at each point, zero where it is no larger than the rounding of that sum."""
    from relu_shallow.explanation.path_kernel import small

    Z = _product(H, layer.W)
    Z += layer.b
    points, neurons = small(Z, np.abs(H).max(axis=1), layer.size, layer.b, layer.rounding)
    step = max(1, ENTRIES // H.shape[1])
    for begin in range(0, len(points), step):
        p, j = points[begin : begin + step], neurons[begin : begin + step]
        size = (dense(abs(layer.W[j])) * np.abs(H[p])).sum(axis=1) + np.abs(layer.b[j])
        zero = np.abs(Z[p, j]) <= layer.rounding * size
        Z[p[zero], j[zero]] = 0.0
    return Z


def _backward(
    layer: Layer, J: Float[np.ndarray, "pieces outputs width"]
) -> Float[np.ndarray, "pieces outputs inputs"]:
    """W^T J of every piece and output."""
    return _product(J.reshape(-1, J.shape[2]), layer.transposed).reshape(*J.shape[:2], layer.W.shape[1])


def _product(rows: Float[np.ndarray, "rows from"], W: Matrix) -> Float[np.ndarray, "rows to"]:
    """W times each row, C-contiguous as compiled code reads it."""
    return rows @ W.T if isinstance(W, np.ndarray) else np.ascontiguousarray((W @ rows.T).T)
