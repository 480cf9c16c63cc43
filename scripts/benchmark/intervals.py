"""Certified intervals around Shapley values beside VeriSHAP's published method: their width after the same time.

Both search for the same networks, rows and background rows, one thread each, compiled beforehand. Seconds are of CPU
time. This project's search is given as many units of work as fill the seconds; VeriSHAP's (see verishap.py) is read off
when it has used as much, or the seconds if this project's was over before. The width of a row is the sum of its
intervals' widths over the sum of its values' sizes, these being the middles of the narrowest intervals that were found.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.cases import MissingData
from benchmark.report import seconds
from benchmark.shapley import fit, layers
from benchmark.tables import standardised, table
from benchmark.verishap import CROWN, CROWN_IBP, INTERVALS, enclosures
from relu_shallow.explanation import Background
from relu_shallow.explanation.exact import enclosed_values
from relu_shallow.load import load_network
from relu_shallow.network import Network

TIMES = (0.1, 0.3, 1.0, 3.0)
QUICK = (0.05, 0.1)
ROWS = 3
FIRST = 1e8  # units of work from which their rate is taken
PEERS = {"VeriSHAP, CROWN-IBP": CROWN_IBP, "VeriSHAP, CROWN": CROWN, "VeriSHAP, intervals": INTERVALS}
OURS = "relu-shallow"
ABOUT = """\
Intervals that hold the exact Shapley values for certain, beside those of VeriSHAP (Boetius, Bassan, Katz, Leue and
Sutter, arXiv 2605.24084): their published method written anew and compiled, with their default bounds (CROWN-IBP), with
tighter ones (CROWN) and with looser ones (intervals), their default choice of the set to split (the largest weighted
difference) and of the feature to split by (the largest smear). Sets are split one at a time, which best-first search
likes best; their own code splits batches on a GPU. It stops at a set when its two constants agree to 1e-5, as theirs.

The width of a row is the sum of its intervals' widths over the sum of its values' sizes; medians over three rows, after
so many seconds of CPU time on one thread. *Settled after* is when everything is exact, where that happened."""


@dataclass(frozen=True, eq=False)
class Case:
    """A network with rows, each explained against some background rows of equal weight."""

    title: str
    network: Network
    X: np.ndarray
    B: np.ndarray


@dataclass(frozen=True, eq=False)
class Found:
    """Bounds after each time, (times, inputs), and from which time on all is settled, if ever."""

    lo: np.ndarray
    hi: np.ndarray
    settled: list[float]


def section(quick: bool, rounds: int, say: Callable[[str], None]) -> str:  # noqa: ARG001
    """The part as Markdown: a table for each case, medians over its rows; one round, as searches do not vary."""
    parts = ["## Certified intervals", ABOUT]
    for make in CASES[:1] if quick else CASES:
        try:
            case = make()
        except MissingData as error:
            parts.append(f"Not measured: {error}.")
            continue
        say(case.title)
        parts.append(f"**{case.title}**\n\n{_table(case, QUICK if quick else TIMES, say)}")
    return "\n\n".join(parts)


def _table(case: Case, times: tuple[float, ...], say: Callable[[str], None]) -> str:
    rows = case.X[:1] if times is QUICK else case.X
    for bounds in PEERS.values():
        enclosures(case.network, rows[0], case.B, bounds, [0.0])  # compiles
    rate = _rate(case)
    widths: dict[str, list[list[float]]] = {name: [] for name in (OURS, *PEERS)}
    done: dict[str, list[float]] = {name: [] for name in (OURS, *PEERS)}
    for x in rows:
        found, used = _ours(case, x, times, rate)
        all_found = {OURS: found, **{name: _theirs(case, x, bounds, used) for name, bounds in PEERS.items()}}
        scale = _scale(all_found)
        for name, one in all_found.items():
            widths[name].append(list(np.maximum(one.hi - one.lo, 0.0).sum(axis=1) / scale))
            done[name].append(min(one.settled, default=np.inf))
            say(f"  {name}: {', '.join(f'{width:.3g}' for width in widths[name][-1])}; settled {done[name][-1]:.3g}")
    lines = ["| system | settled after | " + " | ".join(f"width at {seconds(t)}" for t in times) + " |",
             "| --- " * (2 + len(times)) + "|"]  # fmt: skip
    for name in widths:
        settled = statistics.median(done[name])
        shown = [_width(statistics.median(at)) for at in zip(*widths[name], strict=True)]
        after = seconds(settled) if np.isfinite(settled) else "-"
        lines.append(f"| {name} | {after} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _width(value: float) -> str:
    return "0" if value < np.sqrt(np.finfo(np.float64).eps) else f"{value:.2g}"


def _rate(case: Case) -> float:
    """Units of work a second, from the second of two runs: the first loads compiled code."""
    for _ in range(2):
        begin = time.process_time()
        _search(case, case.X[0], FIRST)
    return FIRST / max(time.process_time() - begin, 1e-3)


def _search(case: Case, x: np.ndarray, units: float):  # type: ignore[no-untyped-def]  # Intervals
    background = Background(case.B, np.ones(len(case.B)))
    return enclosed_values(case.network, x[None], background, [0], units=units, workers=1)


def _ours(case: Case, x: np.ndarray, times: tuple[float, ...], rate: float) -> tuple[Found, list[float]]:
    """The bounds, and the seconds at which others are to be read off."""
    lo, hi, settled, used = [], [], [], []
    for limit in times:
        begin = time.process_time()
        found = _search(case, x, rate * limit)
        took = time.process_time() - begin
        used.append(max(took, limit))
        lo.append(found.lo[0, 0])
        hi.append(found.hi[0, 0])
        if found.settled[0]:
            settled.append(took)
        else:
            rate *= limit / took  # the next is nearer to its time
    return Found(np.array(lo), np.array(hi), settled), used


def _theirs(case: Case, x: np.ndarray, bounds: int, used: list[float]) -> Found:
    found = enclosures(case.network, x, case.B, bounds, used)
    return Found(found.lo, found.hi, [float(t) for t in found.seconds[found.settled]])


def _scale(found: dict[str, Found]) -> float:
    """The sum of the sizes of the middles of the narrowest intervals."""
    best = min(found.values(), key=lambda one: float((one.hi[-1] - one.lo[-1]).sum()))
    return float(np.abs(best.lo[-1] + best.hi[-1]).sum() / 2)


def drawn(inputs: int, hidden: tuple[int, ...], points: int) -> Callable[[], Case]:
    """A network as torch draws it, rows and background rows from a normal distribution."""

    def make() -> Case:
        import torch

        torch.manual_seed(inputs)
        random = np.random.default_rng(inputs)
        X, B = random.normal(size=(ROWS, inputs)), random.normal(size=(points, inputs))
        network = load_network(layers(inputs, *hidden, 1), input_shape=(inputs,))
        return Case(_title("random", network, points), network, X, B)

    return make


def smooth(inputs: int, hidden: tuple[int, ...], points: int) -> Callable[[], Case]:
    """A network trained on a smooth function with interactions."""

    def make() -> Case:
        import torch

        torch.manual_seed(inputs)
        X = np.random.default_rng(inputs).normal(size=(2000, inputs))
        y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) + 0.5 * X[:, 4:].sum(axis=1)
        module = layers(inputs, *hidden, 1)
        fit(module, X, y[:, None])
        network = load_network(module, input_shape=(inputs,))
        return Case(_title("trained", network, points), network, X[:ROWS], X[-points:])

    return make


def credit(hidden: tuple[int, ...], points: int) -> Callable[[], Case]:
    """A network trained on the credit table, 21 inputs."""

    def make() -> Case:
        import torch

        torch.manual_seed(0)
        X, y = table("carla_heloc.csv", "RiskPerformance")
        X, module = standardised(X), layers(X.shape[1], *hidden, 1)
        fit(module, X[100:5000], y[100:5000, None])
        network = load_network(module, input_shape=(X.shape[1],))
        return Case(_title("trained on credit data", network, points), network, X[:ROWS], X[100 : 100 + points])

    return make


def _title(how: str, network: Network, points: int) -> str:
    widths = "-".join(map(str, (network.inputs, *network.widths, network.outputs)))
    return f"{widths}, {how}, {points} background row{'s' if points > 1 else ''}"


CASES = [
    drawn(12, (16, 16), 1),
    smooth(16, (32, 32), 1),
    credit((32, 32), 1),
    smooth(20, (32, 32), 1),
    smooth(24, (32, 32), 1),
    smooth(30, (32, 32), 1),
    drawn(30, (16, 16), 1),
    smooth(30, (16, 16), 10),
    credit((32, 32), 10),
]
