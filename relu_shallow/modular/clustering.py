"""One spectral clustering of the whole hidden graph, whose labels mean the same in every layer.

Vertices are all hidden neurons, edges |W| between consecutive layers, normalised by degrees: M = D^-1/2 A D^-1/2. The
rows of its k leading eigenvectors, of unit length (Ng, Jordan and Weiss, 2001), are grouped by k-means, layer by layer
so that no module lacks a layer; then neurons change places as long as that leaves less weight between modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.errors import ModelError, UsageError
from relu_shallow.modular.kmeans import assigned, centres, check_clusters, kmeans, squared_distances

Labels = tuple[np.ndarray, ...]  # the module of each neuron, an array per hidden layer
MOST_ROUNDS = 100


def cluster_graph(
    weights: Sequence[np.ndarray], k: int, *, seed: int = 0, balanced: bool = True, exchange: bool = True
) -> Labels:
    """The module (0 to k-1) of every hidden neuron; weights are the hidden-to-hidden matrices, each (out, in).

    Balanced, every module has as many neurons of a layer as any other, or one more; else at least one. Where modules
    of other sizes lose no weight at all they are taken in either case. Without `exchange` the labels are those of
    the spectral clustering alone. Raises UsageError where k is no number of modules for every layer, ModelError where
    there is no hidden-to-hidden matrix, or one is all zeros.
    """
    check_weights(weights, k)
    P = _embedding(weights, k)
    ends = np.cumsum(_widths(weights))[:-1]
    start = kmeans(P, k, seed)
    free = _settled(P, start, ends, k, balanced=False)
    if not balanced or not _between(weights, free):
        return exchanged(weights, free, k) if exchange and not balanced else free
    even = _settled(P, start, ends, k, balanced=True)
    return exchanged(weights, even, k) if exchange else even


def even_labels(widths: Sequence[int], k: int) -> Labels:
    """Modules of consecutive neurons, as many in each as in any other, or one more."""
    for width in widths:
        check_clusters(k, width, "neurons in a hidden layer")
    return tuple(np.arange(width) * k // width for width in widths)


def exchanged(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray], k: int) -> Labels:
    """Labels with modules of the same sizes and no more weight between them, where no layer alone can be improved.

    A layer's best labels, those of its neighbours kept, solve an assignment problem: neuron i is worth to module j the
    squares of its weights from and to j. The share of W^2 within modules, averaged over layers (C), never falls.
    """
    squares = [np.square(np.abs(W).astype(np.float64)) for W in weights]
    squares = [square / square.sum() for square in squares]
    now = [np.array(label) for label in labels]
    within = _within(squares, now)
    for _ in range(MOST_ROUNDS):
        for layer in range(len(now)):
            now[layer] = _best_places(_worth(squares, now, layer, k), now[layer])
        before, within = within, _within(squares, now)
        if not within > before:
            break
    return tuple(now)


def kept(labels: Sequence[np.ndarray]) -> list[Bool[np.ndarray, "out in"]]:
    """Which weights of each hidden-to-hidden matrix join neurons of one module."""
    return [after[:, None] == before[None, :] for before, after in pairwise(labels)]


def check_weights(weights: Sequence[np.ndarray], k: int) -> None:
    """Raises unless the matrices chain, none is all zeros, and every layer has k neurons or more."""
    if not weights:
        raise ModelError("there is no hidden-to-hidden matrix: a network of one hidden layer is modular already, every "
                         "neuron a module (relu-shallow convert --modular)")  # fmt: skip
    for index, (before, after) in enumerate(pairwise(weights), start=1):
        if before.shape[0] != after.shape[1]:
            raise ModelError(f"hidden matrix {index} gives {before.shape[0]} values, but the next takes "
                             f"{after.shape[1]}; give a chain of layers")  # fmt: skip
    for layer, width in enumerate(_widths(weights), start=1):
        if not 1 <= k <= width:
            raise UsageError(f"{k} modules were asked for, but hidden layer {layer} has {width} neurons; every module "
                             f"needs one in each layer: ask for 1 to {min(_widths(weights))}")  # fmt: skip
    for index, W in enumerate(weights, start=1):
        if not np.isfinite(W).all():
            raise ModelError(f"hidden matrix {index} holds NaN or infinite weights")
        if not W.any():
            raise ModelError(f"hidden matrix {index} (hidden layer {index} to {index + 1}) is all zeros, so nothing "
                             "passes from there to the output and no module can be found; train the network first, "
                             "or take the layers before away")  # fmt: skip


def _widths(weights: Sequence[np.ndarray]) -> list[int]:
    return [weights[0].shape[1], *(W.shape[0] for W in weights)]


def _embedding(weights: Sequence[np.ndarray], k: int) -> Float[np.ndarray, "neurons k"]:
    """Unit rows of the k leading eigenvectors; a neuron without edges is at the origin."""
    from scipy.linalg import eigh

    ends = np.concatenate([[0], np.cumsum(_widths(weights))])
    A = np.zeros((ends[-1], ends[-1]))
    for layer, W in enumerate(weights):
        below, above = slice(ends[layer], ends[layer + 1]), slice(ends[layer + 1], ends[layer + 2])
        A[above, below] = np.abs(W) / np.abs(W).max()  # a layer's units are its own
        A[below, above] = A[above, below].T
    degree = A.sum(axis=1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1.0)), 0.0)
    V = eigh(scale[:, None] * A * scale, subset_by_index=(len(A) - k, len(A) - 1))[1]
    return unit_rows(V)


def unit_rows(V: Float[np.ndarray, "points d"]) -> Float[np.ndarray, "points d"]:
    """The rows divided by their lengths; a row of zeros stays."""
    length = np.linalg.norm(V, axis=1, keepdims=True)
    return V / np.where(length > 0, length, 1.0)


def _settled(
    P: np.ndarray, start: Int[np.ndarray, " neurons"], ends: np.ndarray, k: int, *, balanced: bool
) -> Labels:
    """k-means on from `start`, every layer assigned on its own so that no module lacks it."""
    labels = start
    for _ in range(MOST_ROUNDS):
        cost = squared_distances(P, centres(P, labels, k))
        now = np.concatenate([assigned(part, balanced=balanced) for part in np.split(cost, ends)])
        if (now == labels).all():
            break
        labels = now
    return tuple(np.split(labels, ends))


def _between(weights: Sequence[np.ndarray], labels: Labels) -> bool:
    """Whether any weight joins neurons of different modules."""
    return any(W[~keep].any() for W, keep in zip(weights, kept(labels), strict=True))


def _within(squares: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    return sum(float(square[keep].sum()) for square, keep in zip(squares, kept(labels), strict=True))


def _worth(squares: Sequence[np.ndarray], labels: Sequence[np.ndarray], layer: int, k: int) -> np.ndarray:
    """(neurons of the layer, k): the squared weights from and to each module's neurons in the layers beside."""
    worth = np.zeros((len(labels[layer]), k))
    if layer > 0:
        worth += squares[layer - 1] @ (labels[layer - 1][:, None] == np.arange(k))
    if layer < len(squares):
        worth += squares[layer].T @ (labels[layer + 1][:, None] == np.arange(k))
    return worth


def _best_places(worth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels of the same sizes that are worth the most; the given ones where none are worth more."""
    from scipy.optimize import linear_sum_assignment

    places = np.sort(labels)
    best = places[linear_sum_assignment(-worth[:, places])[1]]
    rows = np.arange(len(labels))
    return best if worth[rows, best].sum() > worth[rows, labels].sum() else labels
