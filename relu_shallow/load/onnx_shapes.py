"""ONNX operators that only move values, leave them out, repeat them or name them anew."""

# ruff: noqa: ARG001  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import Size, mixes_rows
from relu_shallow.load.joins import concatenate
from relu_shallow.load.onnx_node import (
    FLOAT32,
    FLOAT64,
    Node,
    counted,
    fixed,
    given_axes,
    one_axis,
    sizes,
    target_shape,
    whole_numbers,
)
from relu_shallow.load.operations import spread
from relu_shallow.load.shaping import merge, permute, pick, places, reshape, squeeze, unsqueeze
from relu_shallow.load.walk import Vector, Walk, make_room, refuse_layer, shape_of

TO_THE_END = (1 << 31) - 1  # the smallest number that exporters write for "to the end"


def _identity(walk: Walk, node: Node, x: Vector) -> Vector:
    return x


def _dropout(walk: Walk, node: Node, x: Vector, ratio: Any = None, training: Any = None) -> Vector:
    if training is not None and np.asarray(training).any() and (ratio is None or np.asarray(ratio).any()):
        raise ModelError(f"layer {node.name} is dropout in training mode: its output is random; "
                         "export the model for inference")  # fmt: skip
    return x


def _cast(walk: Walk, node: Node, x: Vector) -> Vector:
    if node.options.get("to") not in (FLOAT32, FLOAT64, "FLOAT", "DOUBLE"):
        raise refuse_layer(node.name, "a Cast to another type than float or double")
    return x


def _cast_like(walk: Walk, node: Node, x: Any, like: Any) -> Any:
    kind = np.dtype(np.float32) if isinstance(like, Vector) else np.asarray(like).dtype
    if kind not in (np.float32, np.float64):
        raise refuse_layer(node.name, "a CastLike to another type than float or double")
    return x if isinstance(x, Vector) else np.asarray(x).astype(kind)


def _flatten(walk: Walk, node: Node, x: Vector) -> Vector:
    shape = shape_of(x)
    axis = node.options.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return merge(node.name, x, [range(axis), range(axis, len(shape))])


def _reshape(walk: Walk, node: Node, x: Vector, shape: Any = None) -> Vector:
    given = fixed(node, "shape", node.options["shape"] if shape is None else shape).ravel()
    target = [size if isinstance(size, Size) else int(size) for size in given]
    now = sizes(x)
    if not node.options.get("allowzero", 0):
        target = [now[axis] if size == 0 else size for axis, size in enumerate(target)]
    return reshape(walk, node.name, x, target)


def _shape_of(walk: Walk, node: Node, x: Vector) -> Any:
    found = sizes(x)[node.options.get("start", 0) : node.options.get("end")]
    return np.array(found, dtype=object if any(isinstance(size, Size) for size in found) else np.int64)


def _size_of(walk: Walk, node: Node, x: Vector) -> Any:
    return np.array(prod(counted(node, size) for size in sizes(x)))


def _squeeze(walk: Walk, node: Node, x: Vector, axes: Any = None) -> Vector:
    return squeeze(node.name, x, given_axes(node, axes, len(shape_of(x))))


def _unsqueeze(walk: Walk, node: Node, x: Vector, axes: Any = None) -> Vector:
    count = len(whole_numbers(node, "axes", axes) or [])
    return unsqueeze(x, given_axes(node, axes, len(shape_of(x)) + count) or [])


def _transpose(walk: Walk, node: Node, x: Vector) -> Vector:
    return permute(walk, node.name, x, node.options.get("perm", range(len(shape_of(x)))[::-1]))


def _concat(walk: Walk, node: Node, *parts: Any) -> Vector:
    rank = len(shape_of(next(part for part in parts if isinstance(part, Vector))))
    values = [part for part in parts if isinstance(part, Vector) or np.size(part)]
    return concatenate(walk, node.name, values, one_axis(node, rank, 1 if node.opset < 4 else None))


def _split(walk: Walk, node: Node, x: Vector, split: Any = None) -> tuple[Vector, ...]:
    """The parts of a tensor along an axis; of sizes not given, they are alike but for a smaller last one."""
    shape = shape_of(x)
    axis = one_axis(node, len(shape), 0)
    if x.batch == axis:
        raise mixes_rows(node.name, f"splits the batch axis {axis}")
    parts = split_sizes(node, shape[axis], split)
    ends = np.cumsum([0, *parts])
    spans = pairwise(ends)
    index = places(x)
    return tuple(pick(walk, node.name, x, index.take(range(begin, end), axis), x.batch) for begin, end in spans)


def split_sizes(node: Node, size: int, split: Any) -> list[int]:
    """How many values along the axis each part of a Split takes."""
    given = whole_numbers(node, "split", split)
    if given is None:
        count = int(node.options.get("num_outputs", len(node.outputs)))
        each = -(-size // max(count, 1))
        given = [min(each, size - begin) for begin in range(0, each * count, each)] if each else [0]
    if min(given) < 0 or sum(given) != size or len(given) < len(node.outputs):
        raise ValueError(f"{size} values are split into {given}")
    return given


def slices(node: Node, rank: int, starts: Any, ends: Any, axes: Any, steps: Any) -> dict[int, slice]:
    """The slice along each axis that a Slice names, as NumPy's: the same rule for ends beyond the tensor."""
    begins, stops = whole_numbers(node, "starts", starts), whole_numbers(node, "ends", ends)
    if begins is None or stops is None:
        raise ValueError("starts or ends are missing")
    strides = whole_numbers(node, "steps", steps) or [1] * len(begins)
    along = given_axes(node, axes, rank)
    along = list(range(len(begins))) if along is None else along
    if not len(begins) == len(stops) == len(strides) == len(along) or 0 in strides:
        raise ValueError(f"starts {begins}, ends {stops}, steps {strides} along axes {along}")
    cut = {}
    for axis, begin, stop, stride in zip(along, begins, stops, strides, strict=True):
        cut[axis] = slice(begin, stop, stride)
    return cut


def _slice(
    walk: Walk, node: Node, x: Vector, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Vector:
    shape = shape_of(x)
    stops = ends if ends is None else np.where(_is_size(fixed(node, "ends", ends)), TO_THE_END, ends)
    cut = slices(node, len(shape), starts, stops, axes, steps)
    if x.batch in cut:  # all the rows, or it mixes them
        whole = cut.pop(x.batch)
        most = walk.batch if walk.batch > 1 else TO_THE_END
        if whole.start != 0 or whole.stop < most or whole.step != 1:
            raise mixes_rows(node.name, f"slices the batch axis {x.batch}")
    index = places(x)[tuple(cut.get(axis, slice(None)) for axis in range(len(shape)))]
    return pick(walk, node.name, x, index, x.batch)


def _is_size(array: np.ndarray) -> np.ndarray:
    """Where an array of sizes holds one that is no number: the number of rows, to which a slice may reach."""
    return np.array([isinstance(size, Size) for size in array.ravel()], dtype=bool).reshape(array.shape)


def _gather(walk: Walk, node: Node, x: Any, index: Any) -> Vector:
    chosen = fixed(node, "indices", index).astype(np.int64)
    if not isinstance(x, Vector):
        raise refuse_layer(node.name, "Gather by a value that depends on the input")
    shape = shape_of(x)
    axis = one_axis(node, len(shape), 0)
    if x.batch == axis:
        raise mixes_rows(node.name, f"picks from the batch axis {axis}")
    make_room(walk, node.name, prod(shape) // shape[axis] * chosen.size)
    batch = x.batch if x.batch is None or x.batch < axis else x.batch + chosen.ndim - 1
    return pick(walk, node.name, x, np.take(places(x), chosen, axis=axis), batch)


def gathered_nd(node: Node, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The entries or parts of x at tuples of indices, as GatherND without leading axes in common."""
    if node.options.get("batch_dims", 0):
        raise refuse_layer(node.name, "GatherND with batch_dims")
    return x[tuple(np.moveaxis(index.astype(np.int64), -1, 0))]


def _gather_nd(walk: Walk, node: Node, x: Any, index: Any) -> Vector:
    chosen = fixed(node, "indices", index)
    shape = shape_of(x)
    depth = chosen.shape[-1]
    make_room(walk, node.name, chosen.size // max(depth, 1) * prod(shape[depth:]))
    if x.batch is not None and x.batch < depth:
        raise mixes_rows(node.name, f"picks from the batch axis {x.batch}")
    batch = None if x.batch is None else x.batch - depth + chosen.ndim - 1
    return pick(walk, node.name, x, gathered_nd(node, places(x), chosen), batch)


def _gather_elements(walk: Walk, node: Node, x: Any, index: Any) -> Vector:
    chosen = fixed(node, "indices", index).astype(np.int64)
    shape = shape_of(x)
    axis = one_axis(node, len(shape), 0)
    if x.batch == axis or (x.batch is not None and (chosen.shape[x.batch] != 1 or walk.batch > 1)):
        raise mixes_rows(node.name, f"picks from the batch axis {x.batch}")
    if not ((chosen >= -shape[axis]) & (chosen < shape[axis])).all():
        raise ValueError(f"indices beyond {shape[axis]} values")
    cut = tuple(slice(None) if along == axis else slice(size) for along, size in enumerate(chosen.shape))
    return pick(walk, node.name, x, np.take_along_axis(places(x)[cut], chosen % shape[axis], axis), x.batch)


def _expand(walk: Walk, node: Node, x: Vector, shape: Any) -> Vector:
    return spread(walk, node.name, x, target_shape(walk, node, x, shape))


def _tile(walk: Walk, node: Node, x: Vector, repeats: Any, axis: Any = None) -> Vector:
    if axis is not None:
        raise refuse_layer(node.name, "Tile as before operator set 6")
    times = whole_numbers(node, "repeats", repeats) or []
    shape = shape_of(x)
    if len(times) != len(shape) or min(times, default=1) < 1:
        raise ValueError(f"repeats {times} of a tensor of shape {shape}")
    if x.batch is not None and times[x.batch] != 1:
        raise mixes_rows(node.name, f"repeats the batch axis {x.batch}")
    make_room(walk, node.name, prod(shape) * prod(times))
    return pick(walk, node.name, x, np.tile(places(x), times), x.batch)


def _images(x: Vector, block: int) -> tuple[int, int, int, int]:
    shape = shape_of(x)
    if len(shape) != 4 or x.batch not in (None, 0) or block < 1:
        raise ValueError(f"blocks of {block} in a tensor of shape {shape}")
    return shape


def _depth_to_space(walk: Walk, node: Node, x: Vector) -> Vector:
    block = int(node.options["blocksize"])
    n, c, h, w = _images(x, block)
    if node.options.get("mode", "DCR") == "DCR":
        parts = places(x).reshape(n, block, block, c // block**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        parts = places(x).reshape(n, c // block**2, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return pick(walk, node.name, x, parts.reshape(n, c // block**2, h * block, w * block), x.batch)


def _space_to_depth(walk: Walk, node: Node, x: Vector) -> Vector:
    block = int(node.options["blocksize"])
    n, c, h, w = _images(x, block)
    parts = places(x).reshape(n, c, h // block, block, w // block, block).transpose(0, 3, 5, 1, 2, 4)
    return pick(walk, node.name, x, parts.reshape(n, c * block**2, h // block, w // block), x.batch)


SHAPES: dict[str, Callable[..., Any]] = {
    "Identity": _identity, "Dropout": _dropout, "Cast": _cast, "CastLike": _cast_like,
    "Flatten": _flatten, "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose,
    "Concat": _concat, "Split": _split, "Slice": _slice, "Gather": _gather, "GatherND": _gather_nd,
    "GatherElements": _gather_elements, "Expand": _expand, "Tile": _tile,
    "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth,
    "Shape": _shape_of, "Size": _size_of,
}  # fmt: skip
