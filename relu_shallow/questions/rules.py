"""Regions as rules: the fewest inequalities that describe one, in the user's names and units, and its local model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError, UsageError
from relu_shallow.precision import RULE_CHANGE
from relu_shallow.questions.halfspaces import HalfSpaces, needed_rows
from relu_shallow.questions.listed import all_listed, half_spaces_in, listed, region_counts
from relu_shallow.questions.source import Converted
from relu_shallow.questions.units import Units
from relu_shallow.shallow.table import ShallowNetwork, as_points

DIGITS = range(3, 18)  # of which the first that suffice are shown
TOP = 5


@dataclass(frozen=True, eq=False)
class Rule:
    """One region: {A x <= b} in the user's units, no row of which is known to follow from the others.

    `neuron` is the neuron of each row, or -1 for a bound of the domain. Outputs are alpha x + beta there, `witness` is
    a point inside. `radius` is the largest ball's in the network's own units; `share` is the part of the data's rows in
    the region, NaN without data; `proved_needless` counts the rows left out, each proved to follow from those kept.
    """

    region: int
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    A: Float[np.ndarray, "rows inputs"]
    b: Float[np.ndarray, " rows"]
    neuron: Int[np.ndarray, " rows"]
    alpha: Float[np.ndarray, "outputs inputs"]
    beta: Float[np.ndarray, " outputs"]
    witness: Float[np.ndarray, " inputs"]
    radius: float
    share: float
    proved_needless: int
    reach: Float[np.ndarray, " inputs"]
    depth: Float[np.ndarray, " inputs"]

    @property
    def digits(self) -> int:
        """How many digits the rule needs in text, so that no border is shown more than 1 % of the depth away."""
        return next((digits for digits in DIGITS if self._moves(digits) <= RULE_CHANGE), DIGITS[-1])

    def _moves(self, digits: int) -> float:
        """By how much rounding to so many digits moves a border within reach, in units of the region's depth."""
        A, b = normalised(self.A, self.b)
        shown, constant = _cut(A, digits), _cut(b, digits)
        moved = np.abs(shown - A) @ self.reach + np.abs(constant - b)
        return float((moved / np.maximum(np.abs(A) @ self.depth, np.finfo(float).tiny)).max(initial=0.0))


def rules(
    converted: Converted,
    region: int | None = None,
    *,
    data: object = None,
    top: int = TOP,
    units: Units | None = None,
) -> tuple[Rule, ...]:
    """The rule of one region, or those of the `top` regions with most rows of data (without data: the widest ones).

    Raises UsageError for a region or number that is none, DataError for data or units that do not fit.
    """
    if isinstance(converted, ShallowNetwork):
        _ = converted.table  # raises where the network was split into modules
    if top < 1:
        raise UsageError(f"the number of regions must be at least 1, got {top}")
    network = converted.network
    counts = None if data is None else region_counts(converted, as_points(data, network.inputs))
    if region is not None:
        number = np.array([region])
    elif counts is not None:
        number = np.argsort(-counts, kind="stable")[: min(top, int((counts > 0).sum()))]
    else:
        number = np.argsort(-_radii(converted), kind="stable")[:top]
    found = listed(converted, number)
    units = units or Units.own(network)
    if units.scale.shape != (network.inputs,):
        raise DataError(f"units for {len(units.scale)} features were given for a network of {network.inputs} inputs")
    share = np.full(len(number), np.nan) if counts is None else counts[number] / max(counts.sum(), 1)
    places = zip(number.tolist(), half_spaces_in(converted, found), found.radii.tolist(), share.tolist(), strict=True)
    return tuple(_rule(place, cell, radius, part, units) for place, cell, radius, part in places)


def _radii(converted: Converted) -> Float[np.ndarray, " regions"]:
    if isinstance(converted, ShallowNetwork):
        return converted.table.radii
    return np.concatenate([part.radii for part in all_listed(converted)])


def _rule(number: int, cell: HalfSpaces, radius: float, share: float, units: Units) -> Rule:
    """The rule of a cell: x = (x_user - offset) / scale put into its rows and its map."""
    keep = needed_rows(cell)
    A, b = -cell.A[keep] / units.scale, cell.b[keep].copy()
    b += A @ units.offset
    alpha = cell.alpha / units.scale
    network = cell.network
    size = np.abs(cell.witness) + (radius if np.isfinite(radius) else 1.0)
    reach = np.where(np.isfinite(cell.hi), np.maximum(np.abs(cell.lo), np.abs(cell.hi)), size)
    deep = np.full(network.inputs, radius if np.isfinite(radius) and radius > 0 else 1.0)
    return Rule(
        number, network.feature_names, network.output_names, A, b, cell.neuron[keep], alpha,
        cell.beta - alpha @ units.offset, cell.witness * units.scale + units.offset, radius, share,
        len(cell.b) - len(keep), reach * np.abs(units.scale) + np.abs(units.offset), deep * np.abs(units.scale),
    )  # fmt: skip


def normalised(
    A: Float[np.ndarray, "rows inputs"], b: Float[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, "rows inputs"], Float[np.ndarray, " rows"]]:
    """Rows with largest coefficient 1 in size: the same half-spaces."""
    largest = np.abs(A).max(axis=1, initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)
    return A / largest[:, None], b / largest


def rule_lines(rule: Rule, digits: int | None = None) -> list[str]:
    """The rule in words: `age <= 41.2`, `0 <= dose <= 3`, `age - 0.45 dose <= 12`, with so many significant digits."""
    count = rule.digits if digits is None else digits
    A, b = normalised(rule.A, rule.b)
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
            several.append(_inequality(row, bound, rule.features, count))
    single = [_interval(rule.features[j], low.get(j), high.get(j), count) for j in sorted({*low, *high})]
    return single + several


def model_lines(rule: Rule, digits: int = 4) -> list[str]:
    """The local model in words: `y0 = 0.3 + 1.2 age - 0.05 dose`, terms by size over the region's reach."""
    lines = []
    for name, row, constant in zip(rule.outputs, rule.alpha, rule.beta.tolist(), strict=True):
        order = [j for j in np.argsort(-np.abs(row) * rule.reach, kind="stable").tolist() if row[j] != 0]
        terms = "".join(_term(float(row[j]), rule.features[j], digits, first=False) for j in order)
        lines.append(f"{name} = {number_text(constant, digits)}{terms}")
    return lines


def number_text(value: float, digits: int) -> str:
    """A number with so many significant digits, without needless zeros or exponents."""
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text


def _cut(values: np.ndarray, digits: int) -> np.ndarray:
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
