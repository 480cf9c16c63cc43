"""In two dimensions: do the exact areas add up to the domain's, and is V - E + F = 1?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from relu_shallow.checks.closure import Closure, exact_cell, is_real, lay_out_cells, states_of, varying_inputs
from relu_shallow.checks.counting import free_inputs
from relu_shallow.checks.exact import witness_of
from relu_shallow.checks.facets import LISTED, OPEN
from relu_shallow.domain import Box, Domain
from relu_shallow.polygons import Corner, clip, polygon_area
from relu_shallow.shallow.table import Table

MOST = 5_000  # regions; each takes some milliseconds


@dataclass(frozen=True)
class Plane:
    """The exact area of all regions and of the domain, and the numbers of vertices, edges and regions."""

    area: Fraction
    of: Fraction
    vertices: int
    edges: int
    regions: int

    @property
    def ok(self) -> bool:
        """Whether the areas are the same number and Euler's formula for a subdivided disc holds."""
        return self.area == self.of and self.vertices - self.edges + self.regions == 1


def applies(table: Table, domain: Domain) -> str:
    """Why the check does not apply, in a phrase; empty where it does."""
    if not isinstance(domain, Box) or len(_axes(table, domain)) != 2:
        return "they are for boxes in two dimensions"
    return f"{table.regions} regions are many for fractions" if table.regions > MOST else ""


def _axes(table: Table, domain: Box) -> Int[np.ndarray, " axes"]:
    """The inputs that the domain leaves free; where they are not two, those of them on which something depends."""
    free = np.flatnonzero(free_inputs(domain, table.network.inputs))
    return free if len(free) == 2 else np.flatnonzero(varying_inputs(table.network, domain))


def check_plane(table: Table, domain: Box, progress: Callable[[int], None] = lambda regions: None) -> Plane:  # noqa: ARG005
    """Every region as a polygon with rational corners; two regions that share an edge share both its corners."""
    free = _axes(table, domain)
    (left, low), (right, high) = ([Fraction(float(v)) for v in bound[free]] for bound in (domain.lo, domain.hi))
    corners: set[Corner] = set()
    edges: set[frozenset[Corner]] = set()
    area = Fraction(0)
    cells = lay_out_cells(table, domain)
    place = {axis: column for column, axis in enumerate(cells.free.tolist())}
    for region in range(table.regions):
        cell = exact_cell(cells, region, witness_of(table, region))
        if not is_real(cells, cell):
            continue  # its area will be missed
        state = states_of(cells, cell, Closure())
        polygon: list[Corner] = [(left, low), (right, low), (right, high), (left, high)]
        for neuron in np.flatnonzero((state == OPEN) | (state == LISTED)).tolist():
            row = cell.rows[neuron]
            polygon = clip(polygon, [*(row[place[axis]] if axis in place else 0 for axis in free.tolist()), row[-1]])
        area += polygon_area(polygon)
        progress(region + 1)
        corners.update(polygon)
        edges.update(frozenset(pair) for pair in zip(polygon, polygon[1:] + polygon[:1], strict=True))
    return Plane(area, (right - left) * (high - low), len(corners), len(edges), table.regions)
