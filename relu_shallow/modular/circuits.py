"""Effective circuit size (ECS): the weights that are left when all that one class can do without is pruned.

Golechha, Cope and Schoots (arXiv 2409.15747) prune greedily, from the last layer to the first, and count what is left.
A weight goes where the answers stay within a threshold of the whole network's, as a Kullback-Leibler divergence:

- published: divergence of all classes' probabilities, averaged over the rows of this class alone. Nothing asks the
  circuit to say no, and the cheapest one answers this class for every image.
- repaired (the default): divergence of "this class" against "the rest", averaged over the rows of the class and over
  the others, half each; and sizes are per weight that there was (a modular network has fewer to begin with).

Weights of a layer are tried from the smallest up, one at a time, or in blocks: a block that cannot go is halved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.errors import DataError, UsageError
from relu_shallow.network import Affine, Network, preactivations
from relu_shallow.precision import TINY

SEARCHES = ("single", "blocks")
MOST_DIVERGENCE = 0.01  # nats, on average over rows
FIRST_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Circuit:
    """What is left of a network for one class: `network`, its weights of `available`, and the divergence reached.

    `answered` is the share of all rows for which the circuit's probability of the class is above one half (published
    circuits: for which the class is the most probable).
    """

    target: int
    network: Network
    weights: int
    available: int
    divergence: float
    answered: float
    tries: int

    @property
    def share(self) -> float:
        """The weights left per weight that there was."""
        return self.weights / self.available


def circuit(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    y: Int[np.ndarray, " rows"],
    target: int,
    *,
    threshold: float = MOST_DIVERGENCE,
    search: str = "single",
    smallest: int = 1,
    published: bool = False,
) -> Circuit:
    """The circuit of one class on rows X of classes y.

    Blocks of `smallest` weights are not halved: large layers then take less time, and keep more weights. Sparse
    matrices (convolutions) before the first dense one are left whole and not counted; biases stay. Raises DataError
    where no row is of the class or, repaired, all are.
    """
    if search not in SEARCHES:
        raise UsageError(f"search is {' or '.join(SEARCHES)}, got {search!r:.40}")
    mine = np.asarray(y) == target
    if not mine.any() or (not published and mine.all()):
        raise DataError(f"class {target} has {mine.sum()} of {len(mine)} rows; a circuit of one class against the rest "
                        "needs rows of both")  # fmt: skip
    sizes = (1, 1) if search == "single" else (max(FIRST_BLOCK, smallest), smallest)
    judge = _Judge(network, X, mine, target, published)
    layers, tries, reached = [layer.W for layer in network.affine], 0, 0.0
    for index in range(len(layers) - 1, -1, -1):
        if not isinstance(layers[index], np.ndarray):
            break
        layers[index], reached, used = _pruned(judge, layers, index, threshold, reached, sizes)
        tries += used
    left = _with_weights(network, layers)
    counted = [index for index in range(len(layers)) if isinstance(layers[index], np.ndarray)]
    return Circuit(
        target, left, sum(int(np.count_nonzero(layers[i])) for i in counted),
        sum(int(np.count_nonzero(network.affine[i].W)) for i in counted), reached, judge.answered(left), tries,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Judge:
    """How far a pruned network's answers are from the whole one's."""

    network: Network
    X: np.ndarray
    mine: Bool[np.ndarray, " rows"]
    target: int
    published: bool

    def probabilities(self, Y: np.ndarray) -> np.ndarray:
        """(rows, classes), or (rows, 2): this class and the rest."""
        from scipy.special import softmax

        P = softmax(np.concatenate([np.zeros_like(Y), Y], axis=1) if Y.shape[1] == 1 else Y, axis=1)
        return P if self.published else np.stack([P[:, self.target], 1 - P[:, self.target]], axis=1)

    def divergence(self, P: np.ndarray, Y: np.ndarray) -> float:
        """The mean divergence of the answers for outputs Y from P."""
        Q = np.maximum(self.probabilities(Y), TINY)
        rows = (P * (np.log(np.maximum(P, TINY)) - np.log(Q))).sum(axis=1)
        if self.published:
            return float(rows.mean())
        return float(0.5 * rows[self.mine].mean() + 0.5 * rows[~self.mine].mean())

    @property
    def rows(self) -> np.ndarray:
        """The rows that are looked at."""
        return self.X[self.mine] if self.published else self.X

    def answered(self, network: Network) -> float:
        """The share of all rows for which a network answers this class."""
        P = self.probabilities(network(self.X))
        if self.published:
            return float((P.argmax(axis=1) == self.target).mean())
        return float((P[:, 0] > 0.5).mean())


def _pruned(
    judge: _Judge, layers: list[np.ndarray], index: int, threshold: float, reached: float, sizes: tuple[int, int]
) -> tuple[np.ndarray, float, int]:
    """(a layer's matrix without what can go, the divergence then, the tries)."""
    network = _with_weights(judge.network, layers)
    P = judge.probabilities(judge.network(judge.rows))
    z = preactivations(network, judge.rows)
    h = judge.rows if index == 0 else _gated(network, index - 1, z[index - 1])
    W, rest = layers[index].copy(), z[index].copy()
    order = np.flatnonzero(W.ravel())
    order = order[np.argsort(np.abs(W.ravel()[order]), kind="stable")]
    size, smallest = sizes
    stack = [order[i : i + size] for i in range(0, len(order), size)][::-1]
    tries = 0
    while stack:
        block = stack.pop()
        rows, cols = np.unravel_index(block, W.shape)
        trial = rest.copy()
        np.subtract.at(trial.T, rows, (h[:, cols] * W[rows, cols]).T)
        divergence, tries = judge.divergence(P, _onwards(network, index, trial)), tries + 1
        if divergence <= threshold:
            W[rows, cols], rest, reached = 0.0, trial, divergence
        elif len(block) > smallest:
            stack += [block[len(block) // 2 :], block[: len(block) // 2]]
    return W, reached, tries


def _onwards(network: Network, index: int, z: np.ndarray) -> np.ndarray:
    """The outputs from the pre-activations of a layer."""
    for layer in range(index, len(network.gates)):
        after = network.affine[layer + 1]
        z = (after.W @ _gated(network, layer, z).T).T + after.b
    return z


def _gated(network: Network, layer: int, z: np.ndarray) -> np.ndarray:
    gate = network.gates[layer]
    return z * np.where(z > 0, gate.active, gate.inactive)


def _with_weights(network: Network, layers: list[np.ndarray]) -> Network:
    pairs = zip(layers, network.affine, strict=True)
    return replace(network, affine=tuple(Affine(W, layer.b) for W, layer in pairs))
