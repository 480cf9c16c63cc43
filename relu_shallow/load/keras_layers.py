"""Keras' layers, lowered by class name: dense and normalising layers, shapes, and merges of several tensors."""

# ruff: noqa: ARG001, ARG005  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import ROWS
from relu_shallow.load.joins import absolute, add, clip, concatenate, maximum, minimum, subtract
from relu_shallow.load.keras_activations import ACTIVATIONS, activate, activated, named_activation, number, numbers
from relu_shallow.load.keras_config import Layer
from relu_shallow.load.operations import divide, gate, linear, scale, shift, spread
from relu_shallow.load.shaping import flatten, permute, reshape, unsqueeze
from relu_shallow.load.walk import Vector, Walk, refuse_layer, shape_of

Weights = Mapping[str, np.ndarray]
Lowering = Callable[[Walk, str, Vector, Layer, Weights], Vector]
SMALLEST_SPREAD = np.float64(np.float32(1e-7))  # keras.config.epsilon(), by which Normalization divides at least


def _unchanged(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    return v


def _dense(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    v = linear(walk, name, v, weights["kernel"].T, weights.get("bias"))
    return activated(walk, v, layer, layer.option("activation"))


def _activation(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    return activate(walk, name, v, named_activation(layer, layer.option("activation")))


def _advanced(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    return activate(walk, name, v, layer)


def _prelu(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    return gate(walk, name, v, weights["alpha"])


def axes_of(layer: Layer, v: Vector, default: Any) -> list[int]:
    """The axes that an option names, counted from the front."""
    axis, rank = layer.options.get("axis", default), len(shape_of(v))
    listed = [] if axis is None else axis if isinstance(axis, list) else [axis]
    if not all(isinstance(one, int) and -rank <= one < rank for one in listed):
        raise ModelError(f"layer {layer.name} is along the axes {listed} of a tensor of {rank}")
    return sorted({one % rank for one in listed})


def _along(layer: Layer, v: Vector, default: Any, values: np.ndarray) -> np.ndarray:
    """Values that lie along the axes of a layer, shaped to be broadcast against a tensor."""
    shape = shape_of(v)
    kept = axes_of(layer, v, default)
    if v.batch in kept:
        raise ModelError(f"layer {layer.name} treats the rows of a batch differently")
    target = [shape[axis] if axis in kept else 1 for axis in range(len(shape))]
    return values.reshape(target) if values.size == prod(target) else np.broadcast_to(values, target)


def _batch_norm(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    parts = {key: _along(layer, v, -1, value.astype(np.float64)) for key, value in weights.items()}
    d = 1.0 / np.sqrt(parts["moving_variance"] + number(layer, "epsilon", 0.001))
    v = shift(walk, name, v, -parts["moving_mean"])
    v = scale(walk, name, v, d * parts["gamma"] if "gamma" in parts else d)
    return shift(walk, name, v, parts["beta"]) if "beta" in parts else v


def _normalization(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    given = layer.options.get("mean") is not None
    mean, variance = (numbers(layer.options.get(key) if given else weights[key]) for key in ("mean", "variance"))
    mean = _along(layer, v, -1, mean)
    spread = np.maximum(np.sqrt(_along(layer, v, -1, variance)), SMALLEST_SPREAD)
    if layer.option("invert", False):
        return shift(walk, name, scale(walk, name, v, spread), mean)
    return divide(walk, name, shift(walk, name, v, -mean), spread)


def _rescaling(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    v = scale(walk, name, v, numbers(layer.option("scale", 1.0)))
    return shift(walk, name, v, numbers(layer.option("offset", 0.0)))


def channels_first(layer: Layer) -> bool:
    """Whether a layer's tensors have their channels before the other axes; Keras' own habit is after."""
    return layer.option("data_format", "channels_last") == "channels_first"


def _flatten(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    if v.shape is not None and channels_first(layer) and len(v.shape) > 2:
        v = permute(walk, name, v, [0, *range(2, len(v.shape)), 1])
    return flatten(name, v)


def _reshape(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    shape_of(v)
    return reshape(walk, name, v, [ROWS, *(int(size) for size in layer.option("target_shape", []))])


def _permute(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    order = [int(axis) for axis in layer.option("dims", [])]
    if sorted(order) != list(range(1, len(shape_of(v)))):
        raise ModelError(f"layer {name} permutes a tensor of shape {shape_of(v)} by {order}")
    return permute(walk, name, v, [0, *order])


def _repeat(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    v = unsqueeze(v, [1])
    return spread(walk, name, v, (1, int(layer.option("n", 1)), *shape_of(v)[2:]))


LAYERS: dict[str, Lowering] = {
    "Dense": _dense,
    "Activation": _activation,
    "PReLU": _prelu,
    "BatchNormalization": _batch_norm,
    "BatchNormalizationV1": _batch_norm,
    "SyncBatchNormalization": _batch_norm,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    **{kind: _advanced for kind in ACTIVATIONS if kind[0].isupper()},
    # these do nothing when a model is applied
    **dict.fromkeys((
        "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise",
        "AlphaDropout", "ActivityRegularization", "Identity", "RandomFlip", "RandomRotation", "RandomTranslation",
        "RandomZoom", "RandomContrast"), _unchanged),
}  # fmt: skip


# --- merges -----------------------------------------------------------------------------------------------------

Merge = Callable[[Walk, str, Sequence[Vector], Layer], Vector]


def _average(walk: Walk, name: str, vectors: Sequence[Vector], layer: Layer) -> Vector:
    return scale(walk, name, add(walk, name, vectors), 1.0 / len(vectors))


def _subtract(walk: Walk, name: str, vectors: Sequence[Vector], layer: Layer) -> Vector:
    if len(vectors) != 2:
        raise ModelError(f"layer {name} subtracts {len(vectors)} tensors; two were expected")
    return subtract(walk, name, *vectors)


def _one_by_one(join: Callable[[Walk, str, Vector, Vector], Vector]) -> Merge:
    def lower(walk: Walk, name: str, vectors: Sequence[Vector], layer: Layer) -> Vector:
        best = vectors[0]
        for v in vectors[1:]:
            best = join(walk, name, best, v)
        return best

    return lower


MERGES: dict[str, Merge] = {
    "Add": lambda walk, name, vectors, layer: add(walk, name, vectors),
    "Subtract": _subtract,
    "Average": _average,
    "Maximum": _one_by_one(maximum),
    "Minimum": _one_by_one(minimum),
    "Concatenate": lambda walk, name, vectors, layer: concatenate(
        walk, name, vectors, int(layer.option("axis", -1)) % len(shape_of(vectors[0]))),
}  # fmt: skip


def merged(walk: Walk, name: str, vectors: Sequence[Vector], layer: Layer) -> Vector:
    """Several tensors as one."""
    shapes = [shape_of(v) for v in vectors]
    if len({len(shape) for shape in shapes}) > 1:
        raise ModelError(f"layer {name} merges tensors of shapes {', '.join(map(str, shapes))}; tensors with as many "
                         "axes are read")  # fmt: skip
    return MERGES[layer.kind](walk, name, vectors, layer)


# --- operations of Keras 3 on tensors: x + y, keras.ops.relu(x) -----------------------------------------------------


def operated(walk: Walk, name: str, layer: Layer, arguments: Sequence[Any]) -> Vector:
    """An operation of keras.ops on a tensor, and perhaps another or a number."""
    kind, values = layer.kind, list(arguments)
    tensors = [value for value in values if isinstance(value, Vector)]
    if kind in UNARY and len(values) == len(tensors) == 1:
        return UNARY[kind](walk, name, tensors[0])
    if kind in PAIRS and len(values) == len(tensors) == 2:
        return PAIRS[kind](walk, name, *tensors)
    if kind in CONSTANT and len(values) == 2 and len(tensors) == 1:
        flipped = isinstance(values[1], Vector)
        return CONSTANT[kind](walk, name, tensors[0], numbers(values[0] if flipped else values[1]), flipped)
    raise refuse_layer(name, f"the operation {kind} of {len(tensors)} tensors")


def _divided(walk: Walk, name: str, v: Vector, d: np.ndarray, flipped: bool) -> Vector:
    if flipped:
        raise refuse_layer(name, "a division by a value that depends on the input")
    return divide(walk, name, v, d)


def _less(walk: Walk, name: str, v: Vector, b: np.ndarray, flipped: bool) -> Vector:
    return shift(walk, name, scale(walk, name, v, -1.0), b) if flipped else shift(walk, name, v, -b)


UNARY: dict[str, Callable[[Walk, str, Vector], Vector]] = {
    "Relu": lambda walk, name, v: gate(walk, name, v, 0.0),
    "Relu6": lambda walk, name, v: clip(walk, name, v, 0.0, 6.0),
    "Abs": absolute,
    "Absolute": absolute,
    "Negative": lambda walk, name, v: scale(walk, name, v, -1.0),
}
PAIRS: dict[str, Callable[[Walk, str, Vector, Vector], Vector]] = {
    "Add": lambda walk, name, a, b: add(walk, name, [a, b]),
    "Subtract": subtract,
    "Maximum": maximum,
    "Minimum": minimum,
}
CONSTANT: dict[str, Callable[[Walk, str, Vector, np.ndarray, bool], Vector]] = {
    "Add": lambda walk, name, v, b, flipped: shift(walk, name, v, b),
    "Subtract": _less,
    "Multiply": lambda walk, name, v, d, flipped: scale(walk, name, v, d),
    "Divide": _divided,
    "TrueDivide": _divided,
    "Maximum": lambda walk, name, v, b, flipped: clip(walk, name, v, b, None),
    "Minimum": lambda walk, name, v, b, flipped: clip(walk, name, v, None, b),
}
