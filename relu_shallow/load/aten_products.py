"""PyTorch's products of a tensor that depends on the input with constants: linear, matmul, bmm, dot, einsum."""



from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from jaxtyping import Int

from relu_shallow.errors import ModelError
from relu_shallow.load.aten_moves import places_of
from relu_shallow.load.aten_windows import numbers_only
from relu_shallow.load.axes import mixes_rows
from relu_shallow.load.joins import add
from relu_shallow.load.operations import as_constant, linear, linear_left, matrix, note_precision, scale, shift
from relu_shallow.load.shaping import permute
from relu_shallow.load.walk import Shape, Vector, Walk, make_room, refuse_product, shape_of

Operation = Callable[..., Any]


def _linear(walk: Walk, name: str, x: Any, weight: Any, bias: Any = None) -> Vector:
    numbers_only(name, "linear", weight, bias)
    return linear(walk, name, x, weight, bias)


def matmul(walk: Walk, name: str, left: Any, right: Any) -> Vector:
    """A matrix product, one of whose sides is a constant."""
    if isinstance(left, Vector):
        numbers_only(name, "a product", right)
        C = np.asarray(right)
        if C.ndim == 1:
            v = linear(walk, name, left, C[None])
            return Vector(v.place, shape_of(v)[:-1], v.batch)
        return linear(walk, name, left, C.T) if C.ndim == 2 else _right(walk, name, left, C)
    C = np.asarray(left)
    if C.ndim == 2 or right.shape is None:
        return linear_left(walk, name, right, C)
    if C.ndim == 1:
        v = linear_left(walk, name, right, C[None])
        axis = len(shape_of(v)) - (1 if len(shape_of(right)) == 1 else 2)
        if v.batch == axis:
            raise mixes_rows(name, f"combines the values along axis {axis}")
        kept = [size for place, size in enumerate(shape_of(v)) if place != axis]
        return Vector(v.place, tuple(kept), None if v.batch is None else v.batch - (v.batch > axis))
    if len(shape_of(right)) < 2:
        raise ValueError("a table of matrices times one vector is not read")
    product = _right(walk, name, _turned(walk, name, right), np.swapaxes(C, -1, -2))
    return _turned(walk, name, product)


def _turned(walk: Walk, name: str, v: Vector) -> Vector:
    rank = len(shape_of(v))
    return permute(walk, name, v, [*range(rank - 2), rank - 1, rank - 2])


def _right(walk: Walk, name: str, v: Vector, C: np.ndarray) -> Vector:
    """v C for a table C of matrices of shape (*lead, k, m), one for each matrix (n, k) of v."""
    place, shape = places_of(v), shape_of(v)
    if len(shape) < 2 or shape[-1] != C.shape[-2]:
        raise ValueError(f"a product of shapes {shape} and {C.shape}")
    lead = np.broadcast_shapes(shape[:-2], C.shape[:-2])
    batch = None if v.batch is None else v.batch + len(lead) + 2 - len(shape)
    out = (*lead, shape[-2], C.shape[-1])
    if batch is not None and (batch == len(out) - 1 or out[batch] != 1):
        raise mixes_rows(name, f"multiplies a tensor of shape {shape} by a table of shape {C.shape}")
    make_room(walk, name, prod(out) * shape[-1])
    rows = np.arange(prod(out)).reshape(*lead, shape[-2], 1, C.shape[-1])
    return _summed(walk, name, v, rows, place[..., None], C[..., None, :, :], out, batch)


def _summed(
    walk: Walk, name: str, v: Vector, rows: Int[np.ndarray, "*grid"], places: Int[np.ndarray, "*other"],
    factors: np.ndarray, out: Shape, batch: int | None,
) -> Vector:  # fmt: skip
    """Each result (a row) as the sum of values (by their places) times factors, all broadcast to one grid."""
    from scipy.sparse import coo_array

    note_precision(walk, factors)
    i, j, data = np.broadcast_arrays(rows, places, as_constant(name, factors))
    W = coo_array((data.ravel(), (i.ravel(), j.ravel())), shape=(prod(out), prod(shape_of(v)))).tocsr()
    made = matrix(walk, name, Vector(v.place, v.shape, None), W, out)
    return Vector(made.place, out, batch)


def _dot(walk: Walk, name: str, a: Any, b: Any) -> Vector:
    v, constant = (a, b) if isinstance(a, Vector) else (b, a)
    numbers_only(name, "a product", constant)
    if len(shape_of(v)) != 1:
        raise ValueError("a dot product takes vectors")
    return matmul(walk, name, v, constant)


def einsum(walk: Walk, name: str, equation: Any, *operands: Any) -> Vector:
    """A sum of products by its equation, of one tensor that depends on the input and at most one constant."""
    listed = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    taken, arrow, made = str(equation).replace(" ", "").partition("->")
    labels = taken.split(",")
    if not arrow or "." in taken or len(labels) != len(listed) or len(listed) > 2:
        raise ValueError(f"the equation {equation} is not read")
    which = [place for place, value in enumerate(listed) if isinstance(value, Vector)]
    if len(which) > 1:
        raise refuse_product(name)
    v, own = listed[which[0]], labels[which[0]]
    other = labels[1 - which[0]] if len(listed) == 2 else ""
    constant = np.asarray(listed[1 - which[0]]) if len(listed) == 2 else np.array(1.0)
    _check_labels(name, v, own, constant, other, made)
    size = dict(zip(own, shape_of(v), strict=True)) | dict(zip(other, constant.shape, strict=True))
    order = [*made, *(label for label in size if label not in made)]
    out = tuple(size[label] for label in made)
    if len(listed) == 1 and prod(out) == prod(size.values()):  # nothing is summed: PyTorch gives a view
        turned = permute(walk, name, v, [own.index(label) for label in order])
        return Vector(turned.place, out, turned.batch)
    make_room(walk, name, prod(size.values()))
    rows = np.arange(prod(out)).reshape(*out, *[1] * (len(order) - len(made)))
    batch = None if v.batch is None else made.index(own[v.batch])
    return _summed(walk, name, v, rows, _along(places_of(v), own, order), _along(constant, other, order), out, batch)


def _check_labels(name: str, v: Vector, own: str, constant: np.ndarray, other: str, made: str) -> None:
    """Raises where labels are repeated, do not fit their shapes, or the rows of a batch do not stay apart."""
    parts = (own, other, made)
    if any(len(set(part)) != len(part) for part in parts) or not set(made) <= set(own + other):
        raise ValueError(f"the labels {own}, {other} and {made} are not read")
    shapes = dict(zip(own, shape_of(v), strict=True))
    if any(shapes.get(label, size) != size for label, size in zip(other, constant.shape, strict=True)):
        raise ValueError(f"sizes {shape_of(v)} and {constant.shape} for {own} and {other}")
    if v.batch is not None and (own[v.batch] in other or own[v.batch] not in made):
        raise mixes_rows(name, f"sums along the batch axis {v.batch}, or has a constant for each row")


def _along(array: np.ndarray, labels: str, order: Sequence[str]) -> np.ndarray:
    """An array with its axes in the given order of labels, of size 1 where it has none."""
    sorted_ = sorted(range(len(labels)), key=lambda place: order.index(labels[place]))
    turned = array.transpose(sorted_)
    sizes = iter(turned.shape)
    return turned.reshape([next(sizes) if label in labels else 1 for label in order])


def _plus(walk: Walk, name: str, bias: Any, v: Vector, beta: Any, alpha: Any) -> Vector:
    """`beta bias + alpha v`."""
    v = v if alpha == 1 else scale(walk, name, v, alpha)
    if beta == 0:
        return v
    if isinstance(bias, Vector):
        return add(walk, name, [bias if beta == 1 else scale(walk, name, bias, beta), v])
    return shift(walk, name, v, bias if beta == 1 else np.asarray(bias, dtype=np.float64) * beta)


def _addmm(walk: Walk, name: str, bias: Any, left: Any, right: Any, *, beta: Any = 1, alpha: Any = 1) -> Vector:
    if not isinstance(left, Vector) and not isinstance(right, Vector):
        raise ModelError(f"layer {name} adds a product of constants to a value in one step, which is not read; "
                         "compute the product beforehand")  # fmt: skip
    return _plus(walk, name, bias, matmul(walk, name, left, right), beta, alpha)


PRODUCTS: dict[str, Operation] = {
    "linear": _linear, "addmm": _addmm, "addmv": _addmm, "baddbmm": _addmm, "matmul": matmul, "mm": matmul,
    "bmm": matmul, "mv": matmul, "dot": _dot, "einsum": einsum,
}  # fmt: skip
