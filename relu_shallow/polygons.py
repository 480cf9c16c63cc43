"""Convex polygons in the plane: cut by lines, and measured.

A polygon is a list of corners in order; beside it may go a list of labels, the i-th of the edge from corner i to the
next. Corners and rows are floats or fractions: the same code is exact, or rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

Corner = tuple[Any, Any]
Corners = Sequence[Corner]

LEAST = 3  # corners of a polygon; fewer are a line, a point or nothing


def values_of(row: Sequence[Any], polygon: Corners) -> list[Any]:
    """a x + b y + c at each corner."""
    a, b, c = row
    return [a * x + b * y + c for x, y in polygon]


def keep(polygon: Corners, edges: Sequence[int], values: Sequence[Any], label: int) -> tuple[list[Corner], list[int]]:
    """The part where an affine function, given at the corners, is not negative (Sutherland and Hodgman).

    The new edge gets the label. The other part comes from the negated values, with the very same corners on the cut:
    each is computed from the same numbers of the same edge.
    """
    kept: list[Corner] = []
    labels: list[int] = []
    for i, (here, value) in enumerate(zip(polygon, values, strict=True)):
        following = i + 1 if i + 1 < len(polygon) else 0
        beyond = values[following]
        if value >= 0:
            kept.append(here)
            labels.append(label if value == 0 and beyond < 0 else edges[i])
        if value < 0 < beyond or beyond < 0 < value:
            part = value / (value - beyond)
            (x, y), (u, v) = here, polygon[following]
            kept.append((x + part * (u - x), y + part * (v - y)))
            labels.append(edges[i] if value < 0 else label)
    return kept, labels


def clip(polygon: Corners, row: Sequence[Any]) -> list[Corner]:
    """The part of a convex polygon where a row is not negative."""
    return keep(polygon, [0] * len(polygon), values_of(row, polygon), 0)[0]


def polygon_area(polygon: Corners) -> Any:
    """The area inside corners in order (the shoelace formula)."""
    pairs = zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)
    return abs(sum((x * v - u * y for (x, y), (u, v) in pairs), Fraction(0))) / 2
