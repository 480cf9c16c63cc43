"""Windows over tensors of shape (rows, channels, *space): convolution, pooling, padding, upsampling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import ModelError
from relu_shallow.load.convolution import convolution_matrix
from relu_shallow.load.graph import Select
from relu_shallow.load.joins import top
from relu_shallow.load.operations import as_constant, matrix, note_precision, shift
from relu_shallow.load.walk import Array, Shape, Vector, Walk, append, make_room, shape_of
from relu_shallow.precision import FAR_PADDING

Pads = Sequence[tuple[int, int]]


def convolve(
    walk: Walk, name: str, v: Vector, kernel: Array, bias: Array, strides: Sequence[int], dilations: Sequence[int],
    pads: Pads, groups: int = 1,
) -> Vector:  # fmt: skip
    """A convolution by a kernel of shape (out, in / groups, *window), zeros before and after each axis."""
    v, squeezed = _with_rows(name, v, np.ndim(kernel))
    shape = shape_of(v)
    weights = _kernel(walk, name, kernel, shape, groups, 1)
    W, out = convolution_matrix(weights, shape[1:], strides, dilations, pads, groups, walk.room)
    return _biased(walk, name, matrix(walk, name, v, W, (1, *out)), bias, squeezed)


def convolve_transposed(
    walk: Walk, name: str, v: Vector, kernel: Array, bias: Array, strides: Sequence[int], dilations: Sequence[int],
    pads: Pads, output_padding: Sequence[int], groups: int = 1,
) -> Vector:  # fmt: skip
    """A transposed convolution by a kernel of shape (in, out / groups, *window): the matrix of the convolution that
    goes the other way, transposed.
    """  # fmt: skip
    v, squeezed = _with_rows(name, v, np.ndim(kernel))
    shape = shape_of(v)
    weights = _kernel(walk, name, kernel, shape, groups, 0)
    out = tuple(
        (size - 1) * stride - sum(pad) + dilation * (k - 1) + more + 1
        for size, stride, pad, dilation, k, more in zip(
            shape[2:], strides, pads, dilations, weights.shape[2:], output_padding, strict=True
        )
    )
    steps = zip(output_padding, strides, dilations, strict=True)
    if min(out) < 1 or any(more >= max(stride, dilation) for more, stride, dilation in steps):
        raise ModelError(f"layer {name} is a transposed convolution with pads and output padding that do not fit")
    channels = weights.shape[1] * groups
    W, back = convolution_matrix(weights, (channels, *out), strides, dilations, pads, groups, walk.room)
    if back != shape[1:]:
        raise ModelError(f"layer {name} is a transposed convolution whose sizes do not fit: {back} for {shape[1:]}")
    return _biased(walk, name, matrix(walk, name, v, W.T.tocsr(), (1, channels, *out)), bias, squeezed)


def average_pool(
    walk: Walk, name: str, v: Vector, window: Sequence[int], strides: Sequence[int], pads: Pads, *,
    ceil: bool = False, count_pads: bool = True, divisor: int | None = None, dilations: Sequence[int] = (),
) -> Vector:  # fmt: skip
    """The mean over windows; zeros before and after each axis count as values where `count_pads` says so."""
    v, squeezed = _with_rows(name, v, len(window) + 2)
    index, out = window_places(walk, name, shape_of(v)[2:], window, strides, dilations, pads, ceil=ceil)
    inside = index >= 0
    if divisor is not None:
        sizes = np.full(len(index), divisor, dtype=np.float64)
    elif count_pads:  # cells beyond the padded tensor, which only a rounded-up last window has, never count
        sizes = (index >= -1).sum(axis=1).astype(np.float64)
    else:
        sizes = inside.sum(axis=1).astype(np.float64)
    if not sizes.all():
        raise ModelError(f"layer {name} averages over windows that lie wholly in its padding")
    return _restored(squeezed, _per_channel(walk, name, v, index, inside, 1.0 / sizes, out))


def max_pool(
    walk: Walk, name: str, v: Vector, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    pads: Pads, *, ceil: bool = False,
) -> Vector:  # fmt: skip
    """The largest value over windows; what lies beyond the tensor never wins."""
    v, squeezed = _with_rows(name, v, len(window) + 2)
    shape = shape_of(v)
    index, out = window_places(walk, name, shape[2:], window, strides, dilations, pads, ceil=ceil)
    first = index.max(axis=1, keepdims=True)
    if (first < 0).any():
        raise ModelError(f"layer {name} takes the largest value of windows that lie wholly in its padding")
    index = np.where(index < 0, first, index)  # a value named twice does not change the largest
    whole = (np.arange(shape[1])[:, None, None] * prod(shape[2:]) + index[None]).reshape(-1, index.shape[1])
    return _restored(squeezed, top(walk, name, v, whole, (1, shape[1], *out)))


def adaptive_bounds(size: int, out: int) -> list[tuple[int, int]]:
    """Where PyTorch's adaptive pooling begins and ends each of its windows along an axis."""
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def adaptive_pool(walk: Walk, name: str, v: Vector, out: Sequence[int | None], *, largest: bool) -> Vector:
    """Adaptive average or max pooling to the given space, None for a size that stays."""
    v, squeezed = _with_rows(name, v, len(out) + 2)
    shape = shape_of(v)
    space, sizes = shape[2:], [size if want is None else int(want) for want, size in zip(out, shape[2:], strict=True)]
    if min(sizes) < 1:
        raise ModelError(f"layer {name} pools to the space {sizes}")
    make_room(walk, name, prod(sizes))
    spans = [adaptive_bounds(size, want) for size, want in zip(space, sizes, strict=True)]
    widest = prod(max(end - begin for begin, end in axis) for axis in spans)
    make_room(walk, name, prod(sizes) * widest)
    grid = np.arange(prod(space)).reshape(space)
    index = np.full((prod(sizes), widest), -1)
    for row, cell in enumerate(product(*spans)):
        members = grid[tuple(slice(begin, end) for begin, end in cell)].ravel()
        index[row, : len(members)] = members
    inside = index >= 0
    if not largest:
        weights = 1.0 / inside.sum(axis=1)
        return _restored(squeezed, _per_channel(walk, name, v, index, inside, weights, tuple(sizes)))
    index = np.where(inside, index, index[:, :1])
    whole = (np.arange(shape[1])[:, None, None] * prod(space) + index[None]).reshape(-1, widest)
    return _restored(squeezed, top(walk, name, v, whole, (1, shape[1], *sizes)))


def window_places(
    walk: Walk, name: str, space: Shape, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    pads: Pads, *, ceil: bool,
) -> tuple[Int[np.ndarray, "positions cells"], Shape]:  # fmt: skip
    """(the place in the space of each cell of each window, -1 in the padding and -2 beyond it; the output's space)."""
    dilations = dilations or [1] * len(window)
    per_axis = []
    for size, k, stride, dilation, (before, after) in zip(space, window, strides, dilations, pads, strict=True):
        reach, whole = (k - 1) * dilation + 1, size + before + after
        if min(k, stride, dilation) < 1 or min(before, after) < 0 or whole < reach or max(before, after) >= reach:
            raise ModelError(f"layer {name} has windows of {k} with stride {stride}, dilation {dilation} and pads "
                             f"{(before, after)} over {size} values, which do not fit")  # fmt: skip
        count = -(-(whole - reach) // stride) + 1 if ceil else (whole - reach) // stride + 1
        if ceil and (count - 1) * stride >= size + before:  # the last window must begin inside, or in the pads before
            count -= 1
        cells = np.arange(count)[:, None] * stride + np.arange(k)[None] * dilation - before
        per_axis.append(np.where((cells >= 0) & (cells < size), cells, np.where(cells < size + after, -1, -2)))
    out = tuple(len(cells) for cells in per_axis)
    make_room(walk, name, prod(out) * prod(window))
    index, lowest = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64)
    for cells, size in zip(per_axis, space, strict=True):
        index = (index[:, None, :, None] * size + np.maximum(cells, 0)[None, :, None, :]).reshape(
            len(index) * len(cells), -1
        )
        worst = np.minimum(lowest[:, None, :, None], np.minimum(cells, 0)[None, :, None, :])
        lowest = worst.reshape(index.shape)
    return np.where(lowest < 0, lowest, index), out


def pad(walk: Walk, name: str, v: Vector, pads: Pads, value: float = 0.0, mode: str = "constant") -> Vector:
    """A tensor with values before and after each axis, in one of numpy's modes constant, edge, reflect and wrap.

    Negative pads cut values away.
    """
    shape = shape_of(v)
    if v.batch is not None and any(pads[v.batch]):
        raise ModelError(f"layer {name} pads the batch axis {v.batch}")
    if any(min(pad) < -size for size, pad in zip(shape, pads, strict=True)):
        raise ModelError(f"layer {name} cuts more from a tensor of shape {shape} than there is: pads of {list(pads)}")
    if mode == "constant" and abs(value) > FAR_PADDING:
        raise ModelError(f"layer {name} pads with {value:g}, beside which other values are lost in float64; let the "
                         "layer after it do the padding (a max-pooling layer pads with what never wins)")  # fmt: skip
    ends = zip(shape, pads, strict=True)
    cut = tuple(slice(max(-before, 0), size - max(-after, 0)) for size, (before, after) in ends)
    grown = [(max(before, 0), max(after, 0)) for before, after in pads]
    make_room(walk, name, prod(size + sum(more) for size, more in zip(shape, grown, strict=True)))
    places = np.arange(prod(shape)).reshape(shape)[cut]
    how: Any = {"constant_values": -1} if mode == "constant" else {"mode": mode}
    index = np.pad(places, grown, **how)
    if 0 in index.shape:
        raise ModelError(f"layer {name} pads a tensor of shape {shape} by {list(pads)}, and nothing is left")
    return gathered(walk, name, v, index, value)


def gathered(walk: Walk, name: str, v: Vector, index: Int[np.ndarray, "*shape"], value: float = 0.0) -> Vector:
    """The values at the given places, in the places' shape; -1 for a constant. The batch axis stays where it is."""
    flat = index.ravel()
    if (flat >= 0).all():
        whole = np.array_equal(flat, np.arange(prod(shape_of(v))))
        return Vector(v.place, index.shape, v.batch) if whole else append(
            walk, name, v, index.shape, Select(name, flat))  # fmt: skip
    from scipy.sparse import csr_array

    inside = flat >= 0
    indptr = np.concatenate([[0], np.cumsum(inside)])
    W = csr_array((np.ones(int(inside.sum())), flat[inside], indptr), shape=(len(flat), prod(shape_of(v))))
    moved = matrix(walk, name, Vector(v.place, v.shape, None), W, index.shape)
    moved = Vector(moved.place, index.shape, v.batch)
    return moved if value == 0 else shift(walk, name, moved, np.where(index >= 0, 0.0, value))


def resize(walk: Walk, name: str, v: Vector, along: Sequence[Float[np.ndarray, "_ _"] | None]) -> Vector:
    """Every axis after the channels by a matrix of its own (None: as it is): nearest and linear upsampling."""
    shape = shape_of(v)
    from scipy.sparse import csr_array, eye_array, kron

    W = csr_array(eye_array(shape[1]))
    out = list(shape[:2])
    for size, M in zip(shape[2:], along, strict=True):
        out.append(size if M is None else len(M))
        make_room(walk, name, W.nnz * (size if M is None else int(np.count_nonzero(M))))
        W = kron(W, eye_array(size) if M is None else csr_array(M), format="csr")
    return matrix(walk, name, v, csr_array(W), tuple(out))


def linear_weights(at: Float[np.ndarray, " out"], size: int) -> Float[np.ndarray, "out size"]:
    """The matrix that takes each value from its two neighbours, by how near it is to either, the end beyond them."""
    at = np.clip(at, at.dtype.type(0), at.dtype.type(size - 1))
    low = np.floor(at).astype(np.int64)
    share = (np.float64(at) - low)[:, None]
    return np.eye(size)[low] * (1.0 - share) + np.eye(size)[np.minimum(low + 1, size - 1)] * share


def same_pads(
    space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int], *,
    larger_last: bool = True,
) -> list[tuple[int, int]]:  # fmt: skip
    """The zeros before and after each axis with which a window of stride s meets it ceil(size / s) times."""
    axes = zip(space, window, strides, dilations, strict=True)
    return [in_halves(max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0), larger_last=larger_last)
            for size, k, s, d in axes]  # fmt: skip


def in_halves(total: int, *, larger_last: bool) -> tuple[int, int]:
    """A number in two halves, of which one may be larger by one."""
    return (total // 2, total - total // 2) if larger_last else (total - total // 2, total // 2)


def _per_channel(
    walk: Walk, name: str, v: Vector, index: np.ndarray, inside: np.ndarray, weights: np.ndarray, out: Shape
) -> Vector:
    """Each window's values times its weight, summed, for every channel alike."""
    from scipy.sparse import coo_array, csr_array, eye_array, kron

    shape = shape_of(v)
    make_room(walk, name, index.size * shape[1])
    rows, cells = np.nonzero(inside)
    W = coo_array((weights[rows], (rows, index[rows, cells])), shape=(len(index), prod(shape[2:])))
    return matrix(walk, name, v, csr_array(kron(eye_array(shape[1]), W, format="csr")), (1, shape[1], *out))


def _with_rows(name: str, v: Vector, rank: int) -> tuple[Vector, bool]:
    """The tensor with an axis of rows in front; whether it had none (PyTorch's layers take it either way)."""
    shape = shape_of(v)
    if len(shape) == rank - 1 and v.batch is None:
        return Vector(v.place, (1, *shape), None), True
    if len(shape) != rank or shape[0] != 1 or v.batch not in (None, 0):
        raise ModelError(f"layer {name} takes tensors of shape (rows, channels and {rank - 2} more axes), "
                         f"got one row of {shape}")  # fmt: skip
    return v, False


def _restored(squeezed: bool, result: Vector) -> Vector:
    return Vector(result.place, shape_of(result)[1:], None) if squeezed else result


def _kernel(walk: Walk, name: str, kernel: Array, shape: Shape, groups: int, axis: int) -> np.ndarray:
    """The kernel's numbers; raises ModelError unless they fit the channels that come in."""
    array = np.asarray(kernel)
    note_precision(walk, array)
    expected = shape[1] if axis == 0 else shape[1] // max(groups, 1)
    if array.ndim != len(shape) or array.shape[axis] != expected or groups < 1 or shape[1] % groups or not array.size:
        raise ModelError(f"layer {name} convolves a tensor of shape {shape} with a kernel of {array.shape} in {groups} "
                         "groups, which do not fit")  # fmt: skip
    return as_constant(name, array)


def _biased(walk: Walk, name: str, v: Vector, bias: Array, squeezed: bool) -> Vector:
    if bias is not None:
        v = shift(walk, name, v, as_constant(name, bias).reshape(-1, *[1] * (len(shape_of(v)) - 2)))
    return _restored(squeezed, v)
