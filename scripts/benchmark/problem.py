"""The problem every system is given: a ReLU network and a box in one .npz file (numpy only, for any environment)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

Layers = list[tuple[np.ndarray, np.ndarray]]  # (W, b) of each affine map, the output layer last


@dataclass(frozen=True, eq=False)
class Problem:
    """The layers of a ReLU network and the box lo <= x <= hi to search; infinite bounds are the whole space."""

    layers: Layers
    lo: np.ndarray
    hi: np.ndarray

    @property
    def bounded(self) -> bool:
        """Whether there is a box at all."""
        return bool(np.isfinite(self.lo).all())

    @property
    def neurons(self) -> int:
        """N, the number of hidden neurons."""
        return sum(len(b) for _, b in self.layers[:-1])


def write_problem(problem: Problem, path: Path) -> None:
    arrays = {f"W{i}": W for i, (W, _) in enumerate(problem.layers)}
    arrays |= {f"b{i}": b for i, (_, b) in enumerate(problem.layers)}
    np.savez(path, lo=problem.lo, hi=problem.hi, **arrays)


def read_problem(path: Path) -> Problem:
    with np.load(path) as file:
        layers = [(file[f"W{i}"], file[f"b{i}"]) for i in range((len(file.files) - 2) // 2)]
        return Problem(layers, file["lo"], file["hi"])


def on_unit_box(problem: Problem) -> Layers:
    """The layers as a function of u in [-1, 1]^d, x = center + scale u on the inputs that the box does not fix."""
    if not problem.bounded:
        return problem.layers
    center, scale = (problem.lo + problem.hi) / 2, (problem.hi - problem.lo) / 2
    free = scale > 0
    W, b = problem.layers[0]
    return [(W[:, free] * scale[free], W @ center + b), *problem.layers[1:]]
