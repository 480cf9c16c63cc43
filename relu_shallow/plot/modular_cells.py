"""Strips of cells, one cell for each module: a chart whose drawing widens with the page (see fluid.py).

A cell's height and its shade both grow with its number, so that strips are read without colours too, and on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.plot.attribution import NAME
from relu_shallow.plot.fluid import SIDE, Lane, Mark, Tick
from relu_shallow.plot.lettering import number, short

SHADES = 5
NUMBERED, SOME = 16, 11  # modules that all have their number below; of more, only so many: a phone is not wide
GAP = 0.16  # of a cell's width
TALLEST = 0.92  # of a strip's height, so that strips keep apart


@dataclass(frozen=True)
class Strips:
    """A chart of strips over the modules' numbers."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    zero: str = f"M0 {SIDE}H{SIDE}"


def strips(names: Sequence[str], values: Float[np.ndarray, "lanes modules"]) -> Strips:
    """A strip for each name; values are not negative. All strips have one scale; at its end stands a strip's sum."""
    most = float(values.max(initial=0.0)) or 1.0
    lanes = tuple(
        Lane(short(name, NAME), "", _cells(row / most), number(float(row.sum())))
        for name, row in zip(names, values, strict=True)
    )
    return Strips(lanes, _numbers(values.shape[1]))


def _cells(shares: Float[np.ndarray, " modules"]) -> tuple[Mark, ...]:
    """The cells of a strip, a path for each shade; nothing is drawn for 0."""
    shade = np.ceil(shares * SHADES).astype(np.int64)
    width = SIDE / len(shares)
    left = (np.arange(len(shares)) + GAP / 2) * width
    top = SIDE * (1 - TALLEST * shares)
    return tuple(
        Mark(f"h{s}", "".join(f"M{left[k]:.1f} {SIDE}V{top[k]:.1f}h{width * (1 - GAP):.1f}V{SIDE}Z"
                              for k in np.flatnonzero(shade == s).tolist()))
        for s in np.unique(shade[shade > 0]).tolist()
    )  # fmt: skip


def _numbers(modules: int) -> tuple[Tick, ...]:
    step = 1 if modules <= NUMBERED else -(-modules // SOME)
    return tuple(Tick(round(100 * (k + 0.5) / modules, 2), str(k)) for k in range(0, modules, step))
