"""The last step of a search on the disk: overlapping charts made into one list, and parts into one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from relu_shallow.archive import write_archive
from relu_shallow.atomic import replacing
from relu_shallow.errors import FormatError, OutputError, ReluShallowError, UsageError
from relu_shallow.regions.folder import (
    FINISHED,
    REGIONS,
    SHARDS,
    About,
    RegionsFolder,
    as_keys,
    open_folder,
    open_names,
    read_about,
    read_shards,
)
from relu_shallow.regions.journal import writing
from relu_shallow.regions.kernel import COUNTERS, EXACT, OPEN
from relu_shallow.regions.partition import Partition
from relu_shallow.regions.search import first_of_each
from relu_shallow.regions.shard import MERGED, Shard, exact_points, load_regions, map_regions, write_shard
from relu_shallow.regions.task import Batch, joined, regions_within

DO_NOT_FIT = (
    "the parts do not fit together: they were made where arithmetic differs; make all of them anew, with one version "
    "on like machines"
)
FULL, ROOM = 1 << 16, 32e6  # regions, and bytes, of a file


def finish(path: Path, about: About) -> RegionsFolder:
    """The folder of a search that came to its end, complete or not; overlapping charts of a complete one are merged."""
    folder = open_folder(path)
    if folder.complete or folder.unfinished or about.share[1] > 1:
        return folder
    total = 0
    for abandoned in path.glob(REGIONS):
        abandoned.unlink()
    counters = np.sum([shard.counters for shard in folder.shards], axis=0)
    nothing = np.zeros(COUNTERS, np.int64)
    for number, batch in enumerate(_merged(folder)):
        write_shard(_region_file(path, number), about.key, MERGED, _measured(folder, batch), [], [], nothing, 0.0)
        total += len(batch.bits)
    _close(path, about.key, total, counters, folder.effort.seconds)
    return open_folder(path)


def write_single(path: Path, about: About, partition: Partition) -> None:
    """The folder of a network, or a domain, that has one region and needs no search."""
    counters = np.zeros(COUNTERS, np.int64)
    counters[EXACT], counters[OPEN] = partition.certificate.exact, partition.certificate.open
    batch = Batch(partition.bits, partition.witnesses, partition.radii, {})
    write_shard(_region_file(path, 0), about.key, MERGED, batch, [], [], np.zeros(COUNTERS, np.int64), 0.0)
    _close(path, about.key, 1, counters, 0.0)


def merge_folders(parts: Sequence[Path], target: Path) -> RegionsFolder:
    """One folder of the parts of a search, whose files are linked into it, or copied where that cannot be.

    Raises UsageError where the parts are not those of one search, or not all of them.
    """
    if len(parts) < 2:
        raise UsageError("give all parts of a search, two or more")
    abouts = [read_about(part) for part in parts]
    for part, about in zip(parts, abouts, strict=True):
        if about.key != abouts[0].key:
            raise UsageError(f"{part} holds regions of another network or domain than {parts[0]}")
    shares = sorted(about.share for about in abouts)
    if shares != [(index, len(parts)) for index in range(1, len(parts) + 1)]:
        told = ", ".join(f"{index}/{of}" for index, of in shares)
        raise UsageError(f"the parts given are {told}; give each part of one search once")
    first = next(about for about in abouts if about.share[0] == 1)
    whole = replace(first, elsewhere=(), share=(1, 1))
    for about, part in zip(abouts, parts, strict=True):
        left = sum(open_names(about, read_shards(part, about)).values())
        if left:
            raise UsageError(f"{part} is not finished: {left} subtrees are still to be searched; go on with it first")
    with writing(target, whole, resume=False):
        try:
            for number, file in enumerate(file for part in parts for file in sorted(part.glob(SHARDS))):
                _link(file, target / f"shard-{number:06d}.safetensors")
            folder = open_folder(target)
            if folder.unfinished:
                raise UsageError(DO_NOT_FIT)
        except (ReluShallowError, OSError, KeyboardInterrupt) as error:
            for file in target.glob(SHARDS):  # links and copies; the parts are as they were
                file.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise OutputError(f"{target} could not be written: {error.strerror or error}") from error
            if isinstance(error, FormatError):
                raise UsageError(DO_NOT_FIT) from error
            raise
        return finish(target, whole)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _region_file(path: Path, number: int) -> Path:
    return path / f"region-{number:06d}.safetensors"


def _close(path: Path, key: str, regions: int, counters: np.ndarray, seconds: float) -> None:
    """Says that the merged files are all there; only then the files that they came from go."""
    write_archive(path / FINISHED, {}, {"kind": "merged", "key": key, "regions": regions, "counters": counters.tolist(),
                                        "seconds": float(seconds)})  # fmt: skip
    for shard in path.glob(SHARDS):
        shard.unlink()


def _measured(folder: RegionsFolder, batch: Batch) -> Batch:
    """The radii of regions that several charts may cut, in input coordinates."""
    from relu_shallow.regions.radius import inscribed_radii

    radii = inscribed_radii(folder.network, folder.domain, batch.bits, batch.witnesses, batch.exact)
    return Batch(batch.bits, batch.witnesses, radii, batch.exact)


def _merged(folder: RegionsFolder) -> Iterator[Batch]:
    """Every pattern once, sorted, with the witness of the first chart that met it, about a file's worth at a time.

    Between two neighbouring first patterns of files, only the files around them are looked at.
    """
    shards = [shard for shard in folder.shards if shard.regions]
    cuts = sorted({shard.first for shard in shards})
    maps: dict[Path, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    exact: dict[Path, dict[int, tuple[Fraction, ...]]] = {}
    ready: list[Batch] = []
    full = min(FULL, regions_within(folder.network, ROOM))
    upcoming, active = 0, list[Shard]()
    for low, high in zip(cuts, [*cuts[1:], None], strict=True):
        while upcoming < len(shards) and shards[upcoming].first <= low:
            active.append(shards[upcoming])
            upcoming += 1
        for shard in [shard for shard in active if shard.last < low]:
            active.remove(shard)
            maps.pop(shard.path)
            exact.pop(shard.path)
        parts = []
        for shard in sorted(active, key=lambda shard: shard.chart):
            if shard.path not in maps:
                load_regions(shard, folder.network)  # unaltered, before it goes into files with hashes of their own
                maps[shard.path] = map_regions(shard, folder.network)
                exact[shard.path] = exact_points(shard, folder.network)
            parts.append(_between(maps[shard.path], exact[shard.path], low, high))
        ready.append(first_of_each(parts))
        if sum(len(batch.bits) for batch in ready) >= full:
            yield joined(ready, folder.network)
            ready = []
    if ready:
        yield joined(ready, folder.network)


def _between(
    mapped: tuple[np.ndarray, np.ndarray, np.ndarray], exact: dict[int, tuple[Fraction, ...]], low: bytes,
    high: bytes | None,
) -> Batch:  # fmt: skip
    """The regions of a file with patterns from low on, below high."""
    bits, witnesses, radii = mapped
    keys = as_keys(bits)
    start = int(np.searchsorted(keys, np.array(low, keys.dtype)))
    stop = len(keys) if high is None else int(np.searchsorted(keys, np.array(high, keys.dtype)))
    points = {bits[row].tobytes(): point for row, point in exact.items() if start <= row < stop}
    return Batch(np.array(bits[start:stop]), np.array(witnesses[start:stop]), np.array(radii[start:stop]), points)
