"""Predicted classes within a region's polygon: on it outputs are affine, so classes are polygons and ties segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Network
from relu_shallow.plot.subdivision import OUTSIDE
from relu_shallow.polygons import LEAST, Corner, keep

CLASS_HEADS = ("softmax", "log_softmax", "sigmoid")


@dataclass(frozen=True, eq=False)
class Tie:
    """A segment on which two classes tie and no other exceeds them."""

    ends: Float[np.ndarray, "2 2"]
    classes: tuple[int, int]


def class_names(network: Network) -> tuple[str, ...]:
    """What the classes are called; a single output has two, by its sign."""
    if network.outputs > 1:
        return network.output_names
    (name,) = network.output_names
    return f"{name} ≤ 0", f"{name} > 0"


def class_rows(rows: Float[np.ndarray, "outputs 3"]) -> Float[np.ndarray, "classes 3"]:
    """The affine functions of which a class has the greatest; the first of equal ones counts."""
    return np.concatenate([np.zeros_like(rows), rows]) if len(rows) == 1 else rows


def divide(
    corners: Float[np.ndarray, "corners 2"], rows: Float[np.ndarray, "classes 3"]
) -> tuple[list[tuple[int, list[Corner]]], list[Tie]]:
    """The classes within a polygon, each with its part, and the segments on which two tie (each once)."""
    values = corners @ rows[:, :2].T + rows[:, 2]
    able = np.flatnonzero(values.max(axis=0) >= values.min(axis=0).max()).tolist()
    if len(able) == 1:
        return [(able[0], _listed(corners))], []
    parts, ties = [], []
    for k in able:
        part, labels = _listed(corners), [OUTSIDE] * len(corners)
        for other in able:
            if other != k and len(part) >= LEAST:
                part, labels = _where_greater(part, labels, rows, k, other)
        if len(part) < LEAST:
            continue
        parts.append((k, part))
        ties += [Tie(np.array([part[i], part[(i + 1) % len(part)]]), (k, label))
                 for i, label in enumerate(labels) if label > k]  # fmt: skip
    return parts, ties


def _where_greater(
    part: Sequence[Corner], labels: Sequence[int], rows: Float[np.ndarray, "classes 3"], k: int, other: int
) -> tuple[list[Corner], list[int]]:
    """The part where class k exceeds another; where they are one function, the first of both has it."""
    a, b, c = (rows[k] - rows[other]).tolist()
    values = [a * x + b * y + c for x, y in part]
    if max(values) <= 0 and (k > other or min(values) < 0):
        return [], []
    return keep(part, labels, values, other)


def _listed(corners: Float[np.ndarray, "corners 2"]) -> list[Corner]:
    return [(x, y) for x, y in corners.tolist()]
