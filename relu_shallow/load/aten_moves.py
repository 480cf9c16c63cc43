"""PyTorch's operations that move values: side by side, apart, sliced, repeated, turned; with PyTorch's own arguments.

None of them may touch the batch axis, except to leave it whole.
"""

# ruff: noqa: ARG001  (every operation has PyTorch's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from relu_shallow.load.aten_windows import places_of, rearranged
from relu_shallow.load.axes import ROWS, UNKNOWN, Size, mixes_rows
from relu_shallow.load.joins import concatenate
from relu_shallow.load.operations import spread
from relu_shallow.load.shaping import flatten, permute, reshape, squeeze, unsqueeze
from relu_shallow.load.walk import Vector, Walk, make_room, refuse_layer, shape_of

Operation = Callable[..., Any]
END = 1 << 62  # an end of a slice beyond any axis: PyTorch writes the largest 64-bit number


def axis_of(v: Vector, dim: Any) -> int:
    """An axis, counted from the front."""
    rank = len(shape_of(v))
    if not -rank <= int(dim) < rank:
        raise IndexError(f"axis {dim} of a tensor with {rank} axes")
    return int(dim) % rank


def axes_of(v: Vector, dims: Any) -> list[int]:
    """Some axes, or all where none is named."""
    if dims is None or (isinstance(dims, (list, tuple)) and not dims):
        return list(range(len(shape_of(v))))
    return [axis_of(v, dim) for dim in (dims if isinstance(dims, (list, tuple)) else [dims])]


def sizes_of(shape: Sequence[Any]) -> list[Any]:
    """Sizes given one by one or as a list."""
    listed = shape[0] if len(shape) == 1 and isinstance(shape[0], (list, tuple)) else shape
    return [size if isinstance(size, Size) else int(size) for size in listed]


def _cat(walk: Walk, name: str, tensors: Any, dim: Any = 0) -> Vector:
    return concatenate(walk, name, tensors, axis_of(_first(tensors), dim))


def _first(values: Sequence[Any]) -> Vector:
    return next(value for value in values if isinstance(value, Vector))


def _stack(walk: Walk, name: str, tensors: Any, dim: Any = 0) -> Vector:
    rank = len(shape_of(_first(tensors))) + 1
    place = int(dim) % rank
    grown = [unsqueeze(value, [place]) if isinstance(value, Vector) else np.expand_dims(np.asarray(value), place)
             for value in tensors]  # fmt: skip
    return concatenate(walk, name, grown, place)


def _hstack(walk: Walk, name: str, tensors: Any) -> Vector:
    return _cat(walk, name, tensors, min(1, len(shape_of(_first(tensors))) - 1))


def _vstack(walk: Walk, name: str, tensors: Any) -> Vector:
    rank = len(shape_of(_first(tensors)))
    return _cat(walk, name, tensors, 0) if rank > 1 else _stack(walk, name, tensors, 0)


def _parts(walk: Walk, name: str, v: Vector, dim: Any, ends: Sequence[int]) -> tuple[Vector, ...]:
    """The tensor cut along an axis before each of the given places."""
    axis = axis_of(v, dim)
    if v.batch == axis:
        raise mixes_rows(name, f"splits the batch axis {axis}")
    pieces = np.split(places_of(v), list(ends), axis=axis)
    if any(0 in piece.shape for piece in pieces):
        raise ValueError("one of the parts is empty")
    return tuple(rearranged(walk, name, v, piece, v.batch) for piece in pieces)


def _split(
    walk: Walk, name: str, x: Any, split_size_or_sections: Any = None, dim: Any = 0, *, split_size: Any = None
) -> Any:
    size = split_size_or_sections if split_size is None else split_size
    if isinstance(size, (list, tuple)):
        return _split_sizes(walk, name, x, size, dim)
    length = shape_of(x)[axis_of(x, dim)]
    return _parts(walk, name, x, dim, range(int(size), length, int(size)))


def _split_sizes(walk: Walk, name: str, x: Any, split_sizes: Any, dim: Any = 0) -> Any:
    sizes = [int(size) for size in split_sizes]
    if sum(sizes) != shape_of(x)[axis_of(x, dim)]:
        raise ValueError(f"parts of {sizes} of {shape_of(x)[axis_of(x, dim)]} values")
    return _parts(walk, name, x, dim, np.cumsum(sizes)[:-1].tolist())


def _chunk(walk: Walk, name: str, x: Any, chunks: Any, dim: Any = 0) -> Any:
    length = shape_of(x)[axis_of(x, dim)]
    size = -(-length // int(chunks))
    return _parts(walk, name, x, dim, range(size, length, size))


def _tensor_split(walk: Walk, name: str, x: Any, indices_or_sections: Any, dim: Any = 0) -> Any:
    length, asked = shape_of(x)[axis_of(x, dim)], indices_or_sections
    if isinstance(asked, (list, tuple)):
        return _parts(walk, name, x, dim, [int(place) for place in asked])
    each, longer = divmod(length, int(asked))
    sizes = [each + (part < longer) for part in range(int(asked))]
    return _parts(walk, name, x, dim, np.cumsum(sizes)[:-1].tolist())


def _unbind(walk: Walk, name: str, x: Any, dim: Any = 0) -> Any:
    return tuple(_select(walk, name, x, dim, place) for place in range(shape_of(x)[axis_of(x, dim)]))


def _select(walk: Walk, name: str, x: Any, dim: Any, index: Any) -> Vector:
    axis = axis_of(x, dim)
    return item(walk, name, x, (*[slice(None)] * axis, int(index)))


def _slice(walk: Walk, name: str, x: Any, dim: Any = 0, start: Any = None, end: Any = None, step: Any = 1) -> Vector:
    axis = axis_of(x, dim)
    return item(walk, name, x, (*[slice(None)] * axis, slice(start, end, step)))


def _narrow(walk: Walk, name: str, x: Any, dim: Any, start: Any, length: Any) -> Vector:
    axis = axis_of(x, dim)
    begin = int(start) % shape_of(x)[axis]
    if begin + int(length) > shape_of(x)[axis]:
        raise IndexError(f"{length} values from place {start}")
    return _slice(walk, name, x, axis, begin, begin + int(length))


def _index_select(walk: Walk, name: str, x: Any, dim: Any, index: Any) -> Vector:
    return item(walk, name, x, (*[slice(None)] * axis_of(x, dim), np.atleast_1d(np.asarray(index))))


def _index(walk: Walk, name: str, x: Any, indices: Any) -> Vector:
    return item(walk, name, x, tuple(slice(None) if place is None else np.asarray(place) for place in indices))


def item(walk: Walk, name: str, x: Vector, key: Any) -> Vector:
    """x[key] for numbers, slices, Ellipsis, None and at most one list of numbers, the batch axis left whole."""
    keys = list(key) if isinstance(key, tuple) else [key]
    keys = [np.asarray(part) if isinstance(part, list) else part for part in keys]
    lists = [part for part in keys if isinstance(part, np.ndarray) and part.ndim]
    keys = [int(part) if isinstance(part, (np.ndarray, np.integer)) and np.ndim(part) == 0 else part for part in keys]
    numbers = [part for part in keys if isinstance(part, int)]
    if any(isinstance(part, bool) for part in keys) or len(lists) > 1 or (lists and numbers):
        raise TypeError("only numbers, slices and one list of numbers are read as places")
    if any(part.ndim > 1 or part.dtype.kind != "i" for part in lists):
        raise TypeError("a mask or a table of places is not read")
    shape, dots = shape_of(x), [place for place, part in enumerate(keys) if part is Ellipsis]
    used = sum(part is not None and part is not Ellipsis for part in keys)
    if len(dots) > 1 or used > len(shape):
        raise IndexError(f"{used} places in a tensor with {len(shape)} axes")
    where = dots[0] if dots else len(keys)
    keys[where : where + len(dots)] = [slice(None)] * (len(shape) - used)
    axis, kept, batch = 0, 0, None
    for part in keys:
        if part is not None:
            if axis == x.batch:
                _check_whole(name, axis, part)
                batch = kept
            axis += 1
        kept += not isinstance(part, int)
    index = places_of(x)[tuple(keys)]
    if 0 in index.shape:
        raise IndexError("no value is left")
    found = rearranged(walk, name, x, index, batch)
    if lists:  # a copy, even where it is of all values
        walk.copied.add(found.place)
    return found


def _check_whole(name: str, axis: int, part: Any) -> None:
    """Raises ModelError where only some of the rows of a batch are taken."""
    whole = isinstance(part, slice) and part.start in (None, 0) and part.step in (None, 1)
    if not whole or not (part.stop is None or part.stop is ROWS or (isinstance(part.stop, int) and part.stop >= END)):
        raise mixes_rows(name, f"takes some of the rows along the batch axis {axis}")


def _flip(walk: Walk, name: str, x: Any, *dims: Any) -> Vector:
    axes = axes_of(x, sizes_of(dims))
    if x.batch in axes:
        raise mixes_rows(name, "turns the rows of a batch about")
    return rearranged(walk, name, x, np.flip(places_of(x), tuple(axes)), x.batch)


def _roll(walk: Walk, name: str, x: Any, shifts: Any, dims: Any = None) -> Vector:
    axes = axes_of(x, dims)
    if x.batch in axes:
        raise mixes_rows(name, "moves values from row to row")
    if dims in (None, [], ()):
        return rearranged(walk, name, x, np.roll(places_of(x), shifts), x.batch)
    steps = tuple(shifts) if isinstance(shifts, (list, tuple)) else (int(shifts),)
    if len(steps) != len(axes):
        raise ValueError(f"{len(steps)} shifts for {len(axes)} axes")
    return rearranged(walk, name, x, np.roll(places_of(x), steps, axes), x.batch)


def _repeat(walk: Walk, name: str, x: Any, *repeats: Any) -> Vector:
    times, shape = sizes_of(repeats), shape_of(x)
    more = len(times) - len(shape)
    if more < 0:
        raise ValueError(f"{len(times)} repetitions for {len(shape)} axes")
    return _tiled(walk, name, x, times)


def _tile(walk: Walk, name: str, x: Any, *dims: Any) -> Vector:
    times = sizes_of(dims)
    return _tiled(walk, name, x, [1] * (len(shape_of(x)) - len(times)) + times)


def _tiled(walk: Walk, name: str, x: Vector, times: Sequence[int]) -> Vector:
    more = len(times) - len(shape_of(x))
    batch = None if x.batch is None else x.batch + more
    if batch is not None and times[batch] != 1:
        raise mixes_rows(name, "repeats the rows of a batch")
    if min(times) < 1:
        raise ValueError("nothing is left")
    make_room(walk, name, int(np.prod(shape_of(x))) * int(np.prod(times)))
    return rearranged(walk, name, x, np.tile(places_of(x), times), batch)


def _repeat_interleave(
    walk: Walk, name: str, x: Any, repeats: Any, dim: Any = None, *, output_size: Any = None
) -> Vector:
    if dim is None or axis_of(x, dim) == x.batch:
        raise mixes_rows(name, "repeats the rows of a batch")
    make_room(walk, name, int(np.prod(shape_of(x))) * int(np.max(repeats)))
    return rearranged(walk, name, x, np.repeat(places_of(x), np.asarray(repeats), axis_of(x, dim)), x.batch)


def _expand(walk: Walk, name: str, x: Any, *sizes: Any, size: Any = None, implicit: Any = None) -> Vector:
    wanted = sizes_of(sizes or (size,))
    shape = shape_of(x)
    more = len(wanted) - len(shape)
    if more < 0:
        raise ValueError(f"{len(wanted)} sizes for {len(shape)} axes")
    old = [1] * more + list(shape)
    batch = None if x.batch is None else x.batch + more
    for axis, want in enumerate(wanted):
        rows = isinstance(want, Size) or (walk.batch > 1 and want == walk.batch)
        if axis == batch and not (rows or want in (-1, 1)):
            raise mixes_rows(name, "repeats the rows of a batch")
        if isinstance(want, Size) and (want is UNKNOWN or axis != batch):
            raise mixes_rows(name, f"spreads its values over {want.what}")
    target = tuple(o if axis == batch or want == -1 else int(want)
                   for axis, (o, want) in enumerate(zip(old, wanted, strict=True)))  # fmt: skip
    if any(o not in (1, want) for o, want in zip(old, target, strict=True)):
        raise ValueError(f"{shape} does not spread to {target}")
    return spread(walk, name, x, target)


def _expand_as(walk: Walk, name: str, x: Any, other: Any) -> Vector:
    shape = shape_of(other) if isinstance(other, Vector) else np.shape(other)
    return spread(walk, name, x, tuple(shape))


def _transpose(
    walk: Walk, name: str, x: Any, dim0: Any = 0, dim1: Any = 1, *, axis0: Any = None, axis1: Any = None
) -> Vector:
    order = list(range(len(shape_of(x))))
    first, second = (dim0, dim1) if axis0 is None else (axis0, axis1)
    order[first], order[second] = order[second], order[first]
    return permute(walk, name, x, order)


def _permute(walk: Walk, name: str, x: Any, *dims: Any) -> Vector:
    axes = [axis_of(x, dim) for dim in sizes_of(dims)]
    if sorted(axes) != list(range(len(shape_of(x)))):
        raise ValueError(f"{axes} is no order of {len(shape_of(x))} axes")
    return permute(walk, name, x, axes)


def _movedim(walk: Walk, name: str, x: Any, source: Any, destination: Any) -> Vector:
    moved, places = axes_of(x, source), axes_of(x, destination)
    order = [axis for axis in range(len(shape_of(x))) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return permute(walk, name, x, order)


def _unflatten(walk: Walk, name: str, x: Any, dim: Any, *sizes: Any) -> Vector:
    axis, shape = axis_of(x, dim), shape_of(x)
    if x.batch == axis:
        raise mixes_rows(name, "splits the batch axis")
    target: list[Any] = [*shape[:axis], *sizes_of(sizes), *shape[axis + 1 :]]
    if x.batch is not None:
        target[x.batch + (len(target) - len(shape) if x.batch > axis else 0)] = ROWS
    return reshape(walk, name, x, target)


def _view(walk: Walk, name: str, x: Any, *shape: Any, size: Any = None) -> Vector:
    return reshape(walk, name, x, sizes_of(shape or (size,)))


def _view_as(walk: Walk, name: str, x: Any, other: Any) -> Vector:
    if not isinstance(other, Vector):
        raise refuse_layer(name, "a reshape to the shape of something that does not depend on the input")
    sizes: list[Any] = list(shape_of(other))
    if other.batch is not None:
        sizes[other.batch] = ROWS
    return reshape(walk, name, x, sizes)


def _flatten(walk: Walk, name: str, x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Vector:
    return flatten(name, x, int(start_dim), int(end_dim))


def _squeeze(walk: Walk, name: str, x: Any, dim: Any = None) -> Vector:
    axes = None if dim is None else axes_of(x, dim)
    return squeeze(name, x, axes)


def _unsqueeze(walk: Walk, name: str, x: Any, dim: Any) -> Vector:
    return unsqueeze(x, [int(dim) % (len(shape_of(x)) + 1)])


MOVES: dict[str, Operation] = {
    "cat": _cat, "concat": _cat, "concatenate": _cat, "stack": _stack, "hstack": _hstack, "vstack": _vstack,
    "row_stack": _vstack, "split": _split, "split_with_sizes": _split_sizes, "chunk": _chunk, "unbind": _unbind,
    "tensor_split": _tensor_split, "unsafe_split": _split, "unsafe_chunk": _chunk,
    "slice": _slice, "select": _select, "narrow": _narrow, "index_select": _index_select, "index": _index,
    "flip": _flip, "fliplr": lambda walk, name, x: _flip(walk, name, x, 1),
    "flipud": lambda walk, name, x: _flip(walk, name, x, 0), "roll": _roll,
    "repeat": _repeat, "tile": _tile, "repeat_interleave": _repeat_interleave,
    "expand": _expand, "expand_as": _expand_as, "broadcast_to": _expand,
    "t": _transpose, "transpose": _transpose, "swapaxes": _transpose, "swapdims": _transpose, "permute": _permute,
    "movedim": _movedim, "moveaxis": _movedim, "unflatten": _unflatten,
    "view": _view, "reshape": _view, "_unsafe_view": _view, "view_as": _view_as, "reshape_as": _view_as,
    "flatten": _flatten, "ravel": lambda walk, name, x: _flatten(walk, name, x),
    "squeeze": _squeeze, "unsqueeze": _unsqueeze,
}  # fmt: skip

# operations whose result shares its numbers with their argument; a reshape may, or may make a copy
VIEWS = {
    "split", "split_with_sizes", "chunk", "unbind", "tensor_split", "slice", "select", "narrow", "expand", "expand_as",
    "broadcast_to", "t", "transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "unflatten", "view",
    "view_as", "squeeze", "unsqueeze", "detach", "detach_", "alias", "dropout", "feature_dropout", "alpha_dropout",
    "feature_alpha_dropout", "getitem", "__getitem__", "getattr",
}  # fmt: skip
