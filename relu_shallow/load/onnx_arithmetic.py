"""ONNX operators that calculate: sums, products, matrices, normalisation, means and the largest of several values."""



from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.joins import (
    absolute,
    add,
    clip,
    constant,
    hard_sigmoid,
    is_far,
    largest,
    mean_along,
    subtract,
    top_along,
)
from relu_shallow.load.onnx_node import LEAST, MOST, Node, check_product, fixed, given_axes
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
    spread,
)
from relu_shallow.load.products import einsum, stacked_product
from relu_shallow.load.shaping import merge, permute, squeeze, unsqueeze
from relu_shallow.load.walk import Vector, Walk, refuse_layer, shape_of
from relu_shallow.network import Head


def _aligned(node: Node, v: Any, constant: Any) -> Any:
    """A constant for broadcasting against v; before version 7 an attribute said at which axis it starts."""
    array = np.asarray(constant)
    axis = node.options.get("axis")
    if node.opset < 7 and axis is not None and isinstance(v, Vector):
        rank = len(shape_of(v))
        return array.reshape(array.shape + (1,) * (rank - axis % rank - array.ndim))
    return array


def _check_plain(node: Node) -> None:
    """Raises where two tensors of the model go together along an axis named by an attribute, as before version 7."""
    if node.opset < 7 and node.options.get("axis") is not None:
        raise refuse_layer(node.name, f"{node.op} of two tensors along an axis, a form of before operator set 7")


def _add(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    if isinstance(a, Vector) and isinstance(b, Vector):
        _check_plain(node)
        return add(walk, node.name, [a, b])
    return shift(walk, node.name, a, _aligned(node, a, b)) if isinstance(a, Vector) else shift(walk, node.name, b, a)


def _sub(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    if isinstance(a, Vector) and isinstance(b, Vector):
        _check_plain(node)
        return subtract(walk, node.name, a, b)
    if isinstance(a, Vector):
        return shift(walk, node.name, a, -np.asarray(_aligned(node, a, b), dtype=np.float64))
    return shift(walk, node.name, scale(walk, node.name, b, -1.0), a)


def _mul(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    check_product(node, a, b)
    return scale(walk, node.name, a, _aligned(node, a, b)) if isinstance(a, Vector) else scale(walk, node.name, b, a)


def _div(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    if isinstance(b, Vector):
        raise refuse_layer(node.name, "Div, a division by a value that depends on the input")
    return divide(walk, node.name, a, _aligned(node, a, b))


def _pow(walk: Walk, node: Node, x: Any, exponent: Any) -> Vector:
    if isinstance(exponent, Vector) or not (np.asarray(exponent) == 1).all():
        raise refuse_layer(node.name, "Pow, a power of a value that depends on the input")
    return spread(walk, node.name, x, np.shape(exponent))


def _total(walk: Walk, node: Node, *parts: Any) -> Vector:
    """The sum of any number of tensors, the constants among them added up first."""
    vectors, constants = _apart(parts)
    total = vectors[0] if len(vectors) == 1 else add(walk, node.name, vectors)
    return shift(walk, node.name, total, sum(constants)) if constants else total


def _average(walk: Walk, node: Node, *parts: Any) -> Vector:
    return divide(walk, node.name, _total(walk, node, *parts), float(len(parts)))


def _apart(parts: Sequence[Any]) -> tuple[list[Vector], list[np.ndarray]]:
    """(those that depend on the input, the constants)."""
    vectors = [part for part in parts if isinstance(part, Vector)]
    return vectors, [np.asarray(part, dtype=np.float64) for part in parts if not isinstance(part, Vector)]


def _maximum(walk: Walk, node: Node, *parts: Any) -> Vector:
    """The largest of any number of tensors and constants, as one choice."""
    vectors, constants = _apart(parts)
    bound = _bound(reduce(np.maximum, constants), "low") if constants else None
    if bound is None:
        shape = np.broadcast_shapes(*(array.shape for array in constants))
        return largest(walk, node.name, [spread(walk, node.name, vectors[0], shape), *vectors[1:]])
    if len(vectors) == 1 or is_far(bound):
        return clip(walk, node.name, largest(walk, node.name, vectors), bound)
    shape = np.broadcast_shapes(bound.shape, *(shape_of(vector) for vector in vectors))
    first = spread(walk, node.name, vectors[0], shape)
    beside = constant(walk, node.name, np.broadcast_to(bound, shape), first)
    return largest(walk, node.name, [first, *vectors[1:], beside])


def _minimum(walk: Walk, node: Node, *parts: Any) -> Vector:
    """The smallest of any number of tensors and constants: the largest of the negatives, negated."""
    negated = [scale(walk, node.name, part, -1.0) if isinstance(part, Vector) else -np.asarray(part) for part in parts]
    return scale(walk, node.name, _maximum(walk, node, *negated), -1.0)


def _bound(value: Any, key: str) -> Any:
    """A bound of a clip, None where there is none, or it is the end of the number range, which stands for none."""
    array = np.asarray(np.nan if value is None else value, dtype=np.float64)
    return None if value is None or (array <= LEAST if key == "low" else array >= MOST).all() else array


def _clip(walk: Walk, node: Node, x: Any, low: Any = None, high: Any = None) -> Vector:
    low = node.options.get("min") if low is None else low
    high = node.options.get("max") if high is None else high
    if isinstance(low, Vector) or isinstance(high, Vector):  # the lower bound first, so that the upper one wins
        v = x if low is None else _maximum(walk, node, x, low)
        return v if high is None else _minimum(walk, node, v, high)
    return clip(walk, node.name, x, _bound(low, "low"), _bound(high, "high"))


def _gemm(walk: Walk, node: Node, a: Any, b: Any, c: Any = None) -> Vector:
    check_product(node, a, b)
    alpha, beta = float(node.options.get("alpha", 1.0)), float(node.options.get("beta", 1.0))
    flip_a, flip_b = node.options.get("transA", 0), node.options.get("transB", 0)
    if isinstance(a, Vector):
        v = _two_axes(node, a)
        v = permute(walk, node.name, v, (1, 0)) if flip_a else v
        v = linear(walk, node.name, v, b if flip_b else np.asarray(b).T)
    elif isinstance(b, Vector):
        v = _two_axes(node, b)
        v = permute(walk, node.name, v, (1, 0)) if flip_b else v
        v = linear_left(walk, node.name, v, np.asarray(a).T if flip_a else a)
    else:
        product = (np.asarray(a).T if flip_a else np.asarray(a)) @ (np.asarray(b).T if flip_b else np.asarray(b))
        return shift(walk, node.name, scale(walk, node.name, c, beta), alpha * product)
    v = scale(walk, node.name, v, alpha)
    if c is None or beta == 0:
        return v
    if isinstance(c, Vector):
        return add(walk, node.name, [v, scale(walk, node.name, c, beta)])
    return shift(walk, node.name, v, c if beta == 1 else np.asarray(c, dtype=np.float64) * beta)


def _two_axes(node: Node, v: Vector) -> Vector:
    """A Gemm's input as a matrix; old exporters hand it more axes, all but the first of which are one."""
    shape = shape_of(v)
    if len(shape) == 2:
        return v
    return unsqueeze(v, [0]) if len(shape) == 1 else merge(node.name, v, [[0], range(1, len(shape))])


def _matmul(walk: Walk, node: Node, a: Any, b: Any) -> Vector:
    check_product(node, a, b)
    left = not isinstance(a, Vector)
    v, M = (b, np.asarray(a)) if left else (a, np.asarray(b))
    if M.ndim > 2 and (prod(M.shape[:-2]) > 1 or M.ndim > len(shape_of(v))):
        row = len(shape_of(v)) == 1
        v = unsqueeze(v, [1 if left else 0]) if row else v
        made = stacked_product(walk, node.name, v, M, left=left)
        return squeeze(node.name, made, [len(shape_of(made)) - (1 if left else 2)]) if row else made
    if left:
        made = linear_left(walk, node.name, v, M[None, :] if M.ndim == 1 else M)
        return squeeze(node.name, made, [len(shape_of(made)) - 2 + (len(shape_of(v)) == 1)]) if M.ndim == 1 else made
    W = M.reshape(M.shape[-2:]) if M.ndim > 2 else M
    made = linear(walk, node.name, v, W[None, :] if W.ndim == 1 else W.T)
    return squeeze(node.name, made, [len(shape_of(made)) - 1]) if W.ndim == 1 else made


def _einsum(walk: Walk, node: Node, *factors: Any) -> Vector:
    check_product(node, *factors)
    return einsum(walk, node.name, str(node.options["equation"]), factors)


def _where(walk: Walk, node: Node, condition: Any, a: Any, b: Any) -> Vector:
    """Where a constant condition chooses: each value times 1 or 0."""
    if isinstance(condition, Vector):
        raise refuse_layer(node.name, "Where, a choice by a value that depends on the input, which is not continuous")
    mask = np.asarray(condition, dtype=bool)
    chosen = []
    for part, kept in ((a, mask), (b, ~mask)):
        is_vector = isinstance(part, Vector)
        chosen.append(scale(walk, node.name, part, kept) if is_vector else np.where(kept, np.asarray(part), 0))
    return _total(walk, node, *chosen)


def _batch_norm(walk: Walk, node: Node, x: Vector, weight: Any, bias: Any, mean: Any, variance: Any) -> Vector:
    if node.options.get("training_mode", 0):
        raise ModelError(f"layer {node.name} is a batch normalisation in training mode; export the model for inference")
    mean, variance = fixed(node, "mean", mean), fixed(node, "variance", variance)
    weight, bias = fixed(node, "scale", weight), fixed(node, "bias", bias)
    eps = float(node.options.get("epsilon", np.float32(BATCH_NORM_EPS)))
    return batch_norm(walk, node.name, x, mean, variance, weight, bias, eps)


def _relu(walk: Walk, node: Node, x: Vector) -> Vector:
    return gate(walk, node.name, x, 0.0)


def _leaky_relu(walk: Walk, node: Node, x: Vector) -> Vector:
    return gate(walk, node.name, x, float(node.options.get("alpha", np.float32(0.01))))


def _prelu(walk: Walk, node: Node, x: Any, slope: Any) -> Vector:
    if isinstance(slope, Vector):
        check_product(node, x, slope)
        raise refuse_layer(node.name, "PRelu with a slope that depends on the input")
    array = np.asarray(slope)
    if node.opset < 7 and array.ndim == 1 and array.size > 1:  # one slope for each channel
        array = array.reshape(-1, *[1] * (len(shape_of(x)) - 2))
    return gate(walk, node.name, x, array)


def _hard_sigmoid(walk: Walk, node: Node, x: Vector) -> Vector:
    slope, offset = float(node.options.get("alpha", np.float32(0.2))), float(node.options.get("beta", 0.5))
    return hard_sigmoid(walk, node.name, x, slope, offset)


def _thresholded_relu(walk: Walk, node: Node, x: Vector) -> Vector:
    alpha = float(node.options.get("alpha", 1.0))
    if alpha != 0:
        raise refuse_layer(node.name, f"ThresholdedRelu with a threshold of {alpha:g}, where it jumps")
    return _relu(walk, node, x)


def _shrink(walk: Walk, node: Node, x: Vector) -> Vector:
    """Soft shrinkage, `relu(x - l) - relu(-x - l)`; with another bias than l it jumps."""
    threshold, bias = float(node.options.get("lambd", 0.5)), float(node.options.get("bias", 0.0))
    if threshold != bias or threshold < 0:
        raise refuse_layer(node.name, f"Shrink with lambd {threshold:g} and bias {bias:g}, which jumps (it does not "
                           "where the two are equal)")  # fmt: skip
    return subtract(walk, node.name, x, clip(walk, node.name, x, -threshold, threshold))


def _reduced_axes(node: Node, x: Vector, axes: Any) -> list[int]:
    rank = len(shape_of(x))
    given = given_axes(node, axes, rank)
    if given or node.options.get("noop_with_empty_axes", 0):
        return given or []
    return list(range(rank))


def _reduce(sign: float) -> Callable[..., Vector]:
    def lower(walk: Walk, node: Node, x: Vector, axes: Any = None) -> Vector:
        along = _reduced_axes(node, x, axes)
        v = scale(walk, node.name, x, sign) if along else x
        v = top_along(walk, node.name, v, along, keep=bool(node.options.get("keepdims", 1))) if along else v
        return scale(walk, node.name, v, sign) if along else v

    return lower


def _reduce_sum(divide: bool, of: Callable[[Walk, str, Vector], Vector] | None = None) -> Callable[..., Vector]:
    def lower(walk: Walk, node: Node, x: Vector, axes: Any = None) -> Vector:
        along = _reduced_axes(node, x, axes)
        v = x if of is None else of(walk, node.name, x)
        keep = bool(node.options.get("keepdims", 1))
        return mean_along(walk, node.name, v, along, keep=keep, divide=divide) if along else v

    return lower


def _softmax(kind: Head) -> Callable[..., Vector]:
    def lower(walk: Walk, node: Node, x: Vector) -> Vector:
        rank = len(shape_of(x))
        if node.opset >= 13:
            return head_along(walk, node.name, x, kind, [node.options.get("axis", -1)])
        first = node.options.get("axis", 1) if rank > 1 else 0  # before version 13 the rest was flattened from `axis`
        return head_along(walk, node.name, x, kind, range(first % rank, rank))

    return lower


def _head(kind: Head) -> Callable[..., Vector]:
    return lambda walk, node, x: head(walk, node.name, x, kind)


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": _add, "Sub": _sub, "Mul": _mul, "Div": _div, "Pow": _pow, "Sum": _total, "Mean": _average,
    "Neg": lambda walk, node, x: scale(walk, node.name, x, -1.0),
    "Abs": lambda walk, node, x: absolute(walk, node.name, x),
    "Max": _maximum, "Min": _minimum, "Clip": _clip, "Where": _where,
    "Gemm": _gemm, "MatMul": _matmul, "Einsum": _einsum, "BatchNormalization": _batch_norm,
    "Relu": _relu, "LeakyRelu": _leaky_relu, "PRelu": _prelu, "HardSigmoid": _hard_sigmoid,
    "ThresholdedRelu": _thresholded_relu, "Shrink": _shrink,
    "ReduceMean": _reduce_sum(divide=True), "ReduceSum": _reduce_sum(divide=False),
    "ReduceL1": _reduce_sum(divide=False, of=absolute),
    "ReduceMax": _reduce(1.0), "ReduceMin": _reduce(-1.0),
    "Softmax": _softmax("softmax"), "LogSoftmax": _softmax("log_softmax"),
    "Sigmoid": _head("sigmoid"), "Tanh": _head("tanh"),
}  # fmt: skip
