"""The weights of a Keras model's layers, found in an `.h5` file or in the weights of a `.keras` archive.

    .h5       /model_weights/LAYER has a list `weight_names`; a nested model's weights lie there too: first all those
              that are trained, layer by layer, then all others
    .keras    /layers/CLASS_N/vars/0, 1, ... with the class in snake case and N counting its layers in the model
              (nothing for the first); models nest
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.hdf5 import Node
from relu_shallow.load.keras_config import Layer, Model, Part
from relu_shallow.load.reading import ModelFile, damaged

Weights: TypeAlias = dict[str, np.ndarray]
UNTRAINED = ("moving_mean", "moving_variance", "mean", "variance", "count")
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # Keras 3, and 2.12


@dataclass(frozen=True, eq=False)
class Tree:
    """The weights of a layer by their part in it, or, in a model, the trees of its layers by name."""

    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    below: Mapping[str, Tree] = field(default_factory=dict)


def slots(layer: Layer) -> tuple[str, ...]:
    """The parts that a layer keeps weights for, in Keras' order; none for a layer without."""
    biased = ("bias",) if layer.option("use_bias", True) else ()
    kind = layer.kind
    if kind == "Dense" or re.fullmatch(r"Conv(olution)?[123]D(Transpose)?", kind):
        return ("kernel", *biased)
    if kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
        return ("depthwise_kernel", *biased)
    if kind in ("SeparableConv1D", "SeparableConv2D"):
        return ("depthwise_kernel", "pointwise_kernel", *biased)
    if kind in ("BatchNormalization", "BatchNormalizationV1", "SyncBatchNormalization"):
        scaled = ("gamma",) if layer.option("scale", True) else ()
        return (*scaled, *(("beta",) if layer.option("center", True) else ()), "moving_mean", "moving_variance")
    if kind == "Normalization" and layer.options.get("mean") is None:
        return ("mean", "variance", "count")
    return ("alpha",) if kind == "PReLU" else ()


def weights_of_h5(file: ModelFile, model: Model, root: Node) -> Tree:
    """The weights of every layer of a model in an `.h5` file."""
    group = root.child("model_weights")
    if group is None:
        raise damaged(file, "Keras", "it has no model_weights")
    below = {}
    for name, part in model.parts.items():
        wanted = list(_order(part, (), trained=True))
        arrays = _listed(file, name, group) if wanted else []
        if len(arrays) != len(wanted):
            raise _mismatch(file, name, len(wanted), len(arrays))
        flat = dict(zip(wanted, arrays, strict=True))
        below[name] = _tree(part, (), flat)
    return Tree(below=below)


def _order(part: Part, path: tuple[str, ...], *, trained: bool) -> Iterator[tuple[str, ...]]:
    """The path of every weight of a layer or model, those that are trained first."""
    everything = list(_paths(part, path, trained=trained))
    yield from (where for where, is_trained in everything if is_trained)
    yield from (where for where, is_trained in everything if not is_trained)


def _paths(part: Part, path: tuple[str, ...], *, trained: bool) -> Iterator[tuple[tuple[str, ...], bool]]:
    if isinstance(part, Model):
        for name, inner in part.parts.items():
            yield from _paths(inner, (*path, name), trained=trained)
    else:
        trained = trained and bool(part.option("trainable", True))
        yield from (((*path, slot), trained and slot not in UNTRAINED) for slot in slots(part))


def _tree(part: Part, path: tuple[str, ...], flat: Mapping[tuple[str, ...], np.ndarray]) -> Tree:
    if isinstance(part, Model):
        return Tree(below={name: _tree(inner, (*path, name), flat) for name, inner in part.parts.items()})
    return Tree({slot: flat[(*path, slot)] for slot in slots(part)})


def _listed(file: ModelFile, name: str, group: Node) -> list[np.ndarray]:
    """The arrays of a layer's group, in the order of its list of names."""
    node = group.child(name)
    if node is None:
        return []
    names = _names(node)
    return [_array(file, node, weight) for weight in names]


def _names(node: Node) -> list[str]:
    """The attribute weight_names, which Keras splits into parts where it is long."""
    found = node.attribute("weight_names")
    if found is None:
        parts: list[Any] = []
        while (more := node.attribute(f"weight_names{len(parts)}")) is not None:
            parts.append(more)
        found = [name for part in parts for name in part]
    return [str(name) for name in found]


def weights_of_archive(file: ModelFile, model: Model, root: Node, known: dict[int, Tree] | None = None) -> Tree:
    """The weights of every layer of a model in a `.keras` archive.

    A layer that has several places in nested models has its weights in the first of them; `known` are those met.
    """
    known = {} if known is None else known
    group = next((found for name in CONTAINERS if (found := root.child(name)) is not None), None)
    below, used = {}, dict[str, int]()
    for name, part in model.parts.items():
        kind = part.kind
        if isinstance(part, Layer) and part.operation:
            continue
        place = _unique(kind, used)
        inner = None if group is None else group.child(place)
        if part.shared is not None and part.shared in known:
            below[name] = known[part.shared]
        elif isinstance(part, Layer):
            below[name] = Tree(_numbered(file, part, inner))
        elif inner is None:
            raise _mismatch(file, name, len(list(_order(part, (), trained=True))), 0)
        else:
            below[name] = weights_of_archive(file, part, inner, known)
        if part.shared is not None:
            known[part.shared] = below[name]
    return Tree(below=below)


def _numbered(file: ModelFile, layer: Layer, node: Node | None) -> Weights:
    """A layer's arrays, which are numbered in Keras' order."""
    wanted = slots(layer)
    kept = None if node is None or not wanted else node.child("vars")
    if kept is not None and kept.attribute("name") not in (None, layer.name):
        raise damaged(file, "Keras", f"the weights of layer {layer.name} are those of {kept.attribute('name')}")
    count = 0 if kept is None else len(kept.links)
    if count != len(wanted):
        raise _mismatch(file, layer.name, len(wanted), count)
    return {} if kept is None else {slot: _array(file, kept, str(number)) for number, slot in enumerate(wanted)}


def _unique(kind: str, used: dict[str, int]) -> str:
    """The place of a layer in its model's group: its class in snake case, numbered from the second on."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    used[name] = used.get(name, -1) + 1
    return f"{name}_{used[name]}" if used[name] else name


def _array(file: ModelFile, node: Node, name: str) -> np.ndarray:
    found = node.child(name)
    if found is None:
        raise damaged(file, "Keras", f"the weight {name} is missing")
    array = found.array()
    if array.dtype.kind != "V":
        return array
    if found.attribute("dtype") != "bfloat16":
        raise damaged(file, "Keras", f"the weight {name} is of a type that is not known")
    return (array.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)


def _mismatch(file: ModelFile, name: str, wanted: int, found: int) -> ModelError:
    return ModelError(f"{file.name} has {found} weight arrays for layer {name}, and {wanted} were expected; load the "
                      "model in Keras, call it once and save it again")  # fmt: skip
