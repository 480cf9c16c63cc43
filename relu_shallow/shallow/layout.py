"""How a shallow network is laid out as named arrays and JSON fields, and what a file must satisfy to be read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from fractions import Fraction
from typing import Any

import numpy as np

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, fit
from relu_shallow.errors import FormatError
from relu_shallow.network import HEADS, Affine, Gate, Matrix, Network, Source
from relu_shallow.regions.partition import LEVELS, Certificate, Effort, pack, unpack
from relu_shallow.shallow.table import Completeness, ShallowNetwork, Table
from relu_shallow.shallow.trie import Trie

Arrays = Mapping[str, np.ndarray]
PROOF = {
    "proof.center": np.float64, "proof.scale": np.float64, "proof.codes": np.uint8, "proof.counts": np.uint16,
    "proof.rows": np.uint16, "proof.weights": np.float32, "proof.exact": np.uint8,
}  # fmt: skip


def lay_out(shallow: ShallowNetwork) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The named arrays and the JSON fields that together are the shallow network."""
    arrays: dict[str, np.ndarray] = {}
    described = _put_network(arrays, "network", shallow.network)
    domain = _put_domain(arrays, fit(shallow.domain, shallow.network.inputs))
    tables = [_put_table(arrays, f"table.{i}", table, shallow.network) for i, table in enumerate(shallow.tables)]
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
    network = _get_network(arrays, "network", _field(about, "network", dict))
    tables = tuple(
        _get_table(arrays, f"table.{index}", entry, network)
        for index, entry in enumerate(_field(about, "tables", list))
    )
    if not tables:
        raise FormatError("it holds no table of regions")
    domain = _get_domain(arrays, _field(about, "domain", str), network.inputs)
    proof = {name: _array(arrays, name, (None,), kind) for name, kind in PROOF.items() if name in arrays}
    shallow = ShallowNetwork(network, domain, tables, _get_completeness(about), proof)
    unknown = set(arrays) - set(lay_out(shallow)[0])
    if unknown:
        raise FormatError(f"it holds an array that does not belong: {min(unknown)}")
    return shallow


def _put_network(arrays: dict[str, np.ndarray], prefix: str, network: Network) -> dict[str, Any]:
    sparse = [_put_matrix(arrays, f"{prefix}.affine.{i}.W", layer.W) for i, layer in enumerate(network.affine)]
    arrays.update({f"{prefix}.affine.{i}.b": layer.b for i, layer in enumerate(network.affine)})
    for index, gate in enumerate(network.gates):
        arrays[f"{prefix}.gate.{index}.inactive"] = gate.inactive
        arrays[f"{prefix}.gate.{index}.active"] = gate.active
    return {
        "sparse_shapes": sparse,
        "head": network.head,
        "feature_names": list(network.feature_names),
        "output_names": list(network.output_names),
        "source": asdict(network.source),
    }


def _put_matrix(arrays: dict[str, np.ndarray], name: str, W: Matrix) -> list[int]:
    """Stores W whole, or as the three arrays of CSR; the shape if sparse, else an empty list."""
    if isinstance(W, np.ndarray):
        arrays[name] = W
        return []
    arrays[f"{name}.data"] = W.data
    arrays[f"{name}.indices"] = W.indices.astype(np.int64)
    arrays[f"{name}.indptr"] = W.indptr.astype(np.int64)
    return list(W.shape)


def _put_domain(arrays: dict[str, np.ndarray], domain: Domain) -> str:
    if isinstance(domain, Box):
        arrays.update({"domain.lo": domain.lo, "domain.hi": domain.hi})
        return "box"
    if isinstance(domain, Polytope):
        arrays.update({"domain.A": domain.A, "domain.b": domain.b})
        return "polytope"
    return "all"


def _put_table(arrays: dict[str, np.ndarray], prefix: str, table: Table, network: Network) -> dict[str, Any]:
    for name in ("bits", "witnesses", "radii", "H", "c", "alpha", "beta"):
        arrays[f"{prefix}.{name}"] = getattr(table, name)
    arrays[f"{prefix}.trie.row"] = table.trie.row
    arrays[f"{prefix}.trie.child"] = table.trie.child
    entry: dict[str, Any] = {"root": int(table.trie.root)}
    if table.exact_witnesses:
        entry["exact_witnesses"] = {str(region): [*map(_written, x)] for region, x in table.exact_witnesses.items()}
    if table.network is not network:  # a module of the network, not the whole of it
        entry["network"] = _put_network(arrays, f"{prefix}.network", table.network)
    return entry


def _get_network(arrays: Arrays, prefix: str, about: Mapping[str, Any]) -> Network:
    shapes = _field(about, "sparse_shapes", list)
    affine = tuple(
        Affine(
            _get_matrix(arrays, f"{prefix}.affine.{index}.W", shape),
            _floats(arrays, f"{prefix}.affine.{index}.b", (None,)),
        )
        for index, shape in enumerate(shapes)
    )
    gates = tuple(
        Gate(
            _floats(arrays, f"{prefix}.gate.{index}.inactive", (None,)),
            _floats(arrays, f"{prefix}.gate.{index}.active", (None,)),
        )
        for index in range(len(affine) - 1)
    )
    head = _field(about, "head", str)
    if head not in HEADS or not affine:
        raise FormatError(f"it describes a network with {len(affine)} layers and the head {head!r}")
    return Network(affine, gates, head, _names(about, "feature_names"), _names(about, "output_names"), _source(about))


def _get_matrix(arrays: Arrays, name: str, shape: object) -> Matrix:
    if shape == []:
        return _floats(arrays, name, (None, None))
    if not (isinstance(shape, list) and len(shape) == 2 and all(type(size) is int and size > 0 for size in shape)):
        raise FormatError(f"the shape of {name} is given as {shape!r}")
    from scipy.sparse import csr_array

    rows, columns = shape
    data = _floats(arrays, f"{name}.data", (None,))
    indices = _integers(arrays, f"{name}.indices", (len(data),), 0, columns)
    indptr = _integers(arrays, f"{name}.indptr", (rows + 1,), 0, len(data) + 1)
    if indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        raise FormatError(f"{name}.indptr does not divide the {len(data)} stored weights into {rows} rows")
    return csr_array((data, indices, indptr), shape=(rows, columns))


def _get_domain(arrays: Arrays, kind: str, inputs: int) -> Domain:
    if kind == "all":
        return WholeSpace()
    if kind == "box":
        return fit(Box(_floats(arrays, "domain.lo", (inputs,)), _floats(arrays, "domain.hi", (inputs,))), inputs)
    if kind == "polytope":
        A = _floats(arrays, "domain.A", (None, inputs))
        return Polytope(A, _floats(arrays, "domain.b", (len(A),)))
    raise FormatError(f"it names an unknown kind of domain, {kind!r}")


def _get_table(arrays: Arrays, prefix: str, about: Mapping[str, Any], whole: Network) -> Table:
    own = about.get("network") if isinstance(about, dict) else None
    network = whole if own is None else _get_network(arrays, f"{prefix}.network", own)
    bits = _array(arrays, f"{prefix}.bits", (None, max(-(-network.neurons // 8), 1)), np.uint8)
    regions = len(bits)
    if not np.array_equal(pack(unpack(bits, network.neurons)), bits):
        raise FormatError(f"{prefix}.bits sets bits beyond those of its {network.neurons} neurons")
    radii = _array(arrays, f"{prefix}.radii", (regions,), np.float64)
    if regions < 1 or not (radii >= 0).all():  # a NaN is not >= 0; an infinite radius is
        raise FormatError(f"{prefix} holds no region, or an inscribed radius that is negative or NaN")
    c = _floats(arrays, f"{prefix}.c", (None,))
    trie = Trie(
        _integers(arrays, f"{prefix}.trie.row", (regions - 1,), 0, len(c)),
        _integers(arrays, f"{prefix}.trie.child", (regions - 1, 2), -regions, regions - 1),
        _field(about, "root", int),
    )
    check_tree(trie, regions)
    return Table(
        network,
        bits,
        _floats(arrays, f"{prefix}.witnesses", (regions, network.inputs)),
        radii,
        _floats(arrays, f"{prefix}.H", (len(c), network.inputs)),
        c,
        _floats(arrays, f"{prefix}.alpha", (regions, network.outputs, network.inputs)),
        _floats(arrays, f"{prefix}.beta", (regions, network.outputs)),
        trie,
        _get_exact_witnesses(about, regions, network.inputs),
    )


def _get_exact_witnesses(about: Mapping[str, Any], regions: int, inputs: int) -> dict[int, tuple[Fraction, ...]]:
    """Rational points by region, written as {"17": ["a/3", "-2/1"]}."""
    given = about.get("exact_witnesses", {})
    try:
        found = {int(region): tuple(map(_fraction, point)) for region, point in given.items()}
    except (AttributeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise FormatError("its exact witnesses are damaged") from error
    if any(not 0 <= region < regions or len(point) != inputs for region, point in found.items()):
        raise FormatError("an exact witness belongs to no region, or has another number of inputs")
    return found


def _written(value: Fraction) -> str:
    """A rational in sixteens, of which Python writes and reads any number."""
    return f"{value.numerator:x}/{value.denominator:x}"


def _fraction(text: str) -> Fraction:
    """The inverse of `_written`."""
    top, _, bottom = text.partition("/")
    return Fraction(int(top, 16), int(bottom, 16))


def check_tree(trie: Trie, regions: int) -> None:
    """Raises FormatError unless the trie leads to every region exactly once, node i parting regions i and i + 1.

    Level by level from the root: a node in charge of the regions first..last must part two of them, and hands
    first..i to one child and i + 1..last to the other; a region must be in charge of itself alone.
    """
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
    level = _field(about, "level", str)
    if level not in LEVELS:
        raise FormatError(f"it claims the unknown level {level!r}")
    complete, certificate = _field(about, "complete", bool), Certificate(**_counts(about, "certificate", Certificate))
    if level == "certified" and (not complete or certificate.open):
        raise FormatError("it claims to be certified, and says itself that it is partial or has open decisions")
    return Completeness(complete, level, certificate, Effort(**_counts(about, "effort", Effort)))


def _counts(about: Mapping[str, Any], name: str, record: type) -> dict[str, Any]:
    """The fields of a record of numbers."""
    given = _field(about, name, dict)
    numbers = all(type(value) in (int, float) and 0 <= value < float("inf") for value in given.values())
    if not numbers or set(given) != {entry.name for entry in fields(record)}:
        raise FormatError("its record of what the search did is damaged")
    return given


def _source(about: Mapping[str, Any]) -> Source:
    given = {"assumed": "", **_field(about, "source", dict)}
    if set(given) != {entry.name for entry in fields(Source)} or not all(isinstance(v, str) for v in given.values()):
        raise FormatError("its record of the original model is damaged")
    return Source(**given)


def _names(about: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = _field(about, name, list)
    if not given or not all(isinstance(entry, str) for entry in given):
        raise FormatError(f"its {name} are damaged")
    return tuple(given)


def _field(about: Mapping[str, Any], name: str, kind: type) -> Any:
    """A JSON field of the given type."""
    value = about.get(name) if isinstance(about, dict) else None
    if type(value) is not kind:
        raise FormatError(f"its metadata lacks a proper {name!r}")
    return value


def _array(arrays: Arrays, name: str, shape: Sequence[int | None], dtype: type) -> np.ndarray:
    """An array of the given type and shape, where None leaves a size open."""
    if name not in arrays:
        raise FormatError(f"the array {name} is missing")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(want in (None, size) for size, want in zip(array.shape, shape, strict=True))
    if array.dtype != dtype or not fits:
        wanted = " x ".join("any" if size is None else str(size) for size in shape)
        raise FormatError(f"the array {name} is {array.dtype} of shape {array.shape}, not {dtype.__name__} of {wanted}")
    return array


def _floats(arrays: Arrays, name: str, shape: Sequence[int | None]) -> np.ndarray:
    array = _array(arrays, name, shape, np.float64)
    if not np.isfinite(array).all():
        raise FormatError(f"the array {name} holds NaN or infinity")
    return array


def _integers(arrays: Arrays, name: str, shape: Sequence[int | None], low: int, stop: int) -> np.ndarray:
    array = _array(arrays, name, shape, np.int64)
    if array.size and not (array.min() >= low and array.max() < stop):
        raise FormatError(f"the array {name} holds an index outside {low}..{stop - 1}")
    return array
