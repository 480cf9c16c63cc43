"""How far estimates of Shapley values are off at one number of evaluations: this package's way and the usual ones.

    python scripts/compare_sampling.py [--seeds 40] [--data ../shared/data]

Networks are trained on three tables. Each way gets the same hybrids per row: four antithetic pairs of orders for each
of 50 weighted background rows. Printed: root mean square of the spread over seeds, as a multiple of this package's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from relu_shallow.explanation.background import shrink
from relu_shallow.explanation.estimate import estimate_values
from relu_shallow.load import load_network
from relu_shallow.network import Network


def tables(data: Path) -> Iterator[tuple[str, Network, np.ndarray]]:
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    pima = np.loadtxt(data / "tabular" / "pima-indians-diabetes.csv", delimiter=",")
    heloc = np.loadtxt(data / "tabular" / "carla_heloc.csv", delimiter=",", skiprows=1)
    digits = load_digits()
    for name, X, y, widths in [
        ("diabetes (pima), 8-16-16-1", pima[:, :8], pima[:, 8], (16, 16)),
        ("credit (heloc), 21-32-32-1", heloc[:, :-1], heloc[:, -1], (32, 32)),
        ("digits, 64-32-32-10", digits.data, digits.target, (32, 32)),
    ]:
        spread = X.std(axis=0)
        X = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        yield name, load_network(MLPClassifier(widths, max_iter=80, random_state=0).fit(X, y)), X


def gains(f: Callable, x: np.ndarray, B: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """What each feature gains along one order for each background row."""
    n = len(x)
    rank = np.argsort(orders, axis=1)
    mine = rank[:, None, :] < np.arange(n + 1)[None, :, None]
    v = f(np.where(mine, x, B[:, None]).reshape(-1, n)).reshape(len(B), n + 1)
    found = np.empty((len(B), n))
    np.put_along_axis(found, orders, np.diff(v, axis=1), 1)
    return found


def first_output(network: Network) -> Callable:
    return lambda Y: network(Y)[:, 0]


def orders_of(random: np.random.Generator, count: int, n: int) -> np.ndarray:
    return random.permuted(np.tile(np.arange(n), (count, 1)), axis=1)


def independent(f, x, B, w, R, random):
    """Independent orders."""
    return sum(w @ gains(f, x, B, orders_of(random, len(B), len(x))) for _ in range(2 * R)) / (2 * R)


def shared(f, x, B, w, R, random):
    """Antithetic pairs, one pair of orders for all background rows, as permutation explainers do."""
    found = 0.0
    for _ in range(R):
        orders = np.tile(random.permutation(len(x)), (len(B), 1))
        found = found + w @ (gains(f, x, B, orders) + gains(f, x, B, orders[:, ::-1])) / (2 * R)
    return found


def regression(f, x, B, w, R, random):
    """KernelSHAP with paired coalitions, each evaluated on all background rows."""
    n = len(x)
    sizes = np.arange(1, n)
    chance = 1.0 / (sizes * (n - sizes))
    S = np.zeros((n * R, n), dtype=bool)
    for row, size in zip(S, random.choice(sizes, len(S), p=chance / chance.sum()), strict=True):
        row[random.permutation(n)[:size]] = True
    S = np.concatenate([S, ~S])
    v = sum(wb * f(np.where(S, x, b)) for b, wb in zip(B, w, strict=True))
    none, everything = w @ f(B), f(x[None])[0]
    Z = S[:, :-1].astype(float) - S[:, -1:]
    phi = np.linalg.lstsq(Z, v - none - S[:, -1] * (everything - none), rcond=None)[0]
    return np.append(phi, everything - none - phi.sum())


WAYS = {"independent orders": independent, "antithetic, shared": shared, "KernelSHAP, paired": regression}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=40)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = arguments.parse_args()
    print("| network | this package, rms | " + " | ".join(WAYS) + " |\n|---|---|" + "---|" * len(WAYS))
    for name, network, X in tables(given.data):
        background = shrink(X, 50)
        rows = X[np.random.default_rng(1).choice(len(X), 3, replace=False)]
        R, f = 4, first_output(network)
        ours = [estimate_values(network, rows, background, [0], tolerance=1e9, most_pairs=10**6, seed=s)
                for s in range(given.seeds)]  # fmt: skip
        pairs = float(np.mean([found.pairs for found in ours]))
        own = np.std([found.phi[:, 0] for found in ours], axis=0, ddof=1) * np.sqrt(pairs / (R * len(background.X)))
        relative = []
        for way in WAYS.values():
            deviations = [
                np.std([way(f, x, background.X, background.weights, R, np.random.default_rng(s))
                        for s in range(given.seeds)], axis=0, ddof=1)
                for x in rows
            ]  # fmt: skip
            relative.append(np.sqrt(np.mean(np.square(deviations)) / np.mean(own**2)))
        own_rms = np.sqrt(np.mean(own**2))
        print(f"| {name} | {own_rms:.4f} | " + " | ".join(f"{factor:.1f}" for factor in relative) + " |", flush=True)


if __name__ == "__main__":
    main()
