"""Pictures of linear regions, drawn from exact polygons: a PNG, an SVG, or a page that says more on hover."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from relu_shallow.atomic import replacing
from relu_shallow.data import DataTable, columns_by_name, frame_table, match_columns
from relu_shallow.errors import DataError, OutputError
from relu_shallow.machine import usable_cores
from relu_shallow.naming import named_by
from relu_shallow.network import Network
from relu_shallow.plot.compose import compose
from relu_shallow.plot.frame import axes_of
from relu_shallow.plot.png import render_png
from relu_shallow.plot.points import Points
from relu_shallow.plot.scene import Scene
from relu_shallow.plot.svg import render_svg
from relu_shallow.plot.view import View
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork, as_points, is_sum

MOST = 1_000_000  # regions of a folder that are read into memory
ON_A_PAGE = 60_000  # regions; a browser takes long to show more


def plot_regions(
    shallow: ShallowNetwork | StoredNetwork,
    path: str | os.PathLike[str],
    *,
    color: str | None = None,
    output: int | None = None,
    view: Sequence[float | int] | None = None,
    data: object = None,
    target: object = None,
    decision: bool | None = None,
) -> Scene:
    """Draws the regions of a network of one or two free inputs into a .png, .svg or .html file; the scene drawn.

    `color` is "class", "output:K", "alpha:FEATURE" (the slope of output `output`) or "region". `view` is (x0, x1, y0,
    y1). Rows of `data`, in the network's order of inputs, are drawn on top, coloured by their values in `target`.
    Raises DomainError where more than two inputs vary, OutputError, or DataError.
    """
    writer = choose_drawing(path)
    listed = _in_memory(shallow)
    if _is_frame(data):
        listed = named_by(listed, frame_table(data))
    points = None if data is None else _points(data, target, listed.network)
    scene = compose(listed, color, output=output, view=_four(view), points=points, decision=decision)
    if writer is not _write_png and len(scene.fills) > ON_A_PAGE:
        raise OutputError(
            f"{len(scene.fills):,} regions are too many for {Path(path).suffix} (up to {ON_A_PAGE:,}); write a .png, "
            "or look at a smaller view"
        )
    with replacing(path) as temporary:
        writer(temporary, scene, listed)
    return scene


def choose_drawing(path: str | os.PathLike[str]) -> Callable[[Path, Scene, ShallowNetwork], None]:
    """The writer for a file's ending; raises OutputError where there is none."""
    writer = DRAWINGS.get(Path(path).suffix.lower())
    if writer is None:
        raise OutputError(f"{Path(path).name}: pictures are written as {', '.join(DRAWINGS)}; choose one of these "
                          "endings")  # fmt: skip
    return writer


def points_of(table: DataTable, network: Network, known: DataTable | None = None) -> Points:
    """The rows of a data table in the network's order of inputs, and the only column of another as known values.

    For a network on a slice, rows of the original inputs are projected onto the slice.
    """
    X = _matched(table, network)
    if known is None:
        return Points(X)
    if len(known.names) != 1 or len(known.values) != len(X):
        raise DataError(f"a target is one column of {len(X)} values, got {known.values.shape}")
    return Points(X, known.names[0], known.X[:, 0])


def _matched(table: DataTable, network: Network) -> Float[np.ndarray, "rows inputs"]:
    """The columns of a table as inputs of the network: by name, or the original's inputs on the slice."""
    if network.slice is None or columns_by_name(table, network.feature_names) is not None:
        return match_columns(table, network.feature_names)
    return network.slice.place(match_columns(table, network.slice.feature_names))[0]


def _points(data: object, target: object, network: Network) -> Points:
    """Data as Python holds it: a frame, whose columns are matched by name, or rows."""
    if isinstance(data, Points):
        return data
    X = _matched(frame_table(data), network) if _is_frame(data) else _as_inputs(data, network)
    if target is None:
        return Points(X)
    known = np.asarray(target, dtype=np.float64).ravel()
    if len(known) != len(X):
        raise DataError(f"a target is one value for each of the {len(X)} rows, got {len(known)}")
    return Points(X, str(getattr(target, "name", None) or "target"), known)


def _is_frame(data: object) -> bool:
    """Whether data has named columns."""
    return hasattr(data, "columns") and hasattr(data, "iloc")


def _as_inputs(data: object, network: Network) -> Float[np.ndarray, "rows inputs"]:
    """Rows as inputs of the network, or rows of the original's inputs by their nearest points on the slice."""
    if network.slice is not None and np.atleast_2d(np.asarray(data)).shape[-1] == len(network.slice.v):
        return network.slice.place(as_points(data, len(network.slice.v)))[0]
    return as_points(data, network.inputs)


def _four(view: Sequence[float | int] | None) -> View | None:
    """The view as four numbers, the last two open where two are given."""
    if view is None:
        return None
    left, right, low, high = (*map(float, view), np.nan, np.nan)[:4] if len(view) in (2, 4) else (0.0,) * 4
    if not left < right or low >= high:
        raise OutputError(f"a view is (x0, x1, y0, y1) with x0 < x1 and y0 < y1, got {tuple(view)}")
    return left, right, low, high


def _in_memory(shallow: ShallowNetwork | StoredNetwork) -> ShallowNetwork:
    """The network with one list of its regions: read from a folder, if they are few enough; searched, if in modules."""
    if isinstance(shallow, ShallowNetwork):
        return _jointly(shallow) if is_sum(shallow) else shallow
    if shallow.regions > MOST:
        raise OutputError(
            f"{shallow.regions:,} regions are too many to draw (up to {MOST:,}); convert on a smaller domain"
        )
    partition = shallow.partition_of(np.arange(shallow.regions))
    return shallow_network(replace(partition, complete=shallow.completeness.complete))


def _jointly(shallow: ShallowNetwork) -> ShallowNetwork:
    """A sum of tables as one list of the joint regions, which are few where one or two inputs are free."""
    axes_of(shallow.network, shallow.domain)  # refuses where more are
    if not shallow.completeness.complete:
        raise OutputError("a partial list of modules has no picture; convert without --modular, or without a limit")
    return shallow_network(enumerate_regions(shallow.network, shallow.domain, workers=usable_cores(), max_regions=MOST))


def _write_png(path: Path, scene: Scene, shallow: ShallowNetwork) -> None:
    del shallow
    path.write_bytes(render_png(scene))


def _write_svg(path: Path, scene: Scene, shallow: ShallowNetwork) -> None:
    del shallow
    path.write_text(render_svg(scene), encoding="utf-8")


def _write_page(path: Path, scene: Scene, shallow: ShallowNetwork) -> None:
    from relu_shallow.plot.page import render_page

    path.write_text(render_page(scene, shallow), encoding="utf-8")


DRAWINGS: dict[str, Callable[[Path, Scene, ShallowNetwork], None]] = {
    ".png": _write_png,
    ".svg": _write_svg,
    ".html": _write_page,
    ".htm": _write_page,
}
