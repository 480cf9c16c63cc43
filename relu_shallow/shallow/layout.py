"""How a shallow network is laid out as named arrays and JSON fields, and what a file must satisfy to be read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from relu_shallow.domain import fit
from relu_shallow.errors import FormatError
from relu_shallow.layout import (
    Arrays,
    get_array,
    get_counts,
    get_domain,
    get_exact_witnesses,
    get_field,
    get_floats,
    get_integers,
    get_network,
    put_domain,
    put_exact_witnesses,
    put_network,
)
from relu_shallow.modules import Module, addend
from relu_shallow.network import Network
from relu_shallow.regions.partition import LEVELS, Certificate, Effort, pack, packed_width, unpack
from relu_shallow.shallow.table import Completeness, ShallowNetwork, Table
from relu_shallow.shallow.trie import Trie

PROOF = {
    "proof.center": np.float64, "proof.scale": np.float64, "proof.codes": np.uint8, "proof.counts": np.uint16,
    "proof.rows": np.uint16, "proof.weights": np.float32, "proof.exact": np.uint8,
}  # fmt: skip


def lay_out(shallow: ShallowNetwork) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The named arrays and the JSON fields that together are the shallow network."""
    arrays: dict[str, np.ndarray] = {}
    described = put_network(arrays, "network", shallow.network)
    domain = put_domain(arrays, fit(shallow.domain, shallow.network.inputs))
    tables = [_put_table(arrays, f"table.{i}", table) for i, table in enumerate(shallow.tables)]
    known = shallow.completeness
    arrays |= shallow.proof
    return arrays, {
        "network": described,
        "domain": domain,
        "tables": tables,
        "complete": known.complete,
        "level": known.level,
        "certificate": asdict(known.certificate),
        "effort": asdict(known.effort),
    }


def read_back(arrays: Arrays, about: Mapping[str, Any]) -> ShallowNetwork:
    """The shallow network of named arrays and JSON fields; raises FormatError unless everything fits together."""
    network = get_network(arrays, "network", get_field(about, "network", dict))
    tables = tuple(
        _get_table(arrays, f"table.{index}", entry, network)
        for index, entry in enumerate(get_field(about, "tables", list))
    )
    if not tables:
        raise FormatError("it holds no table of regions")
    if any((table.module is None) != (len(tables) == 1) for table in tables):
        raise FormatError("several tables must be those of modules, and a single one of the whole network")
    domain = get_domain(arrays, get_field(about, "domain", str), network.inputs)
    proof = {name: get_array(arrays, name, (None,), kind) for name, kind in PROOF.items() if name in arrays}
    shallow = ShallowNetwork(network, domain, tables, _get_completeness(about), proof)
    unknown = set(arrays) - set(lay_out(shallow)[0])
    if unknown:
        raise FormatError(f"it holds an array that does not belong: {min(unknown)}")
    return shallow


def _put_table(arrays: dict[str, np.ndarray], prefix: str, table: Table) -> dict[str, Any]:
    for name in ("bits", "witnesses", "radii", "H", "c", "alpha", "beta"):
        arrays[f"{prefix}.{name}"] = getattr(table, name)
    arrays[f"{prefix}.trie.row"] = table.trie.row
    arrays[f"{prefix}.trie.child"] = table.trie.child
    entry: dict[str, Any] = {"root": int(table.trie.root)}
    if table.exact_witnesses:
        entry["exact_witnesses"] = put_exact_witnesses(table.exact_witnesses)
    if table.module is not None:  # its weights are those of the whole network
        arrays[f"{prefix}.neurons"] = table.module.neurons
        entry["rest"] = table.module.rest
    return entry


def _get_table(arrays: Arrays, prefix: str, about: Mapping[str, Any], whole: Network) -> Table:
    module = _get_module(arrays, prefix, about, whole)
    network = whole if module is None else addend(whole, module)
    bits = get_array(arrays, f"{prefix}.bits", (None, packed_width(network.neurons)), np.uint8)
    regions = len(bits)
    if not np.array_equal(pack(unpack(bits, network.neurons)), bits):
        raise FormatError(f"{prefix}.bits sets bits beyond those of its {network.neurons} neurons")
    radii = get_array(arrays, f"{prefix}.radii", (regions,), np.float64)
    if regions < 1 or not (radii >= 0).all():  # a NaN is not >= 0; an infinite radius is
        raise FormatError(f"{prefix} holds no region, or an inscribed radius that is negative or NaN")
    c = get_floats(arrays, f"{prefix}.c", (None,))
    trie = Trie(
        get_integers(arrays, f"{prefix}.trie.row", (regions - 1,), 0, len(c)),
        get_integers(arrays, f"{prefix}.trie.child", (regions - 1, 2), -regions, regions - 1),
        get_field(about, "root", int),
    )
    check_tree(trie, regions)
    return Table(
        network,
        bits,
        get_floats(arrays, f"{prefix}.witnesses", (regions, network.inputs)),
        radii,
        get_floats(arrays, f"{prefix}.H", (len(c), network.inputs)),
        c,
        get_floats(arrays, f"{prefix}.alpha", (regions, network.outputs, network.inputs)),
        get_floats(arrays, f"{prefix}.beta", (regions, network.outputs)),
        trie,
        get_exact_witnesses(about, regions, network.inputs),
        module,
    )


def _get_module(arrays: Arrays, prefix: str, about: Mapping[str, Any], whole: Network) -> Module | None:
    """The module whose table it is; raises FormatError where its neurons are none of the network's."""
    if f"{prefix}.neurons" not in arrays:
        return None
    neurons = get_integers(arrays, f"{prefix}.neurons", (None,), 0, whole.neurons)
    filled = np.isin(np.arange(len(whole.widths)), np.searchsorted(np.cumsum(whole.widths), neurons, side="right"))
    if not (len(neurons) and (np.diff(neurons) > 0).all() and (np.diff(filled.astype(int)) <= 0).all()):
        raise FormatError(f"{prefix}.neurons must be numbers of neurons in ascending order, in layers without a gap")
    return Module(neurons, get_field(about, "rest", bool))


def check_tree(trie: Trie, regions: int) -> None:
    """Raises FormatError unless the trie leads to every region exactly once, node i parting regions i and i + 1.

    Level by level from the root: a node in charge of the regions first..last must part two of them, and hands
    first..i to one child and i + 1..last to the other; a region must be in charge of itself alone.
    """
    if not -regions <= trie.root < regions:  # JSON holds integers of any size
        raise FormatError("its decision tree begins nowhere")
    code = np.array([trie.root], dtype=np.int64)
    first, last = np.array([0]), np.array([regions - 1])
    while len(code):
        leaf = code < 0
        region, node = -code[leaf] - 1, code[~leaf]
        low, high = first[~leaf], last[~leaf]
        right = (region == first[leaf]) & (region == last[leaf])
        if not (right.all() and ((low <= node) & (node < high)).all()):
            raise FormatError("its decision tree does not lead to every region exactly once")
        code = trie.child[node].ravel()
        first = np.stack([low, node + 1], axis=1).ravel()
        last = np.stack([node, high], axis=1).ravel()


def _get_completeness(about: Mapping[str, Any]) -> Completeness:
    level = get_field(about, "level", str)
    if level not in LEVELS:
        raise FormatError(f"it claims the unknown level {level!r}")
    complete = get_field(about, "complete", bool)
    certificate = Certificate(**get_counts(about, "certificate", Certificate))
    if level == "certified" and (not complete or certificate.open):
        raise FormatError("it claims to be certified, and says itself that it is partial or has open decisions")
    return Completeness(complete, level, certificate, Effort(**get_counts(about, "effort", Effort)))
