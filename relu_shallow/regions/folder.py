"""The regions of a network in the files of a folder: a list that need not fit into memory, complete or not.

A folder NAME.regions holds `about.safetensors` (network, domain, the names of the subtrees that cover it) and files
`shard-*.safetensors` with regions (regions/shard.py). Where several charts overlap, a complete search ends with files
`region-*.safetensors` in their place, each pattern once, and `merged.safetensors`, which says that they are all there.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from relu_shallow.archive import damaged, read_archive, read_metadata
from relu_shallow.domain import Domain, describe
from relu_shallow.errors import FormatError, ReluShallowError
from relu_shallow.layout import get_domain, get_field, get_network, put_domain, put_network
from relu_shallow.lp.kernel import LPS, PIVOTS
from relu_shallow.network import Network
from relu_shallow.regions.charts import Chart
from relu_shallow.regions.kernel import COUNTERS
from relu_shallow.regions.partition import Certificate, Effort, Level, packed_width
from relu_shallow.regions.search import certificate_of, level_of
from relu_shallow.regions.shard import Shard, map_regions, read_shard

ABOUT, FINISHED = "about.safetensors", "merged.safetensors"
SHARDS, REGIONS = "shard-*.safetensors", "region-*.safetensors"
TASKS = 1  # the version of how a subtree is written; another cannot be gone on with


@dataclass(frozen=True, eq=False)
class RegionsFolder:
    """The linear regions of a network on a domain, in files sorted by their first pattern.

    `effort.seconds` are the processor's. `unfinished` counts the subtrees still to be searched; `share` is (I, K) where
    this is part I of K. Only where these are all regions, each once, is it `complete`: the files of several charts that
    were not made one yet may hold a region more than once.
    """

    path: Path
    network: Network
    domain: Domain
    shards: tuple[Shard, ...]
    level: Level
    certificate: Certificate
    effort: Effort
    unfinished: int
    share: tuple[int, int]
    complete: bool

    def __repr__(self) -> str:
        """One line."""
        listed = "all" if self.complete else "partial"
        return f"RegionsFolder({self.path}: {self.regions} regions on {describe(self.domain)}, {listed}, {self.level})"

    @property
    def regions(self) -> int:
        """The number of regions listed."""
        return sum(shard.regions for shard in self.shards)

    @property
    def starts(self) -> Int[np.ndarray, " shards_plus_1"]:
        """The number of the first region of each file, and after the last the number of all."""
        return np.concatenate([[0], np.cumsum([shard.regions for shard in self.shards])]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class About:
    """What a folder says of its search: network, domain, and the subtrees that cover what it is to list.

    `start` are the subtrees that it began with, `elsewhere` those of them, or of what they left, that other folders
    search; `share` is (I, K) where this is part I of K.
    """

    network: Network
    domain: Domain
    certify: bool
    start: tuple[str, ...]
    elsewhere: tuple[str, ...]
    share: tuple[int, int]
    charts: str

    @property
    def key(self) -> str:
        """What every file of the folder names: a hash of all that the meaning of its regions and subtrees rests on."""
        arrays: dict[str, np.ndarray] = {}
        network = self.network
        put_network(arrays, "network", network)
        kind = put_domain(arrays, self.domain)
        words = [TASKS, kind, self.certify, self.charts, network.head, network.feature_names, network.output_names]
        digest = sha256(json.dumps(words).encode())
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name] + 0)  # -0.0 is 0.0
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            digest.update(array.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


def charts_key(charts: Sequence[Chart]) -> str:
    """A hash of the charts, in whose coordinates subtrees are written."""
    digest = sha256()
    for chart in charts:
        for array in (chart.M, chart.v, chart.e, chart.A, chart.b, chart.error):
            digest.update(f"{array.shape} ".encode())
            digest.update(np.ascontiguousarray(array + 0.0).tobytes())
    return digest.hexdigest()


def lay_out_about(about: About) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and JSON fields of `about.safetensors`."""
    arrays: dict[str, np.ndarray] = {}
    described = put_network(arrays, "network", about.network)
    domain = put_domain(arrays, about.domain)
    return arrays, {
        "kind": "regions",
        "tasks": TASKS,
        "network": described,
        "domain": domain,
        "certify": about.certify,
        "start": list(about.start),
        "elsewhere": list(about.elsewhere),
        "share": list(about.share),
        "charts": about.charts,
    }


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder of regions, whatever its name."""
    about = Path(path) / ABOUT
    return about.is_file() and (read_metadata(about) or {}).get("kind") == "regions"


def read_about(path: str | os.PathLike[str]) -> About:
    """What a folder says of its search; raises FormatError where it is none of ours or damaged."""
    file = Path(path) / ABOUT
    if not file.is_file():
        raise FormatError(f"{path} is not a folder of regions: it has no {ABOUT}")
    arrays, about = read_archive(file)
    try:
        if about.get("kind") != "regions" or about.get("tasks") != TASKS:
            raise FormatError("it was written by another version of relu-shallow")
        network = get_network(arrays, "network", get_field(about, "network", dict))
        domain = get_domain(arrays, get_field(about, "domain", str), network.inputs)
        names = [tuple(map(str, get_field(about, name, list))) for name in ("start", "elsewhere")]
        share = get_field(about, "share", list)
        if not (len(share) == 2 and all(type(part) is int for part in share) and 1 <= share[0] <= share[1]):
            raise FormatError("its share is none")
        return About(network, domain, get_field(about, "certify", bool), names[0], names[1], (share[0], share[1]),
                     get_field(about, "charts", str))  # fmt: skip
    except ReluShallowError as error:
        raise damaged(file, error) from error


def open_folder(path: str | os.PathLike[str]) -> RegionsFolder:
    """The regions of a folder, read from the headers of its files.

    A folder whose search was interrupted opens as the partial list that it is. Raises FormatError where files are
    damaged or do not belong together.
    """
    about = read_about(path)
    merged = Path(path) / FINISHED
    if merged.is_file():
        return _open_merged(about, merged)
    shards = read_shards(path, about)
    counters = sum((shard.counters for shard in shards), np.zeros(COUNTERS, np.int64))
    seconds = sum((shard.seconds for shard in shards), 0.0)
    left = sum(open_names(about, shards).values())
    whole = left == 0 and about.share[1] == 1 and len(about.start) == 1
    return _folder(Path(path), about, shards, counters, seconds, left, complete=whole)


def read_shards(path: str | os.PathLike[str], about: About) -> list[Shard]:
    """The headers of a folder's files that tasks have written, in the order of their names."""
    key = about.key
    return [read_shard(file, key) for file in sorted(Path(path).glob(SHARDS))]


def open_names(about: About, shards: Sequence[Shard]) -> Counter[str]:
    """The subtrees still to be searched, by name; raises FormatError where the files do not belong together.

    Every subtree is given to a task once: the names that a folder starts with and those that tasks left, less those
    that tasks were given, are what is open.
    """
    balance = Counter(about.start)
    for shard in shards:
        balance.update(shard.rest)
    balance.subtract(about.elsewhere)
    for shard in shards:
        balance.subtract(shard.tasks)
    if any(count not in (0, 1) for count in balance.values()):
        raise FormatError("the files of regions do not belong together: some part was searched twice, or is missing")
    return +balance


def find(folder: RegionsFolder, bits: UInt8[np.ndarray, "patterns bytes"]) -> Int[np.ndarray, " patterns"]:
    """The number of the region of each packed pattern, -1 where it is not listed; only what is needed is read."""
    keys = as_keys(bits)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    number = np.full(len(keys), -1, np.int64)
    for shard, start in zip(folder.shards, folder.starts.tolist(), strict=False):
        if not shard.regions:
            continue
        low = np.searchsorted(ordered, np.array(shard.first, keys.dtype), side="left")
        high = np.searchsorted(ordered, np.array(shard.last, keys.dtype), side="right")
        if low == high:
            continue
        listed = as_keys(map_regions(shard, folder.network)[0])
        at = np.minimum(np.searchsorted(listed, ordered[low:high]), len(listed) - 1)
        hit = listed[at] == ordered[low:high]
        number[order[low:high][hit]] = start + at[hit]
    return number


def as_keys(bits: UInt8[np.ndarray, "patterns bytes"]) -> np.ndarray:
    """Packed patterns as values that compare as the patterns do (of one width, so that trailing zeros do no harm)."""
    return np.ascontiguousarray(bits).view(f"S{bits.shape[1]}").ravel()


def _open_merged(about: About, merged: Path) -> RegionsFolder:
    _, told = read_archive(merged)
    try:
        counters = np.array(get_field(told, "counters", list), np.int64)
        total, seconds = get_field(told, "regions", int), get_field(told, "seconds", float)
        if told.get("key") != about.key or counters.shape != (COUNTERS,):
            raise FormatError("it belongs to another search")
    except (ReluShallowError, ValueError, TypeError, OverflowError) as error:
        raise damaged(merged, str(error)) from error
    key = about.key
    shards = [read_shard(file, key) for file in sorted(merged.parent.glob(REGIONS))]
    if sum(shard.regions for shard in shards) != total:
        raise damaged(merged, f"it speaks of {total} regions, and the files beside it hold others")
    return _folder(merged.parent, about, shards, counters, seconds, 0, complete=True)


def _folder(
    path: Path, about: About, shards: Sequence[Shard], counters: np.ndarray, seconds: float, unfinished: int, *,
    complete: bool,
) -> RegionsFolder:  # fmt: skip
    certificate = certificate_of(counters)
    level = level_of(certificate, complete=complete, certify=about.certify)
    effort = Effort(int(counters[LPS]), int(counters[PIVOTS]), seconds)
    for shard in shards:
        if shard.regions and len(shard.first) != packed_width(about.network.neurons):
            raise damaged(shard.path, "its patterns are not those of the network")
    ordered = tuple(sorted(shards, key=lambda shard: (shard.first, shard.path.name)))
    return RegionsFolder(path, about.network, about.domain, ordered, level, certificate, effort, unfinished,
                         about.share, complete)  # fmt: skip
