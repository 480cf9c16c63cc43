"""The published measures of modularity beside the repaired ones, and what a removal changes: tables of docs/modular.md.

    OMP_NUM_THREADS=1 python scripts/modular_measures.py [--seeds 3] [--data ../shared/data] [--quick]

Networks: digits 64-32-32-10 (scikit-learn's 1,797 images, a fifth held out), and MNIST 784-64-64-64-10 (10,000 images,
2,000 held out). Every number is a mean over the seeds, with the standard deviation behind it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.load import load_network
from relu_shallow.modular.circuits import circuit
from relu_shallow.modular.clustering import cluster_graph
from relu_shallow.modular.fitting import Plan, fit, rows_of
from relu_shallow.modular.hidden import hidden_layers, weights_of
from relu_shallow.modular.making import make_modular, train_modular
from relu_shallow.modular.measures import clustered_clusterability, mean_clusterability
from relu_shallow.modular.removal import removal

DIGITS, MNIST = "digits 64-32-32-10", "MNIST 784-64-64-64-10"
WIDTHS = {DIGITS: (64, 32, 32, 10), MNIST: (784, 64, 64, 64, 10)}
EPOCHS = {DIGITS: 60, MNIST: 20}
STEP = {DIGITS: 3e-3, MNIST: 1e-3}
STRENGTHS = (0.0, 0.03, 0.1, 0.3, 1.0, 20.0)
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="one seed, digits only")
    options = parser.parse_args()
    seeds = range(1 if options.quick else options.seeds)
    names = [DIGITS] if options.quick else [DIGITS, MNIST]
    data = {name: [split(name, options.data, seed) for seed in seeds] for name in names}
    plain = {name: [ordinary(name, rows, seed) for seed, rows in enumerate(data[name])] for name in names}
    show("C of ordinary networks, mean over hidden matrices",
         ["network", "k", "1/k", "published", "spectral clustering of the whole graph", "with exchange"],
         clusterabilities(plain))  # fmt: skip
    show(f"What a removal changes: {DIGITS} in 16 modules, trained with enmeshment losses of different strength",
         ["strength", "C", "accuracy", "after removal", "class changed", "proved unchanged"], removals(data[DIGITS]))
    show("Effective circuit size, mean over the ten digits",
         ["network", "search", "weights", "of available", "answers yes", "published weights", "answers yes", "tries"],
         circuits(plain[DIGITS], data[DIGITS]))  # fmt: skip


def split(name: str, folder: Path, seed: int) -> Split:
    """(X, y to train on, X, y held out)."""
    if name == DIGITS:
        from sklearn.datasets import load_digits

        digits = load_digits()
        X, y, held = digits.data / 16, digits.target, 360
    else:
        with np.load(folder / "images" / "mnist" / "mnist_train_10k.npz") as images:
            X, y, held = images["X"].reshape(-1, 784) / 255, images["y"], 2000
    order = np.random.default_rng(seed).permutation(len(X))
    X, y = X[order].astype(np.float32), y[order].astype(np.int64)
    return X[held:], y[held:], X[:held], y[:held]


def untrained(name: str, seed: int) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(seed)
    layers = [part for a, b in pairwise(WIDTHS[name]) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def ordinary(name: str, rows: Split, seed: int) -> Any:
    module = untrained(name, seed)
    fit(module, rows_of(rows[0], rows[1], like=module), Plan(EPOCHS[name], step=STEP[name], seed=seed))
    return module


def hidden_weights(module: Any) -> list[np.ndarray]:
    import torch

    return weights_of(module, hidden_layers(module, torch.zeros(2, next(module.parameters()).shape[1])))


def clusterabilities(plain: dict[str, list[Any]]) -> Iterator[list[str]]:
    for name, modules in plain.items():
        for k in (4, 16):
            found = []
            for seed, module in enumerate(modules):
                W = hidden_weights(module)
                alone = mean_clusterability(W, cluster_graph(W, k, seed=seed, exchange=False))
                found.append([np.mean(clustered_clusterability(W, k, seed=seed, published=True)), alone,
                              np.mean(clustered_clusterability(W, k, seed=seed))])  # fmt: skip
            yield [name, str(k), f"{1 / k:.3f}", *(spread(column) for column in zip(*found, strict=True))]


def removals(data: Sequence[Split]) -> Iterator[list[str]]:
    for strength in STRENGTHS:
        found = []
        for seed, (X, y, Xt, yt) in enumerate(data):
            made = train_modular(untrained(DIGITS, seed), (X, y), 16, test=(Xt, yt), seed=seed, strength=strength,
                                 tune=0)  # fmt: skip
            told = removal(load_network(made.before), load_network(made.removed), Xt.astype(np.float64))
            _, before, after = made.stages
            found.append([before.clusterability, before.score, after.score, told.share_changed, told.share_proved])
        yield [f"{strength:g}", *(spread(column, 4) for column in zip(*found, strict=True))]


def circuits(plain: Sequence[Any], data: Sequence[Split]) -> Iterator[list[str]]:
    for what in ("ordinary", "made of 16 modules"):
        for search in ("single", "blocks"):
            found = []
            for seed, (module, rows) in enumerate(zip(plain, data, strict=True)):
                one = module if what == "ordinary" else make_modular(module, rows[:2], 16, seed=seed).module
                network, X, y = load_network(one), rows[0][:500].astype(np.float64), rows[1][:500]
                pairs = [[circuit(network, X, y, c, search=search, published=flag) for flag in (False, True)]
                         for c in range(10)]  # fmt: skip
                found.append(np.mean([[a.weights, a.share, a.answered, b.weights, b.answered, a.tries]
                                      for a, b in pairs], axis=0))  # fmt: skip
            weights, share, answers, published, all_, tries = zip(*found, strict=True)
            yield [what, search, spread(weights, 0), spread(share), spread(answers, 2), spread(published, 0),
                   spread(all_, 2), spread(tries, 0)]  # fmt: skip


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def show(title: str, head: Sequence[str], rows: Iterator[list[str]]) -> None:
    """Prints a table in Markdown."""
    print(f"\n{title}:\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
