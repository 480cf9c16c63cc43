"""One file of a list that spans many: the regions that some tasks found, which tasks these were, and what they left.

A reader learns all but the regions from the header. The subtrees that tasks were given, and those that they left, have
names, so that the files of a folder together say what is still to be searched (regions/journal.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from relu_shallow.archive import (
    check_length,
    check_version,
    damaged,
    read_archive,
    read_header,
    read_metadata,
    write_archive,
)
from relu_shallow.errors import FormatError, ReluShallowError
from relu_shallow.layout import (
    get_array,
    get_exact_witnesses,
    get_field,
    get_floats,
    get_integers,
    put_exact_witnesses,
)
from relu_shallow.network import Network
from relu_shallow.regions.kernel import COUNTERS
from relu_shallow.regions.partition import packed_width
from relu_shallow.regions.search import by_number
from relu_shallow.regions.task import Batch, Node

MERGED = -1  # the chart of regions gathered from several
KIND = "shard"


@dataclass(frozen=True, eq=False)
class Shard:
    """What the header of a file says: how many regions, between which patterns, found by whom, at which cost.

    `tasks` and `rest` name the subtrees (of one chart) that were searched and those that were left; `seconds` are the
    processor's.
    """

    path: Path
    chart: int
    regions: int
    first: bytes
    last: bytes
    tasks: tuple[str, ...]
    rest: tuple[str, ...]
    counters: Int[np.ndarray, " counters"]
    seconds: float


def name_of(chart: int, node: Node) -> str:
    """A subtree's name: a hash of its chart and of the path that leads to it."""
    digest = blake2b(digest_size=16)
    digest.update(f"{chart} {node.decided} ".encode())
    digest.update(np.packbits(node.flags[: node.decided] & 1).tobytes())
    return digest.hexdigest()


def write_shard(
    path: Path,
    key: str,
    chart: int,
    found: Batch,
    tasks: Sequence[str],
    rest: Sequence[Node],
    counters: Int[np.ndarray, " counters"],
    seconds: float,
) -> None:
    """Writes one file of the folder that `key` stands for; raises OutputError."""
    arrays = {"bits": found.bits, "witnesses": found.witnesses, "radii": found.radii, **_put_nodes(rest)}
    about = {
        "kind": KIND,
        "key": key,
        "chart": chart,
        "regions": len(found.bits),
        "first": found.bits[:1].tobytes().hex(),
        "last": found.bits[-1:].tobytes().hex(),
        "tasks": list(tasks),
        "rest": [name_of(chart, node) for node in rest],
        "counters": counters.tolist(),
        "seconds": seconds,
        "exact_witnesses": put_exact_witnesses(by_number(found.exact, found.bits)),
    }
    write_archive(path, arrays, about)


def read_shard(path: Path, key: str) -> Shard:
    """The header of a file of the folder that `key` stands for; raises FormatError where it is none."""
    about = read_metadata(path)
    if about is None or about.get("kind") != KIND:
        raise FormatError(f"{path} is not a file of a list of regions; take it out of the folder")
    check_version(path, about)
    check_length(path)
    if about.get("key") != key:
        raise FormatError(f"{path} belongs to a search of another network or domain; take it out of the folder")
    try:
        return _shard(path, about)
    except ReluShallowError as error:
        raise damaged(path, error) from error


def load_regions(shard: Shard, network: Network) -> Batch:
    """The regions of a file; raises FormatError unless they are unaltered and fit the network."""
    arrays, about = read_archive(shard.path)
    try:
        bits = get_array(arrays, "bits", (shard.regions, packed_width(network.neurons)), np.uint8)
        witnesses = get_floats(arrays, "witnesses", (shard.regions, network.inputs))
        radii = get_array(arrays, "radii", (shard.regions,), np.float64)
        points = get_exact_witnesses(about, shard.regions, network.inputs)
        if not (radii >= 0).all() or (bits[:1].tobytes(), bits[-1:].tobytes()) != (shard.first, shard.last):
            raise FormatError("its header does not fit its regions")
    except ReluShallowError as error:
        raise damaged(shard.path, error) from error
    return Batch(bits, witnesses, radii, {bits[region].tobytes(): point for region, point in points.items()})


def load_nodes(shard: Shard, neurons: int, d: int, rows: int) -> list[Node]:
    """The subtrees that were left, of a chart of dimension d with so many rows; raises FormatError."""
    arrays, _ = read_archive(shard.path)
    try:
        count = len(shard.rest)
        decided = get_integers(arrays, "rest.decided", (count,), 0, neurons + 1)
        flags = get_array(arrays, "rest.flags", (count, neurons), np.uint8)
        vertex = get_floats(arrays, "rest.vertex", (count, d))
        basis = get_integers(arrays, "rest.basis", (count, d), 0, rows + neurons + 1)
    except ReluShallowError as error:
        raise damaged(shard.path, error) from error
    return [Node(int(decided[i]), flags[i], vertex[i], basis[i]) for i in range(count)]


def map_regions(shard: Shard, network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(patterns, witnesses, radii) of a file, left on the disk until they are looked at; raises FormatError."""
    header = read_header(shard.path)
    wanted: dict[str, tuple[np.dtype[Any], str, tuple[int, ...]]] = {
        "bits": (np.dtype(np.uint8), "U8", (shard.regions, packed_width(network.neurons))),
        "witnesses": (np.dtype(np.float64), "F64", (shard.regions, network.inputs)),
        "radii": (np.dtype(np.float64), "F64", (shard.regions,)),
    }
    found: list[np.ndarray] = []
    try:
        with shard.path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
        for name, (dtype, code, shape) in wanted.items():
            entry = header[name] if header else {}
            if entry["dtype"] != code or tuple(entry["shape"]) != shape:
                raise FormatError(f"{shard.path} is damaged: its header does not fit its regions")
            offset = start + int(entry["data_offsets"][0])
            empty = np.zeros(shape, dtype)
            found.append(np.memmap(shard.path, dtype, "r", offset, empty.shape) if shard.regions else empty)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise FormatError(f"{shard.path} is damaged or cut short: {error}") from error
    if (found[0][:1].tobytes(), found[0][-1:].tobytes()) != (shard.first, shard.last):
        raise FormatError(f"{shard.path} is damaged: its header does not fit its regions")
    return found[0], found[1], found[2]


def exact_points(shard: Shard, network: Network) -> dict[int, tuple[Fraction, ...]]:
    """The rational witnesses of a file, by row."""
    return get_exact_witnesses(read_metadata(shard.path) or {}, shard.regions, network.inputs)


def _put_nodes(nodes: Sequence[Node]) -> dict[str, np.ndarray]:
    if not nodes:
        return {}
    return {
        "rest.decided": np.array([node.decided for node in nodes], np.int64),
        "rest.flags": np.stack([node.flags for node in nodes]),
        "rest.vertex": np.stack([node.vertex for node in nodes]),
        "rest.basis": np.stack([node.basis for node in nodes]),
    }


def _shard(path: Path, about: Mapping[str, Any]) -> Shard:
    try:
        first, last = bytes.fromhex(get_field(about, "first", str)), bytes.fromhex(get_field(about, "last", str))
        counters = np.array(get_field(about, "counters", list), np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"its header is damaged: {error}") from error
    regions, seconds = get_field(about, "regions", int), get_field(about, "seconds", float)
    names = [get_field(about, name, list) for name in ("tasks", "rest")]
    good = all(isinstance(name, str) for group in names for name in group) and counters.shape == (COUNTERS,)
    if not good or regions < 0 or bool(first) != (regions > 0) or len(first) != len(last) or first > last:
        raise FormatError("its header is damaged")
    return Shard(path, get_field(about, "chart", int), regions, first, last, tuple(names[0]), tuple(names[1]), counters,
                 seconds)  # fmt: skip
