"""ONNX's Resize and Upsample: each axis by a matrix whose rows pick the nearest value, or weigh the two around it.

Places are computed in single precision, operation by operation as onnxruntime does, since the nearest value may hang on
one rounding.
"""

# ruff: noqa: ARG001, ARG005  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, prod
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from relu_shallow.load.axes import mixes_rows
from relu_shallow.load.onnx_node import Node, fixed, given_axes, whole_numbers
from relu_shallow.load.walk import MOST_VALUES, Shape, Vector, Walk, refuse_layer, shape_of
from relu_shallow.load.windows import linear_weights, resize

Places = Callable[[Float32[np.ndarray, " out"], np.float32, int, int], Float32[np.ndarray, " out"]]
HALF = np.float32(0.5)


def _aligned(i: np.ndarray, scale: np.float32, size: int, out: int) -> np.ndarray:
    return i * np.float32(0) if out == 1 else i * np.float32(size - 1) / np.float32(out - 1)


def _half_pixel(i: np.ndarray, scale: np.float32, size: int, out: int) -> np.ndarray:
    return (i + HALF) / scale - HALF


def _symmetric(i: np.ndarray, scale: np.float32, size: int, out: int) -> np.ndarray:
    """Half pixels, moved so that what the rounded size leaves over lies on both sides alike."""
    adjustment = np.float32(out) / (scale * np.float32(size))
    moved = np.float32(size) / np.float32(2) * (np.float32(1) - adjustment)
    wide = i.astype(np.float64)  # here alone onnxruntime goes on in double precision
    return (float(moved) + (wide + 0.5) / float(scale) - 0.5).astype(np.float32)


COORDINATES: dict[str, Places] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": lambda i, scale, size, out: _half_pixel(i, scale, size, out) if out > 1 else i * HALF * 0,
    "align_corners": _aligned,
    "asymmetric": lambda i, scale, size, out: i / scale,
}
NEAREST: dict[str, Callable[[np.ndarray, bool | np.bool_], np.ndarray]] = {
    "round_prefer_floor": lambda x, shrinks: np.ceil(x - HALF),
    "round_prefer_ceil": lambda x, shrinks: np.floor(x + HALF),
    "floor": lambda x, shrinks: np.floor(x),
    "ceil": lambda x, shrinks: np.ceil(x),
    "simple": lambda x, shrinks: np.ceil(x) if shrinks else np.trunc(x),  # before operator set 11
}


def _resize(walk: Walk, node: Node, x: Any, *rest: Any) -> Vector:
    """Resize: (x, scales) before operator set 11, then (x, roi, scales, sizes)."""
    _, scales, wanted = (None, *rest, None)[:3] if node.opset < 11 else (*rest, None, None, None)[:3]
    if node.options.get("antialias", 0):
        raise refuse_layer(node.name, "Resize with antialias")
    shape = shape_of(x)
    axes = given_axes(node, None, len(shape))
    axes = list(range(len(shape))) if axes is None else axes
    factors = np.asarray([] if scales is None else fixed(node, "scales", scales), dtype=np.float32).ravel()
    sizes = whole_numbers(node, "sizes", wanted) if wanted is not None and np.size(wanted) else None
    policy = str(node.options.get("keep_aspect_ratio_policy", "stretch"))
    plan = _planned([shape[axis] for axis in axes], factors, sizes, policy)
    return _by_axis(walk, node, x, dict(zip(axes, plan, strict=True)))


def _upsample(walk: Walk, node: Node, x: Any, scales: Any = None) -> Vector:
    """Upsample: the older form of Resize, without a choice of coordinates."""
    given = node.options["scales"] if scales is None else fixed(node, "scales", scales)
    factors = np.asarray(given, dtype=np.float32).ravel()
    return _by_axis(walk, node, x, dict(enumerate(_planned(shape_of(x), factors, None, "stretch"))))


def _planned(
    shape: Sequence[int], factors: np.ndarray, sizes: Sequence[int] | None, policy: str
) -> list[tuple[int, np.float32]]:
    """(the new size, the scale) of each axis."""
    if sizes is None:
        if len(factors) != len(shape) or not (factors > 0).all():
            raise ValueError(f"scales {factors} for a tensor of shape {tuple(shape)}")
        return [(floor(np.float32(size) * factor), factor) for size, factor in zip(shape, factors, strict=True)]
    ratios = [np.float32(want) / np.float32(size) for want, size in zip(sizes, shape, strict=True)]
    if policy == "stretch":
        return list(zip(sizes, ratios, strict=True))
    one = min(ratios) if policy == "not_larger" else max(ratios)
    return [(floor(float(one * np.float32(size)) + float(HALF)), one) for size in shape]


def _by_axis(walk: Walk, node: Node, x: Vector, plan: dict[int, tuple[int, np.float32]]) -> Vector:
    shape = shape_of(x)
    out = tuple(plan[axis][0] if axis in plan else size for axis, size in enumerate(shape))
    if x.batch is not None and out[x.batch] != 1:
        raise mixes_rows(node.name, f"resizes the batch axis {x.batch}")
    if min(out) < 1 or prod(out) > MOST_VALUES:
        raise ValueError(f"a tensor of shape {shape} is resized to {out}")
    along = [_matrix(node, size, *plan[axis]) if axis in plan and plan[axis][1] != 1 else None
             for axis, size in enumerate(shape)]  # fmt: skip
    every: Shape = (1, 1, *shape)  # `resize` leaves its first two axes as they are
    made = resize(walk, node.name, Vector(x.place, every, None), along)
    return Vector(made.place, out, x.batch)


def _matrix(node: Node, size: int, out: int, scale: np.float32) -> Float[np.ndarray, "out in"]:
    """The matrix of one axis."""
    old = node.op == "Upsample" or node.opset < 11
    kind = str(node.options.get("mode", "nearest"))
    name = str(node.options.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"))
    if kind not in ("nearest", "linear") or name not in COORDINATES:
        what = kind if kind not in ("nearest", "linear") else f"the coordinate mode {name}"
        raise refuse_layer(node.name, f"{node.op} of {what} (read are nearest and linear, in the coordinate modes "
                           f"{', '.join(COORDINATES)})")  # fmt: skip
    at = COORDINATES[name](np.arange(out, dtype=np.float32), scale, size, out)
    rule = "simple" if old else str(node.options.get("nearest_mode", "round_prefer_floor"))
    found = linear_weights(at, size) if kind == "linear" else np.eye(size)[_inside(NEAREST[rule](at, scale < 1), size)]
    if out == size and not np.array_equal(found, np.eye(size)):
        raise refuse_layer(node.name, f"{node.op} by {scale:g}, which leaves {size} values {size} and is to move them: "
                           "runtimes differ there; give sizes")  # fmt: skip
    return found


def _inside(at: np.ndarray, size: int) -> Int[np.ndarray, " out"]:
    return np.clip(at, 0, size - 1).astype(np.int64)


RESIZES: dict[str, Callable[..., Any]] = {"Resize": _resize, "Upsample": _upsample}
