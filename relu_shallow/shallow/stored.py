"""The shallow network whose regions stay on the disk, in a folder: what a question needs is read, and no more.

A point's region is that of its own activation pattern, looked up in the sorted files. Where rounding leaves the pattern
open, and on boundaries, where it may be no region's, the decision tree of the sorted list is walked instead
(shallow/descent.py). Affine maps are computed from patterns, as those of a converted file are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8

from relu_shallow.archive import FOLDER
from relu_shallow.domain import Domain, describe
from relu_shallow.network import Network, activation_patterns
from relu_shallow.precision import surely_signed
from relu_shallow.regions.partition import Partition, pack, packed_width
from relu_shallow.shallow.build import region_maps
from relu_shallow.shallow.store import is_shallow_file, load_shallow
from relu_shallow.shallow.table import (
    Completeness,
    ShallowNetwork,
    as_points,
    refuse_outside,
    refuse_overflow,
    refuse_rows,
    refuse_unlisted,
)

if TYPE_CHECKING:  # the folder's reader brings the search's compiler with it
    from relu_shallow.regions.folder import RegionsFolder
    from relu_shallow.regions.shard import Shard

NUMBERS = 1 << 21  # held at once: 16 MB


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A deep ReLU network written as the linear regions in a folder, which are read as they are asked for."""

    network: Network
    folder: RegionsFolder

    def __repr__(self) -> str:
        """One line."""
        listed = f"{'all' if self.folder.complete else 'partial'}, {self.folder.level}"
        return f"StoredNetwork({self.network.source.name}: {self.regions} regions on {describe(self.domain)}, {listed})"

    @property
    def domain(self) -> Domain:
        """Where the regions were looked for."""
        return self.folder.domain

    @property
    def regions(self) -> int:
        """The number of regions listed."""
        return self.folder.regions

    @property
    def completeness(self) -> Completeness:
        """What is known about the list."""
        known = self.folder
        return Completeness(known.complete, known.level, known.certificate, known.effort)

    def region_of(self, X: Float[np.ndarray, "points inputs"]) -> Int[np.ndarray, " points"]:
        """The number of each point's region, one whose closure holds it.

        Raises DataError outside the converted domain or outside a partial list.
        """
        from relu_shallow.regions.folder import find
        from relu_shallow.shallow.descent import descend

        refuse_outside(self.domain, X)
        region = np.empty(len(X), np.int64)
        sure = np.empty(len(X), dtype=bool)
        for part in in_pieces(len(X), self.network.neurons + self.network.inputs):
            region[part] = find(self.folder, pack(activation_patterns(self.network, X[part])))
            sure[part] = surely_signed(self.network, X[part])
        if not self.folder.complete:
            refuse_unlisted(region >= 0)
            return region
        rest = np.flatnonzero(~sure | (region < 0))
        if len(rest):
            points, place = np.unique(X[rest], axis=0, return_inverse=True)
            region[rest] = descend(self.folder, points)[place.reshape(-1)]
        return region

    def bits_of(self, region: Int[np.ndarray, " regions"]) -> UInt8[np.ndarray, "regions bytes"]:
        """The packed patterns of regions, by their numbers."""
        from relu_shallow.regions.shard import map_regions

        bits = np.empty((len(region), packed_width(self.network.neurons)), np.uint8)
        for shard, here, rows in self._by_file(region):
            bits[here] = map_regions(shard, self.network)[0][rows]
        return bits

    def partition_of(self, region: Int[np.ndarray, " regions"]) -> Partition:
        """Regions, by their numbers, with their witnesses and radii, as a partial list of their own."""
        from relu_shallow.regions.shard import exact_points, map_regions

        bits, radii = np.empty((len(region), packed_width(self.network.neurons)), np.uint8), np.empty(len(region))
        witnesses = np.empty((len(region), self.network.inputs))
        exact: dict[int, tuple[Fraction, ...]] = {}
        for shard, here, rows in self._by_file(region):
            parts = map_regions(shard, self.network)
            bits[here], witnesses[here], radii[here] = (part[rows] for part in parts)
            points = exact_points(shard, self.network)
            exact |= {
                place: points[row] for place, row in zip(here.tolist(), rows.tolist(), strict=True) if row in points
            }
        known = self.folder
        return Partition(self.network, self.domain, bits, witnesses, radii, False, known.level, known.certificate,
                         known.effort, exact)  # fmt: skip

    def _by_file(self, region: Int[np.ndarray, " regions"]) -> Iterator[tuple[Shard, np.ndarray, np.ndarray]]:
        """(file, places in `region`, rows of the file) of the files that hold regions."""
        starts = self.folder.starts
        number = np.searchsorted(starts, region, side="right") - 1
        for file in np.unique(number).tolist():
            here = np.flatnonzero(number == file)
            yield self.folder.shards[file], here, region[here] - starts[file]

    def maps_of(
        self, region: Int[np.ndarray, " regions"]
    ) -> tuple[Float[np.ndarray, "regions outputs inputs"], Float[np.ndarray, "regions outputs"]]:
        """(alpha, beta) of regions, by their numbers."""
        none = np.zeros(0, np.int64)
        _, _, alpha, beta = region_maps(self.network, self.bits_of(region), none, none)
        return alpha, beta

    def values(
        self, X: Float[np.ndarray, "points inputs"], region: Int[np.ndarray, " points"]
    ) -> Float[np.ndarray, "points outputs"]:
        """alpha x + beta of the given region at each point."""
        Y = np.empty((len(X), self.network.outputs))
        for part in in_pieces(len(X), self.network.outputs * self.network.inputs):
            met, place = np.unique(region[part], return_inverse=True)
            alpha, beta = self.maps_of(met)
            Y[part] = np.einsum("pmn,pn->pm", alpha[place], X[part]) + beta[place]
        return Y

    def __call__(self, X: object) -> Float[np.ndarray, "points outputs"]:
        """Outputs before the head; raises DataError outside the converted domain or outside a partial list."""
        points = as_points(X, self.network.inputs)
        refuse_overflow(self.network, points, "the data")
        Y = self.values(points, self.region_of(points))
        refuse_rows(np.asarray(~np.isfinite(Y).all(axis=1)), "the data")
        return Y


def open_regions(path: str | os.PathLike[str]) -> StoredNetwork:
    """The shallow network of a folder, of which only the headers are read.

    Raises FormatError where its files are damaged or do not belong together.
    """
    from relu_shallow.regions.folder import open_folder

    folder = open_folder(path)
    return StoredNetwork(folder.network, folder)


def is_regions(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder of regions, or is named as one."""
    if not Path(path).is_dir():
        return False
    from relu_shallow.regions.folder import is_folder

    return is_folder(path) or Path(path).suffix == FOLDER


def is_converted(path: str | os.PathLike[str]) -> bool:
    """Whether a path holds a converted network: a file by its content, a folder by its content or its name."""
    return is_regions(path) if Path(path).is_dir() else is_shallow_file(path)


def open_converted(path: str | os.PathLike[str]) -> ShallowNetwork | StoredNetwork:
    """The converted network of a file or a folder; raises FormatError where it is none or damaged."""
    return open_regions(path) if Path(path).is_dir() else load_shallow(path)


def in_pieces(count: int, numbers: int) -> Iterator[slice]:
    """`count` rows of so many numbers each, in slices that fit comfortably in memory."""
    step = max(1, NUMBERS // max(numbers, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
