"""The table of regions as Parquet: a row per region, written a row group at a time, with the box around each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from relu_shallow.domain import describe
from relu_shallow.errors import MissingExtra
from relu_shallow.export.blocks import Block, blocks, column_names, in_modules, numbers_of, texts
from relu_shallow.export.bounds import bounding_boxes
from relu_shallow.machine import usable_cores
from relu_shallow.network import Network
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork


def write_parquet(shallow: ShallowNetwork | StoredNetwork, path: Path) -> None:
    """Columns: module (of a sum), region, pattern (text of 0s and 1s), radius, the witness, alpha, beta, lo, hi.

    There are an alpha and a beta of every output; lo_<feature> and hi_<feature> are the smallest box around the region
    within the domain, infinite where it has no end. The file's metadata hold, under "relu_shallow", what the list is,
    as JSON.
    """
    pa, pq = _pyarrow()
    network = shallow.network
    names = distinct([*column_names(shallow), *(f"{end}_{name}" for name in network.feature_names for end in
                                                ("lo", "hi"))])  # fmt: skip
    whole = 2 if in_modules(shallow) else 1
    kinds = [*[pa.int64()] * whole, pa.string(), *[pa.float64()] * (len(names) - whole - 1)]
    fields = [pa.field(name, kind, nullable=False) for name, kind in zip(names, kinds, strict=True)]
    schema = pa.schema(fields, metadata={"relu_shallow": json.dumps(_about(shallow))})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for block in blocks(shallow):
            writer.write_table(pa.table(_columns(pa, shallow, block), schema=schema), row_group_size=len(block.bits))


def distinct(names: list[str]) -> list[str]:
    """The names, a number added to those that occur before: readers of tables refuse a name that occurs twice."""
    found: dict[str, None] = {}
    for name in names:
        new, number = name, 1
        while new in found:
            number += 1
            new = f"{name}_{number}"
        found[new] = None
    return list(found)


def _columns(pa: Any, shallow: ShallowNetwork | StoredNetwork, block: Block) -> list[Any]:
    network = block.network
    low, high = bounding_boxes(network, shallow.domain, block.bits, block.witnesses, usable_cores())
    numbers = numbers_of(block)
    ends = (side[:, k] for k in range(network.inputs) for side in (low, high))
    regions = len(block.bits)
    return [
        *([pa.array([block.table] * regions, pa.int64())] if in_modules(shallow) else []),
        pa.array(range(block.start, block.start + regions), pa.int64()),
        pa.array(texts(block), pa.string()),
        pa.array(block.radii),
        *(pa.array(column) for column in numbers.T),
        *(pa.array(column) for column in ends),
    ]


def _about(shallow: ShallowNetwork | StoredNetwork) -> dict[str, Any]:
    network: Network = shallow.network
    known = shallow.completeness
    return {
        "model": network.source.name,
        "sha256": network.source.sha256,
        "feature_names": list(network.feature_names),
        "output_names": list(network.output_names),
        "head": network.head,
        "domain": describe(shallow.domain),
        "regions": shallow.regions,
        "complete": known.complete,
        "level": known.level,
    }


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet", "writing Parquet") from error
    return pa, pq
