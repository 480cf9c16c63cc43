"""ONNX operators that slide windows over tensors, pad them or change their size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.joins import mean_along, top_along
from relu_shallow.load.onnx_node import (
    Node,
    check_product,
    fixed,
    given_axes,
    in_pairs,
    whole_numbers,
    window_options,
)
from relu_shallow.load.walk import Vector, Walk, refuse_layer, shape_of
from relu_shallow.load.windows import (
    Pads,
    average_pool,
    convolve,
    convolve_transposed,
    in_halves,
    max_pool,
    pad,
    same_pads,
)


def _conv(walk: Walk, node: Node, x: Any, kernel: Any, bias: Any = None) -> Vector:
    kernel = _kernel(node, x, kernel)
    strides, dilations = window_options(node, kernel.ndim - 2)
    pads = _pads(node, shape_of(x)[2:], kernel.shape[2:], strides, dilations)
    return convolve(walk, node.name, x, kernel, bias, strides, dilations, pads, int(node.options.get("group", 1)))


def _kernel(node: Node, x: Any, kernel: Any) -> np.ndarray:
    if isinstance(kernel, Vector) or not isinstance(x, Vector):
        check_product(node, x, kernel)
        raise refuse_layer(node.name, f"{node.op} with a kernel or bias that depends on the input")
    return np.asarray(kernel)


def _pads(
    node: Node, space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """Zeros before and after each axis."""
    kind = node.options.get("auto_pad", "NOTSET")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        return same_pads(space, window, strides, dilations, larger_last=kind == "SAME_UPPER")
    given = node.options.get("pads") if kind in ("NOTSET", "") else None
    return in_pairs(given or [0] * 2 * len(space), len(space))


def _conv_transposed(walk: Walk, node: Node, x: Any, kernel: Any, bias: Any = None) -> Vector:
    kernel = _kernel(node, x, kernel)
    space, window = shape_of(x)[2:], kernel.shape[2:]
    strides, dilations = window_options(node, len(window))
    more = list(node.options.get("output_padding") or [0] * len(window))
    pads = _transposed_pads(node, space, window, strides, dilations, more)
    return convolve_transposed(walk, node.name, x, kernel, bias, strides, dilations, pads, more,
                               int(node.options.get("group", 1)))  # fmt: skip


def _transposed_pads(
    node: Node, space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    more: Sequence[int],
) -> Pads:  # fmt: skip
    """What is cut off before and after each axis: as given, or such that the output has the size that is asked for."""
    kind, out = node.options.get("auto_pad", "NOTSET"), node.options.get("output_shape")
    if out is None and kind not in ("SAME_UPPER", "SAME_LOWER"):
        return _pads(node, space, window, strides, dilations)
    wanted = [size * stride for size, stride in zip(space, strides, strict=True)] if out is None else out[-len(space) :]
    pads = []
    for size, k, stride, dilation, extra, want in zip(space, window, strides, dilations, more, wanted, strict=True):
        total = stride * (size - 1) + extra + (k - 1) * dilation + 1 - want
        if total < 0:
            raise ValueError(f"an output of {list(wanted)} is larger than what {list(space)} values are spread to")
        pads.append(in_halves(total, larger_last=kind == "SAME_UPPER"))
    return pads


def _pooled(node: Node, x: Vector) -> tuple[list[int], list[int], list[int], Pads, bool]:
    """(window, strides, dilations, pads, whether a last window may lie half outside)."""
    window = [int(size) for size in node.options["kernel_shape"]]
    space = shape_of(x)[2:]
    if len(window) != len(space):
        raise ValueError(f"windows over {len(window)} axes of a tensor of shape {shape_of(x)}, which has {len(space)} "
                         "after its rows and channels")  # fmt: skip
    strides, dilations = window_options(node, len(window))
    pads = _pads(node, space, window, strides, dilations)
    return window, strides, dilations, pads, bool(node.options.get("ceil_mode", 0))


def _average_pool(walk: Walk, node: Node, x: Vector) -> Vector:
    window, strides, dilations, pads, ceil = _pooled(node, x)
    counted = bool(node.options.get("count_include_pad", 0))
    same = node.options.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    if same and (max(dilations) > 1 or any(step > size for step, size in zip(strides, window, strict=True))):
        raise refuse_layer(node.name, "AveragePool padded to the same size (auto_pad) with dilations, or with steps "
                           "wider than its window: runtimes differ there; give pads")  # fmt: skip
    return average_pool(walk, node.name, x, window, strides, pads, ceil=ceil, count_pads=counted, dilations=dilations)


def _max_pool(walk: Walk, node: Node, x: Vector) -> Vector:
    window, strides, dilations, pads, ceil = _pooled(node, x)
    return max_pool(walk, node.name, x, window, strides, dilations, pads, ceil=ceil)


def _space(x: Vector) -> range:
    if len(shape_of(x)) < 3:
        raise ValueError(f"a tensor of shape {shape_of(x)} has no axes after its channels")
    return range(2, len(shape_of(x)))


def _global_average(walk: Walk, node: Node, x: Vector) -> Vector:
    return mean_along(walk, node.name, x, _space(x), keep=True)


def _global_max(walk: Walk, node: Node, x: Vector) -> Vector:
    return top_along(walk, node.name, x, _space(x), keep=True)


def _pad(walk: Walk, node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Vector:
    shape = shape_of(x)
    along = given_axes(node, axes, len(shape))
    along = list(range(len(shape))) if along is None else along
    given = whole_numbers(node, "pads", pads) or whole_numbers(node, "paddings") or []
    grown = dict(zip(along, in_pairs(given, len(along)), strict=True))
    every = [grown.get(axis, (0, 0)) for axis in range(len(shape))]
    mode = str(node.options.get("mode", "constant"))
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise ModelError(f"layer {node.name} is Pad of the mode {mode}; read are constant, edge, reflect and wrap")
    if mode == "reflect" and any(max(more) >= size for more, size in zip(every, shape, strict=True)):
        raise ValueError(f"{every} values are reflected from a tensor of shape {shape}")
    constant = node.options.get("value", 0.0) if value is None else fixed(node, "value", value).ravel()
    return pad(walk, node.name, x, every, float(np.ravel(constant)[0]) if np.size(constant) else 0.0, mode)


WINDOWS: dict[str, Callable[..., Any]] = {
    "Conv": _conv, "ConvTranspose": _conv_transposed, "AveragePool": _average_pool, "MaxPool": _max_pool,
    "GlobalAveragePool": _global_average, "GlobalMaxPool": _global_max, "Pad": _pad,
}  # fmt: skip
