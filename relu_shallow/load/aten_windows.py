"""PyTorch's convolutions, pooling, padding, upsampling and shuffles, with PyTorch's own arguments.

The same functions serve the operations by name (aten.py) and the layers (layers.py).
"""

# ruff: noqa: ARG001  (every operation has PyTorch's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, prod
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import mixes_rows
from relu_shallow.load.operations import BATCH_NORM_EPS, batch_norm
from relu_shallow.load.walk import Vector, Walk, make_room, refuse_layer, refuse_product, replace_in_place, shape_of
from relu_shallow.load.windows import (
    adaptive_pool,
    average_pool,
    convolve,
    convolve_transposed,
    gathered,
    linear_weights,
    max_pool,
    pad,
    resize,
)

Operation = Callable[..., Any]
MODES = {"zeros": "constant", "constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
SMOOTH = {"linear": 1, "bilinear": 2, "trilinear": 3}  # upsampling by linear interpolation, and over how many axes


class Unusable:
    """A second result that is no piecewise-linear function of the input, such as the places of largest values."""

    def __init__(self, what: str) -> None:
        self.what = what


INDICES = Unusable("the places (indices) of the largest or smallest values")


def per_axis(value: Any, n: int, default: Any = 1) -> list[int]:
    """One number for each of n axes, where PyTorch takes one for all of them, one each, or none."""
    listed = list(value) if isinstance(value, (list, tuple)) else [value]
    listed = [default] if listed in ([], [None]) else listed
    listed = listed * n if len(listed) == 1 else listed
    if len(listed) != n:
        raise ValueError(f"{len(listed)} numbers for {n} axes")
    return [int(entry) for entry in listed]


def numbers_only(name: str, what: str, *values: Any) -> None:
    """Raises ModelError where a weight depends on the input."""
    if any(isinstance(value, Vector) for value in values):
        raise refuse_product(name, what)


def both_sides(padding: Any, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> list[Any]:
    """What is put before and after each axis, where PyTorch says how much, or 'same', or 'valid'."""
    if padding == "valid":
        return [(0, 0) for _ in window]
    if padding == "same":
        if max(strides) > 1:
            raise ValueError("padding='same' with a stride")
        whole = [d * (k - 1) for k, d in zip(window, dilations, strict=True)]
        return [(size // 2, size - size // 2) for size in whole]
    return [(p, p) for p in per_axis(padding, len(window), 0)]


def convolution(
    walk: Walk, name: str, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: Any = 1, mode: str = "zeros",
) -> Vector:  # fmt: skip
    """conv1d, conv2d or conv3d, after padding of one of PyTorch's modes."""
    _tensor(name, "a convolution", x, weight, bias)
    n = np.ndim(weight) - 2
    strides, dilations = per_axis(stride, n), per_axis(dilation, n)
    pads = both_sides(padding, np.shape(weight)[2:], strides, dilations)
    if MODES[mode] != "constant":
        x = pad(walk, name, x, [(0, 0)] * (len(shape_of(x)) - n) + pads, 0.0, MODES[mode])
        pads = [(0, 0)] * n
    return convolve(walk, name, x, weight, bias, strides, dilations, pads, int(groups))


def transposed(
    walk: Walk, name: str, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: Any = 1, dilation: Any = 1,
) -> Vector:  # fmt: skip
    """conv_transpose1d, 2d or 3d."""
    _tensor(name, "a convolution", x, weight, bias)
    n = np.ndim(weight) - 2
    pads = [(p, p) for p in per_axis(padding, n, 0)]
    return convolve_transposed(walk, name, x, weight, bias, per_axis(stride, n), per_axis(dilation, n), pads,
                               per_axis(output_padding, n, 0), int(groups))  # fmt: skip


def _either(
    walk: Walk, name: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transpose: Any,
    output_padding: Any, groups: Any, *_: Any,
) -> Vector:  # fmt: skip
    if transpose:
        return transposed(walk, name, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return convolution(walk, name, x, weight, bias, stride, padding, dilation, groups)


def _tensor(name: str, what: str, x: Any, *weights: Any) -> None:
    numbers_only(name, what, *weights)
    if not isinstance(x, Vector):
        raise ValueError("what it slides over does not depend on the input")


def average(n: int) -> Operation:
    """avg_pool1d, 2d or 3d."""

    def lower(
        walk: Walk, name: str, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: Any = False,
        count_include_pad: Any = True, divisor_override: Any = None,
    ) -> Vector:  # fmt: skip
        window = per_axis(kernel_size, n, None)
        strides = window if stride in (None, [], ()) else per_axis(stride, n)
        pads = [(p, p) for p in per_axis(padding, n, 0)]
        return average_pool(walk, name, x, window, strides, pads, ceil=bool(ceil_mode),
                            count_pads=bool(count_include_pad), divisor=divisor_override)  # fmt: skip

    return lower


def largest(n: int, *, places: bool = False) -> Operation:
    """max_pool1d, 2d or 3d, alone or beside the places of the largest values."""

    def lower(
        walk: Walk, name: str, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: Any = False, return_indices: Any = False,
    ) -> Any:  # fmt: skip
        window = per_axis(kernel_size, n, None)
        strides = window if stride in (None, [], ()) else per_axis(stride, n)
        pads = [(p, p) for p in per_axis(padding, n, 0)]
        found = max_pool(walk, name, x, window, strides, per_axis(dilation, n), pads, ceil=bool(ceil_mode))
        return (found, INDICES) if places or return_indices else found

    return lower


def adaptive(n: int, *, top: bool = False, places: bool = False) -> Operation:
    """adaptive_avg_pool or adaptive_max_pool over n axes, the latter alone or beside the places."""

    def lower(walk: Walk, name: str, x: Any, output_size: Any, return_indices: Any = False) -> Any:
        listed = list(output_size) if isinstance(output_size, (list, tuple)) else [output_size] * n
        listed = listed * n if len(listed) == 1 else listed
        if len(listed) != n:
            raise ValueError(f"{len(listed)} sizes for {n} axes")
        found = adaptive_pool(walk, name, x, listed, largest=top)
        return (found, INDICES) if places or return_indices else found

    return lower


def padded(walk: Walk, name: str, x: Any, padding: Any, mode: str = "constant", value: Any = None) -> Vector:
    """torch.nn.functional.pad: (before, after) of the last axis first."""
    amounts = [int(amount) for amount in padding]
    rank = len(shape_of(x))
    if len(amounts) % 2 or len(amounts) > 2 * rank:
        raise ValueError(f"{len(amounts)} amounts of padding for {rank} axes")
    if MODES[mode] != "constant" and min(amounts, default=0) < 0:
        raise ValueError(f"negative padding in the mode {mode}")
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))[::-1]
    pads = [(0, 0)] * (rank - len(pairs)) + pairs
    short = [size for size, most in zip(shape_of(x), pads, strict=True) if max(most) > size - (mode == "reflect")]
    if MODES[mode] != "constant" and mode != "replicate" and short:
        raise ValueError(f"padding of {amounts} in the mode {mode} is more than there is")
    return pad(walk, name, x, pads, float(value or 0.0), MODES[mode])


def _padded_as(mode: str) -> Operation:
    return lambda walk, name, x, padding, value=None: padded(walk, name, x, padding, mode, value)


def upsampled(
    walk: Walk, name: str, x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None, antialias: Any = False,
) -> Vector:  # fmt: skip
    """torch.nn.functional.interpolate by the nearest value or linearly."""
    shape = shape_of(x)
    n = len(shape) - 2
    if x.batch not in (0, None) or n < 1 or shape[0] != 1:
        raise ValueError(f"a tensor of shape {shape} cannot be upsampled")
    if antialias or (mode not in ("nearest", "nearest-exact") and SMOOTH.get(mode) != n):
        raise refuse_layer(name, f"upsampling of {n} axes in the mode {mode}{' with antialias' if antialias else ''}")
    given = [None] * n if scale_factor is None else _scales(scale_factor, n)
    if size is None:
        sizes = [floor(float(length * factor)) for length, factor in zip(shape[2:], given, strict=True)]
    else:
        sizes = per_axis(size, n)
    factors = [None] * n if recompute_scale_factor else given
    pairs = zip(shape[2:], sizes, factors, strict=True)
    if min(sizes) < 1:
        raise ValueError(f"it would be resized to {sizes}")
    make_room(walk, name, sum(a * b for a, b in zip(shape[2:], sizes, strict=True)) + prod(sizes) * shape[1])
    if mode in SMOOTH:
        weights = [_linear_weights(*pair, align=bool(align_corners)) for pair in pairs]
    else:
        weights = [_nearest_weights(*pair, exact=mode != "nearest") for pair in pairs]
    return resize(walk, name, x, weights)


def _scales(scale_factor: Any, n: int) -> list[Any]:
    listed = list(scale_factor) if isinstance(scale_factor, (list, tuple)) else [scale_factor] * n
    return listed * n if len(listed) == 1 else listed


def _nearest_weights(size: int, out: int, factor: float | None, *, exact: bool) -> Float[np.ndarray, "out size"]:
    """The 0/1 matrix of nearest upsampling along an axis, places computed in float32 as PyTorch does."""
    scale = np.float32(1.0 / factor) if factor else np.float32(size) / np.float32(out)
    place = np.arange(out, dtype=np.float32) + np.float32(0.5 if exact else 0.0)
    source = np.minimum(np.floor(place * scale).astype(np.int64), size - 1)
    return np.eye(size)[source]


def _linear_weights(size: int, out: int, factor: float | None, *, align: bool) -> Float[np.ndarray, "out size"]:
    """The matrix of linear upsampling along an axis."""
    if align:
        return linear_weights(np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0), size)
    return linear_weights((np.arange(out) + 0.5) * (1.0 / factor if factor else size / out) - 0.5, size)


def _resized(mode: str, *, aligns: bool) -> Operation:
    """upsample_nearest2d and its like: sizes, perhaps align_corners, then scale factors together or one by one."""

    def lower(walk: Walk, name: str, x: Any, output_size: Any = None, *rest: Any, align_corners: Any = False,
              scale_factors: Any = None) -> Vector:  # fmt: skip
        if aligns and rest:
            align_corners, *rest = rest  # type: ignore[assignment]
        given = scale_factors if scale_factors is not None else rest[0] if len(rest) == 1 else list(rest)
        listed = given if isinstance(given, (list, tuple)) else [given]
        factors = None if not listed or None in listed else list(listed)
        return upsampled(walk, name, x, output_size, factors, mode, align_corners)

    return lower


def rearranged(walk: Walk, name: str, v: Vector, index: np.ndarray, batch: int | None) -> Vector:
    """The values at the given places, in the places' shape, with the batch axis where it is said to be."""
    found = gathered(walk, name, v, index)
    return Vector(found.place, found.shape, batch)


def places_of(v: Vector) -> np.ndarray:
    """The place of every value of a tensor, in its shape."""
    shape = shape_of(v)
    return np.arange(prod(shape)).reshape(shape)


def pixel_shuffle(walk: Walk, name: str, x: Any, upscale_factor: Any) -> Vector:
    """Channels spread over space: (..., C r r, H, W) to (..., C, H r, W r)."""
    r, (*lead, channels, height, width) = int(upscale_factor), _image(x)
    index = places_of(x).reshape(-1, channels // (r * r), r, r, height, width).transpose(0, 1, 4, 2, 5, 3)
    return rearranged(walk, name, x, index.reshape(*lead, channels // (r * r), height * r, width * r), x.batch)


def pixel_unshuffle(walk: Walk, name: str, x: Any, downscale_factor: Any) -> Vector:
    """Space gathered in channels: (..., C, H r, W r) to (..., C r r, H, W)."""
    r, (*lead, channels, height, width) = int(downscale_factor), _image(x)
    index = places_of(x).reshape(-1, channels, height // r, r, width // r, r).transpose(0, 1, 3, 5, 2, 4)
    return rearranged(walk, name, x, index.reshape(*lead, channels * r * r, height // r, width // r), x.batch)


def _image(v: Vector) -> tuple[int, ...]:
    shape = shape_of(v)
    if len(shape) < 3 or (v.batch is not None and v.batch >= len(shape) - 3):
        raise ValueError(f"a tensor of shape {shape} is not an image")
    return shape


def channel_shuffle(walk: Walk, name: str, x: Any, groups: Any) -> Vector:
    """Channels of each group in turn."""
    shape = shape_of(x)
    if len(shape) < 3 or x.batch == 1:
        raise ValueError(f"a tensor of shape {shape} has no channels to shuffle")
    index = places_of(x).reshape(shape[0], int(groups), shape[1] // int(groups), *shape[2:]).swapaxes(1, 2)
    return rearranged(walk, name, x, index.reshape(shape), x.batch)


def instance_norm(
    walk: Walk, name: str, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
    use_input_stats: Any = True, momentum: Any = 0.1, eps: Any = BATCH_NORM_EPS, cudnn_enabled: Any = None,
) -> Vector:  # fmt: skip
    """Instance normalisation by running statistics; by the row's own it is not affine, and refused."""
    if use_input_stats or running_mean is None or running_var is None:
        raise refuse_layer(name, "an instance normalisation by the row's own mean and variance")
    if x.batch not in (0, None) or len(shape_of(x)) < 3:
        raise mixes_rows(name, f"normalises a tensor of shape {x.shape} whose rows it takes for channels")
    return batch_norm(walk, name, x, running_mean, running_var, weight, bias, float(eps))


def put(walk: Walk, name: str, old: Vector, new: Vector, inplace: Any) -> Vector:
    """The result, noted as taking the place of the argument where the operation was told to work in place."""
    if inplace:
        replace_in_place(walk, name, old, new)
    return new


def _no_feature_mixing(walk: Walk, name: str, *_: Any, **__: Any) -> Vector:
    raise ModelError(f"layer {name} pools windows that are drawn at random, so that its output is no function of a row")


WINDOWS: dict[str, Operation] = {
    "convolution": _either, "_convolution": _either,
    "_convolution_mode": convolution, "conv1d": convolution, "conv2d": convolution, "conv3d": convolution,
    **{f"conv_transpose{n}d": transposed for n in (1, 2, 3)},
    **{f"avg_pool{n}d": average(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": largest(n) for n in (1, 2, 3)}, "mkldnn_max_pool2d": largest(2),
    **{f"max_pool{n}d_with_indices": largest(n, places=True) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": adaptive(n) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": adaptive(n) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": adaptive(n, top=True, places=True) for n in (1, 2, 3)},
    **{f"fractional_max_pool{n}d": _no_feature_mixing for n in (2, 3)},
    "pad": lambda walk, name, x, pad, mode="constant", value=None: padded(walk, name, x, pad, mode, value),
    "constant_pad_nd": lambda walk, name, x, pad, value=0: padded(walk, name, x, pad, "constant", value),
    **{f"reflection_pad{n}d": _padded_as("reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": _padded_as("replicate") for n in (1, 2, 3)}, "_pad_circular": _padded_as("circular"),
    **{f"upsample_nearest{n}d": _resized("nearest", aligns=False) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _resized("nearest-exact", aligns=False) for n in (1, 2, 3)},
    **{f"upsample_{mode}{n}d": _resized(mode, aligns=True) for mode, n in SMOOTH.items()},
    "pixel_shuffle": pixel_shuffle, "pixel_unshuffle": pixel_unshuffle, "channel_shuffle": channel_shuffle,
    "native_channel_shuffle": channel_shuffle, "instance_norm": instance_norm,
}  # fmt: skip

# torch.nn.functional's own, where they differ from the operation of the same name
FUNCTIONAL_WINDOWS: dict[str, Operation] = {
    "interpolate": upsampled, "upsample": upsampled,
    **{f"adaptive_max_pool{n}d": adaptive(n, top=True) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d_with_indices": adaptive(n, top=True, places=True) for n in (1, 2, 3)},
    "instance_norm": lambda walk, name, x, running_mean=None, running_var=None, weight=None, bias=None,
    use_input_stats=True, momentum=0.1, eps=BATCH_NORM_EPS: instance_norm(
        walk, name, x, weight, bias, running_mean, running_var, use_input_stats, momentum, eps),
}  # fmt: skip
