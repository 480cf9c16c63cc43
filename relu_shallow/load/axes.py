"""Shapes in which one axis is the batch: its rows must stay apart, whatever else is reshaped.

The number of rows is not known, so a size read from a tensor may be the `ROWS` of it: that may say where the batch
goes in a reshape, and nothing may be computed with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from relu_shallow.errors import ModelError


@dataclass(frozen=True)
class Size:
    """A size that is no number: what it is the size of."""

    what: str


ROWS = Size("the number of rows in the batch")
UNKNOWN = Size("the size of the input, which no layer has told yet")


def mixes_rows(name: str, what: str) -> ModelError:
    """The error for an operation after which a row's output depends on the other rows, or may."""
    return ModelError(f"layer {name} {what}, which mixes the rows of a batch: a network is read as a function of one "
                      "row. Leave that out of the model, or export it to ONNX with a fixed batch of 1")  # fmt: skip


def reshaped(
    name: str, shape: tuple[int, ...], batch: int | None, target: Sequence[int | Size], fixed: int
) -> tuple[tuple[int, ...], int | None]:
    """The new shape and batch axis; one entry of the target may be -1, and `fixed` is the batch size of the file."""
    if UNKNOWN in target:
        raise ModelError(f"layer {name} computes with {UNKNOWN.what}; give the size in the model")
    marked = [axis for axis, size in enumerate(target) if isinstance(size, Size)]
    if not marked and fixed > 1 and list(target[:1]) == [fixed]:
        marked = [0]
    sizes = [1 if axis in marked or isinstance(size, Size) else int(size) for axis, size in enumerate(target)]
    free = sizes.index(-1) if sizes.count(-1) == 1 else None
    known = prod(size for size in sizes if size != -1)
    if free is not None and known and prod(shape) % known == 0:
        sizes[free] = prod(shape) // known
    if prod(sizes) != prod(shape):
        raise ModelError(f"layer {name} reshapes {prod(shape)} values (one row of the input) to {sizes}, "
                         f"which holds {prod(sizes)}; export the model with a batch size of 1")  # fmt: skip
    if batch is None:
        return tuple(sizes), None
    before = prod(shape[:batch])
    if marked:
        places = marked if len(marked) == 1 else []
    elif free is not None:
        places = [free]
    else:
        places = [axis for axis, size in enumerate(sizes) if size == 1] if fixed == 1 else []
    fitting = [axis for axis in places if sizes[axis] == 1 and prod(sizes[:axis]) == before]
    if not fitting:
        raise mixes_rows(name, f"reshapes one row of shape {shape} and its batch axis {batch} to {_text(target)}")
    return tuple(sizes), fitting[0]


def _text(target: Sequence[int | Size]) -> str:
    return f"({', '.join('rows' if isinstance(size, Size) else str(size) for size in target)})"
