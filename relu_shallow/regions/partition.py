"""The linear regions that a search found: one activation pattern, witness and radius each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

from relu_shallow.domain import Domain, describe
from relu_shallow.network import Network

Level = Literal["uncertified", "witnessed", "certified"]
ExactWitnesses = Mapping[int, tuple[Fraction, ...]]
LEVELS: tuple[Level, ...] = ("uncertified", "witnessed", "certified")


@dataclass(frozen=True)
class Effort:
    """What the search did: LPs solved, simplex pivots, wall seconds."""

    lps: int
    pivots: int
    seconds: float


@dataclass(frozen=True)
class Certificate:
    """How many decisions of a search were settled which way; a list can be certified only where none is `open`.

    A neuron's sign on a cell: by its `interval` over a box around the cell, by a safe `dual` bound of a linear
    program, or by an `earlier` dual bound whose rows still hold. A `cut`: both sides seen, which needs no proof, since
    a cell that turns out to be empty yields no region. A region: by a `witness` in floats at which every
    pre-activation exceeds its error. What rounding left undecided: in `exact` arithmetic.
    """

    interval: int = 0
    dual: int = 0
    earlier: int = 0
    cut: int = 0
    witness: int = 0
    exact: int = 0
    open: int = 0


@dataclass(frozen=True, eq=False)
class Partition:
    """The linear regions of a network on a domain, sorted by activation pattern, each listed once.

    `bits` packs the patterns eight neurons to a byte, first neuron in the highest bit, so that comparing bytes
    compares patterns. `witnesses` are interior points; `radii` the radius of the largest ball inside each region
    (infinite where there is none; within the affine hull on a flat domain), in the units of the inputs.
    `exact_witnesses` holds rational interior points of the regions too small for a float one, by their number.
    """

    network: Network
    domain: Domain
    bits: UInt8[np.ndarray, "regions bytes"]
    witnesses: Float[np.ndarray, "regions inputs"]
    radii: Float[np.ndarray, " regions"]
    complete: bool
    level: Level
    certificate: Certificate
    effort: Effort
    exact_witnesses: ExactWitnesses = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line, without the arrays."""
        listed = "all" if self.complete else "partial"
        return f"Partition({self.regions} regions on {describe(self.domain)}, {listed}, {self.level})"

    @property
    def regions(self) -> int:
        """R, the number of regions listed."""
        return len(self.bits)

    @property
    def patterns(self) -> Bool[np.ndarray, "regions neurons"]:
        """The activation patterns, one row a region."""
        return unpack(self.bits, self.network.neurons)


def pack(patterns: Bool[np.ndarray, "regions neurons"]) -> UInt8[np.ndarray, "regions bytes"]:
    """Patterns eight neurons to a byte; at least one byte, so that rows stay comparable without neurons."""
    packed = np.packbits(patterns, axis=1)
    return packed if packed.shape[1] else np.zeros((len(patterns), 1), dtype=np.uint8)


def packed_width(neurons: int) -> int:
    """The bytes of a packed pattern."""
    return max(-(-neurons // 8), 1)


def unpack(bits: UInt8[np.ndarray, "regions bytes"], neurons: int) -> Bool[np.ndarray, "regions neurons"]:
    """The inverse of `pack`."""
    return np.unpackbits(bits, axis=1, count=max(neurons, 1)).astype(bool)[:, :neurons]


def sort_order(bits: UInt8[np.ndarray, "regions bytes"]) -> np.ndarray:
    """The order that sorts packed patterns."""
    return np.argsort(np.ascontiguousarray(bits).view(f"V{bits.shape[1]}").ravel(), kind="stable")
