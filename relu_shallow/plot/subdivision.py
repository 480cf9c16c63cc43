"""The polygons of all regions within an outline, by cutting the outline along the decision tree.

Each node of the tree cuts its polygon in two, with the same corners on either side, so the polygons of a complete list
tile the outline by construction, and every border between regions is the cut of exactly one node. Coordinates are
rounded, nothing is sampled; a region that rounding would swallow is cut out in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.checks.exact import exact_rows
from relu_shallow.checks.maps import chunks, maps_of
from relu_shallow.network import switching
from relu_shallow.plot.frame import AXES, Frame, on_axes
from relu_shallow.polygons import LEAST, Corner, clip, keep, values_of
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.table import Table
from relu_shallow.shallow.trie import first_differences

OUTSIDE = -1  # the label of an edge that is no neuron's: the outline's

Cell = tuple[list[Corner], list[int]]  # corners, and the neuron on whose row each edge lies


@dataclass(frozen=True, eq=False)
class Piece:
    """The part of one region that is drawn: its corners in order."""

    region: int
    corners: Float[np.ndarray, "corners 2"]


@dataclass(frozen=True, eq=False)
class Subdivision:
    """The regions' polygons, and the borders between them: ends and the layer (from 0) of the neuron that switches."""

    pieces: tuple[Piece, ...]
    borders: Float[np.ndarray, "borders 2 2"]
    layer: Int[np.ndarray, " borders"]


def subdivide(table: Table, frame: Frame, *, complete: bool = True) -> Subdivision:
    """The polygons of the table's regions within the frame's outline.

    The tree of a partial list gives a missing region's place to its neighbours; so each polygon is then cut by all the
    rows of its own pattern as well.
    """
    cells, cuts = _cut_along_tree(table, frame)
    if not complete:
        cells = _cut_by_all_rows(table, frame, cells)
        cuts = [(*ends, neuron) for cell in cells.values() for ends, neuron in _edges(cell)]
    _add_swallowed(table, frame, cells)
    pieces = tuple(Piece(region, np.array(cells[region][0])) for region in sorted(cells))
    borders = np.array([(p, q) for p, q, _ in cuts]).reshape(-1, 2, AXES)
    return Subdivision(pieces, borders, layers_of(table, np.array([neuron for *_, neuron in cuts], np.int64)))


def layers_of(table: Table, neuron: Int[np.ndarray, " neurons"]) -> Int[np.ndarray, " neurons"]:
    """The layer, from 0, of neurons numbered throughout the network."""
    return np.searchsorted(np.cumsum(table.network.widths), neuron, side="right").astype(np.int64)


def _cut_along_tree(table: Table, frame: Frame) -> tuple[dict[int, Cell], list[tuple[Corner, Corner, int]]]:
    """Every region's cell, and the cuts with the neuron of each."""
    rows = on_axes(frame.axes, frame.fixed, table.H, table.c)[table.trie.row].tolist()
    children, neurons = table.trie.child.tolist(), first_differences(table.bits).tolist()
    cells: dict[int, Cell] = {}
    cuts: list[tuple[Corner, Corner, int]] = []
    waiting: list[tuple[int, Cell]] = [(table.trie.root, (list(frame.outline), [OUTSIDE] * len(frame.outline)))]
    while waiting:
        node, cell = waiting.pop()
        if node < 0:
            cells[-node - 1] = cell
            continue
        neuron = neurons[node]
        values = values_of(rows[node], cell[0])
        above, below = keep(*cell, values, neuron), keep(*cell, [-value for value in values], neuron)
        sides = [(child, part) for child, part in zip(children[node], (below, above), strict=True)
                 if len(part[0]) >= LEAST]  # fmt: skip
        waiting += sides
        if len(sides) == len((below, above)):
            cuts += [(*ends, neuron) for ends, label in _edges(above) if label == neuron]
    return cells, cuts


def _edges(cell: Cell) -> Iterator[tuple[tuple[Corner, Corner], int]]:
    """The edges that some neuron's row makes: both ends, and the neuron."""
    corners, labels = cell
    for i, label in enumerate(labels):
        if label != OUTSIDE:
            yield (corners[i], corners[(i + 1) % len(corners)]), label


def _cut_by_all_rows(table: Table, frame: Frame, cells: dict[int, Cell]) -> dict[int, Cell]:
    """What is left of each cell where all rows have the signs of the pattern."""
    kept: dict[int, Cell] = {}
    switch = np.flatnonzero(switching(table.network))
    for chunk in chunks(table.network, np.array(sorted(cells), np.int64)):
        patterns = unpack(table.bits[chunk], table.network.neurons)
        maps = maps_of(table.network, patterns)
        blank = (np.abs(maps.rows[:, :, :-1]) <= maps.row_error[:, :, :-1]).all(axis=2)  # zero but for rounding
        for place, region in enumerate(chunk.tolist()):
            bounding = switch[~blank[switch, place]]
            own = np.where(patterns[place, bounding], 1.0, -1.0)[:, None] * maps.rows[bounding, place]
            rows = on_axes(frame.axes, frame.fixed, own[:, :-1], own[:, -1])
            cell = cells[region]
            for neuron, row in zip(bounding.tolist(), rows.tolist(), strict=True):
                values = values_of(row, cell[0])
                if min(values, default=0.0) < 0:
                    cell = keep(*cell, values, neuron)
            if len(cell[0]) >= LEAST:
                kept[region] = cell
    return kept


def _add_swallowed(table: Table, frame: Frame, cells: dict[int, Cell]) -> None:
    """Adds the regions whose witness is in view and whose polygon rounding took away."""
    seen = np.ones(table.regions, dtype=bool)
    for place, axis in enumerate(frame.axes):
        low, high = frame.view[2 * place : 2 * place + 2]
        seen &= (table.witnesses[:, axis] >= low) & (table.witnesses[:, axis] <= high)
    seen[list(cells)] = False
    for region in np.flatnonzero(seen).tolist():
        corners = exact_polygon(table, frame, region)
        if len(corners) >= LEAST:
            cells[region] = [(float(x), float(y)) for x, y in corners], [OUTSIDE] * len(corners)


def exact_polygon(table: Table, frame: Frame, region: int) -> Sequence[Corner]:
    """A region's polygon in rational arithmetic, from all the rows of its pattern."""
    pattern = unpack(table.bits[region : region + 1], table.network.neurons)[0]
    fixed = {i: Fraction(float(v)) for i, v in enumerate(frame.fixed) if i not in frame.axes}
    polygon: list[Corner] = [(Fraction(x), Fraction(y)) for x, y in frame.outline]
    for row, switches in zip(exact_rows(table.network, pattern, fixed), switching(table.network), strict=True):
        if switches and any(row[:-1]):
            polygon = clip(polygon, [row[0], 0, row[1]] if frame.flat else row)
    return polygon
