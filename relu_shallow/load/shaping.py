"""Operations that only move values or name them anew: reshape, flatten, squeeze, permute, pick."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from jaxtyping import Int

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import Size, mixes_rows, reshaped
from relu_shallow.load.graph import Select
from relu_shallow.load.walk import MOST_VALUES, Vector, Walk, append, known, shape_of, unknown


def reshape(walk: Walk, name: str, v: Vector, target: Sequence[int | Size]) -> Vector:
    """The same values in another shape; one entry may be -1, and one may be the number of rows."""
    target = tuple(size if isinstance(size, Size) else int(size) for size in target)
    if v.shape is None:
        rest = [size if isinstance(size, int) else 0 for size in target[1:]]
        if not rest or (isinstance(target[0], int) and (target[0] > 1 or rest == [-1])):
            raise mixes_rows(name, "reshapes the whole input")
        if rest == [-1]:
            return v
        if min(rest) < 1:
            return unknown(name)
        v = known(walk, v, prod(rest))
    shape, batch = reshaped(name, shape_of(v), v.batch, target, walk.batch)
    return Vector(v.place, shape, batch)


def flatten(name: str, v: Vector, first: int = 1, last: int = -1) -> Vector:
    """Axes `first` to `last` as one."""
    rank = 2 if v.shape is None else len(v.shape)
    if rank < 2 and v.shape is not None:
        return v
    first, last = first % rank, last % rank
    if v.shape is None:
        if first != last:
            raise mixes_rows(name, "flattens the whole input")
        return v
    groups = [[axis] for axis in range(first)], [list(range(first, last + 1))], [[i] for i in range(last + 1, rank)]
    return merge(name, v, [group for part in groups for group in part])


def merge(name: str, v: Vector, groups: Sequence[Sequence[int]]) -> Vector:
    """Each group of neighbouring axes as one axis."""
    shape = shape_of(v)
    sizes = tuple(prod(shape[axis] for axis in group) for group in groups)
    batch = next((place for place, group in enumerate(groups) if v.batch in group), None)
    if batch is not None and sizes[batch] != 1:
        raise mixes_rows(name, f"flattens a tensor of shape {shape} together with its batch axis {v.batch}")
    return Vector(v.place, sizes, batch)


def squeeze(name: str, v: Vector, axes: Sequence[int] | None) -> Vector:
    """Without the given axes of size 1 (None: all of them but the batch)."""
    shape = shape_of(v)
    if v.batch is not None and axes is not None and v.batch in axes:
        raise mixes_rows(name, f"squeezes the batch axis {v.batch}")
    kept = [axis for axis, size in enumerate(shape)
            if size != 1 or axis == v.batch or (axes is not None and axis not in axes)]  # fmt: skip
    return Vector(v.place, tuple(shape[axis] for axis in kept), None if v.batch is None else kept.index(v.batch))


def unsqueeze(v: Vector, places: Sequence[int]) -> Vector:
    """With new axes of size 1 at the given places of the result."""
    shape = shape_of(v)
    old = [axis for axis in range(len(shape) + len(places)) if axis not in places]
    sizes = [1] * (len(shape) + len(places))
    for axis, size in zip(old, shape, strict=True):
        sizes[axis] = size
    return Vector(v.place, tuple(sizes), None if v.batch is None else old[v.batch])


def permute(walk: Walk, name: str, v: Vector, order: Sequence[int]) -> Vector:
    """Axes in another order."""
    shape = shape_of(v)
    order = [axis % len(shape) for axis in order]
    if walk.batch > 1 and order[0] != 0:
        raise ModelError(f"layer {name} moves the batch axis")
    index = np.arange(prod(shape)).reshape(shape).transpose(order)
    batch = None if v.batch is None else order.index(v.batch)
    moved = Vector(v.place, index.shape, batch)
    if (np.diff(index.ravel()) == 1).all():
        return moved
    return append(walk, name, moved, index.shape, Select(name, index.ravel()))


def pick(walk: Walk, name: str, v: Vector, index: Int[np.ndarray, "*shape"], batch: int | None) -> Vector:
    """The values at the given places of a tensor, in the places' shape, whose axis of rows is `batch`."""
    if 0 in index.shape:
        raise ModelError(f"layer {name} leaves nothing of a tensor of shape {shape_of(v)}")
    if index.size > MOST_VALUES:
        raise ModelError(f"layer {name} makes {index.size} values; at most {MOST_VALUES} are read")
    picked = Vector(v.place, index.shape, batch)
    flat = index.ravel()
    if np.array_equal(flat, np.arange(prod(shape_of(v)))):
        return picked
    return append(walk, name, picked, index.shape, Select(name, flat))


def places(v: Vector) -> Int[np.ndarray, "*shape"]:
    """The place of every value of a tensor among all of them, in the tensor's shape."""
    return np.arange(prod(shape_of(v))).reshape(shape_of(v))
