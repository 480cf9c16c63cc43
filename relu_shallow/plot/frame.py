"""Where a picture looks: the one or two free inputs of a domain, the others' values, and the view on them.

With one free input the picture's plane is that input times an idle ordinate, on which no row depends; its regions are
then upright strips, and everything said of polygons holds for them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.checks.counting import domain_rows, free_inputs
from relu_shallow.domain import Box, Domain, WholeSpace
from relu_shallow.errors import DomainError, OutputError
from relu_shallow.network import Network
from relu_shallow.polygons import LEAST, Corner, clip

AXES = 2  # a picture has at most so many


@dataclass(frozen=True, eq=False)
class Frame:
    """The inputs drawn, the values of all others (0 at those drawn), the outline of what is drawn, and the view.

    `outline` is the domain within the view, a polygon; `view` is (left, right, low, high).
    """

    axes: tuple[int, ...]
    fixed: Float[np.ndarray, " inputs"]
    outline: tuple[Corner, ...]
    view: tuple[float, float, float, float]

    @property
    def flat(self) -> bool:
        """Whether there is one free input only, and the ordinate is idle."""
        return len(self.axes) < AXES


def axes_of(network: Network, domain: Domain) -> tuple[tuple[int, ...], Float[np.ndarray, " inputs"]]:
    """The free inputs and the values of those that the domain fixes; raises DomainError where no picture shows them."""
    free = free_inputs(domain, network.inputs)
    axes = tuple(np.flatnonzero(free).tolist())
    if not 1 <= len(axes) <= AXES:
        raise DomainError(
            f"a picture shows one or two inputs, but here {len(axes)} vary; convert a slice of the network, with "
            "--domain plane:FILE:ROW,ROW,ROW or line:FILE:ROW,ROW, or a box that fixes all inputs but two (lo = hi)"
        )
    fixed = np.zeros(network.inputs)
    if isinstance(domain, Box):
        fixed[~free] = domain.lo[~free]
    return axes, fixed


def on_axes(
    axes: Sequence[int], fixed: Float[np.ndarray, " inputs"], slopes: Float[np.ndarray, "rows inputs"],
    constants: Float[np.ndarray, " rows"],
) -> Float[np.ndarray, "rows 3"]:
    """Affine functions of the inputs as (a, b, c), standing for a x + b y + c in the picture's plane."""  # fmt: skip
    rows = np.zeros((len(slopes), AXES + 1))
    rows[:, : len(axes)] = slopes[:, list(axes)]
    rows[:, -1] = constants + slopes @ fixed
    return rows


def rectangle(view: tuple[float, float, float, float]) -> list[Corner]:
    """The corners of a view."""
    left, right, low, high = view
    return [(left, low), (right, low), (right, high), (left, high)]


def outline_of(domain: Domain, axes: Sequence[int], view: tuple[float, float, float, float]) -> list[Corner]:
    """The part of the domain that a view shows, on the axes."""
    left, right, low, high = view
    if isinstance(domain, WholeSpace):
        return rectangle(view)
    if isinstance(domain, Box):
        near, far = domain.lo[list(axes)].tolist(), domain.hi[list(axes)].tolist()
        left, right = max(left, near[0]), min(right, far[0])
        if len(axes) == AXES:
            low, high = max(low, near[1]), min(high, far[1])
        return rectangle((left, right, low, high)) if left < right and low < high else []
    A, b = domain_rows(domain)
    polygon = rectangle(view)
    for row in on_axes(axes, np.zeros(A.shape[1]), -A, b).tolist():
        polygon = clip(polygon, row)
    return polygon if len(polygon) >= LEAST else []


def given_view(words: str) -> tuple[float, float, float, float]:
    """The view written as X0,X1,Y0,Y1 (or X0,X1 for one input: its ordinate then fits the outputs)."""
    try:
        numbers = [float(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    ordered = all(low < high for low, high in zip(numbers[::2], numbers[1::2], strict=False))
    if len(numbers) not in (AXES, 2 * AXES) or not (np.isfinite(numbers).all() and ordered):
        raise OutputError(f"the view {words!r} is not of the form X0,X1,Y0,Y1 with X0 < X1 and Y0 < Y1")
    return (*numbers, np.nan, np.nan)[:4]  # type: ignore[return-value]
