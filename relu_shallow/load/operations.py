"""Operations on one tensor, value by value or by a matrix: linear, shift, scale, gate, normalisation, head."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import mixes_rows
from relu_shallow.load.graph import Bend, Final, Linear, Scale, Select, Shift
from relu_shallow.load.matrices import DENSE_ENTRIES
from relu_shallow.load.walk import (
    MOST_VALUES,
    Array,
    Shape,
    Vector,
    Walk,
    append,
    check_apart,
    known,
    make_room,
    shape_of,
    unknown,
)
from relu_shallow.network import Head, Matrix


def linear(walk: Walk, name: str, v: Vector, W: Array, b: Array = None) -> Vector:
    """`x W^T + b` along the last axis, W of shape (out, in)."""
    W = _weights(walk, name, W)
    if W.ndim != 2:
        raise ModelError(f"layer {name} has weights of shape {W.shape}; a linear layer's are (outputs, inputs)")
    v = known(walk, v, W.shape[1])
    shape = shape_of(v)
    if shape[-1] != W.shape[1]:
        raise ModelError(f"layer {name} takes {W.shape[1]} values, but {shape[-1]} come in")
    check_apart(name, v, len(shape) - 1)
    rows = prod(shape[:-1])
    v = append(walk, name, v, (*shape[:-1], W.shape[0]), Linear(name, _repeated(walk, name, W, rows, 1)))
    return v if b is None else shift(walk, name, v, b)


def linear_left(walk: Walk, name: str, v: Vector, W: Array) -> Vector:
    """`W x`, W of shape (out, in), x a vector or a (batch of a) matrix of columns."""
    W = _weights(walk, name, W)
    W = W.reshape(W.shape[-2:]) if W.ndim > 2 and prod(W.shape[:-2]) == 1 else W
    if W.ndim != 2:
        raise ModelError(f"layer {name} has weights of shape {W.shape}; expected (outputs, inputs)")
    if v.shape is None or len(v.shape) == 1:
        shape = shape_of(known(walk, v, W.shape[1]))
        lead: Shape = ()
        out: Shape = (W.shape[0],)
        columns, rest = 1, shape[-1]
        v = Vector(v.place, v.shape, None) if v.shape is None else v
    else:
        lead, rest, columns = v.shape[:-2], v.shape[-2], v.shape[-1]
        out = (*lead, W.shape[0], columns)
    if rest != W.shape[1]:
        raise ModelError(f"layer {name} takes {W.shape[1]} values, but {rest} come in")
    check_apart(name, v, len(out) - 1 - (len(out) > 1))
    return append(walk, name, v, out, Linear(name, _repeated(walk, name, W, prod(lead), columns)))


def matrix(walk: Walk, name: str, v: Vector, W: Matrix, shape: Shape) -> Vector:
    """Any linear map of all the values, given as its matrix (dense or CSR), to a tensor of the given shape."""
    if v.batch:
        raise mixes_rows(name, f"combines the values along axis {v.batch}")
    return append(walk, name, v, shape, Linear(name, W))


def shift(walk: Walk, name: str, v: Vector, b: Array) -> Vector:
    """`x + b`, broadcast."""
    b = as_constant(name, b)
    v = spread(walk, name, v, b.shape)
    if v.shape is None:
        return v if not b.any() else _one_for_all(walk, name, v, Shift(name, b.ravel()))
    if not b.any():
        return v
    return append(walk, name, v, v.shape, Shift(name, _flat(name, b, v.shape)))


def scale(walk: Walk, name: str, v: Vector, d: Array) -> Vector:
    """`x * d`, broadcast."""
    d = as_constant(name, d)
    v = spread(walk, name, v, d.shape)
    if v.shape is None:
        return v if (d == 1).all() else _one_for_all(walk, name, v, Scale(name, d.ravel()))
    if (d == 1).all():
        return v
    return append(walk, name, v, v.shape, Scale(name, _flat(name, d, v.shape)))


def _one_for_all(walk: Walk, name: str, v: Vector, step: Scale | Shift) -> Vector:
    """A number for every value of the input, however many there are."""
    constant = step.d if isinstance(step, Scale) else step.b
    return append(walk, name, v, None, step) if len(constant) == 1 else unknown(name)


def divide(walk: Walk, name: str, v: Vector, d: Array) -> Vector:
    """`x / d`, broadcast; one rounding more per weight than in the file where d is not a power of two."""
    d = as_constant(name, d)
    if not d.all():
        raise ModelError(f"layer {name} divides by zero")
    return scale(walk, name, v, 1.0 / d)


def gate(walk: Walk, name: str, v: Vector, inactive: Array, active: float = 1.0) -> Vector:
    """Two-slope gates: the slope where inactive is broadcast against the tensor."""
    low = as_constant(name, inactive)
    if low.size > 1 and v.shape is None:
        v = known(walk, v, low.size)
    flat = low.reshape(1) if low.size == 1 else _flat(name, low, shape_of(v))
    return append(walk, name, v, v.shape, Bend(name, flat, np.full(len(flat), active)))


def by_channel(v: Vector, slopes: Array) -> np.ndarray:
    """PyTorch's PReLU slopes shaped to lie along axis 1, whatever axes come after it."""
    array = np.asarray(slopes)
    return array if v.shape is None or array.ndim != 1 else array.reshape(-1, *[1] * (len(v.shape) - 2))


BATCH_NORM_EPS = 1e-5  # what PyTorch and the ONNX standard take where a file says nothing


def batch_norm(
    walk: Walk, name: str, v: Vector, mean: Array, variance: Array, weight: Array, bias: Array, eps: float
) -> Vector:
    """Batch normalisation as in evaluation, `(x - mean) / sqrt(variance + eps) * weight + bias` along axis 1."""
    mean, variance = as_constant(name, mean).ravel(), as_constant(name, variance).ravel()
    sizes = [np.size(part) for part in (mean, variance, weight, bias) if part is not None]
    if len(set(sizes)) > 1:
        raise ModelError(f"layer {name} is a batch normalisation with {', '.join(map(str, sizes))} values; its mean, "
                         "variance, weight and bias must be of one size")  # fmt: skip
    v = known(walk, v, mean.size)
    check_apart(name, v, 1)
    along = (mean.size,) + (1,) * (len(shape_of(v)) - 2)
    v = shift(walk, name, v, -mean.reshape(along))
    d = 1.0 / np.sqrt(variance + eps)
    v = scale(walk, name, v, (d if weight is None else d * as_constant(name, weight).ravel()).reshape(along))
    return v if bias is None else shift(walk, name, v, as_constant(name, bias).reshape(along))


def head(walk: Walk, name: str, v: Vector, kind: Head) -> Vector:
    """An elementwise sigmoid or tanh, to be kept apart."""
    return append(walk, name, v, v.shape, Final(name, kind))


def head_along(walk: Walk, name: str, v: Vector, kind: Head, axes: Sequence[int]) -> Vector:
    """A softmax or log-softmax over the given axes, which must hold all the values of a row and not the batch."""
    shape = (1, 2) if v.shape is None else v.shape  # before any layer the input is taken for rows of values
    if v.batch is not None and v.batch in {axis % len(shape) for axis in axes}:
        raise mixes_rows(name, f"is {kind} over axis {', '.join(map(str, axes))}")
    if v.shape is None or prod(v.shape[axis] for axis in axes) == prod(v.shape):
        return head(walk, name, v, kind)
    raise ModelError(
        f"layer {name} is {kind} over axis {', '.join(map(str, axes))} of a tensor of shape {v.shape}: only one over "
        "all the outputs of a row can be kept apart"
    )


def implicit_axis(v: Vector) -> int:
    """The axis of PyTorch's softmax where none is given."""
    return 0 if v.shape is not None and len(v.shape) in (0, 1, 3) else 1


def spread(walk: Walk, name: str, v: Vector, other: Shape) -> Vector:
    """v broadcast to a constant's shape."""
    if v.shape is None:
        return known(walk, v, other[-1]) if other and prod(other) == other[-1] > 1 else v
    try:
        shape = np.broadcast_shapes(v.shape, other)
    except ValueError:
        raise _mismatch(name, v.shape, other) from None
    batch = None if v.batch is None else v.batch + len(shape) - len(v.shape)
    if batch is not None and shape[batch] > 1:
        raise ModelError(f"layer {name} treats the rows of a batch differently: its constant has shape {other}")
    if prod(shape) > MOST_VALUES:
        raise ModelError(f"layer {name} spreads its values to the shape {shape}; at most {MOST_VALUES} are read")
    spread = Vector(v.place, shape, batch)
    if prod(shape) == prod(v.shape):
        return spread
    index = np.broadcast_to(np.arange(prod(v.shape)).reshape(v.shape), shape).ravel()
    return append(walk, name, spread, shape, Select(name, index))


def _flat(name: str, constant: np.ndarray, shape: Shape) -> np.ndarray:
    """The constant at each value of a tensor of the given shape."""
    try:
        spread = np.broadcast_to(constant, shape)
    except ValueError:
        raise _mismatch(name, shape, constant.shape) from None
    return np.array(spread, dtype=np.float64).ravel()


def _mismatch(name: str, shape: Shape, other: Shape) -> ModelError:
    return ModelError(f"layer {name} combines values of shape {shape} with a constant of shape {other}")


def as_constant(name: str, value: Array) -> np.ndarray:
    """A constant's numbers in float64; raises ModelError where they are no numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ModelError(f"layer {name} holds a constant of type {array.dtype}; numbers were expected")
    return array.astype(np.float64)


def note_precision(walk: Walk, *constants: Array) -> None:
    """Notes the precision of a layer's weights."""
    walk.dtypes.extend(str(np.asarray(array).dtype) for array in constants if np.asarray(array).dtype.kind == "f")


def _weights(walk: Walk, name: str, W: Array) -> np.ndarray:
    note_precision(walk, W)
    return as_constant(name, W)


def _repeated(walk: Walk, name: str, W: np.ndarray, before: int, after: int) -> Matrix:
    """kron(I_before, W, I_after): the same weights for each of several rows and columns."""
    make_room(walk, name, max(W.size, *W.shape) * before * after)
    if before == after == 1:
        return W
    from scipy.sparse import csr_array, eye_array, kron

    whole = kron(kron(eye_array(before), csr_array(W)), eye_array(after)).tocsr()
    return whole if whole.shape[0] * whole.shape[1] > DENSE_ENTRIES else whole.toarray()
