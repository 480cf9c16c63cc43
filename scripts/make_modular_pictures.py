"""Draws docs/images/modular-*.png, and prints the tables that two of them show.

    OMP_NUM_THREADS=1 python scripts/make_modular_pictures.py [--most 2000000]     about two minutes

modular-blocks.png: an ordinary digit network, and the same made modular (`make_modular`). modular-classes.png: what its
modules do for each class. modular-growth.png: regions in one list against regions over the modules, random networks;
joint searches stop at --most regions, and then give a lower bound.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmark.modular import block_network
from modular_measures import DIGITS, ordinary, split
from PIL import Image

import relu_shallow as rs
from relu_shallow.load import load_network
from relu_shallow.modular.ablation import class_accuracy
from relu_shallow.modular.making import Modular, make_modular
from relu_shallow.modules import modules_of
from relu_shallow.network import Network
from relu_shallow.plot.colours import SOFT
from relu_shallow.plot.modular_blocks import draw_blocks, module_labels
from relu_shallow.plot.modular_classes import HeatMap, class_contributions, draw_classes
from relu_shallow.plot.modular_figure import blank, write_figure

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
MODULES = 16
COUNTS = (1, 2, 4, 8, 16)
SAME_SIZE = (4, 32, 32, 2)  # widths of the networks of more and more modules
OWN = 4  # neurons of a module in each hidden layer, in networks that grow by whole modules
GROWING_INPUTS = 6
COLOURS = 256
JOINT, APART = "#c2500a", "#1f6fb5"


@dataclass(frozen=True)
class Counted:
    """One network's regions: in one list (all of them, or as many as it was let list), and over its modules."""

    modules: int
    joint: int
    complete: bool
    apart: int
    most: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--most", type=int, default=2_000_000, help="regions that a joint search lists")
    options = parser.parse_args()
    rows = split(DIGITS, Path(), 0)
    module = ordinary(DIGITS, rows, 0)
    made = make_modular(module, rows[:2], MODULES, test=rows[2:], epochs=40)
    print("; ".join(f"{stage.name} {stage.score:.4f}, C {stage.clusterability:.4f}" for stage in made.stages))
    draw_blocks(load_network(made.before), load_network(made.module), IMAGES / "modular-blocks.png",
                names=("ordinary", "made modular"))  # fmt: skip
    classes(made, rows[2].astype(np.float64), rows[3])
    growth(options.most)
    for name in ("blocks", "classes", "growth"):
        smaller(IMAGES / f"modular-{name}.png")


def smaller(picture: Path) -> None:
    """The picture in few colours, which are enough."""
    Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True)
    print(f"{picture.name}: {picture.stat().st_size:,} bytes")


# --- classes ----------------------------------------------------------------------------------------------------


def classes(made: Modular, X: np.ndarray, y: np.ndarray) -> None:
    """What each module adds for a class, and what its absence costs, on the images held out."""
    network = load_network(made.module)
    added = class_contributions(network, X, y)
    found = class_accuracy(made.module, made.hidden, module_labels(network), X.astype(np.float32), y)
    maps = [
        HeatMap("What a module adds to the output of a digit\non images of it, minus that on all others", added,
                added.sum(axis=0), "sum", "output of the digit", signed=True, decimals=1),
        HeatMap("Images of a digit no longer recognised\nwith a module off, per cent", 100 * found.drop,
                100 * found.whole, "right", "per cent of its images", signed=True, decimals=0),
    ]  # fmt: skip
    names = [str(digit) for digit in range(network.outputs)]
    draw_classes(maps, names, IMAGES / "modular-classes.png", title=f"{MODULES} modules and the digits")


# --- growth -----------------------------------------------------------------------------------------------------


def growth(most: int) -> None:
    """The regions of networks of one size in more and more modules, and of networks that grow by modules."""
    same = [counted(block_network(SAME_SIZE, k), most) for k in COUNTS]
    grown = [counted(block_network((GROWING_INPUTS, OWN * k, OWN * k, 2), k), most) for k in COUNTS]
    for title, found in (("of one size", same), ("growing", grown)):
        print(title, *found, sep="\n  ")
    width = SAME_SIZE[1]
    write_figure(lambda: figure([
        (f"The same {2 * width} neurons in more modules ({SAME_SIZE[0]} inputs)", "modules", COUNTS, same),
        (f"More modules of {OWN} + {OWN} neurons ({GROWING_INPUTS} inputs)", "hidden neurons",
         [2 * OWN * k for k in COUNTS], grown),
    ]), IMAGES / "modular-growth.png")  # fmt: skip


def counted(network: Network, stop: int) -> Counted:
    """The regions of a network on [-1, 1]^n, jointly and by module."""
    modules = len(modules_of(network))
    joint = rs.convert(network, rs.Box(-1, 1), max_regions=stop)
    apart = rs.convert(network, rs.Box(-1, 1), modular=True)
    assert apart.completeness.complete
    most = math.prod(table.regions for table in apart.tables)
    return Counted(modules, joint.regions, joint.completeness.complete, apart.regions, most)


def figure(panels: Sequence[tuple[str, str, Sequence[int], Sequence[Counted]]]) -> Any:
    """Regions in logarithmic scale, a panel for each series."""
    drawn = blank(10.5, 4.6)
    for axes, (title, along, places, found) in zip(drawn.subplots(1, len(panels)), panels, strict=True):
        panel(axes, places, found)
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.set(xscale="log", yscale="log", xlabel=along, ylabel="linear regions")
        axes.set_xticks(places, [str(place) for place in places])
        axes.minorticks_off()
        axes.grid(alpha=0.25)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return drawn


def panel(axes: Any, places: Sequence[int], found: Sequence[Counted]) -> None:
    """The two counts; a joint search that was stopped has a hollow mark with an arrow up, for at least so many."""
    joint = [point.joint for point in found]
    stopped = [(place, point.joint) for place, point in zip(places, found, strict=True) if not point.complete]
    axes.plot(places, [point.most for point in found], color=SOFT, linestyle=":", linewidth=1.4,
              label="product over modules: no joint list exceeds it")  # fmt: skip
    axes.plot(places, joint, color=JOINT, linewidth=1.4, marker="o", markersize=5.5, label="one list for all")
    axes.plot(places, [point.apart for point in found], color=APART, linewidth=1.4, marker="s", markersize=5.5,
              label="a list for each module, summed")  # fmt: skip
    arrow = {"arrowstyle": "-|>", "color": JOINT, "linewidth": 1.4}
    for place, least in stopped:
        axes.plot([place], [least], color=JOINT, marker="o", markersize=5.5, markerfacecolor="white")
        axes.annotate("", (place, least * 60), (place, least * 1.3), arrowprops=arrow)
        axes.annotate("at least", (place, least), (-6, 4), textcoords="offset points", ha="right", fontsize=8,
                      color=JOINT)  # fmt: skip


if __name__ == "__main__":
    main()
