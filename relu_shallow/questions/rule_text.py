"""Inequalities and affine maps in words: with so many significant digits, in the user's names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def normalised(
    A: Float[np.ndarray, "rows inputs"], b: Float[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, "rows inputs"], Float[np.ndarray, " rows"]]:
    """Rows with largest coefficient 1 in size: the same half-spaces."""
    largest = np.abs(A).max(axis=1, initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)
    return A / largest[:, None], b / largest


def inequality_lines(
    A: Float[np.ndarray, "rows inputs"], b: Float[np.ndarray, " rows"], names: Sequence[str], digits: int
) -> list[str]:
    """The half-spaces A x <= b, rows normalised, in words: bounds of single features first, then the others."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    several = []
    for row, bound in zip(A, b.tolist(), strict=True):
        used = np.flatnonzero(row)
        if len(used) == 1:
            j = int(used[0])
            if row[j] > 0:
                high[j] = min(bound, high.get(j, np.inf))
            else:
                low[j] = max(-bound, low.get(j, -np.inf))
        else:
            several.append(_inequality(row, bound, names, digits))
    single = [_interval(names[j], low.get(j), high.get(j), digits) for j in sorted({*low, *high})]
    return single + several


def map_line(
    name: str, slopes: Float[np.ndarray, " inputs"], constant: float, order: Sequence[int], names: Sequence[str],
    digits: int,
) -> str:  # fmt: skip
    """An affine map in words, its terms in this order."""
    terms = "".join(_term(float(slopes[j]), names[j], digits, first=False) for j in order)
    return f"{name} = {number_text(constant, digits)}{terms}"


def number_text(value: float, digits: int) -> str:
    """A number with so many significant digits, without needless zeros or exponents."""
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text


def as_shown(values: np.ndarray, digits: int) -> np.ndarray:
    """Values as text with so many digits says them."""
    shown = [float(f"{value:.{digits}g}") for value in np.ravel(values).tolist()]
    return np.array(shown, dtype=np.float64).reshape(np.shape(values))


def _inequality(row: np.ndarray, bound: float, names: Sequence[str], digits: int) -> str:
    order = sorted(np.flatnonzero(row).tolist(), key=lambda j: -abs(row[j]))
    if order and row[order[0]] < 0:  # the leading feature positive, and the sense turned
        terms = "".join(_term(-float(row[j]), names[j], digits, first=j == order[0]) for j in order)
        return f"{terms} >= {number_text(-bound, digits)}"
    terms = "".join(_term(float(row[j]), names[j], digits, first=j == order[0]) for j in order)
    return f"{terms or '0'} <= {number_text(bound, digits)}"


def _term(value: float, name: str, digits: int, *, first: bool) -> str:
    size = number_text(abs(value), digits)
    shown = name if size == "1" else f"{size} {name}"
    if first:
        return f"-{shown}" if value < 0 else shown
    return f" - {shown}" if value < 0 else f" + {shown}"


def _interval(name: str, low: float | None, high: float | None, digits: int) -> str:
    if low is not None and low == high:
        return f"{name} = {number_text(low, digits)}"
    if low is not None and high is not None:
        return f"{number_text(low, digits)} <= {name} <= {number_text(high, digits)}"
    if low is not None:
        return f"{name} >= {number_text(low, digits)}"
    return f"{name} <= {number_text(np.inf if high is None else high, digits)}"
