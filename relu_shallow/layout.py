"""How a network, a domain and their like are laid out as named arrays and JSON fields, and read back with suspicion.

Whatever is read may have been made by anyone: a FormatError says what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from fractions import Fraction
from typing import Any

import numpy as np

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, fit
from relu_shallow.errors import FormatError
from relu_shallow.network import HEADS, Affine, Embedding, Gate, Matrix, Network, Source

Arrays = Mapping[str, np.ndarray]


def put_network(arrays: dict[str, np.ndarray], prefix: str, network: Network) -> dict[str, Any]:
    """Adds a network's arrays under a prefix; returns its JSON fields."""
    sparse = [_put_matrix(arrays, f"{prefix}.affine.{i}.W", layer.W) for i, layer in enumerate(network.affine)]
    arrays.update({f"{prefix}.affine.{i}.b": layer.b for i, layer in enumerate(network.affine)})
    for index, gate in enumerate(network.gates):
        arrays[f"{prefix}.gate.{index}.inactive"] = gate.inactive
        arrays[f"{prefix}.gate.{index}.active"] = gate.active
    if len(network.brackets):
        arrays[f"{prefix}.brackets"] = network.brackets
    return {
        **_put_slice(arrays, prefix, network.slice),
        "sparse_shapes": sparse,
        "head": network.head,
        "feature_names": list(network.feature_names),
        "output_names": list(network.output_names),
        "source": asdict(network.source),
    }


def _put_slice(arrays: dict[str, np.ndarray], prefix: str, embedding: Embedding | None) -> dict[str, Any]:
    """Adds the embedding of a network on a slice; its JSON fields, none for another network."""
    if embedding is None:
        return {}
    arrays.update({f"{prefix}.slice.M": embedding.M, f"{prefix}.slice.v": embedding.v})
    return {"slice": {"feature_names": list(embedding.feature_names), "label": embedding.label}}


def _put_matrix(arrays: dict[str, np.ndarray], name: str, W: Matrix) -> list[int]:
    """Stores W whole, or as the three arrays of CSR; the shape if sparse, else an empty list."""
    if isinstance(W, np.ndarray):
        arrays[name] = W
        return []
    arrays[f"{name}.data"] = W.data
    arrays[f"{name}.indices"] = W.indices.astype(np.int64)
    arrays[f"{name}.indptr"] = W.indptr.astype(np.int64)
    return list(W.shape)


def put_domain(arrays: dict[str, np.ndarray], domain: Domain) -> str:
    """Adds a domain's arrays; returns its kind."""
    if isinstance(domain, Box):
        arrays.update({"domain.lo": domain.lo, "domain.hi": domain.hi})
        return "box"
    if isinstance(domain, Polytope):
        arrays.update({"domain.A": domain.A, "domain.b": domain.b})
        return "polytope"
    return "all"


def get_network(arrays: Arrays, prefix: str, about: Mapping[str, Any]) -> Network:
    """The inverse of `put_network`; raises FormatError."""
    shapes = get_field(about, "sparse_shapes", list)
    affine = tuple(
        Affine(
            _get_matrix(arrays, f"{prefix}.affine.{index}.W", shape),
            get_floats(arrays, f"{prefix}.affine.{index}.b", (None,)),
        )
        for index, shape in enumerate(shapes)
    )
    gates = tuple(
        Gate(
            get_floats(arrays, f"{prefix}.gate.{index}.inactive", (None,)),
            get_floats(arrays, f"{prefix}.gate.{index}.active", (None,)),
        )
        for index in range(len(affine) - 1)
    )
    head = get_field(about, "head", str)
    if head not in HEADS or not affine:
        raise FormatError(f"it describes a network with {len(affine)} layers and the head {head!r}")
    inputs, outputs = _names(about, "feature_names"), _names(about, "output_names")
    name = f"{prefix}.brackets"
    brackets = get_array(arrays, name, (None, 3), np.int64) if name in arrays else np.zeros((0, 3), np.int64)
    embedding = _get_slice(arrays, prefix, about, len(inputs))
    return Network(affine, gates, head, inputs, outputs, _source(about), embedding, brackets)


def _get_slice(arrays: Arrays, prefix: str, about: Mapping[str, Any], d: int) -> Embedding | None:
    """The inverse of `_put_slice`."""
    if "slice" not in about:
        return None
    told = get_field(about, "slice", dict)
    names = _names(told, "feature_names")
    M = get_floats(arrays, f"{prefix}.slice.M", (len(names), d))
    return Embedding(M, get_floats(arrays, f"{prefix}.slice.v", (len(names),)), names, get_field(told, "label", str))


def _get_matrix(arrays: Arrays, name: str, shape: object) -> Matrix:
    if shape == []:
        return get_floats(arrays, name, (None, None))
    if not (isinstance(shape, list) and len(shape) == 2 and all(type(size) is int and size > 0 for size in shape)):
        raise FormatError(f"the shape of {name} is given as {shape!r}")
    from scipy.sparse import csr_array

    rows, columns = shape
    data = get_floats(arrays, f"{name}.data", (None,))
    indices = get_integers(arrays, f"{name}.indices", (len(data),), 0, columns)
    indptr = get_integers(arrays, f"{name}.indptr", (rows + 1,), 0, len(data) + 1)
    if indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        raise FormatError(f"{name}.indptr does not divide the {len(data)} stored weights into {rows} rows")
    return csr_array((data, indices, indptr), shape=(rows, columns))


def get_domain(arrays: Arrays, kind: str, inputs: int) -> Domain:
    """The inverse of `put_domain`; raises FormatError."""
    if kind == "all":
        return WholeSpace()
    if kind == "box":
        return fit(Box(get_floats(arrays, "domain.lo", (inputs,)), get_floats(arrays, "domain.hi", (inputs,))), inputs)
    if kind == "polytope":
        A = get_floats(arrays, "domain.A", (None, inputs))
        return Polytope(A, get_floats(arrays, "domain.b", (len(A),)))
    raise FormatError(f"it names an unknown kind of domain, {kind!r}")


def _source(about: Mapping[str, Any]) -> Source:
    later = ("assumed", "until", "input_shape", "output_name", "checked")  # which older files do not have
    given = {**dict.fromkeys(later, ""), **get_field(about, "source", dict)}
    if set(given) != {entry.name for entry in fields(Source)} or not all(isinstance(v, str) for v in given.values()):
        raise FormatError("its record of the original model is damaged")
    return Source(**given)


def _names(about: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = get_field(about, name, list)
    if not given or not all(isinstance(entry, str) for entry in given):
        raise FormatError(f"its {name} are damaged")
    return tuple(given)


def get_field(about: Mapping[str, Any], name: str, kind: type) -> Any:
    """A JSON field of the given type."""
    value = about.get(name) if isinstance(about, dict) else None
    if type(value) is not kind:
        raise FormatError(f"its metadata lacks a proper {name!r}")
    return value


def get_array(arrays: Arrays, name: str, shape: Sequence[int | None], dtype: type) -> np.ndarray:
    """An array of the given type and shape, where None leaves a size open."""
    if name not in arrays:
        raise FormatError(f"the array {name} is missing")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(want in (None, size) for size, want in zip(array.shape, shape, strict=True))
    if array.dtype != dtype or not fits:
        wanted = " x ".join("any" if size is None else str(size) for size in shape)
        raise FormatError(f"the array {name} is {array.dtype} of shape {array.shape}, not {dtype.__name__} of {wanted}")
    return array


def get_floats(arrays: Arrays, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """An array of finite float64 numbers of the given shape."""
    array = get_array(arrays, name, shape, np.float64)
    if not np.isfinite(array).all():
        raise FormatError(f"the array {name} holds NaN or infinity")
    return array


def get_integers(arrays: Arrays, name: str, shape: Sequence[int | None], low: int, stop: int) -> np.ndarray:
    """An array of integers in low..stop - 1 of the given shape."""
    array = get_array(arrays, name, shape, np.int64)
    if array.size and not (array.min() >= low and array.max() < stop):
        raise FormatError(f"the array {name} holds an index outside {low}..{stop - 1}")
    return array


def put_exact_witnesses(points: Mapping[int, tuple[Fraction, ...]]) -> dict[str, list[str]]:
    """Rational points by region as JSON: {"17": ["a/3", "-2/1"]}, in sixteens."""
    return {str(region): [*map(_written, point)] for region, point in points.items()}


def get_exact_witnesses(about: Mapping[str, Any], regions: int, inputs: int) -> dict[int, tuple[Fraction, ...]]:
    """The inverse of `put_exact_witnesses`, of so many regions; raises FormatError where they do not fit."""
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


def get_counts(about: Mapping[str, Any], name: str, record: type) -> dict[str, Any]:
    """The fields of a record of numbers."""
    given = get_field(about, name, dict)
    numbers = all(type(value) in (int, float) and 0 <= value < float("inf") for value in given.values())
    if not numbers or set(given) != {entry.name for entry in fields(record)}:
        raise FormatError("its record of what the search did is damaged")
    return given
