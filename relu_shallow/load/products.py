"""Matrix products with a stack of constant matrices, and sums over indices in Einstein's notation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import mixes_rows
from relu_shallow.load.operations import as_constant, matrix, note_precision, spread
from relu_shallow.load.walk import Array, Vector, Walk, make_room, shape_of

SPELT_OUT = 1 << 24  # the most numbers that a sum over indices is spelt out with


def stacked_product(walk: Walk, name: str, v: Vector, M: Array, *, left: bool) -> Vector:
    """`x M`, or `M x` where `left`, for every matrix of a stack M, both stacks broadcast against one another."""
    from scipy.sparse import block_diag, csr_array, eye_array, kron

    note_precision(walk, M)
    array = as_constant(name, M)
    shape = shape_of(v)
    if len(shape) < 2 or array.ndim < 2 or shape[-2 if left else -1] != array.shape[-1 if left else -2]:
        raise ModelError(f"layer {name} multiplies a tensor of shape {shape} by one of shape {array.shape}, "
                         "which do not fit")  # fmt: skip
    lead = np.broadcast_shapes(shape[:-2], array.shape[:-2])
    v = spread(walk, name, v, (*lead, *shape[-2:]))
    if v.batch is not None and v.batch >= len(lead):
        raise mixes_rows(name, f"combines the values along axis {v.batch}")
    beside = shape[-1] if left else shape[-2]  # the axis that each matrix leaves as it is
    make_room(walk, name, prod(lead) * prod(array.shape[-2:]) * beside)
    stack = np.broadcast_to(array, (*lead, *array.shape[-2:])).reshape(-1, *array.shape[-2:])
    parts = [kron(csr_array(A), eye_array(beside)) if left else kron(eye_array(beside), csr_array(A.T)) for A in stack]
    out = (array.shape[-2], shape[-1]) if left else (shape[-2], array.shape[-1])
    flat = Vector(v.place, shape_of(v), None)
    made = matrix(walk, name, flat, csr_array(block_diag(parts, format="csr")), (*lead, *out))
    return Vector(made.place, made.shape, v.batch)


def einsum(walk: Walk, name: str, equation: str, factors: Sequence[Vector | Array]) -> Vector:
    """A sum over indices of products in which one factor depends on the input: its matrix, column by column.

    Raises ModelError where that would be large, or where the axis of rows does not go through it untouched.
    """
    inputs, arrow, result = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    place, v = next((place, factor) for place, factor in enumerate(factors) if isinstance(factor, Vector))
    if "." in equation or not arrow or len(terms) != len(factors):
        raise ModelError(f"layer {name} is Einsum of {equation!r:.60}; read are those that name every axis, with ->")
    shape, own = shape_of(v), terms[place]
    if len(own) != len(shape):
        raise ModelError(f"layer {name} is Einsum of {equation!r:.60} of a tensor of shape {shape}")
    batch = None
    if v.batch is not None:
        rows = own[v.batch]
        if "".join((*terms, result)).count(rows) != 2 or rows not in result:
            raise mixes_rows(name, f"is Einsum of {equation!r:.60}, whose axis {rows} is the batch")
        batch = result.index(rows)
    constants = [as_constant(name, factor) for factor in factors if not isinstance(factor, Vector)]
    note_precision(walk, *(factor for factor in factors if not isinstance(factor, Vector)))
    size = dict(zip(own, shape, strict=True))
    others = [term for number, term in enumerate(terms) if number != place]
    for term, array in zip(others, constants, strict=True):
        size.update(zip(term, array.shape, strict=True))
    out = tuple(size[letter] for letter in result)
    if prod(shape) * (prod(shape) + prod(size.values())) > SPELT_OUT:
        raise ModelError(f"layer {name} is Einsum of {equation!r:.60} over a tensor of shape {shape}, too large to be "
                         "spelt out; write it as a MatMul")  # fmt: skip
    free = next(letter for letter in "zyxwvutsrqponmlkjihgfedcba" if letter not in equation.lower())
    units = np.eye(prod(shape)).reshape(-1, *shape)
    columns = np.einsum(",".join([free + own, *others]) + "->" + free + result, units, *constants)
    made = matrix(walk, name, Vector(v.place, shape, None), columns.reshape(prod(shape), -1).T, out)
    return Vector(made.place, out, batch)
