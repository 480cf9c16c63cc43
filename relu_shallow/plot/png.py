"""A scene as pixels, drawn by matplotlib with Agg."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from relu_shallow.plot.colours import EMPTY, INK, PAPER, SOFT, Scale
from relu_shallow.plot.lettering import fonts, label, short
from relu_shallow.plot.scene import Fill, Scene, Stroke
from relu_shallow.polygons import LEAST, keep, values_of

INCHES = (8.6, 6.4)
DOTS_PER_INCH = 150
TITLE = 70  # characters
KEYS = 16  # classes in the legend
SEEN = 0.7  # points: the thinnest line in the legend
SEAM = 0.25  # points: polygons are drawn a little larger than they are, or the ground would shine through between them
CASING = 1.2  # points of light edge on either side of a cased line


def render_png(scene: Scene) -> bytes:
    """The picture as PNG bytes."""
    import matplotlib as mpl

    with mpl.rc_context({"font.family": fonts(), "axes.unicode_minus": True}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        stream = io.BytesIO()
        draw(scene).savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()


def draw(scene: Scene) -> Any:
    """The picture as a matplotlib Figure of its own, which pyplot knows nothing of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    left, right, low, high = scene.view
    axes.set(xlim=(left, right), ylim=(low, high), xlabel=label(scene.x_label), ylabel=label(scene.y_label))
    axes.set_facecolor(PAPER)
    if scene.partial:
        _hatch(axes, scene)
    _polygons(axes, [fill for fill in (*scene.fills, *scene.parts) if fill.row is None])
    _gradients(axes, [fill for fill in scene.fills if fill.row is not None], scene.scale)
    for stroke in scene.strokes:
        _lines(axes, stroke)
    for marks in scene.marks:
        axes.scatter(marks.points[:, 0], marks.points[:, 1], s=marks.size**2, c=list(marks.colours),
                     linewidths=marks.size / 8, edgecolors=PAPER, zorder=5, clip_on=False)  # fmt: skip
    axes.set_title("\n".join(map(plain, scene.notes)), loc="left", fontsize=8.5, color=SOFT)
    figure.suptitle(plain(short(scene.title, TITLE)), x=0.02, ha="left", fontsize=12)
    _legend(figure, axes, scene)
    return figure


def plain(text: str) -> str:
    """The text, not to be read as mathematics."""
    return text.replace("$", r"\$")


def _hatch(axes: Any, scene: Scene) -> None:
    """The ground of a partial list."""
    from matplotlib.patches import Polygon

    axes.add_patch(Polygon(scene.outline, facecolor=EMPTY, edgecolor="#9aa0a6", hatch="////", linewidth=0, zorder=0))


def _polygons(axes: Any, fills: Sequence[Fill]) -> None:
    from matplotlib.collections import PolyCollection

    if fills:
        colours = [fill.colour for fill in fills]
        axes.add_collection(PolyCollection([fill.corners for fill in fills], facecolors=colours, edgecolors=colours,
                                           linewidths=SEAM, zorder=1), autolim=False)  # fmt: skip


def _gradients(axes: Any, fills: Sequence[Fill], scale: Scale | None) -> None:
    """Affine colours, as triangles; polygons are first cut at the scale's stops, between which colours are linear."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.tri import Triangulation

    if not fills or scale is None:
        return
    corners: list[tuple[float, float]] = []
    triangles: list[tuple[int, int, int]] = []
    values: list[float] = []
    for fill in fills:
        for part, heights in bands(fill, scale):
            first = len(corners)
            corners += part
            values += heights
            triangles += [(first, first + i, first + i + 1) for i in range(1, len(part) - 1)]
    colours = LinearSegmentedColormap.from_list("scale", scale.stops, N=1 << 12)
    places = np.array(corners)
    mesh = Triangulation(places[:, 0], places[:, 1], triangles)
    axes.tripcolor(mesh, np.array(values), shading="gouraud", cmap=colours, norm=Normalize(scale.low, scale.high),
                   zorder=1)  # fmt: skip
    axes.autoscale(False)


def bands(fill: Fill, scale: Scale) -> list[tuple[list[tuple[float, float]], list[float]]]:
    """A polygon between the stops of a scale: parts with the values at their corners."""
    assert fill.row is not None
    parts = []
    polygon: list[tuple[float, float]] = [(x, y) for x, y in fill.corners.tolist()]
    row = fill.row
    for level in [*scale.levels[1:-1].tolist(), np.inf]:
        heights = values_of(row, polygon)
        if min(heights) >= level:
            continue
        if max(heights) <= level:
            parts.append((polygon, heights))
            break
        excess = [height - level for height in heights]
        under, _ = keep(polygon, [0] * len(polygon), [-value for value in excess], 0)
        if len(under) >= LEAST:
            parts.append((under, values_of(row, under)))
        polygon, _ = keep(polygon, [0] * len(polygon), excess, 0)
        if len(polygon) < LEAST:
            break
    return parts


def _lines(axes: Any, stroke: Stroke) -> None:
    from matplotlib.collections import LineCollection

    segments = list(stroke.segments)
    if stroke.cased:
        axes.add_collection(LineCollection(segments, colors=PAPER, linewidths=stroke.width + CASING, zorder=3,
                                           capstyle="round"), autolim=False)  # fmt: skip
    axes.add_collection(LineCollection(segments, colors=stroke.colour, linewidths=stroke.width, capstyle="round",
                                       zorder=4 if stroke.cased else 2), autolim=False)  # fmt: skip


def _legend(figure: Any, axes: Any, scene: Scene) -> None:
    """The colour bar, and beside the picture what colours, lines and dots mean."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor=key.colour, label=label(key.label)) for key in scene.keys[:KEYS]]
    handles += [Line2D([], [], color=stroke.colour, linewidth=max(stroke.width, SEEN), label=label(stroke.label))
                for stroke in reversed(scene.strokes)]  # fmt: skip
    for marks in scene.marks:
        handles.append(Line2D([], [], color=INK, marker="o", linestyle="", markersize=marks.size, markeredgecolor=PAPER,
                              label=label(marks.label)))  # fmt: skip
    if scene.scale is not None:
        colours = LinearSegmentedColormap.from_list("scale", scene.scale.stops)
        norm = Normalize(scene.scale.low, scene.scale.high)
        figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=label(scene.scale.label).replace("\n", " "))
    if handles:
        figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=9)
