"""Exact interventional Shapley values and certified intervals around them, on all cores.

    phi_i = sum over S without i of |S|! (d - |S| - 1)! / d! (v(S + i) - v(S)),       averaged over the background,

v(S) being the network at the hybrid that takes the features of S from the row and the others from a background row, and
d the number of features in which the two differ. Hybrids are evaluated by the deep network itself, which a converted
file holds and which is defined everywhere, so it does not matter where they lie. The work is done by splitting.py and
intervals.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Timer
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from relu_shallow.errors import DataError
from relu_shallow.explanation.background import Background
from relu_shallow.explanation.layers import Layers, layers_of
from relu_shallow.explanation.shares import beta_table
from relu_shallow.machine import usable_cores
from relu_shallow.network import Network
from relu_shallow.precision import shapley_error

Progress = Callable[[int], None]
T = TypeVar("T")

REACH = 2e10  # units of work that are tried for one row: about two seconds of one core (measured)
MOST_NUMBERS = 1 << 27  # weights of a network, and pairs of its neurons, that are laid out: 1 GB
MOST_NODES, MOST_BYTES = 1 << 18, 1 << 28  # open sub-cubes of one row that are kept
PAIRS = 16  # background rows that one thread takes at a time
SUMMED = 1 << 16  # terms of a sum, at most, in what these searches enumerate at once


@dataclass(frozen=True, eq=False)
class Intervals:
    """Bounds lo <= phi <= hi on Shapley values that hold in exact arithmetic; `cells` is how many were looked at.

    Where `cells` is 0 the time was over before the row was enclosed, and its bounds are infinite.
    """

    lo: Float[np.ndarray, "rows outputs inputs"]
    hi: Float[np.ndarray, "rows outputs inputs"]
    cells: Int[np.ndarray, " rows"]
    settled: Bool[np.ndarray, " rows"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """What every row is worked out from: the layers, and the background with the first layer's values there."""

    layers: Layers
    background: Background
    starts: Float[np.ndarray, "points width"]
    beta: Float[np.ndarray, "size size"]


def exact_values(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    *,
    workers: int | None = None,
) -> Float[np.ndarray, "rows outputs inputs"]:
    """The rows' exact values, however long it takes."""
    return settled_values(network, X, background, outputs, workers=workers)[0]


def settled_values(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    *,
    units: float = np.inf,
    deadline: float = np.inf,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Float[np.ndarray, "rows outputs inputs"], Bool[np.ndarray, " rows"]]:
    """(phi, done): exact values, of those rows that take at most `units` of work and are done at the deadline.

    A unit is a multiply-add of an enumeration, and some background rows at a time get their share of them; so neither
    which rows are done nor any value depends on the machine or the threads, unless there is a deadline (of
    `time.monotonic()`). `progress` is told the number of rows tried. Raises DataError where the network is too large to
    be laid out.
    """
    from relu_shallow.explanation.splitting import add_row

    pairs = _pairs(network, background, outputs)
    parts = [slice(begin, begin + PAIRS) for begin in range(0, len(background.X), PAIRS)]
    phi, done = np.zeros((len(X), len(outputs), network.inputs)), np.ones(len(X), bool)
    work = np.zeros((len(X), len(parts), 3))
    work[:, :, 1] = [units * len(background.X[part]) / len(background.X) for part in parts]

    def solve(job: int) -> tuple[int, Float[np.ndarray, "outputs inputs"], bool]:
        row, number = divmod(job, len(parts))
        part, own = parts[number], np.zeros_like(phi[row])
        B, weights, starts = background.X[part], background.weights[part], pairs.starts[part]
        add_row(X[row], B, weights, starts, pairs.layers, pairs.beta, own, work[row, number])
        return row, own, bool(work[row, number, 2] == 0.0)

    for row, own, whole in _each(solve, work, deadline, workers):
        phi[row] += own
        done[row] &= whole
        if progress is not None:
            progress(row + 1)
    return phi, done


def enclosed_values(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    *,
    units: float = REACH,
    deadline: float = np.inf,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Intervals:
    """Certified intervals around the rows' values, each row's searched for `units` of work.

    With a deadline the time is shared out among the rows, and `units` counts too. Raises DataError as above.
    """
    from relu_shallow.explanation.intervals import enclose_row

    pairs = _pairs(network, background, outputs)
    lo, hi = np.zeros((2, len(X), len(outputs), network.inputs))
    cells, settled = np.zeros(len(X), np.int64), np.zeros(len(X), bool)
    work = np.zeros((len(X), 3))
    work[:, 1] = units
    threads, left, lock = _threads(workers, len(X)), [len(X)], Lock()

    def enclose(row: int) -> int:
        with lock:
            share = (deadline - time.monotonic()) * threads / left[0]
            left[0] -= 1
        nodes = Nodes.of(len(background.X), len(outputs), network.inputs)
        with _stopped_after(share, work[row]):
            count, cells[row] = enclose_row(
                X[row], background.X, background.weights, pairs.starts, pairs.layers, pairs.beta, *nodes, work[row]
            )
        weights = background.weights[nodes.pair[:count]]
        lo[row], hi[row] = nodes.done + np.tensordot(nodes.ends[:, :count], weights, axes=(1, 0))
        settled[row] = cells[row] > 0 and count == 0
        return row

    for row in _each(enclose, work, deadline, workers):
        if progress is not None:
            progress(row + 1)
    return _certain(network, X, background, outputs, Intervals(lo, hi, cells, settled))


class Nodes(NamedTuple):
    """Room for the sub-cubes of a search, see intervals.py; what is not used costs no memory."""

    state: Int8[np.ndarray, "nodes inputs"]
    pair: Int[np.ndarray, " nodes"]
    split: Int[np.ndarray, " nodes"]
    width: Float[np.ndarray, " nodes"]
    ends: Float[np.ndarray, "two nodes outputs inputs"]
    done: Float[np.ndarray, "two outputs inputs"]

    @staticmethod
    def of(pairs: int, outputs: int, inputs: int) -> Nodes:
        """At least two for every pair, and as many as MOST_BYTES hold."""
        count = max(2 * pairs, min(MOST_NODES, MOST_BYTES // (16 * outputs * inputs)))
        pair, split = np.zeros((2, count), np.int64)
        return Nodes(
            np.zeros((count, inputs), np.int8), pair, split, np.zeros(count),
            np.zeros((2, count, outputs, inputs)), np.zeros((2, outputs, inputs)),
        )  # fmt: skip


def _certain(
    network: Network, X: Float[np.ndarray, "rows inputs"], background: Background, outputs: list[int], found: Intervals
) -> Intervals:
    """The intervals widened by rounding, and cut where the others' ends and the sum of all leave no room.

    Values of settled rows are exact ones like any others: up to rounding.
    """
    terms = SUMMED + int(found.cells.max(initial=0)) + len(background.X)
    error = shapley_error(network, X, background.X, outputs, terms)[:, :, None]
    never, error = (found.cells == 0)[:, None, None], np.where(found.settled[:, None, None], 0.0, error)
    lo = np.where(never, -np.inf, found.lo - error)
    hi = np.where(never, np.inf, found.hi + error)
    total = network(X)[:, outputs] - background.weights @ network(background.X)[:, outputs]
    with np.errstate(invalid="ignore"):
        below = (total - hi.sum(axis=2))[:, :, None] + hi - network.inputs * error
        above = (total - lo.sum(axis=2))[:, :, None] + lo + network.inputs * error
    open_ends = ~found.settled[:, None, None]
    lo, hi = np.where(open_ends, np.fmax(lo, below), lo), np.where(open_ends, np.fmin(hi, above), hi)
    return Intervals(lo, hi, found.cells, found.settled)


def too_large(network: Network) -> bool:
    """Whether a network has too many weights, or pairs of neurons, to be laid out in full."""
    weights = sum(layer.W.shape[0] * layer.W.shape[1] for layer in network.affine)
    return max(weights, network.neurons**2) > MOST_NUMBERS


def first_look(network: Network, background: Background) -> float:
    """The units of work, at most, that it takes to enclose every pair of a row once."""
    neurons = network.neurons
    return 2.0 * neurons * neurons * (network.inputs + neurons) * len(background.X)


def _pairs(network: Network, background: Background, outputs: list[int]) -> Pairs:
    if too_large(network):
        raise DataError(
            f"exact values and bounds lay the network out in full, and its {network.neurons:,} neurons are too many "
            f"for that; use the method estimate, local or integrated"
        )
    layers = layers_of(network, outputs)
    starts = background.X @ layers.W.T + layers.bias[: len(layers.W)]
    return Pairs(layers, background, starts, beta_table(network.inputs))


def _threads(workers: int | None, rows: int) -> int:
    return max(1, min(workers or usable_cores(), rows))


def _each(do: Callable[[int], T], work: np.ndarray, deadline: float, workers: int | None) -> Iterator[T]:
    """What is made of every job, in order, by some threads; past the deadline what runs is told to stop.

    `work` has three numbers for each job, see shares.py.
    """
    jobs = work.size // 3
    with ThreadPoolExecutor(_threads(workers, jobs)) as pool, _stopped_after(deadline - time.monotonic(), work):
        yield from pool.map(do, range(jobs))


@contextmanager
def _stopped_after(seconds: float, work: np.ndarray) -> Iterator[None]:
    """Sets the stop of these rows' work after so many seconds, and when what is inside is interrupted."""
    timer = Timer(max(seconds, 0.0), _stop, (work,)) if np.isfinite(seconds) else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    except BaseException:
        _stop(work)
        raise
    finally:
        if timer is not None:
            timer.cancel()


def _stop(work: np.ndarray) -> None:
    work[..., 2] = 1.0
