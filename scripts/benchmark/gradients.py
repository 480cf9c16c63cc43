"""Exact integrated and expected gradients beside the rules of n steps that people use: error and time.

Every system is given the same network in float64, one thread, the same rows and baselines; seconds are of CPU time,
which other work on the machine hardly lengthens. *torch* is the rule of n steps in a few lines, Gauss-Legendre or
midpoint, all steps of a row in one batch; *captum* is its IntegratedGradients with its default rule (Gauss-Legendre),
where it can be imported. The values that errors are measured against are this project's, whose sums are what the output
gains (the gap says how nearly) and which the tests compare with rationals.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from benchmark.cases import DATA
from benchmark.images import train
from benchmark.report import seconds
from relu_shallow.explanation import Background
from relu_shallow.explanation.path import integrated_gradients
from relu_shallow.load import load_network
from relu_shallow.network import Network

DIGITS = DATA / "images" / "mnist" / "mnist_train_10k.npz"
STEPS = (50, 300)
TARGET = 0.3  # seconds a row of 784-512-512-512-10, one output, one baseline


@dataclass(frozen=True, eq=False)
class Path:
    """What is explained: a torch module and the network read from it, rows, baselines of equal weight, outputs."""

    title: str
    module: Any
    network: Network
    X: np.ndarray
    B: np.ndarray
    outputs: list[int]
    shape: tuple[int, ...]

    @property
    def gained(self) -> np.ndarray:
        """f(x) - E f(b), (rows, outputs): what the values of a row must sum to."""
        return (self.network(self.X) - self.network(self.B).mean(axis=0))[:, self.outputs]


def exact(path: Path) -> np.ndarray:
    background = Background(path.B, np.ones(len(path.B)))
    return integrated_gradients(path.network, path.X, background, path.outputs, workers=1)


def rule(nodes: Callable[[int], tuple[np.ndarray, np.ndarray]], steps: int) -> Callable[[Path], np.ndarray]:
    """Integrated gradients by a quadrature rule on [0, 1], a row and a baseline at a time."""

    def values(path: Path) -> np.ndarray:
        import torch

        t, weights = (torch.from_numpy(array) for array in nodes(steps))
        phi = np.zeros((len(path.X), len(path.outputs), path.X.shape[1]))
        for row, x in zip(phi, path.X, strict=True):
            for b in path.B:
                points = torch.from_numpy(b) + t[:, None] * torch.from_numpy(x - b)
                points.requires_grad_()
                y = path.module(points.reshape(-1, *path.shape))
                for values, k in zip(row, path.outputs, strict=True):
                    found = torch.autograd.grad(y[:, k].sum(), points, retain_graph=True)[0]
                    values += (weights @ found).numpy() * (x - b) / len(path.B)
        return phi

    return values


def gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


def midpoints(steps: int) -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)


def captum(steps: int) -> Callable[[Path], np.ndarray]:
    """captum's own; ImportError where it is not installed."""

    def values(path: Path) -> np.ndarray:
        import torch
        from captum.attr import IntegratedGradients

        explainer = IntegratedGradients(path.module)
        X, B = torch.from_numpy(path.X), torch.from_numpy(path.B)
        phi = np.zeros((len(X), len(path.outputs), X.shape[1]))
        for i, x in enumerate(X):
            inputs = x.expand(len(B), -1).reshape(-1, *path.shape)
            for place, k in enumerate(path.outputs):
                found = explainer.attribute(inputs, B.reshape(-1, *path.shape), target=k, n_steps=steps)
                phi[i, place] = found.reshape(len(B), -1).mean(dim=0).detach().numpy()
        return phi

    return values


SYSTEMS: dict[str, Callable[[Path], np.ndarray]] = {
    "relu-shallow, exact": exact,
    **{f"torch, Gauss-Legendre, {n} steps": rule(gauss_legendre, n) for n in STEPS},
    **{f"torch, midpoints, {n} steps": rule(midpoints, n) for n in STEPS},
    **{f"captum, {n} steps": captum(n) for n in STEPS},
}


def section(quick: bool, rounds: int, say: Callable[[str], None]) -> str:
    """The part as Markdown: a table for each case, medians of the rounds, in which the systems take turns."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    parts = ["## Integrated gradients"]
    for make in (tabular, digits, all_outputs, convolution):
        path = make(quick)
        say(path.title)
        parts.append(f"**{path.title}**\n\n{_table(path, 1 if quick else rounds, say)}")
    return "\n\n".join(parts)


def _table(path: Path, rounds: int, say: Callable[[str], None]) -> str:
    lines = ["| system | CPU time a row | times as long | error | additivity gap |", "| --- | --- | --- | --- | --- |"]
    expected = exact(path)  # the first call loads compiled code
    times: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    found: dict[str, np.ndarray] = {}
    missing = set()
    for _ in range(rounds):
        for name, values in SYSTEMS.items():
            if name in missing:
                continue
            begin = time.process_time()
            try:
                found[name] = values(path)
            except ImportError:
                missing.add(name)
                continue
            times[name].append((time.process_time() - begin) / len(path.X))
            say(f"  {name}: {times[name][-1]:.4g} s a row")
    ours = statistics.median(times["relu-shallow, exact"])
    for name in SYSTEMS:
        if name in missing:
            lines.append(f"| {name} | not installed | - | - | - |")
            continue
        took = statistics.median(times[name])
        error = np.abs(found[name] - expected).sum() / np.abs(expected).sum()
        gap = np.abs(found[name].sum(axis=2) - path.gained).max() / np.abs(path.gained).max()
        shown = "-" if name == "relu-shallow, exact" else f"{error:.1e}"
        lines.append(f"| {name} | {seconds(took)} | {took / ours:.3g} | {shown} | {gap:.1e} |")
    return "\n".join(lines)


def tabular(quick: bool) -> Path:
    """10-32-32-1, trained on a smooth function, rows with as many background rows each."""
    import torch

    count = 5 if quick else 50
    random = np.random.default_rng(0)
    X = random.normal(size=(2000, 10))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) + 0.5 * X[:, 4:].sum(axis=1)
    module = _layers(10, 32, 32, 1)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    inputs, wanted = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(300):
        optimizer.zero_grad()
        (module(inputs)[:, 0] - wanted).square().mean().backward()
        optimizer.step()
    title = f"10-32-32-1, trained, {count} rows, expected over {count} background rows"
    return Path(title, module, load_network(module, input_shape=(10,)), X[:count], X[-count:], [0], (10,))


@lru_cache(maxsize=1)
def digits(quick: bool) -> Path:
    """784-512-512-512-10 on digits where the data folder has them, one output, baseline black."""
    module, X, how = _digit_module(_layers(784, 512, 512, 512, 10), (784,))
    network = load_network(module, input_shape=(784,))
    rows = X[: 2 if quick else 5]
    title = f"784-512-512-512-10, {how}, {len(rows)} rows, one output, one baseline"
    return Path(title, module, network, rows, np.zeros((1, 784)), [3], (784,))


def all_outputs(quick: bool) -> Path:
    """The same with all ten outputs."""
    path = digits(quick)
    title = path.title.replace("one output", "all 10 outputs")
    return Path(title, path.module, path.network, path.X, path.B, list(range(10)), path.shape)


def convolution(quick: bool) -> Path:
    """A small convolutional network of the same images."""
    from torch import nn

    shape = (1, 28, 28)
    layers = [nn.Conv2d(1, 8, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 4, stride=2, padding=1), nn.ReLU()]
    made = nn.Sequential(*layers, nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)).double()
    module, X, how = _digit_module(made, shape)
    rows = X[: 2 if quick else 5]
    title = f"two convolutions and 64 neurons, {how}, {len(rows)} rows, one output, one baseline"
    return Path(title, module, load_network(module, input_shape=shape), rows, np.zeros((1, 784)), [3], shape)


def _layers(*widths: int) -> Any:
    from torch import nn

    layers = [module for a, b in pairwise(widths) for module in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).double()


def _digit_module(module: Any, shape: Sequence[int]) -> tuple[Any, np.ndarray, str]:
    """The module trained for three epochs on digits and some of these, or as drawn and random rows."""
    import torch

    if not DIGITS.exists():
        return module, np.random.default_rng(0).uniform(size=(10, 784)), "not trained (no data folder)"
    with np.load(DIGITS) as file:
        X, y = file["X"].reshape(len(file["X"]), -1) / 255.0, file["y"].astype(np.int64)
    train(module, torch.from_numpy(X).reshape(-1, *shape), torch.from_numpy(y))
    return module, X[np.random.default_rng(0).choice(len(X), 10, replace=False)], "trained on 10,000 digits"
