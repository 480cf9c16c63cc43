"""Keras' layers that slide windows over tensors: convolution, pooling, padding, cropping, upsampling.

Keras keeps the channels last; the windows of windows.py take them first. Moving them there and back is a reordering,
which is multiplied into the matrices beside it.
"""

# ruff: noqa: ARG001  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import ModelError
from relu_shallow.load.joins import mean_along, top_along
from relu_shallow.load.keras_activations import activated
from relu_shallow.load.keras_config import Layer
from relu_shallow.load.keras_layers import Lowering, Weights, channels_first
from relu_shallow.load.operations import shift
from relu_shallow.load.shaping import permute
from relu_shallow.load.walk import Vector, Walk, make_room, refuse_layer, shape_of
from relu_shallow.load.windows import (
    average_pool,
    convolve,
    convolve_transposed,
    gathered,
    linear_weights,
    max_pool,
    pad,
    resize,
    same_pads,
)

Window = Callable[[Walk, str, Vector, Layer, Weights], Vector]


def _on_channels(lower: Window, axes: int) -> Lowering:
    """A layer over so many axes, applied to a tensor whose channels are moved first, and moved back."""

    def moved(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
        if len(shape_of(v)) != axes + 2:
            raise ModelError(f"layer {name} is a {layer.kind} of a tensor of shape {shape_of(v)}; expected the rows, "
                             f"{axes} axes and the channels")  # fmt: skip
        if channels_first(layer):
            return lower(walk, name, v, layer, weights)
        made = lower(walk, name, permute(walk, name, v, [0, axes + 1, *range(1, axes + 1)]), layer, weights)
        return permute(walk, name, made, [0, *range(2, axes + 2), 1])

    return moved


def _sizes(layer: Layer, key: str, axes: int, default: object = 1) -> list[int]:
    """An option that is one whole number for all axes, or one for each."""
    value = layer.option(key, default)
    listed = [value] * axes if isinstance(value, int) else list(value)
    if len(listed) != axes or not all(isinstance(size, int) and size > 0 for size in listed):
        raise ModelError(f"layer {layer.name} has {key} = {str(value)[:60]}; {axes} sizes above zero were expected")
    return listed


def _pads(
    layer: Layer, space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """How many zeros Keras (as TensorFlow) puts before and after each axis: the odd one after."""
    padding = layer.option("padding", "valid")
    if padding == "valid":
        return [(0, 0)] * len(space)
    if padding == "same":
        return same_pads(space, window, strides, dilations)
    if padding == "causal":
        return [((k - 1) * dilation, 0) for k, dilation in zip(window, dilations, strict=True)]
    raise ModelError(f"layer {layer.name} has padding = {str(padding)[:60]}; valid, same and causal are read")


def _convolved(
    walk: Walk, name: str, v: Vector, layer: Layer, kernel: Float[np.ndarray, "out in *window"], bias: object,
    groups: int,
) -> Vector:  # fmt: skip
    window, axes = kernel.shape[2:], kernel.ndim - 2
    strides, dilations = _sizes(layer, "strides", axes), _sizes(layer, "dilation_rate", axes)
    pads = _pads(layer, shape_of(v)[2:], window, strides, dilations)
    return convolve(walk, name, v, kernel, bias, strides, dilations, pads, groups)


def _convolution(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    kernel = np.moveaxis(weights["kernel"], (-1, -2), (0, 1))
    v = _convolved(walk, name, v, layer, kernel, weights.get("bias"), int(layer.option("groups", 1)))
    return activated(walk, v, layer, layer.option("activation"))


def _per_channel(kernel: Float[np.ndarray, "*window in multiplier"]) -> Float[np.ndarray, "out 1 *window"]:
    """A depthwise kernel as that of a convolution with a group for each channel."""
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    return moved.reshape(-1, 1, *moved.shape[2:])


def _depthwise(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    kernel = weights["depthwise_kernel"]
    v = _convolved(walk, name, v, layer, _per_channel(kernel), weights.get("bias"), kernel.shape[-2])
    return activated(walk, v, layer, layer.option("activation"))


def _separable(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    kernel, points = weights["depthwise_kernel"], np.moveaxis(weights["pointwise_kernel"], (-1, -2), (0, 1))
    v = _convolved(walk, name, v, layer, _per_channel(kernel), None, kernel.shape[-2])
    ones = [1] * (points.ndim - 2)
    v = convolve(walk, name, v, points, weights.get("bias"), ones, ones, [(0, 0)] * len(ones))
    return activated(walk, v, layer, layer.option("activation"))


def _transposed(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    """The whole transposed convolution, of which "same" keeps the middle; where strides outrun it, zeros follow."""
    kernel = np.moveaxis(weights["kernel"], (-1, -2), (0, 1))
    axes = kernel.ndim - 2
    strides, dilations = _sizes(layer, "strides", axes), _sizes(layer, "dilation_rate", axes)
    if layer.options.get("output_padding") is not None:
        raise refuse_layer(name, f"a {layer.kind} with output_padding")
    if layer.option("groups", 1) != 1:
        raise refuse_layer(name, f"a {layer.kind} in groups")
    space = shape_of(v)[2:]
    v = convolve_transposed(walk, name, v, kernel, None, strides, dilations, [(0, 0)] * axes, [0] * axes)
    pads = [(0, 0)]
    for size, full, k, stride, dilation in zip(space, shape_of(v)[2:], kernel.shape[2:], strides, dilations,
                                               strict=True):  # fmt: skip
        reach = (k - 1) * dilation + 1
        surplus = max(reach - stride, 0)
        before = surplus // 2 if layer.option("padding", "valid") == "same" else 0
        wanted = size * stride + (0 if layer.option("padding", "valid") == "same" else surplus)
        pads.append((-before, wanted - (full - before)))
    v = pad(walk, name, v, [(0, 0), *pads])
    if "bias" in weights:
        v = shift(walk, name, v, weights["bias"].reshape(-1, *[1] * axes))
    return activated(walk, v, layer, layer.option("activation"))


def _pool(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    space = shape_of(v)[2:]
    axes, ones = len(space), [1] * len(space)
    window = _sizes(layer, "pool_size", axes, 2)
    strides = _sizes(layer, "strides", axes, window)
    make_room(walk, name, prod(window))
    pads = _pads(layer, space, window, strides, ones)
    if layer.kind.startswith("Max"):
        return max_pool(walk, name, v, window, strides, ones, pads)
    return average_pool(walk, name, v, window, strides, pads, count_pads=False)


def _global_pool(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    axes = range(2, len(shape_of(v))) if channels_first(layer) else range(1, len(shape_of(v)) - 1)
    along = top_along if layer.kind.startswith("GlobalMax") else mean_along
    return along(walk, name, v, list(axes), keep=bool(layer.option("keepdims", False)))


def _pairs(layer: Layer, key: str, axes: int) -> list[tuple[int, int]]:
    """What is put before and after each axis: one number, one for each axis, or two for each."""
    value = layer.option(key, 1)
    listed = [value] * axes if isinstance(value, int) else list(value)
    if axes == 1 and len(listed) == 2:
        listed = [listed]
    pairs = [(each, each) if isinstance(each, int) else tuple(each) for each in listed]
    whole = all(len(pair) == 2 and all(isinstance(one, int) and one >= 0 for one in pair) for pair in pairs)
    if len(pairs) != axes or not whole:
        raise ModelError(f"layer {layer.name} has {key} = {str(value)[:60]}; two sizes for each of {axes} axes were "
                         "expected")  # fmt: skip
    return [(int(before), int(after)) for before, after in pairs]


def _zeros(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    return pad(walk, name, v, [(0, 0), (0, 0), *_pairs(layer, "padding", len(shape_of(v)) - 2)])


def _cropped(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    space = shape_of(v)[2:]
    cuts = _pairs(layer, "cropping", len(space))
    if any(before + after >= size for size, (before, after) in zip(space, cuts, strict=True)):
        raise ModelError(f"layer {name} cuts {cuts} off a tensor of shape {shape_of(v)}, and nothing is left")
    return pad(walk, name, v, [(0, 0), (0, 0), *((-before, -after) for before, after in cuts)])


def _upsampled(walk: Walk, name: str, v: Vector, layer: Layer, weights: Weights) -> Vector:
    shape = shape_of(v)
    times = _sizes(layer, "size", len(shape) - 2, 2)
    make_room(walk, name, prod(shape) * prod(times) * 4)
    kind = layer.option("interpolation", "nearest")
    if kind == "bilinear":
        make_room(walk, name, sum(size * size * k for size, k in zip(shape[2:], times, strict=True)))
        return resize(walk, name, v, [
            linear_weights((np.arange(size * k) + 0.5) / k - 0.5, size)
            for size, k in zip(shape[2:], times, strict=True)
        ])
    if kind != "nearest":
        raise refuse_layer(name, f"an {layer.kind} by {str(kind)[:60]} interpolation")
    index = np.arange(prod(shape)).reshape(shape)
    for axis, k in enumerate(times, start=2):
        index = index.repeat(k, axis=axis)
    return gathered(walk, name, v, index)


WINDOWS: dict[str, tuple[Window, Sequence[int]]] = {
    "Conv{}D": (_convolution, (1, 2, 3)),
    "Conv{}DTranspose": (_transposed, (1, 2, 3)),
    "DepthwiseConv{}D": (_depthwise, (1, 2)),
    "SeparableConv{}D": (_separable, (1, 2)),
    "MaxPooling{}D": (_pool, (1, 2, 3)),
    "AveragePooling{}D": (_pool, (1, 2, 3)),
    "ZeroPadding{}D": (_zeros, (1, 2, 3)),
    "Cropping{}D": (_cropped, (1, 2, 3)),
    "UpSampling{}D": (_upsampled, (1, 2, 3)),
}
WINDOW_LAYERS: dict[str, Lowering] = {
    **{kind.format(axes): _on_channels(lower, axes) for kind, (lower, over) in WINDOWS.items() for axes in over},
    **{f"Global{kind}Pooling{axes}D": _global_pool for kind in ("Max", "Average") for axes in (1, 2, 3)},
}
