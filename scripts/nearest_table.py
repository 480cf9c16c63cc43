"""Measures robust radii on real networks: for each norm, the median time of a row and the share that is exact.

    python scripts/nearest_table.py DATA_FOLDER [ROWS] [SECONDS]

DATA_FOLDER is that of the real networks (RELU_SHALLOW_DATA of the tests). Prints a Markdown table.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from relu_shallow.domain import Box, Domain, WholeSpace
from relu_shallow.load import load_network
from relu_shallow.network import Network
from relu_shallow.questions.distance import NORMS
from relu_shallow.questions.radius import Radii, robust_radii

NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
WORDS = (
    ("workclass", "Non-Private", "Private"), ("marital-status", "Married", "Non-Married"),
    ("occupation", "Managerial-Specialist", "Other"), ("relationship", "Husband", "Non-Husband"),
    ("race", "Non-White", "White"), ("sex", "Female", "Male"), ("native-country", "Non-US", "US"),
)  # fmt: skip


def unit(X: np.ndarray) -> np.ndarray:
    """Columns from 0 to 1, as these networks were trained."""
    return np.asarray((X - X.min(axis=0)) / (X.max(axis=0) - X.min(axis=0)))


def census(folder: Path) -> np.ndarray:
    """The census table in the order of the network's 20 inputs (its accuracy there is 0.847)."""
    with (folder / "tabular/carla_adult_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = np.array([[float(row[name]) for name in NUMBERS] for row in rows])
    words = [[float(row[name] == word) for name, *words in WORDS for word in words] for row in rows]
    return np.hstack([unit(numbers), np.array(words)])


def credit(folder: Path) -> np.ndarray:
    """The credit table, its last column (the outcome) left out."""
    return unit(np.loadtxt(folder / "tabular/carla_heloc.csv", delimiter=",", skiprows=1)[:, :-1])


def cases(folder: Path, rows: int) -> list[tuple[str, Network, np.ndarray, Domain, str]]:
    """(name, network, rows, domain, its name) of each line of the table."""
    rng = np.random.default_rng(0)
    adult, heloc = load_network(folder / "pt/carla_adult_ann.pt"), load_network(folder / "pt/carla_heloc_ann.pt")
    acas = load_network(folder / "onnx/acasxu/ACASXU_run2a_1_1_batch_2000.onnx")
    X, Z = census(folder), credit(folder)
    some, few = X[rng.permutation(len(X))[:rows]], Z[rng.permutation(len(Z))[: max(rows // 4, 1)]]
    flights = rng.uniform(-0.4, 0.4, (max(rows // 8, 1), 5))
    return [
        ("carla_adult 20-18-9-3-2", adult, some, Box(0, 1), "[0, 1]^20"),
        ("carla_heloc 21-18-9-3-2", heloc, few, Box(0, 1), "[0, 1]^21"),
        ("carla_heloc 21-18-9-3-2", heloc, few, WholeSpace(), "all"),
        ("ACAS Xu 1_1 5-6x50-5", acas, flights, Box(-0.5, 0.5), "[-1/2, 1/2]^5"),
    ]


def line(name: str, where: str, found: Radii) -> str:
    """One line of the table."""
    gap = [1 - low / high for low, high in zip(found.lower, found.upper, strict=True) if np.isfinite(high) and high > 0]
    settled = sum(status != "bounds" for status in found.status)
    nothing = found.status.count("none")
    share = f"{settled} of {len(found.status)}" + (f" ({nothing}: nothing there)" if nothing else "")
    widest = f"{100 * np.median(gap):.2g} %" if gap else "-"
    return f"| {name} | {where} | {found.norm} | {np.median(found.seconds):.3f} | {share} | {widest} |"


def main() -> None:
    """Prints the table."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 10.0
    print("| network | domain | norm | median s a row | settled | median gap |\n|---|---|---|---|---|---|")
    for name, network, X, domain, where in cases(folder, rows):
        for norm in NORMS:
            found = robust_radii(network, X, norm, domain=domain, time_limit=seconds)
            print(line(name, where, found), flush=True)


if __name__ == "__main__":
    main()
