"""The search's tree as far as it was looked at: cells, each with the regions found at once and the cells left."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from relu_shallow.regions.task import Node


@dataclass(eq=False)
class Cell:
    """A subtree of one chart's search: `found` regions of it, and disjoint `children` that hold all the others.

    Before it is opened it has neither. `known` is what `guess`, the supposed number of its regions, is made from;
    `bits` keeps the patterns found where charts overlap; `seconds` of a processor were spent on finding them.
    """

    chart: int
    node: Node
    known: Float[np.ndarray, " features"]
    guess: float
    opened: bool = False
    found: int = 0
    seconds: float = 0.0
    bits: list[UInt8[np.ndarray, "regions bytes"]] = field(default_factory=list)
    children: list[Cell] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every region of the subtree is found."""
        return self.opened and not self.children
