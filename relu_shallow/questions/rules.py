"""Regions as rules: the fewest inequalities that describe one, in the user's names and units, and its local model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError, UsageError
from relu_shallow.precision import RULE_CHANGE, TINY, UNIT, gamma, rescaled_error
from relu_shallow.questions.halfspaces import WALL, HalfSpaces, Rows, exact_half_spaces, exact_map, needed_rows
from relu_shallow.questions.listed import all_listed, half_spaces_in, listed, region_counts
from relu_shallow.questions.rule_text import as_shown, inequality_lines, map_line, normalised, number_text
from relu_shallow.questions.source import Converted
from relu_shallow.questions.units import Units
from relu_shallow.shallow.table import ShallowNetwork, as_points

DIGITS = range(3, 18)  # of which the first that suffice are shown
MODEL_DIGITS = 4  # at least, of a local model's numbers
TOP = 5


@dataclass(frozen=True, eq=False)
class Rule:
    """One region: {A x <= b} in the user's units, no row of which is known to follow from the others.

    `neuron` is the neuron of each row, or -1 for a bound of the domain. Outputs are alpha x + beta there, `witness` is
    a point inside. `radius` is the largest ball's in the network's own units; `share` is the part of the data's rows in
    the region, NaN without data; `proved_needless` counts the rows left out, each proved to follow from those kept.
    `reach` is how far the text is meant to hold (the domain's box, else the ball inside), `depth` the ball's radius,
    feature by feature in the user's units. Coefficients within their own rounding error of zero are zero.
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
        """How many digits the text needs: the witness fits it, and no border is more than 1 % of the depth away."""
        A, b = normalised(self.A, self.b)
        return _fewest(lambda digits: self._moves(A, b, digits) <= RULE_CHANGE and self.holds_witness(digits))

    @property
    def model_digits(self) -> int:
        """How many digits the local model needs to be within 1 % of what it changes by over the depth."""
        return max(_fewest(lambda digits: self._moves(self.alpha, self.beta, digits) <= RULE_CHANGE), MODEL_DIGITS)

    def holds_witness(self, digits: int) -> bool:
        """Whether the witness, as it is, fits every inequality shown with so many digits: exactly, as decimals."""
        A, b = normalised(self.A, self.b)
        A, b = as_shown(A, digits), as_shown(b, digits)
        slack = b - A @ self.witness
        unsure = gamma(A.shape[1] + 4) * (np.abs(A) @ np.abs(self.witness) + np.abs(b)) + TINY
        if (slack < -unsure).any():
            return False
        x = [Fraction(value) for value in self.witness.tolist()]
        close = np.flatnonzero(slack <= unsure)
        return all(_decimal(A[k], digits, x) <= Fraction(number_text(float(b[k]), digits)) for k in close.tolist())

    def _moves(self, A: np.ndarray, b: np.ndarray, digits: int) -> float:
        """By how much rounding to so many digits moves A x - b within reach, in what it changes by over the depth."""
        moved = np.abs(as_shown(A, digits) - A) @ self.reach + np.abs(as_shown(b, digits) - b)
        least = np.linalg.norm(A * self.depth, axis=1)
        constant = ~A.any(axis=1)  # nothing to compare with: as many digits as the constant's own 1 % needs
        least = np.where(constant, np.abs(b), least)
        return float((moved / np.maximum(least, TINY)).max(initial=0.0))


def _fewest(suffice: Callable[[int], bool]) -> int:
    """The fewest digits that suffice; all that there are where none do."""
    return next((digits for digits in DIGITS if suffice(digits)), DIGITS[-1])


def _decimal(row: np.ndarray, digits: int, x: list[Fraction]) -> Fraction:
    """The left side of an inequality as its text says it."""
    used = np.flatnonzero(row).tolist()
    return sum((Fraction(number_text(float(row[j]), digits)) * x[j] for j in used), Fraction(0))


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
    """The rule of a cell: x = (x_user - offset) / scale put into its rows and its map, where zero means zero."""
    keep = needed_rows(cell)
    exact = exact_half_spaces(cell) if _doubtful(cell, keep) else []
    rows = _sure_rows(cell, keep, exact)
    A, b = in_units(-rows[0], rows[1], rows[2], rows[3], units)
    slopes, constants, slopes_off, constants_off = _sure_map(cell, bool(exact))
    alpha, beta = in_units(slopes, 0.0 - constants, slopes_off, constants_off, units)
    network, deep = cell.network, _depth(cell, radius)
    size = np.abs(cell.witness) + deep
    reach = np.where(np.isfinite(cell.hi), np.maximum(np.abs(cell.lo), np.abs(cell.hi)), size)
    return Rule(
        number, network.feature_names, network.output_names, A, b, cell.neuron[keep], alpha, 0.0 - beta,
        cell.witness * units.scale + units.offset, radius, share, len(cell.b) - len(keep),
        reach * np.abs(units.scale) + np.abs(units.offset), deep * np.abs(units.scale),
    )  # fmt: skip


def in_units(
    A: Float[np.ndarray, "rows inputs"], b: Float[np.ndarray, " rows"], E: Float[np.ndarray, "rows inputs"],
    e: Float[np.ndarray, " rows"], units: Units,
) -> tuple[Float[np.ndarray, "rows inputs"], Float[np.ndarray, " rows"]]:  # fmt: skip
    """(A, b) of A x - b as a function of x in the user's units; numbers within their own rounding error are zero."""
    A, E = A / units.scale, E / np.abs(units.scale)
    moved = b + A @ units.offset
    unsure, constant_unsure = rescaled_error(A, E, b, e, units.offset)
    return np.where(np.abs(A) <= unsure, 0.0, A), np.where(np.abs(moved) <= constant_unsure, 0.0, moved)


def _depth(cell: HalfSpaces, radius: float) -> float:
    """The radius of the largest ball inside; where balls of any size fit, the witness's own distance from borders."""
    if np.isfinite(radius):
        return radius
    norm = np.linalg.norm(cell.A, axis=1)
    away = (cell.A @ cell.witness + cell.b)[norm > 0] / norm[norm > 0]
    return max(float(away.min(initial=np.inf)), 0.0) if len(away) else 1.0


# --- numbers that rounding may have made ------------------------------------------------------------------------


def _doubtful(cell: HalfSpaces, keep: Int[np.ndarray, " kept"]) -> bool:
    """Whether some number of the rows kept, or of the map, may be zero but for rounding."""
    pairs = ((cell.A[keep], cell.E[keep]), (cell.b[keep], cell.e[keep]),
             (cell.alpha, cell.alpha_error), (cell.beta, cell.beta_error))  # fmt: skip
    return any(((np.abs(value) <= error) & (error > 0)).any() for value, error in pairs)


def _sure_rows(
    cell: HalfSpaces, keep: Int[np.ndarray, " kept"], exact: Rows
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(A, b, E, e) of the rows kept, from the exact ones, rounded once, where these are given."""
    A, b, E, e = cell.A[keep].copy(), cell.b[keep].copy(), cell.E[keep].copy(), cell.e[keep].copy()
    if not exact:
        return A, b, E, e
    for place, k in enumerate(keep.tolist()):
        if cell.neuron[k] == WALL:
            continue
        size = Fraction(max(np.abs(A[place]).max(), abs(b[place]))) / max(abs(int(v)) for v in exact[k])
        row = np.array([float(int(v) * size) for v in exact[k]])
        A[place], b[place] = row[:-1], row[-1]
        E[place], e[place] = UNIT * np.abs(row[:-1]), UNIT * abs(row[-1])
    return A, b, E, e


def _sure_map(cell: HalfSpaces, exactly: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(alpha, beta, their errors), the exact ones rounded once where asked for."""
    if not exactly:
        return cell.alpha, cell.beta, cell.alpha_error, cell.beta_error
    maps = [exact_map(cell, unit) for unit in np.eye(cell.network.outputs)]
    alpha = np.array([[float(value) for value in h] for h, _ in maps]).reshape(cell.alpha.shape)
    beta = np.array([float(c) for _, c in maps])
    return alpha, beta, UNIT * np.abs(alpha), UNIT * np.abs(beta)


# --- words ------------------------------------------------------------------------------------------------------


def rule_lines(rule: Rule, digits: int | None = None) -> list[str]:
    """The rule in words: `age <= 41.2`, `0 <= dose <= 3`, `age - 0.45 dose <= 12`, with so many significant digits."""
    A, b = normalised(rule.A, rule.b)
    return inequality_lines(A, b, rule.features, rule.digits if digits is None else digits)


def model_lines(rule: Rule, digits: int | None = None) -> list[str]:
    """The local model in words: `y0 = 0.3 + 1.2 age - 0.05 dose`, terms by size over the region's reach."""
    count = rule.model_digits if digits is None else digits
    lines = []
    for name, row, constant in zip(rule.outputs, rule.alpha, rule.beta.tolist(), strict=True):
        order = [j for j in np.argsort(-np.abs(row) * rule.reach, kind="stable").tolist() if row[j] != 0]
        lines.append(map_line(name, row, constant, order, rule.features, count))
    return lines
