"""The four tasks: data, networks, and how long each is trained.

The convolution of the CIFAR-10 network comes before its first linear layer, so that all modules share it: modules,
removal, circuits and regions are of the dense part, whose inputs are the 4,096 values after the max-pooling.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BOARD = 4  # cells a side of the checkerboard
Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """A task: its dense layers' widths, the module counts tried, how it is trained, how circuits are searched.

    `epochs` with `step` are followed by `tune` epochs with a third of it. Circuits are of the first `circuits` classes,
    on so many training rows; blocks of `smallest` weights are not halved (1 with "single": one at a time).
    """

    name: str
    title: str
    widths: tuple[int, ...]
    ks: tuple[int, ...]
    rows: Callable[[Path], tuple[Rows, Rows | None]]
    held: int
    front: Callable[[], list[Any]]
    epochs: int
    tune: int
    step: float
    search: str = "blocks"
    smallest: int = 1
    circuits: int = 10
    circuit_rows: int = 300

    @property
    def weights(self) -> int:
        """Weights of the dense part."""
        return sum(a * b for a, b in pairwise(self.widths))

    @property
    def one_layer(self) -> tuple[int, int, int]:
        """Widths of a network of one hidden layer with about as many weights."""
        into, out = self.widths[0], self.widths[-1]
        return into, round(self.weights / (into + out)), out

    def quick(self) -> Task:
        """The same within seconds: hardly trained, one k, one circuit in coarse blocks."""
        return replace(self, ks=self.ks[-1:], epochs=2, tune=1, search="blocks", smallest=64, circuits=1,
                       circuit_rows=60)  # fmt: skip


def data_folder() -> Path:
    """The folder of real data: RELU_SHALLOW_DATA, by default ../shared/data beside the checkout."""
    return Path(os.environ.get("RELU_SHALLOW_DATA", ROOT.parent / "shared" / "data"))


def split(task: Task, seed: int) -> tuple[Rows, Rows]:
    """(rows to train on, rows held out): drawn by the seed, or as the data set has them."""
    every, held = task.rows(data_folder())
    if held is not None:
        return every, held
    X, y = every
    order = np.random.default_rng(seed).permutation(len(X))
    out, rest = order[: task.held], order[task.held :]
    return (X[rest], y[rest]), (X[out], y[out])


def untrained(task: Task, seed: int, widths: tuple[int, ...] | None = None) -> Any:
    """A network of the task, or one with other dense layers; the weights are drawn by the seed."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dense = [part for a, b in pairwise(widths or task.widths) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*task.front(), *dense[:-1])


def _digits(_: Path) -> tuple[Rows, None]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return ((digits.data / 16).astype(np.float32), digits.target.astype(np.int64)), None


def _mnist(folder: Path) -> tuple[Rows, None]:
    with np.load(folder / "images" / "mnist" / "mnist_train_10k.npz") as images:
        return ((images["X"].reshape(-1, 784) / 255).astype(np.float32), images["y"].astype(np.int64)), None


def _cifar(folder: Path) -> tuple[Rows, Rows]:
    with np.load(folder / "images" / "cifar10" / "cifar10_jpg_subset.npz") as images:
        parts = [((images[f"X_{part}"].transpose(0, 3, 1, 2) / 255).astype(np.float32),
                  images[f"y_{part}"].astype(np.int64)) for part in ("train", "test")]  # fmt: skip
    return parts[0], parts[1]


def _checkerboard(_: Path) -> tuple[Rows, None]:
    """Points of the unit square with the colour of their cell; the points are the same for every seed."""
    X = np.random.default_rng(0).uniform(size=(4000, 2)).astype(np.float32)
    return (X, (np.floor(X * BOARD).sum(axis=1) % 2).astype(np.int64)), None


def _nothing() -> list[Any]:
    return []


def _convolution() -> list[Any]:
    from torch import nn

    return [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]


TASKS = {
    task.name: task
    for task in (
        Task("digits", "Digits, 64-32-32-10", (64, 32, 32, 10), (2, 4, 8, 16, 32), _digits, 360, _nothing,
             epochs=60, tune=20, step=3e-3, search="single"),
        Task("checkerboard", f"Checkerboard of {BOARD} x {BOARD} cells, 2-32-32-32-2", (2, 32, 32, 32, 2), (4, 16),
             _checkerboard, 1000, _nothing, epochs=90, tune=30, step=3e-3, search="single", circuits=2),
        Task("mnist", "MNIST (10,000 images), 784-64-64-64-10", (784, 64, 64, 64, 10), (4, 16), _mnist, 2000, _nothing,
             epochs=20, tune=7, step=1e-3, smallest=8),
        Task("cifar10", "CIFAR-10 (2,000 images), convolution 3 to 16, max-pooling, 4096-64-64-64-10",
             (4096, 64, 64, 64, 10), (4, 16), _cifar, 0, _convolution, epochs=12, tune=4, step=1e-3, smallest=64,
             circuits=3),
    )
}  # fmt: skip
