"""Exact Shapley values beside shap's ExactExplainer and the plain enumeration of all 2^d hybrids: time and agreement.

Every system is given the same network in float64, the same rows and background rows, and libraries have one thread.
*enumeration* evaluates the network at all hybrids of a pair in one batch, which stays in the cache: 2^d for d features
that differ, the first layer as an affine map of the coalitions; in NumPy and in PyTorch. ExactExplainer is given the
PyTorch module, all background rows, and as many evaluations as it wants.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from benchmark.cases import MissingData
from benchmark.report import seconds
from benchmark.tables import standardised, table
from relu_shallow.explanation import Background
from relu_shallow.explanation.exact import exact_values
from relu_shallow.explanation.hybrids import shapley_shares
from relu_shallow.load import load_network
from relu_shallow.machine import usable_cores
from relu_shallow.network import Network

ROWS, POINTS = 100, 20
HIDDEN = (16, 16)
FASTER = 20.0  # than ExactExplainer, the target; and never slower than an enumeration


@dataclass(frozen=True, eq=False)
class Game:
    """What is explained: a torch module and the network read from it, rows, and background rows of equal weight."""

    title: str
    module: Any
    network: Network
    X: np.ndarray
    B: np.ndarray


def ours(workers: int | None) -> Callable[[Game], np.ndarray]:
    def values(game: Game) -> np.ndarray:
        background = Background(game.B, np.ones(len(game.B)))
        return exact_values(game.network, game.X, background, [0], workers=workers)[:, 0]

    return values


def shap_exact(game: Game) -> np.ndarray:
    """shap's ExactExplainer; ImportError where it is not installed."""
    import shap
    import torch

    def f(points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return game.module(torch.from_numpy(np.ascontiguousarray(points, dtype=np.float64)))[:, 0].numpy()

    masker = shap.maskers.Independent(game.B, max_samples=len(game.B))
    explainer = shap.explainers.ExactExplainer(f, masker)
    inputs = game.B.shape[1]
    return explainer(game.X, max_evals=2**inputs + 1, silent=True).values


@cache
def coalitions(players: int) -> np.ndarray:
    """Every coalition as a row of zeros and ones, (2^d, d)."""
    return (np.arange(1 << players)[:, None] >> np.arange(players) & 1).astype(np.float64)


def numpy_enumeration(game: Game) -> np.ndarray:
    (W, b), *rest = [(layer.W, layer.b) for layer in game.network.affine]
    phi = np.zeros(game.X.shape)
    for row, x in zip(phi, game.X, strict=True):
        for y in game.B:
            F = np.flatnonzero(x != y)
            z = coalitions(len(F)) @ (W[:, F] * (x - y)[F]).T
            z += W @ y + b
            for w, c in rest:
                np.maximum(z, 0.0, out=z)
                z = z @ w.T
                z += c
            row[F] += shapley_shares(len(F)) @ z[:, 0]
    return phi / len(game.B)


def torch_enumeration(game: Game) -> np.ndarray:
    import torch

    (W, b), *rest = [(torch.from_numpy(layer.W), torch.from_numpy(layer.b)) for layer in game.network.affine]
    X, B = torch.from_numpy(game.X), torch.from_numpy(game.B)
    phi = torch.zeros(X.shape, dtype=torch.float64)
    for row, x in zip(phi, X, strict=True):
        for y in B:
            F = (x != y).nonzero()[:, 0]
            S = torch.from_numpy(coalitions(len(F)))
            z = torch.addmm(W @ y + b, S, (W[:, F] * (x - y)[F]).T)
            for w, c in rest:
                z = torch.addmm(c, z.relu_(), w.T)
            row[F] += torch.from_numpy(shapley_shares(len(F))) @ z[:, 0]
    return phi.numpy() / len(B)


ABOUT = """\
Interventional Shapley values of every row against all background rows. Every system has the network in float64 and one
thread but for the second line; values agree with those of the enumeration to the last column's part of the largest.
*Enumeration* evaluates the network at all hybrids of a pair in one batch: 2^d for d features that differ.
ExactExplainer evaluates the PyTorch module. Systems take turns; *times ours* are medians of each round's ratio to the
first line."""
ONE = "relu-shallow, one thread"
ALL = f"relu-shallow, {usable_cores()} threads"
SYSTEMS: dict[str, Callable[[Game], np.ndarray]] = {
    ONE: ours(1),
    ALL: ours(None),
    "enumeration, NumPy": numpy_enumeration,
    "enumeration, PyTorch": torch_enumeration,
    "shap's ExactExplainer": shap_exact,
}


def section(quick: bool, rounds: int, say: Callable[[str], None]) -> str:
    """The part as Markdown: a table for each case, medians of the rounds, in which the systems take turns."""
    import torch

    torch.set_num_threads(1)
    parts = ["## Exact Shapley values", ABOUT]
    for make in (drawn_10, drawn_13, trained_10, trained_13):
        try:
            game = make(*((4, 3) if quick else (ROWS, POINTS)))
        except MissingData as error:
            parts.append(f"Not measured: {error}.")
            continue
        say(game.title)
        parts.append(f"**{game.title}**\n\n{_table(game, 1 if quick else rounds, say)}")
    return "\n\n".join(parts)


def _table(game: Game, rounds: int, say: Callable[[str], None]) -> str:
    missing = {name for name, values in SYSTEMS.items() if not _ready(values, game)}
    cpu: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    wall: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    found: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, values in SYSTEMS.items():
            if name in missing:
                continue
            begin, started = time.process_time(), time.perf_counter()
            found[name] = values(game)
            cpu[name].append((time.process_time() - begin) / len(game.X))
            wall[name].append((time.perf_counter() - started) / len(game.X))
            say(f"  {name}: {cpu[name][-1]:.4g} s of CPU a row, {wall[name][-1]:.4g} s")
    lines = ["| system | CPU time a row | time a row | CPU time, times ours | time, times ours | largest difference |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name in SYSTEMS:
        if name in missing:
            lines.append(f"| {name} | not installed | - | - | - | - |")
            continue
        times = [_ratio(spent, name) for spent in (cpu, wall)]
        off = np.abs(found[name] - found["enumeration, NumPy"]).max()
        lines.append(
            f"| {name} | {seconds(statistics.median(cpu[name]))} "
            f"| {seconds(statistics.median(wall[name]))} | {times[0]:.3g} | {times[1]:.3g} "
            f"| {off / np.abs(found[name]).max():.1e} |"
        )
    return "\n".join(lines) + "\n\n" + _verdict(cpu, found)


def _ratio(spent: dict[str, list[float]], name: str) -> float:
    """The median over rounds of a system's time over ours on one thread."""
    return statistics.median(a / b for a, b in zip(spent[name], spent[ONE], strict=True))


def _verdict(cpu: dict[str, list[float]], found: dict[str, np.ndarray]) -> str:
    """How the targets are met, by CPU time on one thread."""
    lines = []
    for what, limit in (("enumeration, NumPy", 1.0), ("enumeration, PyTorch", 1.0), ("shap's ExactExplainer", FASTER)):
        if what in found:
            ratio = _ratio(cpu, what)
            verdict = "met" if ratio >= limit else "**missed**"
            lines.append(f"{ratio:.3g} times as fast as {what} (target {limit:g}: {verdict})")
    return "One thread is " + "; ".join(lines) + "."


def _ready(values: Callable[[Game], np.ndarray], game: Game) -> bool:
    """Whether the system is installed; what it imports, compiles or loads the first time is then behind."""
    try:
        values(Game(game.title, game.module, game.network, game.X[:1], game.B))
    except ImportError:
        return False
    return True


def drawn_10(rows: int, points: int) -> Game:
    return _drawn(10, rows, points)


def drawn_13(rows: int, points: int) -> Game:
    return _drawn(13, rows, points)


def trained_10(rows: int, points: int) -> Game:
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    return _trained("scikit-learn's diabetes data", data.data, data.target, rows, points)


def trained_13(rows: int, points: int) -> Game:
    """California housing with its category as columns of zeros and ones: 8 + 5."""
    X, y = table("california_housing.csv", "median_house_value")
    return _trained("California housing", X, y, rows, points)


def _drawn(inputs: int, rows: int, points: int) -> Game:
    import torch

    torch.manual_seed(inputs)
    random = np.random.default_rng(inputs)
    X = random.normal(size=(rows + points, inputs))
    module = layers(inputs, *HIDDEN, 1)
    network = load_network(module, input_shape=(inputs,))
    return Game(_title("random", network, rows, points), module, network, X[:rows], X[rows:])


def _trained(what: str, X: np.ndarray, y: np.ndarray, rows: int, points: int) -> Game:
    import torch

    torch.manual_seed(0)
    order = np.random.default_rng(0).permutation(len(X))[:4000]
    X, y = standardised(X)[order], standardised(y[:, None])[order]
    module = layers(X.shape[1], *HIDDEN, 1)
    fit(module, X[rows:], y[rows:])
    network = load_network(module, input_shape=(X.shape[1],))
    return Game(_title(f"trained on {what}", network, rows, points), module, network, X[:rows], X[rows : rows + points])


def _title(how: str, network: Network, rows: int, points: int) -> str:
    widths = "-".join(map(str, (network.inputs, *network.widths, network.outputs)))
    return f"{widths}, {how}, {rows} rows, {points} background rows"


def layers(*widths: int) -> Any:
    """A multilayer perceptron with ReLUs, in float64, as torch draws it."""
    from torch import nn

    found = [module for a, b in pairwise(widths) for module in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*found[:-1]).double()


def fit(module: Any, X: np.ndarray, y: np.ndarray, steps: int = 500) -> None:
    """Fits the module to y by least squares, all rows at each step."""
    import torch

    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    inputs, wanted = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(steps):
        optimizer.zero_grad()
        (module(inputs) - wanted).square().mean().backward()
        optimizer.step()
