"""What a converted region costs: processor seconds to find and to write it, and bytes in the file."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from relu_shallow.regions.partition import Partition
from relu_shallow.regions.radius import inscribed_radii
from relu_shallow.shallow.build import build_table
from relu_shallow.shallow.table import Table

MERGED = 500  # regions whose inscribed balls are timed


@dataclass(frozen=True)
class Cost:
    """Per region: processor seconds in all, those of building the table among them, and bytes of the file."""

    seconds: float
    building: float
    bytes: float


def cost_of(listed: Partition, seconds: float) -> Cost:
    """The cost of a region as a list showed it that took so many processor seconds."""
    if not listed.regions:
        return Cost(float("nan"), 0.0, float("nan"))
    before = time.process_time()
    table = build_table(listed)
    building = (time.process_time() - before) / listed.regions
    return Cost(seconds / listed.regions + building, building, file_bytes(table) / listed.regions)


def merging_seconds(listed: Partition) -> float:
    """Processor seconds a region for what several charts need on top: its inscribed ball in input coordinates."""
    some = np.arange(0, listed.regions, -(-listed.regions // MERGED))
    bits, witnesses = listed.bits[some], listed.witnesses[some]  # copies: a strided view would be compiled for afresh
    before = time.process_time()
    inscribed_radii(listed.network, listed.domain, bits, witnesses)
    return (time.process_time() - before) / len(some)


def file_bytes(table: Table) -> int:
    """The bytes of a table's arrays in a file; all of them but H and c grow with the number of regions exactly."""
    arrays = (table.bits, table.witnesses, table.radii, table.alpha, table.beta, table.trie.row, table.trie.child,
              table.H, table.c)  # fmt: skip
    return sum(array.nbytes for array in arrays)
