"""What modules do for classes, as heat maps with a row for each module and a column for each class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError
from relu_shallow.modules import addend, modules_of
from relu_shallow.network import Network
from relu_shallow.plot.colours import EMPTY, SOFT, diverging, sequential
from relu_shallow.plot.lettering import MINUS, short
from relu_shallow.plot.modular_figure import blank, letters_on, write_figure
from relu_shallow.plot.png import plain

CELL = (0.46, 0.25)  # inches
WIDEST, TALLEST = 7.0, 12.0  # inches of one heat map; more classes or modules have smaller cells
LETTER, BETWEEN = 0.68, 0.6  # of the size of letters: the width of a bold digit, and what is left free beside a number
POINTS = 72.0  # in an inch
LARGEST, SMALLEST = 8.0, 4.5  # points: numbers that do not fit at the smallest size are left out
TURNED, NAME, TITLE = 4, 14, 60  # characters: longer names of classes are turned; are cut off; lines of titles are


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Numbers by module and class (NaN: not known), with a line of their own below, as their sums.

    Signed ones have a scale with 0 in its middle.
    """

    title: str
    values: Float[np.ndarray, "modules classes"]
    foot: Float[np.ndarray, " classes"]
    foot_name: str
    scale: str
    signed: bool
    decimals: int


def class_contributions(
    network: Network, X: Float[np.ndarray, "rows inputs"], y: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "modules classes"]:
    """By module and class c: the mean of what the module adds to output c on rows of class c, minus that on all others.

    Over modules it sums to the same difference of the network's own output c. NaN where a class has no rows, or all.
    Raises DataError where y are no classes that the outputs stand for.
    """
    if len(y) != len(X) or not len(y) or y.min() < 0 or y.max() >= network.outputs:
        raise DataError(f"{len(X)} rows need one class each, from 0 to {network.outputs - 1} as there are outputs")
    own = y[:, None] == np.arange(network.outputs)
    count = own.sum(axis=0)
    known = (count > 0) & (count < len(y))
    found = []
    for module in modules_of(network):
        out = addend(network, module)(X)
        mean = (out * own).sum(axis=0) / np.maximum(count, 1)
        other = (out * ~own).sum(axis=0) / np.maximum(len(y) - count, 1)
        found.append(np.where(known, mean - other, np.nan))
    return np.array(found)


def draw_classes(
    maps: Sequence[HeatMap], classes: Sequence[str], path: str | os.PathLike[str], *, title: str
) -> None:
    """Draws heat maps side by side into a .png or .svg, numbers in the cells where they fit; OutputError, DataError."""
    for shown in maps:
        if shown.values.shape[1:] != (len(classes),) or shown.foot.shape != (len(classes),) or not shown.values.size:
            raise DataError(f"a heat map of {len(classes)} classes needs a row of as many numbers for each module and "
                            f"below; got {shown.values.shape} and {shown.foot.shape}")  # fmt: skip
    write_figure(lambda: _figure(maps, classes, title), path)


def _figure(maps: Sequence[HeatMap], classes: Sequence[str], title: str) -> Any:
    sizes = [_inches(shown) for shown in maps]
    names = [short(name, NAME) for name in classes]
    turned = max(map(len, names)) > TURNED
    figure = blank(sum(width for width, _ in sizes) + 1.8 * len(maps),
                   max(height for _, height in sizes) + 1.2 + turned)  # fmt: skip
    panels = figure.subplots(1, len(maps), squeeze=False, width_ratios=[width for width, _ in sizes])[0]
    for shown, axes in zip(maps, panels, strict=True):
        _panel(figure, axes, shown, names, 90 if turned else 0)
    figure.suptitle(plain(short(title, TITLE)), x=0.02, ha="left", fontsize=12)
    figure.draw_without_rendering()  # only now it is known how large cells are
    for shown, axes in zip(maps, panels, strict=True):
        _numbers(axes, shown)
    return figure


def _inches(shown: HeatMap) -> tuple[float, float]:
    """(width, height) of the cells, with the line below."""
    modules, classes = shown.values.shape
    return min(CELL[0] * classes, WIDEST), min(CELL[1] * (modules + 2), TALLEST)


def _panel(figure: Any, axes: Any, shown: HeatMap, names: Sequence[str], turned: int) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    modules = len(shown.values)
    known = shown.values[np.isfinite(shown.values)]
    scale = (diverging if shown.signed else sequential)(known if len(known) else np.zeros(1), shown.scale)
    colours = LinearSegmentedColormap.from_list("scale", scale.stops).with_extremes(bad=EMPTY)
    norm = Normalize(scale.low, scale.high)
    axes.imshow(shown.values, cmap=colours, norm=norm, interpolation="nearest", aspect="auto")
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(modules + 0.9, -0.5), ylabel="module")
    title = "\n".join(short(line, TITLE) for line in shown.title.splitlines())
    axes.set_title(plain(title), fontsize=9.5, loc="left")
    axes.set_xticks(range(len(names)), map(plain, names), fontsize=8, rotation=turned)
    axes.set_yticks([*range(modules), modules + 0.4], [*map(str, range(modules)), plain(short(shown.foot_name, NAME))],
                    fontsize=8)  # fmt: skip
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=plain(short(shown.scale)), aspect=30)
    bar.outline.set_edgecolor(SOFT)


def _numbers(axes: Any, shown: HeatMap) -> None:
    """The numbers in the cells, and below them the line of their own, where they can be read."""
    modules, classes = shown.values.shape
    lines = [*shown.values, shown.foot]
    texts = [[written(float(value), shown.decimals) for value in line] for line in lines]
    longest = max(len(text) for line in texts for text in line)
    grounds = axes.images[0].to_rgba(shown.values)
    place = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    width, height = place.width / classes * POINTS, place.height / (modules + 1.4) * POINTS
    points = min(LARGEST, width / (longest * LETTER + BETWEEN), height * 0.72)
    if points < SMALLEST:
        return
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            below = row == modules
            ink = SOFT if below else letters_on(np.asarray(grounds[row, column]))
            axes.text(column, row + 0.4 * below, text, ha="center", va="center", fontsize=points, color=ink,
                      weight="bold" if below else "normal")  # fmt: skip


def written(value: float, decimals: int) -> str:
    """A number of a cell, without the sign of a zero; a dash where it is not known."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    text = f"{value:.{decimals}f}"
    return text.replace("-", MINUS) if float(text) else text.removeprefix("-")
