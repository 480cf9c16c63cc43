"""safetensors files of weights, with the chain of layers declared in their metadata.

The metadata key `chain` holds a JSON list, for example `["fc1", "relu", "fc2", "softmax"]`: the name of a layer with
tensors of its own (linear: `fc1.weight`, `fc1.bias`; batch normalisation: also `running_mean` and `running_var`;
PReLU: a `weight` of one axis and no bias), or one of relu, leaky_relu:SLOPE, softmax, log_softmax, sigmoid, tanh.
Without it the chain is inferred as for a state_dict, in the natural order of the names, and printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.lowering import assemble
from relu_shallow.load.operations import BATCH_NORM_EPS, batch_norm, gate, head, linear
from relu_shallow.load.reading import ModelFile, damaged
from relu_shallow.load.state_dict import walk_state_dict
from relu_shallow.load.walk import Vector, Walk, Wanted, most_entries, source_of, start, walked
from relu_shallow.network import Head, Network

CONVERTED = "relu_shallow"  # the metadata key of a file written by convert
HEADS: tuple[Head, ...] = ("softmax", "log_softmax", "sigmoid", "tanh")


def read_safetensors(file: ModelFile, wanted: Wanted) -> Network:
    """The network of a safetensors file of weights."""
    tensors, metadata = _content(file)
    if CONVERTED in metadata:
        raise ModelError(f"{file.name} is a network converted by relu-shallow already, not a model to convert; "
                         "read it with inspect, verify, predict or explain")  # fmt: skip
    tensors = {**tensors, **_aliases(file, tensors, metadata)}
    walk = Walk(room=most_entries(file), wanted=wanted)

    def run() -> Vector:
        v = start(walk, None)
        if "chain" not in metadata:
            return walk_state_dict(walk, v, tensors, file.name, ordered=False)
        for word in _declared(file, metadata["chain"]):
            v = _step(walk, file, v, word, tensors, _number(file, metadata.get("batch_norm_eps", BATCH_NORM_EPS)))
        return v

    graph = walked(walk, file.name, run)
    return assemble(graph, source_of(walk, file.name, "safetensors", file.sha256))


def _aliases(
    file: ModelFile, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Tensors kept once under another name: safetensors' save_model says so in the metadata, name by name."""
    found = {}
    for name, kept in metadata.items():
        if name in tensors or not isinstance(kept, str):
            continue
        if kept in tensors:
            found[name] = tensors[kept]
        elif name.endswith((".weight", ".bias")):
            raise ModelError(f"the metadata of {file.name} says that {name} is kept as {kept}, which is not in the "
                             "file; save the model again")  # fmt: skip
    return found


def _content(file: ModelFile) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors by name, and the metadata."""
    from safetensors import SafetensorError, deserialize

    try:
        size = int.from_bytes(file.data[:8], "little")
        found = dict(deserialize(file.data))  # checks the header: sizes, offsets without gap or overlap, types
        metadata = json.loads(file.data[8 : 8 + size]).get("__metadata__") or {}
    except (SafetensorError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(file, "safetensors", error) from error
    return {name: _array(file, name, entry) for name, entry in found.items()}, metadata


TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
         "BOOL": "?"}  # fmt: skip


def _array(file: ModelFile, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    data, dtype, shape = bytes(entry["data"]), str(entry["dtype"]), tuple(entry["shape"])
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if dtype not in TYPES:
        raise ModelError(f"the tensor {name} of {file.name} is of type {dtype}, which is not read")
    return np.frombuffer(data, TYPES[dtype]).reshape(shape)


def _number(file: ModelFile, text: str | float) -> float:
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"the metadata of {file.name} gives {text!r} where a number was expected") from None


def _declared(file: ModelFile, text: str) -> list[str]:
    """The declared chain."""
    try:
        chain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(file, "safetensors", f"its chain is not JSON: {error}") from error
    if not isinstance(chain, list) or not all(isinstance(word, str) for word in chain):
        raise ModelError(f"the chain of {file.name} must be a JSON list of layer names and activations, got {text}")
    return chain


def _step(walk: Walk, file: ModelFile, v: Vector, word: str, tensors: Mapping[str, np.ndarray], eps: float) -> Vector:
    """The value after one declared layer."""
    part: Callable[[str], np.ndarray | None] = lambda key: tensors.get(f"{word}.{key}")  # noqa: E731
    weight, mean, variance = part("weight"), part("running_mean"), part("running_var")
    if mean is not None and variance is not None:
        return batch_norm(walk, word, v, mean, variance, weight, part("bias"), eps)
    if weight is not None and weight.ndim == 1 and part("bias") is None:
        return gate(walk, word, v, weight)
    if weight is not None:
        return linear(walk, word, v, weight, part("bias"))
    kind, _, slope = word.partition(":")
    if kind == "relu":
        return gate(walk, word, v, 0.0)
    if kind == "leaky_relu":
        return gate(walk, word, v, _number(file, slope or "nan"))
    if kind in HEADS:
        return head(walk, word, v, kind)
    raise ModelError(f"the chain of {file.name} names {word!r}, which has no tensor {word}.weight and is none of "
                     f"relu, leaky_relu:SLOPE, {', '.join(HEADS)}")  # fmt: skip
