"""ONNX operators on constants alone: the arithmetic of shapes, masks and weights, done once while reading."""

# ruff: noqa: ARG001, ARG005  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import Size
from relu_shallow.load.onnx_node import LEAST, MOST, NUMBER_TYPES, Node, counted, given_axes, one_axis, whole_numbers
from relu_shallow.load.onnx_shapes import gathered_nd, slices, split_sizes
from relu_shallow.load.walk import MOST_VALUES


def constant_size(node: Node, inputs: Sequence[Any]) -> int:
    """How many numbers an operation on constants makes of them, before it is done."""
    if node.op in SIZES:
        return int(SIZES[node.op](node, *inputs))
    arrays = [value for value in inputs if value is not None]
    if node.op in BROADCAST:
        return prod(np.broadcast_shapes(*(value.shape for value in arrays)))
    return max((value.size for value in arrays), default=0)


def _constant(node: Node) -> Any:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node.options:
            value = np.asarray(node.options[key])
            return value.astype(np.float32) if key.startswith("value_float") else value
    raise ModelError(f"layer {node.name} is a constant of a kind that is not read ({', '.join(node.options)})")


def _reshape(node: Node, x: Any, shape: Any = None) -> Any:
    target = np.asarray(node.options["shape"] if shape is None else shape).ravel()
    keep = not node.options.get("allowzero", 0)
    return np.reshape(x, [x.shape[axis] if size == 0 and keep else counted(node, size)
                          for axis, size in enumerate(target)])  # fmt: skip


def _unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    return np.expand_dims(x, tuple(whole_numbers(node, "axes", axes) or ()))


def _squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    given = whole_numbers(node, "axes", axes)
    return np.squeeze(x, None if given is None else tuple(given))


def _flatten(node: Node, x: Any) -> Any:
    axis = int(node.options.get("axis", 1))
    return x.reshape(prod(x.shape[:axis]), -1)


def _cast(node: Node, x: Any) -> Any:
    kind = np.dtype(NUMBER_TYPES[node.options["to"]])
    return x if _is_of_sizes(x) and kind.kind == "i" else x.astype(kind)


def _is_of_sizes(x: Any) -> bool:
    return x.dtype == object and any(isinstance(size, Size) for size in x.ravel())


def _div(node: Node, a: Any, b: Any) -> Any:
    whole = a.dtype.kind in "iu"
    return (np.trunc(a / b)).astype(a.dtype) if whole else a / b


def _mod(node: Node, a: Any, b: Any) -> Any:
    return np.fmod(a, b) if node.options.get("fmod", 0) else np.mod(a, b)


def _pow(node: Node, a: Any, b: Any) -> Any:
    return np.power(a.astype(np.float64), b).astype(a.dtype)


def _clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low = node.options.get("min", LEAST) if low is None else low
    high = node.options.get("max", MOST) if high is None else high
    return np.minimum(np.maximum(x, low), high).astype(x.dtype)


def _constant_of_shape(node: Node, shape: Any) -> Any:
    value = np.asarray(node.options.get("value", np.zeros(1, np.float32))).ravel()
    return np.full(_spread(node, shape), value[0])


def _range(node: Node, start: Any, limit: Any, step: Any) -> Any:
    return np.arange(start.item(), limit.item(), step.item(), dtype=start.dtype)


def _spread(node: Node, shape: Any) -> tuple[int, ...]:
    return tuple(counted(node, size) for size in np.ravel(shape))


def _expand(node: Node, x: Any, shape: Any) -> Any:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, _spread(node, shape))).copy()


def _tile(node: Node, x: Any, repeats: Any) -> Any:
    return np.tile(x, _spread(node, repeats))


def _slice(node: Node, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    cut = slices(node, x.ndim, starts, ends, axes, steps)
    return x[tuple(cut.get(axis, slice(None)) for axis in range(x.ndim))]


def _split(node: Node, x: Any, split: Any = None) -> tuple[Any, ...]:
    axis = one_axis(node, x.ndim, 0)
    ends = np.cumsum(split_sizes(node, x.shape[axis], split))
    return tuple(np.split(x, ends[:-1], axis))


def _gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    alpha, beta = np.float32(node.options.get("alpha", 1.0)), np.float32(node.options.get("beta", 1.0))
    a, b = (a.T if node.options.get("transA", 0) else a), (b.T if node.options.get("transB", 0) else b)
    return alpha * (a @ b) + (0 if c is None else beta * c)


def _reduce(of: Callable[..., Any]) -> Callable[..., Any]:
    def along(node: Node, x: Any, axes: Any = None) -> Any:
        given = given_axes(node, axes, x.ndim)
        if not given and node.options.get("noop_with_empty_axes", 0):
            return x
        return of(x, axis=tuple(given) if given else None, keepdims=bool(node.options.get("keepdims", 1)))

    return along


def _dequantize(node: Node, x: Any, step: Any, zero: Any = None) -> Any:
    """Whole numbers back to the real ones that they stand for, with one step for all or one for each along an axis."""
    if node.options.get("block_size", 0):
        raise ModelError(f"layer {node.name} is DequantizeLinear in blocks, which is not read; dequantise the weights "
                         "before the export")  # fmt: skip
    if step.ndim == 1:
        axis = one_axis(node, x.ndim, 1)
        along = [-1 if place == axis else 1 for place in range(x.ndim)]
        step, zero = step.reshape(along), None if zero is None else zero.reshape(along)
    whole = x.astype(np.int64) - (0 if zero is None else zero.astype(np.int64))
    return whole.astype(step.dtype) * step


def _elementwise(of: Callable[..., Any]) -> Callable[..., Any]:
    return lambda node, *inputs: of(*inputs)


def _reciprocal(x: Any) -> Any:
    return np.asarray(1, x.dtype) / x


def _total(*parts: Any) -> Any:
    return sum(parts[1:], parts[0])


BROADCAST = ("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Sum", "Mean", "Max", "Min", "Where", "Equal", "Less",
             "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or")  # fmt: skip
CONSTANT: dict[str, Callable[..., Any]] = {
    "Constant": _constant,
    "Identity": lambda node, x: x,
    "Cast": _cast,
    "CastLike": lambda node, x, like: x.astype(like.dtype),
    "Reshape": _reshape, "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Flatten": _flatten,
    "Transpose": lambda node, x: np.transpose(x, node.options.get("perm")),
    "Gather": lambda node, x, index: np.take(x, np.asarray(index), axis=node.options.get("axis", 0)),
    "GatherND": gathered_nd,
    "Concat": lambda node, *parts: np.concatenate(parts, axis=node.options.get("axis", 1)),
    "Slice": _slice, "Split": _split, "Expand": _expand, "Tile": _tile,
    "Shape": lambda node, x: np.array(x.shape[node.options.get("start", 0) : node.options.get("end")], np.int64),
    "Size": lambda node, x: np.array(x.size),
    "ConstantOfShape": _constant_of_shape, "Range": _range,
    "Add": lambda node, a, b: a + b, "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b, "Div": _div, "Pow": _pow, "Mod": _mod,
    "Sum": _elementwise(_total), "Mean": _elementwise(lambda *parts: _total(*parts) / np.float32(len(parts))),
    "Max": _elementwise(lambda *parts: np.max(np.broadcast_arrays(*parts), axis=0)),
    "Min": _elementwise(lambda *parts: np.min(np.broadcast_arrays(*parts), axis=0)),
    "Neg": _elementwise(np.negative), "Abs": _elementwise(np.abs), "Sqrt": _elementwise(np.sqrt),
    "Reciprocal": _elementwise(_reciprocal), "Exp": _elementwise(np.exp), "Log": _elementwise(np.log),
    "Floor": _elementwise(np.floor), "Ceil": _elementwise(np.ceil), "Round": _elementwise(np.round),
    "Sign": _elementwise(np.sign), "Not": _elementwise(np.logical_not), "Tanh": _elementwise(np.tanh),
    "Sigmoid": _elementwise(lambda x: _reciprocal(1 + np.exp(-x))),
    "Relu": _elementwise(lambda x: np.maximum(x, 0)), "Clip": _clip,
    "And": _elementwise(np.logical_and), "Or": _elementwise(np.logical_or),
    "Equal": _elementwise(lambda a, b: np.asarray(a == b, dtype=bool)),
    "Less": _elementwise(np.less), "Greater": _elementwise(np.greater),
    "LessOrEqual": _elementwise(np.less_equal), "GreaterOrEqual": _elementwise(np.greater_equal),
    "Where": _elementwise(np.where), "MatMul": _elementwise(np.matmul), "Gemm": _gemm,
    "ReduceSum": _reduce(np.sum), "ReduceMean": _reduce(np.mean), "ReduceProd": _reduce(np.prod),
    "ReduceMax": _reduce(np.max), "ReduceMin": _reduce(np.min),
    "DequantizeLinear": _dequantize,
}  # fmt: skip


def _size_of_gather(node: Node, data: Any, index: Any) -> int:
    return index.size * (data.size // max(data.shape[node.options.get("axis", 0)], 1))


def _size_of_gather_nd(node: Node, data: Any, index: Any) -> int:
    depth = index.shape[-1]
    return index.size // max(depth, 1) * prod(data.shape[depth:])


def _size_of_range(node: Node, start: Any, limit: Any, step: Any) -> int:
    size = ceil((limit.item() - start.item()) / step.item())
    if size > MOST_VALUES:
        raise ValueError(f"a range of {size} numbers")
    return max(size, 0)


def _size_of_product(node: Node, a: Any, b: Any, *rest: Any) -> int:
    """The products of a matrix product: what it makes, times what it sums over, so that neither is out of hand."""
    inner = a.shape[0 if node.options.get("transA", 0) and a.ndim > 1 else -1]
    return a.size // max(inner, 1) * b.size if a.size and b.size else 0


SIZES: dict[str, Callable[..., int]] = {
    "Gather": _size_of_gather, "GatherND": _size_of_gather_nd, "Range": _size_of_range,
    "Concat": lambda node, *parts: sum(part.size for part in parts),
    "ConstantOfShape": lambda node, shape: prod(_spread(node, shape)),
    "Expand": lambda node, x, shape: prod(np.broadcast_shapes(x.shape, _spread(node, shape))),
    "Tile": lambda node, x, repeats: x.size * prod(_spread(node, repeats)),
    "MatMul": _size_of_product, "Gemm": _size_of_product,
}  # fmt: skip
