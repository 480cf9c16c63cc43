"""Operations on several tensors that depend on the input, and the piecewise-linear ones that are made of gates.

    max(a, b)      a + relu(b - a)
    min(a, b)      a - relu(a - b)
    clip(x)        low + relu(x - low) - relu(x - high), or x + relu(low - x) - relu(x - high)
    |x|            a gate with the slopes -1 and 1

The largest of k values is that of the largest of the pairs, and so on: k - 1 gates, ceil(log2 k) layers deep.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from jaxtyping import Int

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import mixes_rows
from relu_shallow.load.graph import Bracket, Select, Shift, Stack, Sum
from relu_shallow.load.operations import as_constant, gate, matrix, scale, shift, spread
from relu_shallow.load.walk import Array, Shape, Vector, Walk, append, current, make_room, shape_of
from relu_shallow.precision import NEAR_BOUND


def add(walk: Walk, name: str, vectors: Sequence[Vector]) -> Vector:
    """The sum of tensors, broadcast against one another."""
    same = _spread_alike(walk, name, vectors)
    return append(walk, name, same[0], same[0].shape, Sum(name), *same[1:])


def subtract(walk: Walk, name: str, a: Vector, b: Vector) -> Vector:
    """`a - b`."""
    return add(walk, name, [a, scale(walk, name, b, -1.0)])


def maximum(walk: Walk, name: str, a: Vector, b: Vector) -> Vector:
    """The larger of two tensors, value by value."""
    a, b = _spread_alike(walk, name, [a, b])
    return add(walk, name, [a, gate(walk, name, subtract(walk, name, b, a), 0.0)])


def minimum(walk: Walk, name: str, a: Vector, b: Vector) -> Vector:
    """The smaller of two tensors, value by value."""
    a, b = _spread_alike(walk, name, [a, b])
    return subtract(walk, name, a, gate(walk, name, subtract(walk, name, a, b), 0.0))


def clip(walk: Walk, name: str, v: Vector, low: Array = None, high: Array = None) -> Vector:
    """The value between two bounds, None for no bound; as PyTorch and ONNX, the upper one where they cross."""
    if low is not None and high is not None:
        low = np.minimum(as_constant(name, low), as_constant(name, high))
    floor = None if low is None else as_constant(name, low)
    ceiling = None if high is None else as_constant(name, high)
    if any(bound is not None and is_far(bound) for bound in (floor, ceiling)):
        return _clip_beside(walk, name, v, floor, ceiling)
    if floor is None:  # -max(-x, -high)
        below = None if ceiling is None else _above(walk, name, scale(walk, name, v, -1.0), -ceiling)
        return v if below is None else scale(walk, name, below, -1.0)
    if ceiling is None:
        return _above(walk, name, v, floor)
    lower = gate(walk, name, shift(walk, name, v, -floor), 0.0)
    upper = gate(walk, name, shift(walk, name, v, -ceiling), 0.0)
    return shift(walk, name, subtract(walk, name, lower, upper), floor)


def is_far(bound: np.ndarray) -> bool:
    """Whether a bound is so large that the last digits of ordinary values are lost beside it."""
    return bool((np.abs(bound) > NEAR_BOUND).any())


def _clip_beside(
    walk: Walk, name: str, v: Vector, floor: np.ndarray | None, ceiling: np.ndarray | None
) -> Vector:
    """x + relu(low - x) - relu(x - high): the value itself is never added to a bound, at the price of carrying it."""
    parts = [v]
    if floor is not None:
        parts.append(gate(walk, name, shift(walk, name, scale(walk, name, v, -1.0), floor), 0.0))
    if ceiling is not None:
        above = gate(walk, name, shift(walk, name, v, -ceiling), 0.0)
        parts.append(scale(walk, name, above, -1.0))
    return add(walk, name, parts)


def absolute(walk: Walk, name: str, v: Vector) -> Vector:
    """`|x|`."""
    return gate(walk, name, v, -1.0, 1.0)


def hard_sigmoid(walk: Walk, name: str, v: Vector, slope: float, offset: float) -> Vector:
    """`min(max(slope x + offset, 0), 1)`."""
    return clip(walk, name, shift(walk, name, scale(walk, name, v, slope), offset), 0.0, 1.0)


def concatenate(walk: Walk, name: str, values: Sequence[Vector | Array], axis: int) -> Vector:
    """Tensors, and perhaps constants, side by side along an axis."""
    model = current(walk, name, next(value for value in values if isinstance(value, Vector)))
    rank = len(shape_of(model))
    axis %= rank
    if model.batch == axis:
        raise mixes_rows(name, f"puts tensors side by side along the batch axis {axis}")
    vectors = [current(walk, name, value) if isinstance(value, Vector) else constant(walk, name, value, model)
               for value in values]  # fmt: skip
    shapes = [shape_of(vector) for vector in vectors]
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rest) > 1 or len({vector.batch for vector in vectors}) > 1:
        raise ModelError(f"layer {name} puts tensors of shapes {', '.join(map(str, shapes))} side by side along axis "
                         f"{axis}; they must agree along the others")  # fmt: skip
    make_room(walk, name, sum(prod(shape) for shape in shapes))
    shape = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
    stacked = vectors[0]
    if len(vectors) > 1:
        stacked = append(walk, name, vectors[0], shape, Stack(name), *vectors[1:])
    starts = np.cumsum([0, *(prod(shape) for shape in shapes)])
    places = [np.arange(prod(shape)).reshape(shape) + begin for shape, begin in zip(shapes, starts, strict=False)]
    index = np.concatenate(places, axis=axis).ravel()
    return stacked if (np.diff(index) == 1).all() else append(walk, name, stacked, shape, Select(name, index))


def constant(walk: Walk, name: str, value: Array, like: Vector) -> Vector:
    """A constant as a tensor with the batch axis of another."""
    array = as_constant(name, value)
    if like.batch is not None and (array.ndim <= like.batch or array.shape[like.batch] != 1):
        raise ModelError(f"layer {name} puts a constant of shape {array.shape} beside the rows of a batch; "
                         "export the model with a batch size of 1")  # fmt: skip
    from scipy.sparse import csr_array

    make_room(walk, name, array.size)
    nothing = matrix(walk, name, Vector(0, (walk.inputs or 1,), None), csr_array((array.size, walk.inputs or 1)),
                     array.shape)  # fmt: skip
    made = append(walk, name, nothing, array.shape, Shift(name, array.ravel()))
    return Vector(made.place, array.shape, like.batch)


def largest(walk: Walk, name: str, vectors: Sequence[Vector]) -> Vector:
    """The largest of several tensors, value by value, as one choice."""
    if len(vectors) < 3:
        return maximum(walk, name, *vectors) if len(vectors) == 2 else vectors[0]
    alike = _spread_alike(walk, name, vectors)
    shape, batch = shape_of(alike[0]), alike[0].batch
    count = len(alike) * prod(shape)
    stacked = append(walk, name, alike[0], (count,), Stack(name), *alike[1:])
    index = np.arange(count).reshape(len(alike), -1).T
    found = top(walk, name, Vector(stacked.place, (count,), None), index, shape)
    return Vector(found.place, shape, batch)


def top(walk: Walk, name: str, v: Vector, index: Int[np.ndarray, "values k"], shape: Shape) -> Vector:
    """The largest of each row of k values of a tensor, given by their places, as a tensor of the given shape.

    A place may be named more than once in a row. The walk is told which gates compare losers, and when (`Bracket`).
    """
    make_room(walk, name, index.size)
    round_ = [append(walk, name, v, (len(index),), Select(name, column)) for column in index.T]
    round_ = [Vector(vector.place, vector.shape, None) for vector in round_]
    gates: list[int | None] = [None] * len(round_)  # the gates that each of the round was decided by
    while len(round_) > 1:
        winners, decided = [], []
        for pair in range(0, len(round_) - 1, 2):
            a, b = round_[pair : pair + 2]
            later = gate(walk, name, subtract(walk, name, b, a), 0.0)
            winners.append(add(walk, name, [a, later]))
            decided.append(later.place)
            walk.brackets += [Bracket(before, later.place, state) for state, before in enumerate(gates[pair : pair + 2])
                              if before is not None]  # fmt: skip
        gates = [*decided, *gates[2 * len(winners) :]]
        round_ = [*winners, *round_[2 * len(winners) :]]
    return Vector(round_[0].place, shape, v.batch)


def top_along(walk: Walk, name: str, v: Vector, axes: Sequence[int], *, keep: bool) -> Vector:
    """The largest value along axes, each kept with size 1 or left out."""
    index, shape, batch = _rows_along(name, v, axes, keep)
    found = top(walk, name, v, index, shape)
    return Vector(found.place, shape, batch)


def mean_along(walk: Walk, name: str, v: Vector, axes: Sequence[int], *, keep: bool, divide: bool = True) -> Vector:
    """The mean (or the sum) along axes, each kept with size 1 or left out."""
    from scipy.sparse import csr_array

    index, shape, batch = _rows_along(name, v, axes, keep)
    rows, k = index.shape
    make_room(walk, name, index.size)
    each = 1.0 / k if divide else 1.0
    W = csr_array((np.full(index.size, each), index.ravel(), np.arange(rows + 1) * k), shape=(rows, prod(shape_of(v))))
    found = matrix(walk, name, Vector(v.place, v.shape, None), W, shape)
    return Vector(found.place, shape, batch)


def _rows_along(
    name: str, v: Vector, axes: Sequence[int], keep: bool
) -> tuple[Int[np.ndarray, "values k"], Shape, int | None]:
    """(the places of the values put together for each result, the result's shape, its batch axis)."""
    shape = shape_of(v)
    gone = sorted({axis % len(shape) for axis in axes})
    if v.batch in gone:
        raise mixes_rows(name, f"combines the values along axis {v.batch}")
    kept = [axis for axis in range(len(shape)) if axis not in gone]
    order = np.arange(prod(shape)).reshape(shape).transpose([*kept, *gone])
    index = order.reshape(prod(shape[axis] for axis in kept), -1)
    if keep:
        return index, tuple(1 if axis in gone else size for axis, size in enumerate(shape)), v.batch
    return index, tuple(shape[axis] for axis in kept), None if v.batch is None else kept.index(v.batch)


def _above(walk: Walk, name: str, v: Vector, floor: Array) -> Vector:
    """max(x, floor) as relu(x - floor) + floor."""
    return shift(walk, name, gate(walk, name, shift(walk, name, v, -floor), 0.0), floor)


def _spread_alike(walk: Walk, name: str, vectors: Sequence[Vector]) -> list[Vector]:
    """Tensors broadcast to one shape."""
    vectors = [current(walk, name, vector) for vector in vectors]
    if all(vector.shape is None for vector in vectors):
        return vectors
    shapes = [shape_of(vector) for vector in vectors]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ModelError(f"layer {name} combines values of shapes {', '.join(map(str, shapes))}, "
                         "which do not go together") from None  # fmt: skip
    alike = [spread(walk, name, vector, shape) for vector in vectors]
    if len({vector.batch for vector in alike}) > 1:
        raise mixes_rows(name, f"combines tensors of shapes {', '.join(map(str, shapes))} whose batch axes differ")
    return alike
