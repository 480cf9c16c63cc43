"""What a list of all regions says of its network's modules: each has the regions that the joint patterns show of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from relu_shallow.modules import Module
from relu_shallow.regions.partition import pack
from relu_shallow.shallow.table import AT_ONCE, Table


def regions_by_module(table: Table, modules: tuple[Module, ...]) -> Int[np.ndarray, " modules"]:
    """How many regions each module of a table's network has, from a complete list of the joint ones.

    A module's pattern is part of the whole pattern, and the domain is the same, so the parts seen are all there are.
    """
    return np.array([len(np.unique(_parts(table, module), axis=0)) for module in modules])


def _parts(table: Table, module: Module) -> np.ndarray:
    """The packed patterns of a module in all regions."""
    step = max(AT_ONCE // max(table.network.neurons, 1), 1)
    pieces = [table.bits[i : i + step] for i in range(0, table.regions, step)]
    columns, shift = module.neurons // 8, 7 - module.neurons % 8
    return np.concatenate([pack((piece[:, columns] >> shift & 1).astype(bool)) for piece in pieces])
