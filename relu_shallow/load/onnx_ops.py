"""ONNX operators: on a value that depends on the input (`SYMBOLIC`) and on constants alone (`CONSTANT`)."""

# ruff: noqa: ARG001, ARG005  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import ROWS, Size
from relu_shallow.load.joins import add, subtract
from relu_shallow.load.operations import (
    BATCH_NORM_EPS,
    batch_norm,
    divide,
    gate,
    head,
    head_along,
    linear,
    linear_left,
    scale,
    shift,
)
from relu_shallow.load.shaping import merge, permute, reshape, squeeze, unsqueeze
from relu_shallow.load.walk import Vector, Walk, refuse_layer, refuse_product
from relu_shallow.load.windows import convolve
from relu_shallow.network import Head

FLOAT32, FLOAT64 = 1, 11  # onnx.TensorProto.DataType
NUMBER_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
                10: np.float16, 11: np.float64}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of a graph: its name, its inputs' and outputs' names, its attributes, the operator set's version."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any]
    opset: int


def _shape(v: Vector) -> tuple[int, ...]:
    if v.shape is None:
        raise ValueError("the size of the input is not known")
    return v.shape


def _check_product(node: Node, a: Any, b: Any) -> None:
    if isinstance(a, Vector) and isinstance(b, Vector):
        raise refuse_product(node.name, f"{node.op}, a product")


def _aligned(node: Node, v: Any, constant: Any) -> Any:
    """A constant for broadcasting against v; before version 7 an attribute said at which axis it starts."""
    array = np.asarray(constant)
    axis = node.options.get("axis")
    if node.opset < 7 and axis is not None and isinstance(v, Vector):
        rank = len(_shape(v))
        return array.reshape(array.shape + (1,) * (rank - axis % rank - array.ndim))
    return array


def _add(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    if isinstance(a, Vector) and isinstance(b, Vector):
        return add(walk, node.name, [a, b])
    return shift(walk, node.name, a, _aligned(node, a, b)) if isinstance(a, Vector) else shift(walk, node.name, b, a)


def _sub(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    if isinstance(a, Vector) and isinstance(b, Vector):
        return subtract(walk, node.name, a, b)
    if isinstance(a, Vector):
        return shift(walk, node.name, a, -np.asarray(_aligned(node, a, b), dtype=np.float64))
    return shift(walk, node.name, scale(walk, node.name, b, -1.0), a)


def _mul(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    _check_product(node, a, b)
    return scale(walk, node.name, a, _aligned(node, a, b)) if isinstance(a, Vector) else scale(walk, node.name, b, a)


def _div(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    if isinstance(b, Vector):
        raise refuse_layer(node.name, "a division by a value that depends on the input")
    return divide(walk, node.name, a, _aligned(node, a, b))


def _gemm(walk: Walk, node: Node, a: Any, b: Any, c: Any = None) -> Vector:
    _check_product(node, a, b)
    alpha, beta = float(node.options.get("alpha", 1.0)), float(node.options.get("beta", 1.0))
    flip_a, flip_b = node.options.get("transA", 0), node.options.get("transB", 0)
    if isinstance(a, Vector):
        v = _two_axes(walk, node, a)
        v = permute(walk, node.name, v, (1, 0)) if flip_a else v
        v = linear(walk, node.name, v, b if flip_b else np.asarray(b).T)
    else:
        v = _two_axes(walk, node, b)
        v = permute(walk, node.name, v, (1, 0)) if flip_b else v
        v = linear_left(walk, node.name, v, np.asarray(a).T if flip_a else a)
    v = scale(walk, node.name, v, alpha)
    if c is None or beta == 0:
        return v
    if isinstance(c, Vector):
        return add(walk, node.name, [v, scale(walk, node.name, c, beta)])
    return shift(walk, node.name, v, c if beta == 1 else np.asarray(c, dtype=np.float64) * beta)


def _two_axes(walk: Walk, node: Node, v: Vector) -> Vector:
    """A Gemm's input as a matrix; old exporters hand it more axes, all but the first of which are one."""
    shape = _shape(v)
    if len(shape) == 2:
        return v
    return unsqueeze(v, [0]) if len(shape) == 1 else merge(node.name, v, [[0], range(1, len(shape))])


def _matmul(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    _check_product(node, a, b)
    if not isinstance(a, Vector):
        return linear_left(walk, node.name, b, a)
    W = np.asarray(b)
    W = W.reshape(W.shape[-2:]) if W.ndim > 2 and prod(W.shape[:-2]) == 1 else W
    v = linear(walk, node.name, a, W[None, :] if W.ndim == 1 else W.T)
    return squeeze(node.name, v, [len(_shape(v)) - 1]) if W.ndim == 1 else v


def _conv(walk: Walk, node: Node, x: Vector, kernel: Any, bias: Any = None) -> Vector:
    if isinstance(kernel, Vector) or not isinstance(x, Vector):
        raise refuse_product(node.name, "Conv, a convolution")
    shape, axes = _shape(x), np.ndim(kernel) - 2
    strides, dilations = (list(node.options.get(key, [1] * axes)) for key in ("strides", "dilations"))
    pads = _pads(node, shape[2:], np.shape(kernel)[2:], strides, dilations)
    return convolve(walk, node.name, x, kernel, bias, strides, dilations, pads, int(node.options.get("group", 1)))


def _pads(
    node: Node, space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """Zeros before and after each axis."""
    kind = node.options.get("auto_pad", "NOTSET")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for size, k, stride, dilation in zip(space, window, strides, dilations, strict=True):
            total = max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
            less, more = total // 2, total - total // 2
            pads.append((less, more) if kind == "SAME_UPPER" else (more, less))
        return pads
    given = node.options.get("pads", [0] * 2 * len(space)) if kind == "NOTSET" else [0] * 2 * len(space)
    return list(zip(given[: len(space)], given[len(space) :], strict=True))


def _batch_norm(walk: Walk, node: Node, x: Vector, weight: Any, bias: Any, mean: Any, variance: Any) -> Vector:
    if node.options.get("training_mode", 0):
        raise ModelError(f"layer {node.name} is a batch normalisation in training mode; export the model for inference")
    return batch_norm(
        walk, node.name, x, mean, variance, weight, bias, float(node.options.get("epsilon", np.float32(BATCH_NORM_EPS)))
    )


def _dropout(walk: Walk, node: Node, x: Vector, ratio: Any = None, training: Any = None) -> Vector:
    if training is not None and np.asarray(training).any() and (ratio is None or np.asarray(ratio).any()):
        raise ModelError(f"layer {node.name} is dropout in training mode: its output is random; "
                         "export the model for inference")  # fmt: skip
    return x


def _cast(walk: Walk, node: Node, x: Vector) -> Vector:
    if node.options.get("to") not in (FLOAT32, FLOAT64, "FLOAT", "DOUBLE"):
        raise refuse_layer(node.name, "a Cast to another type than float or double")
    return x


def _identity(walk: Walk, node: Node, x: Vector) -> Vector:
    return x


def _relu(walk: Walk, node: Node, x: Vector) -> Vector:
    return gate(walk, node.name, x, 0.0)


def _leaky_relu(walk: Walk, node: Node, x: Vector) -> Vector:
    return gate(walk, node.name, x, float(node.options.get("alpha", np.float32(0.01))))


def _prelu(walk: Walk, node: Node, x: Vector, slope: Any) -> Vector:
    if isinstance(slope, Vector):
        raise refuse_product(node.name, "PRelu, a product")
    return gate(walk, node.name, x, slope)


def _flatten(walk: Walk, node: Node, x: Vector) -> Vector:
    shape = _shape(x)
    axis = node.options.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return merge(node.name, x, [range(axis), range(axis, len(shape))])


def _reshape(walk: Walk, node: Node, x: Vector, shape: Any = None) -> Vector:
    given = np.asarray(node.options["shape"] if shape is None else shape).ravel()
    target = [size if isinstance(size, Size) else int(size) for size in given]
    now = _sizes(x)
    if not node.options.get("allowzero", 0):
        target = [now[axis] if size == 0 else size for axis, size in enumerate(target)]
    return reshape(walk, node.name, x, target)


def _sizes(v: Vector) -> list[Any]:
    """The shape, with `ROWS` along the batch axis."""
    sizes: list[Any] = list(_shape(v))
    if v.batch is not None:
        sizes[v.batch] = ROWS
    return sizes


def _shape_of(walk: Walk, node: Node, x: Vector) -> Any:
    sizes = _sizes(x)[node.options.get("start", 0) : node.options.get("end")]
    return np.array(sizes, dtype=object if any(isinstance(size, Size) for size in sizes) else np.int64)


def _axes(node: Node, axes: Any, rank: int) -> list[int] | None:
    given = node.options.get("axes") if axes is None else np.asarray(axes).ravel()
    return None if given is None else [int(axis) % rank for axis in given]


def _squeeze(walk: Walk, node: Node, x: Vector, axes: Any = None) -> Vector:
    return squeeze(node.name, x, _axes(node, axes, len(_shape(x))))


def _unsqueeze(walk: Walk, node: Node, x: Vector, axes: Any = None) -> Vector:
    count = len(node.options["axes"] if axes is None else np.asarray(axes).ravel())
    return unsqueeze(x, _axes(node, axes, len(_shape(x)) + count) or [])


def _transpose(walk: Walk, node: Node, x: Vector) -> Vector:
    return permute(walk, node.name, x, node.options.get("perm", range(len(_shape(x)))[::-1]))


def _softmax(kind: Head) -> Callable[..., Vector]:
    def lower(walk: Walk, node: Node, x: Vector) -> Vector:
        rank = len(_shape(x))
        if node.opset >= 13:
            return head_along(walk, node.name, x, kind, [node.options.get("axis", -1)])
        first = node.options.get("axis", 1) if rank > 1 else 0  # before version 13 the rest was flattened from `axis`
        return head_along(walk, node.name, x, kind, range(first % rank, rank))

    return lower


def _head(kind: Head) -> Callable[..., Vector]:
    return lambda walk, node, x: head(walk, node.name, x, kind)


SYMBOLIC: dict[str, Callable[..., Any]] = {
    "Add": _add, "Sub": _sub, "Mul": _mul, "Div": _div,
    "Neg": lambda walk, node, x: scale(walk, node.name, x, -1.0),
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _conv, "BatchNormalization": _batch_norm,
    "Relu": _relu, "LeakyRelu": _leaky_relu, "PRelu": _prelu,
    "Identity": _identity, "Dropout": _dropout, "Cast": _cast,
    "Flatten": _flatten, "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose,
    "Softmax": _softmax("softmax"), "LogSoftmax": _softmax("log_softmax"),
    "Sigmoid": _head("sigmoid"), "Tanh": _head("tanh"),
    "Shape": _shape_of,
}  # fmt: skip


def constant_size(node: Node, inputs: Sequence[Any]) -> int:
    """How many numbers an operation on constants makes of them, before it is done."""
    if node.op == "Concat":
        return sum(part.size for part in inputs)
    if node.op == "Gather":
        data, index = inputs
        return index.size * (data.size // max(data.shape[node.options.get("axis", 0)], 1))
    if node.op in ("Add", "Sub", "Mul", "Div"):
        return prod(np.broadcast_shapes(*(value.shape for value in inputs)))
    return max((value.size for value in inputs if value is not None), default=0)


def _constant(node: Node) -> Any:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node.options:
            value = np.asarray(node.options[key])
            return value.astype(np.float32) if key.startswith("value_float") else value
    raise ModelError(f"layer {node.name} is a constant of a kind that is not read ({', '.join(node.options)})")


def _constant_reshape(node: Node, x: Any, shape: Any = None) -> Any:
    target = np.asarray(node.options["shape"] if shape is None else shape).ravel()
    return np.reshape(x, [x.shape[axis] if size == 0 else int(size) for axis, size in enumerate(target)])


def _constant_unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    given = node.options["axes"] if axes is None else np.asarray(axes).ravel()
    return np.expand_dims(x, tuple(int(axis) for axis in given))


def _constant_squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    given = node.options.get("axes") if axes is None else np.asarray(axes).ravel()
    return np.squeeze(x, None if given is None else tuple(int(axis) for axis in given))


def _constant_cast(node: Node, x: Any) -> Any:
    kind = np.dtype(NUMBER_TYPES[node.options["to"]])
    return x if x.dtype == object and kind.kind == "i" else x.astype(kind)


def _constant_div(node: Node, a: Any, b: Any) -> Any:
    whole = a.dtype.kind in "iu"
    return (np.trunc(a / b)).astype(a.dtype) if whole else a / b


CONSTANT: dict[str, Callable[..., Any]] = {
    "Constant": _constant,
    "Identity": lambda node, x: x,
    "Cast": _constant_cast,
    "Reshape": _constant_reshape, "Unsqueeze": _constant_unsqueeze, "Squeeze": _constant_squeeze,
    "Transpose": lambda node, x: np.transpose(x, node.options.get("perm")),
    "Gather": lambda node, x, index: np.take(x, np.asarray(index), axis=node.options.get("axis", 0)),
    "Concat": lambda node, *parts: np.concatenate(parts, axis=node.options.get("axis", 1)),
    "Shape": lambda node, x: np.array(x.shape),
    "Neg": lambda node, x: -x,
    "Add": lambda node, a, b: a + b, "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b, "Div": _constant_div,
}  # fmt: skip
