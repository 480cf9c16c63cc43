"""The walk along the one path of tensors from a model's input to its output, whatever framework wrote it.

A tensor that depends on the input is a `Vector`: how many steps of the chain make it, and its shape (with a batch
axis of size 1 where the framework has one). An operation that reorders or bends its values appends a step; an
operation on a value that is no longer at the end of the chain is a branch, and refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import Size, mixes_rows, reshaped
from relu_shallow.load.chain import DENSE_ENTRIES, SUPPORTED, Bend, Chain, Final, Linear, Scale, Select, Shift, Step
from relu_shallow.load.reading import ModelFile
from relu_shallow.network import Head, Matrix, Source

Shape: TypeAlias = tuple[int, ...]
# What a chain may hold: FREE_ENTRIES numbers, and three for each byte of the file (the smallest weight is one byte).
# More comes from a few numbers that are repeated, spread or multiplied out: a small file that would fill the memory.
FREE_ENTRIES = 1 << 25
MOST_INPUTS, MOST_VALUES = 1 << 20, 1 << 22  # values of one row, at the input and between two layers
Array: TypeAlias = Any  # a constant of the model, of any shape and number type, as NumPy array or Python number


@dataclass(frozen=True)
class Vector:
    """A tensor that depends on the input: the number of steps that make it, and its shape (None: still unknown).

    `batch` is the axis along which rows are stacked, of size 1 in the shape; None where the input is one whole tensor.
    """

    steps: int
    shape: Shape | None
    batch: int | None = 0


@dataclass
class Walk:
    """The chain as far as it has been walked; `inputs` is None until the first layer that tells."""

    inputs: int | None = None
    steps: list[Step] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    assumed: str = ""  # what the file leaves open, and how it is read
    batch: int = 1  # a batch size above 1 that the file fixes; it is read as "any number of rows"
    room: int = 1 << 40  # how many numbers the steps may hold together; without end for a model already in memory


def most_entries(file: ModelFile, beside: int = 0) -> int:
    """How many numbers the chain of a file may hold; `beside` is the size of its external data in bytes."""
    return FREE_ENTRIES + 3 * (len(file.data) + beside)


def make_room(walk: Walk, name: str, entries: int) -> None:
    """Raises ModelError where a layer would take more numbers than the chain may still hold."""
    if entries > walk.room:
        raise ModelError(f"layer {name} would unfold to {entries} numbers, which a file of this size does not call "
                         "for; it is not read")  # fmt: skip


def start(walk: Walk, shape: Shape | None, batch: int | None = 0) -> Vector:
    """The input tensor."""
    if shape is not None and not 0 < prod(shape) <= MOST_INPUTS:
        raise ModelError(f"the input has the shape {shape}; between 1 and {MOST_INPUTS} values per row are read")
    walk.inputs = None if shape is None else prod(shape)
    return Vector(0, shape, batch)


def finish(walk: Walk, output: object, what: str) -> Chain:
    """The whole chain, after checking that the output is its end."""
    if not isinstance(output, Vector):
        raise ModelError(f"the output of {what} does not depend on its input")
    _check_end(walk, output, "the output")
    if walk.inputs is None:
        raise ModelError(f"{what} has no layer that tells how many inputs it takes; it needs at least one linear layer")
    return Chain(walk.inputs, tuple(walk.steps), walk.room)


def source_of(walk: Walk, name: str, form: str, sha256: str) -> Source:
    """The record of where the walked model came from; its precision is that of its widest weights."""
    widest = max(walk.dtypes, key=lambda dtype: np.dtype(dtype).itemsize, default="float64")
    return Source(name, form, sha256, widest, walk.assumed)


def linear(walk: Walk, name: str, v: Vector, W: Array, b: Array = None) -> Vector:
    """`x W^T + b` along the last axis, W of shape (out, in)."""
    W = _weights(walk, name, W)
    if W.ndim != 2:
        raise ModelError(f"layer {name} has weights of shape {W.shape}; a linear layer's are (outputs, inputs)")
    v = _known(walk, v, W.shape[1])
    shape = _shape(v)
    if shape[-1] != W.shape[1]:
        raise ModelError(f"layer {name} takes {W.shape[1]} values, but {shape[-1]} come in")
    _check_apart(name, v, len(shape) - 1)
    rows = prod(shape[:-1])
    v = _append(walk, name, v, (*shape[:-1], W.shape[0]), Linear(name, _repeated(walk, name, W, rows, 1)))
    return v if b is None else shift(walk, name, v, b)


def linear_left(walk: Walk, name: str, v: Vector, W: Array) -> Vector:
    """`W x`, W of shape (out, in), x a vector or a (batch of a) matrix of columns."""
    W = _weights(walk, name, W)
    W = W.reshape(W.shape[-2:]) if W.ndim > 2 and prod(W.shape[:-2]) == 1 else W
    if W.ndim != 2:
        raise ModelError(f"layer {name} has weights of shape {W.shape}; expected (outputs, inputs)")
    if v.shape is None or len(v.shape) == 1:
        shape = _shape(_known(walk, v, W.shape[1]))
        lead: Shape = ()
        out: Shape = (W.shape[0],)
        columns, rest = 1, shape[-1]
        v = Vector(v.steps, v.shape, None) if v.shape is None else v
    else:
        lead, rest, columns = v.shape[:-2], v.shape[-2], v.shape[-1]
        out = (*lead, W.shape[0], columns)
    if rest != W.shape[1]:
        raise ModelError(f"layer {name} takes {W.shape[1]} values, but {rest} come in")
    _check_apart(name, v, len(out) - 1 - (len(out) > 1))
    return _append(walk, name, v, out, Linear(name, _repeated(walk, name, W, prod(lead), columns)))


def matrix(walk: Walk, name: str, v: Vector, W: Matrix, shape: Shape) -> Vector:
    """Any linear map of all the values, given as its matrix (dense or CSR), to a tensor of the given shape."""
    if v.batch:
        raise mixes_rows(name, f"combines the values along axis {v.batch}")
    return _append(walk, name, v, shape, Linear(name, W))


def shift(walk: Walk, name: str, v: Vector, b: Array) -> Vector:
    """`x + b`, broadcast."""
    b = _constant(name, b)
    v = _spread(walk, name, v, b.shape)
    if v.shape is None:
        return v if not b.any() else _unknown(name)
    if not b.any():
        return v
    return _append(walk, name, v, v.shape, Shift(name, _flat(name, b, v.shape)))


def scale(walk: Walk, name: str, v: Vector, d: Array) -> Vector:
    """`x * d`, broadcast."""
    d = _constant(name, d)
    v = _spread(walk, name, v, d.shape)
    if v.shape is None:
        return v if (d == 1).all() else _unknown(name)
    if (d == 1).all():
        return v
    return _append(walk, name, v, v.shape, Scale(name, _flat(name, d, v.shape)))


def divide(walk: Walk, name: str, v: Vector, d: Array) -> Vector:
    """`x / d`, broadcast; one rounding more per weight than in the file where d is not a power of two."""
    d = _constant(name, d)
    if not d.all():
        raise ModelError(f"layer {name} divides by zero")
    return scale(walk, name, v, 1.0 / d)


def gate(walk: Walk, name: str, v: Vector, inactive: Array, active: float = 1.0) -> Vector:
    """Two-slope gates: the slope where inactive is broadcast against the tensor."""
    low = _constant(name, inactive)
    if low.size > 1 and v.shape is None:
        v = _known(walk, v, low.size)
    flat = low.reshape(1) if low.size == 1 else _flat(name, low, _shape(v))
    return _append(walk, name, v, v.shape, Bend(name, flat, np.full(len(flat), active)))


def by_channel(v: Vector, slopes: Array) -> np.ndarray:
    """PyTorch's PReLU slopes shaped to lie along axis 1, whatever axes come after it."""
    array = np.asarray(slopes)
    return array if v.shape is None or array.ndim != 1 else array.reshape(-1, *[1] * (len(v.shape) - 2))


BATCH_NORM_EPS = 1e-5  # what PyTorch and the ONNX standard take where a file says nothing


def batch_norm(
    walk: Walk, name: str, v: Vector, mean: Array, variance: Array, weight: Array, bias: Array, eps: float
) -> Vector:
    """Batch normalisation as in evaluation, `(x - mean) / sqrt(variance + eps) * weight + bias` along axis 1."""
    mean, variance = _constant(name, mean).ravel(), _constant(name, variance).ravel()
    sizes = [np.size(part) for part in (mean, variance, weight, bias) if part is not None]
    if len(set(sizes)) > 1:
        raise ModelError(f"layer {name} is a batch normalisation with {', '.join(map(str, sizes))} values; its mean, "
                         "variance, weight and bias must be of one size")  # fmt: skip
    v = _known(walk, v, mean.size)
    _check_apart(name, v, 1)
    along = (mean.size,) + (1,) * (len(_shape(v)) - 2)
    v = shift(walk, name, v, -mean.reshape(along))
    d = 1.0 / np.sqrt(variance + eps)
    v = scale(walk, name, v, (d if weight is None else d * _constant(name, weight).ravel()).reshape(along))
    return v if bias is None else shift(walk, name, v, _constant(name, bias).reshape(along))


def head(walk: Walk, name: str, v: Vector, kind: Head) -> Vector:
    """An elementwise sigmoid or tanh, to be kept apart."""
    return _append(walk, name, v, v.shape, Final(name, kind))


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
            return _unknown(name)
        v = _known(walk, v, prod(rest))
    shape, batch = reshaped(name, _shape(v), v.batch, target, walk.batch)
    return Vector(v.steps, shape, batch)


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
    shape = _shape(v)
    sizes = tuple(prod(shape[axis] for axis in group) for group in groups)
    batch = next((place for place, group in enumerate(groups) if v.batch in group), None)
    if batch is not None and sizes[batch] != 1:
        raise mixes_rows(name, f"flattens a tensor of shape {shape} together with its batch axis {v.batch}")
    return Vector(v.steps, sizes, batch)


def squeeze(name: str, v: Vector, axes: Sequence[int] | None) -> Vector:
    """Without the given axes of size 1 (None: all of them but the batch)."""
    shape = _shape(v)
    if v.batch is not None and axes is not None and v.batch in axes:
        raise mixes_rows(name, f"squeezes the batch axis {v.batch}")
    kept = [axis for axis, size in enumerate(shape)
            if size != 1 or axis == v.batch or (axes is not None and axis not in axes)]  # fmt: skip
    return Vector(v.steps, tuple(shape[axis] for axis in kept), None if v.batch is None else kept.index(v.batch))


def unsqueeze(v: Vector, places: Sequence[int]) -> Vector:
    """With new axes of size 1 at the given places of the result."""
    shape = _shape(v)
    old = [axis for axis in range(len(shape) + len(places)) if axis not in places]
    sizes = [1] * (len(shape) + len(places))
    for axis, size in zip(old, shape, strict=True):
        sizes[axis] = size
    return Vector(v.steps, tuple(sizes), None if v.batch is None else old[v.batch])


def permute(walk: Walk, name: str, v: Vector, order: Sequence[int]) -> Vector:
    """Axes in another order."""
    shape = _shape(v)
    order = [axis % len(shape) for axis in order]
    if walk.batch > 1 and order[0] != 0:
        raise ModelError(f"layer {name} moves the batch axis")
    index = np.arange(prod(shape)).reshape(shape).transpose(order)
    batch = None if v.batch is None else order.index(v.batch)
    moved = Vector(v.steps, index.shape, batch)
    if (np.diff(index.ravel()) == 1).all():
        return moved
    return _append(walk, name, moved, index.shape, Select(name, index.ravel()))


def refuse_branch(name: str, what: str) -> ModelError:
    """The error for two values that both depend on the input."""
    return ModelError(
        f"layer {name} is {what} of two values that both depend on the input (a residual or parallel branch): "
        "only one chain of layers can be read so far"
    )


def refuse_layer(name: str, what: str) -> ModelError:
    """The error for a layer or operation that is not known."""
    return ModelError(
        f"layer {name} is {what}, which is not supported. Affine layers, batch normalisation, reshaping and dropout "
        f"are read; {SUPPORTED} Smooth activations have no linear regions"
    )


def _append(walk: Walk, name: str, v: Vector, shape: Shape | None, step: Step) -> Vector:
    _check_end(walk, v, f"layer {name}")
    entries = sum(getattr(part, "nnz", getattr(part, "size", 0)) for part in vars(step).values())
    make_room(walk, name, entries)
    walk.room -= entries
    walk.steps.append(step)
    return Vector(len(walk.steps), shape, v.batch)


def _check_apart(name: str, v: Vector, axis: int) -> None:
    """Raises ModelError where a layer combines the values along the batch axis."""
    if v.batch is not None and v.batch == axis:
        raise mixes_rows(name, f"combines the values along axis {axis}")


def _check_end(walk: Walk, v: Vector, what: str) -> None:
    if v.steps != len(walk.steps):
        used = walk.steps[v.steps].name
        raise ModelError(f"{what} and layer {used} both use the same value (a residual or parallel branch): "
                         "only one chain of layers can be read so far")  # fmt: skip


def _known(walk: Walk, v: Vector, size: int) -> Vector:
    """v with its shape, which its first layer of a known size tells: one row of `size` values."""
    if v.shape is not None:
        return v
    walk.inputs = size
    return Vector(v.steps, (1, size), v.batch)


def _shape(v: Vector) -> Shape:
    if v.shape is None:
        raise ModelError("the size of the input is not known before the first linear layer; put that layer first")
    return v.shape


def _unknown(name: str) -> Vector:
    raise ModelError(f"layer {name} comes before any layer that tells how many inputs there are, and does not tell "
                     "it either; save the model with its input shape (ONNX or torch.export)")  # fmt: skip


def _spread(walk: Walk, name: str, v: Vector, other: Shape) -> Vector:
    """v broadcast to a constant's shape."""
    if v.shape is None:
        return _known(walk, v, other[-1]) if other and prod(other) == other[-1] > 1 else v
    try:
        shape = np.broadcast_shapes(v.shape, other)
    except ValueError:
        raise _mismatch(name, v.shape, other) from None
    batch = None if v.batch is None else v.batch + len(shape) - len(v.shape)
    if batch is not None and shape[batch] > 1:
        raise ModelError(f"layer {name} treats the rows of a batch differently: its constant has shape {other}")
    if prod(shape) > MOST_VALUES:
        raise ModelError(f"layer {name} spreads its values to the shape {shape}; at most {MOST_VALUES} are read")
    spread = Vector(v.steps, shape, batch)
    if prod(shape) == prod(v.shape):
        return spread
    index = np.broadcast_to(np.arange(prod(v.shape)).reshape(v.shape), shape).ravel()
    return _append(walk, name, spread, shape, Select(name, index))


def _flat(name: str, constant: np.ndarray, shape: Shape) -> np.ndarray:
    """The constant at each value of a tensor of the given shape."""
    try:
        spread = np.broadcast_to(constant, shape)
    except ValueError:
        raise _mismatch(name, shape, constant.shape) from None
    return np.array(spread, dtype=np.float64).ravel()


def _mismatch(name: str, shape: Shape, other: Shape) -> ModelError:
    return ModelError(f"layer {name} combines values of shape {shape} with a constant of shape {other}")


def _constant(name: str, value: Array) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ModelError(f"layer {name} holds a constant of type {array.dtype}; numbers were expected")
    return array.astype(np.float64)


def _weights(walk: Walk, name: str, W: Array) -> np.ndarray:
    array = np.asarray(W)
    if array.dtype.kind == "f":
        walk.dtypes.append(str(array.dtype))
    return _constant(name, array)


def _repeated(walk: Walk, name: str, W: np.ndarray, before: int, after: int) -> Matrix:
    """kron(I_before, W, I_after): the same weights for each of several rows and columns."""
    make_room(walk, name, max(W.size, *W.shape) * before * after)
    if before == after == 1:
        return W
    from scipy.sparse import csr_array, eye_array, kron

    whole = kron(kron(eye_array(before), csr_array(W)), eye_array(after)).tocsr()
    return whole if whole.shape[0] * whole.shape[1] > DENSE_ENTRIES else whole.toarray()
