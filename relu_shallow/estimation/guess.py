"""Guesses of how many regions lie below a cell, learned from the cells whose number is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.estimation.tree import Cell
from relu_shallow.regions.task import Node

FEATURES = 9
LARGEST = 500.0  # the largest logarithm of a guess
RIDGE = 0.1
ROUNDS = 3  # fits in a row: what the first makes of large cells is data for the next
OUTLIER = 5.0  # residuals count up to here for the mean of exp(residual)
UNTAUGHT = 1000.0  # regions per random point, before anything is known


def features(
    node: Node, place: int, sample: Bool[np.ndarray, "points neurons"], distinct: Sequence[bytes]
) -> Float[np.ndarray, " features"]:
    """What a cell's size is guessed from: its place on the path it hangs from, and random points of its parent in it.

    The points tell its share of the volume, how many patterns they meet, and how many neurons switch among them.
    """
    cut = np.flatnonzero(node.flags[: node.decided] & 2)
    inside = np.flatnonzero((sample[:, cut] == (node.flags[cut] & 1)).all(axis=1))
    patterns = {distinct[i] for i in inside.tolist()}
    below = sample[inside, node.decided :]
    switching = int((below.any(axis=0) & ~below.all(axis=0)).sum()) if len(inside) > 1 else 0
    return np.array([1.0, np.log1p(place), place, len(cut), node.decided / sample.shape[1], np.log(len(inside) + 0.5),
                     np.log(len(patterns) + 0.5), np.log1p(switching), len(inside) == 0], dtype=np.float64)  # fmt: skip


def guesses(
    model: Float[np.ndarray, " features"], X: Float[np.ndarray, "cells features"]
) -> Float[np.ndarray, " cells"]:
    """The guesses exp(X model); before anything was learned, so many a random point."""
    if not model.any():
        return np.exp(X[:, 5]) * UNTAUGHT
    return np.exp(np.clip(X @ model, -1.0, LARGEST))


def learn(cells: Sequence[Cell], model: Float[np.ndarray, " features"]) -> Float[np.ndarray, " features"]:
    """The model fitted to all cells (parents first), whose guesses it renews from their children's and the model's."""
    for _ in range(ROUNDS):
        taught = bool(model.any())
        renew(cells, model)
        data = [cell for cell in cells if len(cell.known) and (cell.complete or (taught and cell.children))]
        if len(data) < FEATURES:
            return model
        X = np.array([cell.known for cell in data])
        y = np.log([cell.guess for cell in data])
        model = np.linalg.solve(X.T @ X + RIDGE * np.eye(FEATURES), X.T @ y)
        residual = np.clip(y - X @ model, -OUTLIER, OUTLIER)
        model[0] += np.log(np.exp(residual).mean())  # from the median of the sizes to their mean (Duan 1983)
    renew(cells, model)
    return model


def renew(cells: Sequence[Cell], model: Float[np.ndarray, " features"]) -> None:
    """Every cell's guess from below: what is known, the sum over its children, or the model's word."""
    leaves = [cell for cell in cells if not cell.opened and len(cell.known)]
    if leaves:
        for cell, number in zip(
            leaves, guesses(model, np.array([cell.known for cell in leaves])).tolist(), strict=True
        ):
            cell.guess = number
    for cell in reversed(cells):
        if cell.opened:
            cell.guess = cell.found + sum(child.guess for child in cell.children)
