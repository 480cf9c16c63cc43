"""Which part of an unbounded plane a picture shows: all corners of the regions, unless a few lie far away."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.checks.counting import domain_rows
from relu_shallow.domain import Box, Domain, WholeSpace
from relu_shallow.errors import OutputError
from relu_shallow.plot.frame import AXES, Frame, axes_of, on_axes, outline_of
from relu_shallow.plot.subdivision import subdivide
from relu_shallow.polygons import LEAST, Corner
from relu_shallow.shallow.table import ShallowNetwork

View = tuple[float, float, float, float]

FAR = 2.0**16  # how much farther than the farthest line corners are looked for
MARGIN = 0.15  # of the view's width, on either side of the outermost corners
MOST_CORNERS = 0.98  # are shown, where the others lie so far away that
TIMES = 3.0  # the view would have to be so many times as wide to show them too


def frame_of(shallow: ShallowNetwork, view: View | None, points: Float[np.ndarray, "points inputs"]) -> Frame:
    """The frame of a picture: the given view, or else the domain, or else all corners, and the points."""
    axes, fixed = axes_of(shallow.network, shallow.domain)
    if view is None:
        view = _own_view(shallow, axes, fixed, points[:, list(axes)])
    if len(axes) < AXES and not np.isfinite(view[2:]).all():
        view = (view[0], view[1], *_values_between(shallow, axes, fixed, view))
    elif not np.isfinite(view).all():
        raise OutputError("a picture of two inputs needs a view of four numbers: X0,X1,Y0,Y1")
    outline = outline_of(shallow.domain, axes, view)
    if len(outline) < LEAST:
        raise OutputError("the view does not meet the converted domain; choose another, or leave it out")
    return Frame(axes, fixed, tuple(outline), view)


def _own_view(
    shallow: ShallowNetwork, axes: tuple[int, ...], fixed: np.ndarray, points: Float[np.ndarray, "points axes"]
) -> View:
    """The view that shows the domain if it is bounded, else the corners."""
    domain = shallow.domain
    if isinstance(domain, Box):
        lo, hi = domain.lo[list(axes)].tolist(), domain.hi[list(axes)].tolist()
        return (lo[0], hi[0], lo[1], hi[1]) if len(axes) == AXES else (lo[0], hi[0], np.nan, np.nan)
    far = FAR * _reach(shallow, domain, axes, fixed)
    outline = outline_of(domain, axes, (-far, far, -far, far))
    if len(outline) < LEAST:
        raise OutputError("the domain is too thin to draw")
    corners = np.array(outline, dtype=np.float64)
    if np.abs(corners[:, : len(axes)]).max() < far:  # a bounded polytope
        return _around(corners, len(axes))
    found = np.concatenate([_central(_corners(shallow, axes, fixed, outline, far)), points @ np.eye(len(axes), AXES)])
    return _around(found if len(found) else _feet(shallow, axes, fixed), len(axes))


def _reach(shallow: ShallowNetwork, domain: Domain, axes: tuple[int, ...], fixed: np.ndarray) -> float:
    """How far from 0 the farthest line lies, of the regions' and the domain's."""
    rows = on_axes(axes, fixed, shallow.table.H, shallow.table.c)
    if not isinstance(domain, WholeSpace | Box):
        A, b = domain_rows(domain)
        rows = np.concatenate([rows, on_axes(axes, fixed, A, b)])
    norms = np.linalg.norm(rows[:, :-1], axis=1)
    reach = np.abs(rows[norms > 0, -1]) / norms[norms > 0]
    return float(reach.max(initial=0.0)) or 1.0


def _corners(
    shallow: ShallowNetwork, axes: tuple[int, ...], fixed: np.ndarray, outline: list[Corner], far: float
) -> Float[np.ndarray, "corners 2"]:
    """All corners of regions that are not on the far rectangle."""
    frame = Frame(axes, fixed, tuple(outline), (-far, far, -far, far))
    pieces = subdivide(shallow.table, frame).pieces
    corners = np.concatenate([piece.corners for piece in pieces])
    if frame.flat:
        corners[:, 1] = 0.0
    return np.unique(corners[(np.abs(corners) < far * (1 - 1 / FAR)).all(axis=1)], axis=0)


def _feet(shallow: ShallowNetwork, axes: tuple[int, ...], fixed: np.ndarray) -> Float[np.ndarray, "rows 2"]:
    """The point of each line that is nearest to 0: parallel lines have no corners."""
    rows = on_axes(axes, fixed, shallow.table.H, shallow.table.c)
    squares = (rows[:, :-1] ** 2).sum(axis=1)
    rows, squares = rows[squares > 0], squares[squares > 0]
    return -rows[:, :-1] * (rows[:, -1] / squares)[:, None]


def _central(points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "kept 2"]:
    """The points, without those few that would make the view much wider."""
    if not len(points):
        return points
    tail = (1 - MOST_CORNERS) / 2
    low, high = np.quantile(points, [tail, 1 - tail], axis=0)
    width, whole = high - low, points.max(axis=0) - points.min(axis=0)
    crowded = (width > 0) & (whole > TIMES * width)
    near = ((points >= low) & (points <= high)) | ~crowded
    return points[near.all(axis=1)]


def _around(points: Float[np.ndarray, "points 2"], axes: int) -> View:
    """The view with a margin around points; where they have no width, that of the other axis, or 1."""
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(AXES), np.zeros(AXES))
    width = high - low
    width = np.where(width > 0, width, width.max() or max(float(np.abs(low).max()), 1.0))
    middle = (low + high) / 2
    near, far = middle - (0.5 + MARGIN) * width, middle + (0.5 + MARGIN) * width
    if axes < AXES:
        return float(near[0]), float(far[0]), np.nan, np.nan
    return float(near[0]), float(far[0]), float(near[1]), float(far[1])


def _values_between(
    shallow: ShallowNetwork, axes: tuple[int, ...], fixed: np.ndarray, view: View
) -> tuple[float, float]:
    """The ordinates that hold all outputs of a network of one free input, with room for the bands of classes."""
    strip = (view[0], view[1], 0.0, 1.0)
    outline = outline_of(shallow.domain, axes, strip)
    if len(outline) < LEAST:
        return 0.0, 1.0
    frame = Frame(axes, fixed, tuple(outline), strip)
    table, least, most = shallow.table, np.inf, -np.inf
    for piece in subdivide(table, frame, complete=shallow.completeness.complete).pieces:
        maps = on_axes(axes, fixed, table.alpha[piece.region], table.beta[piece.region])
        values = maps[:, :1] * piece.corners[:, 0] + maps[:, -1:]
        least, most = min(least, float(values.min())), max(most, float(values.max()))
    if not least <= most:
        return 0.0, 1.0
    room = (most - least) / 10 or max(abs(most), 1.0) / 2
    return least - 2 * room, most + room
