"""PyTorch's piecewise-linear operations and reductions: clamps, largest and smallest, means and sums."""

# ruff: noqa: ARG001  (every operation has PyTorch's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from relu_shallow.load.aten_constants import check_float
from relu_shallow.load.aten_moves import axes_of
from relu_shallow.load.aten_windows import INDICES, put
from relu_shallow.load.joins import (
    absolute,
    clip,
    hard_sigmoid,
    maximum,
    mean_along,
    minimum,
    subtract,
    top_along,
)
from relu_shallow.load.operations import by_channel, gate, scale, spread
from relu_shallow.load.walk import Vector, Walk, known, refuse_layer

Operation = Callable[..., Any]
RRELU = (1 / 8, 1 / 3)  # PyTorch's bounds on the slope of RReLU where none are given


def relu(walk: Walk, name: str, x: Any, inplace: Any = False) -> Vector:
    """max(x, 0)."""
    return put(walk, name, x, gate(walk, name, x, 0.0), inplace)


def leaky_relu(walk: Walk, name: str, x: Any, negative_slope: Any = 0.01, inplace: Any = False) -> Vector:
    """x above zero and a fraction of it below."""
    return put(walk, name, x, gate(walk, name, x, float(negative_slope)), inplace)


def prelu(walk: Walk, name: str, x: Any, weight: Any) -> Vector:
    """Leaky ReLU with a slope for each channel."""
    if isinstance(weight, Vector):
        raise refuse_layer(name, "a PReLU whose slopes depend on the input")
    return gate(walk, name, x, by_channel(x, weight))


def rrelu(
    walk: Walk, name: str, x: Any, lower: Any = RRELU[0], upper: Any = RRELU[1], training: Any = False,
    inplace: Any = False, generator: Any = None,
) -> Vector:  # fmt: skip
    """RReLU as in evaluation: the mean of its bounds is the slope."""
    if training:
        raise refuse_layer(name, "an RReLU in training mode, whose slopes are drawn at random")
    return leaky_relu(walk, name, x, (float(lower) + float(upper)) / 2, inplace)


def clamp(walk: Walk, name: str, x: Any, min: Any = None, max: Any = None) -> Vector:  # noqa: A002
    """Between two bounds, each a constant, a tensor, or none."""
    if not isinstance(min, Vector) and not isinstance(max, Vector) and isinstance(x, Vector):
        shaped = next((bound for bound in (min, max) if np.ndim(bound)), None)
        v = x if shaped is None else _like(walk, name, x, np.shape(shaped))
        return clip(walk, name, v, min, max)
    v = x if min is None else larger(walk, name, x, min)
    return v if max is None else smaller(walk, name, v, max)


def _like(walk: Walk, name: str, v: Vector, shape: tuple[int, ...]) -> Vector:
    """v spread to the shape that a constant gives it."""
    return spread(walk, name, known(walk, v, shape[-1]) if v.shape is None else v, shape)


def larger(walk: Walk, name: str, a: Any, b: Any) -> Vector:
    """The larger of two values, one of which may be a constant."""
    if isinstance(a, Vector) and isinstance(b, Vector):
        return maximum(walk, name, a, b)
    v, bound = (a, b) if isinstance(a, Vector) else (b, a)
    return clip(walk, name, _like(walk, name, v, np.shape(bound)) if np.ndim(bound) else v, bound, None)


def smaller(walk: Walk, name: str, a: Any, b: Any) -> Vector:
    """The smaller of two values, one of which may be a constant."""
    if isinstance(a, Vector) and isinstance(b, Vector):
        return minimum(walk, name, a, b)
    v, bound = (a, b) if isinstance(a, Vector) else (b, a)
    return clip(walk, name, _like(walk, name, v, np.shape(bound)) if np.ndim(bound) else v, None, bound)


def hardtanh(walk: Walk, name: str, x: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: Any = False) -> Vector:
    """Between two numbers."""
    if float(min_val) > float(max_val):
        raise ValueError(f"the bounds {min_val} and {max_val}")
    return put(walk, name, x, clip(walk, name, x, float(min_val), float(max_val)), inplace)


def relu6(walk: Walk, name: str, x: Any, inplace: Any = False) -> Vector:
    """Between 0 and 6."""
    return hardtanh(walk, name, x, 0.0, 6.0, inplace)


def hardsigmoid(walk: Walk, name: str, x: Any, inplace: Any = False) -> Vector:
    """x / 6 + 1/2 between 0 and 1."""
    return put(walk, name, x, hard_sigmoid(walk, name, x, 1 / 6, 0.5), inplace)


def threshold(walk: Walk, name: str, x: Any, threshold: Any, value: Any, inplace: Any = False) -> Vector:
    """x above a threshold and a value elsewhere, where that does not jump."""
    if float(threshold) != float(value):
        raise refuse_layer(name, f"a threshold at {threshold} with the value {value}, which jumps")
    return put(walk, name, x, clip(walk, name, x, float(value), None), inplace)


def softshrink(walk: Walk, name: str, x: Any, lambd: Any = 0.5) -> Vector:
    """x without its part between -lambda and lambda."""
    return subtract(walk, name, x, clip(walk, name, x, -float(lambd), float(lambd)))


def _absolute(walk: Walk, name: str, x: Any) -> Vector:
    return absolute(walk, name, x)


def _amax(walk: Walk, name: str, x: Any, dim: Any = (), keepdim: Any = False) -> Vector:
    return top_along(walk, name, x, axes_of(x, dim), keep=bool(keepdim))


def _amin(walk: Walk, name: str, x: Any, dim: Any = (), keepdim: Any = False) -> Vector:
    flipped = top_along(walk, name, scale(walk, name, x, -1.0), axes_of(x, dim), keep=bool(keepdim))
    return scale(walk, name, flipped, -1.0)


def _extreme(along: Operation, of_two: Operation) -> Operation:
    """torch.max and torch.min: of a tensor, along an axis (with the places), or of two tensors."""

    def lower(walk: Walk, name: str, x: Any, dim: Any = None, keepdim: Any = False, *, other: Any = None) -> Any:
        second = dim if other is None else other
        if isinstance(second, (Vector, np.ndarray)):
            return of_two(walk, name, x, second)
        if dim is None:
            return along(walk, name, x)
        return along(walk, name, x, dim, keepdim), INDICES

    return lower


def _mean(walk: Walk, name: str, x: Any, dim: Any = None, keepdim: Any = False, dtype: Any = None) -> Vector:
    check_float(*(() if dtype is None else (dtype,)))
    return mean_along(walk, name, x, axes_of(x, dim), keep=bool(keepdim))


def _sum(walk: Walk, name: str, x: Any, dim: Any = None, keepdim: Any = False, dtype: Any = None) -> Vector:
    check_float(*(() if dtype is None else (dtype,)))
    return mean_along(walk, name, x, axes_of(x, dim), keep=bool(keepdim), divide=False)


BENDS: dict[str, Operation] = {
    "relu": relu, "leaky_relu": leaky_relu, "prelu": prelu, "rrelu": rrelu,
    "_prelu_kernel": lambda walk, name, x, weight: gate(walk, name, x, weight),
    "clamp": clamp, "clip": clamp, "clamp_min": larger, "clamp_max": smaller,
    "hardtanh": hardtanh, "relu6": relu6, "hardsigmoid": hardsigmoid, "threshold": threshold, "_threshold": threshold,
    "softshrink": softshrink, "abs": _absolute, "absolute": _absolute,
    "maximum": larger, "minimum": smaller, "amax": _amax, "amin": _amin,
    "max": _extreme(_amax, larger), "min": _extreme(_amin, smaller), "mean": _mean, "sum": _sum,
}  # fmt: skip
