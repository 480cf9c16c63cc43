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
from relu_shallow.shallow.table import ShallowNetwork

NUMBERS = 1 << 21  # in a block: 16 MB
MOST = 1 << 16  # regions in a block


@dataclass(frozen=True, eq=False)
class Block:
    """Some regions in a row of their list, the first of which has the number `start`."""

    start: int
    bits: UInt8[np.ndarray, "regions bytes"]
    witnesses: Float[np.ndarray, "regions inputs"]
    radii: Float[np.ndarray, " regions"]
    alpha: Float[np.ndarray, "regions outputs inputs"]
    beta: Float[np.ndarray, "regions outputs"]


def blocks(shallow: ShallowNetwork | StoredNetwork) -> Iterator[Block]:
    """All regions in order. Raises FormatError for a file of a folder that is damaged, OutputError for modules."""
    if isinstance(shallow, StoredNetwork):
        yield from _from_disk(shallow)
        return
    table = shallow.table
    for part in _parts(table.regions, shallow.network):
        yield Block(part.start, table.bits[part], table.witnesses[part], table.radii[part], table.alpha[part],
                    table.beta[part])  # fmt: skip


def column_names(network: Network) -> list[str]:
    """The columns of a block: region, pattern, radius, the witness, alpha and beta of every output."""
    slopes = [f"alpha_{output}_{feature}" for output in network.output_names for feature in network.feature_names]
    return [
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


def texts(block: Block, neurons: int) -> list[str]:
    """The patterns as texts of 0s and 1s, first neuron first."""
    if not neurons:
        return [""] * len(block.bits)
    digits = np.ascontiguousarray(unpack(block.bits, neurons).astype(np.uint8) + ord("0"))
    return digits.view(f"S{neurons}").ravel().astype(str).tolist()


def _from_disk(stored: StoredNetwork) -> Iterator[Block]:
    from relu_shallow.regions.shard import load_regions

    none = np.zeros(0, np.int64)
    for shard, start in zip(stored.folder.shards, stored.folder.starts.tolist(), strict=False):
        batch = load_regions(shard, stored.network)
        for part in _parts(shard.regions, stored.network):
            bits = batch.bits[part]
            _, _, alpha, beta = region_maps(stored.network, bits, none, none)
            yield Block(start + part.start, bits, batch.witnesses[part], batch.radii[part], alpha, beta)


def _parts(regions: int, network: Network) -> Iterator[slice]:
    numbers = (network.outputs + 3) * (network.inputs + 1) + network.neurons
    step = min(MOST, max(1, NUMBERS // numbers))
    for start in range(0, regions, step):
        yield slice(start, min(start + step, regions))
