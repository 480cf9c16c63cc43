"""The regions of a converted network, in memory or on the disk, as questions ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.domain import fit
from relu_shallow.errors import UsageError
from relu_shallow.questions.halfspaces import HalfSpaces, half_spaces_of
from relu_shallow.questions.source import Converted
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import regions_of

PIECE = 1 << 14  # regions read at once


@dataclass(frozen=True, eq=False)
class Listed:
    """Some regions of a list: numbers, patterns, points inside, inscribed radii."""

    number: Int[np.ndarray, " regions"]
    patterns: Bool[np.ndarray, "regions neurons"]
    witnesses: Float[np.ndarray, "regions inputs"]
    radii: Float[np.ndarray, " regions"]


def listed(converted: Converted, number: Int[np.ndarray, " regions"]) -> Listed:
    """The regions of these numbers; raises UsageError where there is none of a number, OutputError for modules."""
    if len(number) and not (number.min() >= 0 and number.max() < converted.regions):
        wrong = next(k for k in number.tolist() if not 0 <= k < converted.regions)
        raise UsageError(f"there is no region {wrong}: the network has {converted.regions}, counted from 0")
    neurons = converted.network.neurons
    if isinstance(converted, StoredNetwork):
        part = converted.partition_of(number)
        return Listed(number, unpack(part.bits, neurons), part.witnesses, part.radii)
    table = converted.table
    return Listed(number, unpack(table.bits[number], neurons), table.witnesses[number], table.radii[number])


def all_listed(converted: Converted) -> Iterator[Listed]:
    """All regions in order, a piece at a time."""
    for start in range(0, converted.regions, PIECE):
        yield listed(converted, np.arange(start, min(start + PIECE, converted.regions)))


def half_spaces_in(converted: Converted, regions: Listed) -> Iterator[HalfSpaces]:
    """The regions as half-spaces."""
    domain = fit(converted.domain, converted.network.inputs)
    for pattern, witness in zip(regions.patterns, regions.witnesses, strict=True):
        yield half_spaces_of(converted.network, domain, pattern, witness)


def region_counts(converted: Converted, X: Float[np.ndarray, "rows inputs"]) -> Int[np.ndarray, " regions"]:
    """How many rows of X lie in each region; raises DataError for rows outside the domain or a partial list."""
    found = converted.region_of(X) if isinstance(converted, StoredNetwork) else regions_of(converted, X)[0]
    return np.bincount(found, minlength=converted.regions)
