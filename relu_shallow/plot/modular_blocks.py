"""The weights between hidden layers before and after a network was made modular, as images with modules in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError, ModelError, OutputError
from relu_shallow.modular.clustering import Labels
from relu_shallow.modular.measures import clusterability
from relu_shallow.modules import modules_of
from relu_shallow.network import Network, dense
from relu_shallow.plot.colours import SOFT
from relu_shallow.plot.lettering import short
from relu_shallow.plot.modular_figure import WEIGHTS, blank, write_figure
from relu_shallow.plot.png import plain

MOST_WEIGHTS = 1 << 22  # of one matrix: finer than any picture
OUTLINE = "#c2500a"
SIDE = 3.7  # inches of the longer side of a matrix
LEAST_SIDE = 1.0
NUMBERED = 16  # modules; of more, only every second, third, ... has its number at the axes
FAINT = 0.5  # weights are shown by this power of their size, or small ones would not be seen


def draw_blocks(
    before: Network,
    after: Network,
    path: str | os.PathLike[str],
    *,
    labels: Sequence[np.ndarray] | None = None,
    names: tuple[str, str] = ("before", "after"),
) -> None:
    """Draws |W| of every matrix between hidden layers, before beside after, neurons ordered by module, into a file.

    `labels` are the module of each neuron, an array per hidden layer (`Modular.labels`); by default the modules into
    which `after` falls apart. Above each matrix stands C, the share of its squared weights that joins neurons of one
    module. The file is .png or .svg. Raises ModelError where there is no such matrix or the networks differ in shape,
    DataError for labels that do not fit, OutputError.
    """
    _check(before, after)
    modules = module_labels(after) if labels is None else _checked(labels, after)
    pairs = [[_ordered(network, level, modules) for network in (before, after)] for level in range(1, len(modules))]
    write_figure(lambda: _figure(pairs, modules, names), path)


def module_labels(network: Network) -> Labels:
    """The number of each hidden neuron's module (the first, of a linear neuron that several take from), by layer."""
    label = np.zeros(network.neurons, dtype=np.int64)
    for number, module in reversed([*enumerate(modules_of(network))]):
        label[module.neurons] = number
    return tuple(np.split(label, np.cumsum(network.widths)[:-1]))


def _check(before: Network, after: Network) -> None:
    if len(after.widths) < 2:
        raise ModelError("a network with one hidden layer has no matrix between hidden layers to draw; its modules are "
                         "its neurons")  # fmt: skip
    if before.widths != after.widths:
        raise ModelError(f"the networks have hidden layers of {before.widths} and {after.widths} neurons; a picture "
                         "of before and after needs the same")  # fmt: skip
    largest = max(a * b for a, b in pairwise(after.widths))
    if largest > MOST_WEIGHTS:
        raise OutputError(f"a matrix of {largest:,} weights is too large to draw (up to {MOST_WEIGHTS:,})")


def _checked(labels: Sequence[np.ndarray], network: Network) -> Labels:
    found = tuple(np.asarray(label, dtype=np.int64) for label in labels)
    if tuple(len(label) for label in found) != tuple(network.widths) or min(label.min() for label in found) < 0:
        raise DataError(f"labels are a module's number, from 0, for each neuron of hidden layers {network.widths}; got "
                        f"arrays of {tuple(len(label) for label in found)}")  # fmt: skip
    return found


def _ordered(
    network: Network, level: int, labels: Labels
) -> Float[np.ndarray, "out in"]:
    """A matrix with its neurons in the order of their modules."""
    rows, columns = (np.argsort(labels[place], kind="stable") for place in (level, level - 1))
    return dense(network.affine[level].W)[np.ix_(rows, columns)]


def _figure(
    pairs: Sequence[Sequence[np.ndarray]], labels: Labels, names: tuple[str, str]
) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    colours = LinearSegmentedColormap.from_list("weights", WEIGHTS)
    norm = PowerNorm(FAINT, 0.0, max(float(np.abs(W).max()) for pair in pairs for W in pair) or 1.0)
    extents = [_inches(pair[0].shape) for pair in pairs]
    height = sum(size[1] for size in extents)
    figure = blank(2 * max(size[0] for size in extents) + 2.3, height + 0.75 * len(pairs) + 0.35)
    grid = figure.subplots(len(pairs), 2, squeeze=False, height_ratios=[size[1] for size in extents])
    for level, (pair, line) in enumerate(zip(pairs, grid, strict=True), start=1):
        for W, name, axes in zip(pair, names, line, strict=True):
            axes.imshow(np.abs(W), cmap=colours, norm=norm, interpolation="nearest", aspect="equal")
            _outline(axes, labels[level], labels[level - 1])
            axes.set_title(f"{plain(short(name))}: {_share(W, labels[level], labels[level - 1])}", fontsize=10)
            axes.set(xlabel=f"module, neurons of hidden layer {level}",
                     ylabel=f"module, neurons of hidden layer {level + 1}")  # fmt: skip
    figure.suptitle("Weights between hidden layers, neurons ordered by module", x=0.02, ha="left", fontsize=12)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=grid, label="|weight|", shrink=0.8, aspect=20 * len(pairs))
    bar.outline.set_edgecolor(SOFT)
    return figure


def _inches(shape: tuple[int, ...]) -> tuple[float, float]:
    """(width, height) of a matrix, whose longer side is SIDE."""
    height, width = (max(SIDE * side / max(shape), LEAST_SIDE) for side in shape)
    return width, height


def _share(W: Float[np.ndarray, "out in"], rows: np.ndarray, columns: np.ndarray) -> str:
    return f"C = {clusterability(W, np.sort(rows), np.sort(columns)):.4f}" if W.any() else "no weight at all"


def _outline(axes: Any, rows: Int[np.ndarray, " out"], columns: Int[np.ndarray, " in"]) -> None:
    """A rectangle around each module's block, and the modules' numbers along both sides."""
    from matplotlib.patches import Rectangle

    count = 1 + max(int(rows.max()), int(columns.max()))
    ends = [np.concatenate([[0], np.cumsum(np.bincount(label, minlength=count))]) - 0.5 for label in (columns, rows)]
    thin = 1.1 if count <= NUMBERED else 0.6
    for (left, right), (top, bottom) in zip(pairwise(ends[0].tolist()), pairwise(ends[1].tolist()), strict=True):
        if right > left and bottom > top:
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=OUTLINE,
                                     linewidth=thin, clip_on=False))  # fmt: skip
    for axis, end in zip((axes.xaxis, axes.yaxis), ends, strict=True):
        numbers = [k for k in range(count) if end[k + 1] > end[k]][:: -(-count // NUMBERED)]
        axis.set_ticks([(end[k] + end[k + 1]) / 2 for k in numbers], [str(k) for k in numbers], fontsize=7)
    axes.tick_params(length=0, pad=3)
    for spine in axes.spines.values():
        spine.set_edgecolor(SOFT)
