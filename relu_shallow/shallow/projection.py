"""What a list of all regions says of its network's modules: each has the regions that the joint patterns show of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8

from relu_shallow.modules import Module
from relu_shallow.regions.partition import pack
from relu_shallow.shallow.table import AT_ONCE, Table


def regions_by_module(table: Table, modules: tuple[Module, ...]) -> Int[np.ndarray, " modules"]:
    """How many regions each module of a table's network has, from a complete list of the joint ones.

    A module's pattern is part of the whole pattern, and the domain is the same, so the parts seen are all there are.
    """
    return np.array([len(np.unique(parts_of(table.bits, module), axis=0)) for module in modules])


def parts_of(bits: UInt8[np.ndarray, "patterns bytes"], module: Module) -> UInt8[np.ndarray, "patterns own_bytes"]:
    """A module's part of packed patterns of the whole network, packed."""
    columns, shift = module.neurons // 8, 7 - module.neurons % 8
    step = max(AT_ONCE // max(len(columns), 1), 1)
    pieces = [pack((bits[i : i + step][:, columns] >> shift & 1).astype(bool)) for i in range(0, len(bits), step)]
    return np.concatenate([pack(np.zeros((0, len(columns)), bool)), *pieces])
