"""The regions of a converted network a block at a time, whether they are in memory or on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from relu_shallow.network import Network
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.build import region_maps
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork, is_sum

NUMBERS = 1 << 21  # in a block: 16 MB
MOST = 1 << 16  # regions in a block


@dataclass(frozen=True, eq=False)
class Block:
    """Some regions in a row of the list of a table, the first of which has the number `start` in it."""

    table: int
    network: Network
    start: int
    bits: UInt8[np.ndarray, "regions bytes"]
    witnesses: Float[np.ndarray, "regions inputs"]
    radii: Float[np.ndarray, " regions"]
    alpha: Float[np.ndarray, "regions outputs inputs"]
    beta: Float[np.ndarray, "regions outputs"]


def blocks(shallow: ShallowNetwork | StoredNetwork) -> Iterator[Block]:
    """All regions in order, of one table after the other. Raises FormatError for a damaged file of a folder."""
    if isinstance(shallow, StoredNetwork):
        yield from _from_disk(shallow)
        return
    for number, table in enumerate(shallow.tables):
        for part in _parts(table.regions, shallow.network):
            yield Block(number, table.network, part.start, table.bits[part], table.witnesses[part], table.radii[part],
                        table.alpha[part], table.beta[part])  # fmt: skip


def in_modules(shallow: ShallowNetwork | StoredNetwork) -> bool:
    """Whether a region's number is one within its module."""
    return isinstance(shallow, ShallowNetwork) and is_sum(shallow)


def column_names(shallow: ShallowNetwork | StoredNetwork) -> list[str]:
    """The columns of a block: module (of a sum), region, pattern, radius, witness, alpha and beta of every output."""
    network = shallow.network
    slopes = [f"alpha_{output}_{feature}" for output in network.output_names for feature in network.feature_names]
    return [
        *(["module"] if in_modules(shallow) else []),
        "region",
        "pattern",
        "radius",
        *(f"witness_{feature}" for feature in network.feature_names),
        *slopes,
        *(f"beta_{output}" for output in network.output_names),
    ]


def numbers_of(block: Block) -> Float[np.ndarray, "regions columns"]:
    """The numbers of a block's columns, from the witness on."""
    regions = len(block.bits)
    return np.concatenate([block.witnesses, block.alpha.reshape(regions, -1), block.beta], axis=1)


def texts(block: Block) -> list[str]:
    """The patterns as texts of 0s and 1s, first neuron first; a module's, of its own neurons."""
    return pattern_texts(block.bits, block.network.neurons)


def pattern_texts(bits: UInt8[np.ndarray, "regions bytes"], neurons: int) -> list[str]:
    """Packed patterns as texts of 0s and 1s."""
    if not neurons:
        return [""] * len(bits)
    digits = np.ascontiguousarray(unpack(bits, neurons).astype(np.uint8) + ord("0"))
    return digits.view(f"S{neurons}").ravel().astype(str).tolist()


def _from_disk(stored: StoredNetwork) -> Iterator[Block]:
    from relu_shallow.regions.shard import load_regions

    none = np.zeros(0, np.int64)
    for shard, start in zip(stored.folder.shards, stored.folder.starts.tolist(), strict=False):
        batch = load_regions(shard, stored.network)
        for part in _parts(shard.regions, stored.network):
            bits = batch.bits[part]
            _, _, alpha, beta = region_maps(stored.network, bits, none, none)
            yield Block(0, stored.network, start + part.start, bits, batch.witnesses[part], batch.radii[part], alpha,
                        beta)  # fmt: skip


def _parts(regions: int, network: Network) -> Iterator[slice]:
    numbers = (network.outputs + 3) * (network.inputs + 1) + network.neurons
    step = min(MOST, max(1, NUMBERS // numbers))
    for start in range(0, regions, step):
        yield slice(start, min(start + step, regions))
