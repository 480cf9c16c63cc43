"""The walk over the tensors from a model's input to its output, whatever framework wrote it.

A tensor that depends on the input is a `Vector`: its place in the graph of steps, and its shape (with a batch axis of
size 1 where the framework has one). An operation that changes, reorders or bends its values appends a step; a reshape
only changes the shape. What takes several tensors is in joins.py, what slides windows over them in windows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import mixes_rows
from relu_shallow.load.graph import SUPPORTED, Bracket, Graph, Made, Select, Step
from relu_shallow.load.matrices import entries
from relu_shallow.load.reading import ModelFile
from relu_shallow.network import Source

Shape: TypeAlias = tuple[int, ...]
# What a graph may hold: FREE_ENTRIES numbers, and three for each byte of the file (the smallest weight is one byte).
# More comes from a few numbers that are repeated, spread or multiplied out: a small file that would fill the memory.
FREE_ENTRIES = 1 << 25
MOST_INPUTS, MOST_VALUES = 1 << 20, 1 << 22  # values of one row, at the input and between two layers
Array: TypeAlias = Any  # a constant of the model, of any shape and number type, as NumPy array or Python number


@dataclass(frozen=True)
class Vector:
    """A tensor that depends on the input: its place in the graph, and its shape (None: still unknown).

    `batch` is the axis along which rows are stacked, of size 1 in the shape; None where the input is one whole tensor.
    """

    place: int
    shape: Shape | None
    batch: int | None = 0


@dataclass(frozen=True)
class Wanted:
    """What a user asks of a reading: only the part before the layer `until`, rows of a shape, an output by its name.

    With `check` the source is run too, where that is safe, and its outputs compared.
    """

    until: str = ""
    shape: Shape | None = None
    output: str = ""
    check: bool = False


class Reached(Exception):  # noqa: N818
    """The layer before which the user wants the network to end was reached; carries the vector that it takes."""

    def __init__(self, v: Vector) -> None:
        super().__init__()
        self.vector = v


@dataclass
class Walk:
    """The graph as far as it has been walked; `inputs` is None until the first layer that tells."""

    inputs: int | None = None
    made: list[Made] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    assumed: str = ""  # what the file leaves open, and how it is read
    batch: int = 1  # a batch size above 1 that the file fixes; it is read as "any number of rows"
    room: int = 1 << 40  # how many numbers the steps may hold together; without end for a model already in memory
    wanted: Wanted = field(default_factory=Wanted)
    names: list[str] = field(default_factory=list)  # of the layers met
    replaced: dict[int, int] = field(default_factory=dict)  # vectors changed in place, and what they are now
    lost: dict[int, str] = field(default_factory=dict)  # vectors that a layer changed in place by another name
    brackets: list[Bracket] = field(default_factory=list)
    copied: set[int] = field(default_factory=set)  # vectors that some name may hold a copy of


def most_entries(file: ModelFile, beside: int = 0) -> int:
    """How many numbers the graph of a file may hold; `beside` is the size of its external data in bytes."""
    return FREE_ENTRIES + 3 * (len(file.data) + beside)


def make_room(walk: Walk, name: str, entries: int) -> None:
    """Raises ModelError where a layer would take more numbers than the graph may still hold."""
    if entries > walk.room:
        raise ModelError(f"layer {name} would unfold to {entries} numbers, which a file of this size does not call "
                         "for; it is not read")  # fmt: skip


def start(walk: Walk, shape: Shape | None, batch: int | None = 0) -> Vector:
    """The input tensor; where the file does not tell its shape, rows of the shape that the user gave, if any."""
    if shape is None and walk.wanted.shape is not None:
        shape, batch = (1, *walk.wanted.shape), 0
    elif walk.wanted.shape is not None and shape is not None and walk.wanted.shape not in (shape, shape[1:]):
        raise ModelError(f"the model's own input has the shape {shape}, its first axis being the rows, which a row of "
                         f"shape {walk.wanted.shape} does not fit; leave out the input shape")  # fmt: skip
    if shape is not None and not 0 < prod(shape) <= MOST_INPUTS:
        raise ModelError(f"the input has the shape {shape}; between 1 and {MOST_INPUTS} values per row are read")
    walk.inputs = None if shape is None else prod(shape)
    return Vector(0, shape, batch)


def meet(walk: Walk, name: str, values: Sequence[object]) -> None:
    """Notes a layer before it is applied to its arguments; ends the walk where the user wants the part before it."""
    walk.names.append(name)
    if name == walk.wanted.until:
        taken = next((value for value in values if isinstance(value, Vector)), None)
        if taken is None:
            raise ModelError(f"layer {name} takes nothing that depends on the input, so no network ends before it")
        raise Reached(taken)


def walked(walk: Walk, what: str, run: Callable[[], object]) -> Graph:
    """The whole graph of a walk, or the part of it before the layer that the user named."""
    try:
        output = run()
    except Reached as reached:
        output = reached.vector
        walk.assumed = "; ".join(filter(None, (walk.assumed, f"the part before layer {walk.wanted.until}")))
    else:
        if walk.wanted.until:
            listed = ", ".join(walk.names[:40]) + (", ..." if len(walk.names) > 40 else "")
            raise ModelError(f"{what} has no layer {walk.wanted.until!r:.60} on the way to its output; "
                             f"its layers are {listed or 'not known by name'}")  # fmt: skip
    if not isinstance(output, Vector):
        raise ModelError(f"the output of {what} does not depend on its input")
    if walk.inputs is None:
        raise ModelError(f"{what} has no layer that tells how many inputs it takes: give the shape of one row with "
                         "--input-shape, such as 3,32,32")  # fmt: skip
    place = current(walk, "the output", output).place
    return Graph(walk.inputs, tuple(walk.made), place, walk.room, tuple(walk.brackets))


def choose_output(what: str, names: Sequence[str], wanted: Wanted) -> str:
    """The one output tensor, or the one of several that the user named."""
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    if wanted.output and wanted.output not in names:
        raise ModelError(f"{what} has no output {wanted.output!r:.60}; its outputs are {listed}")
    if len(names) != 1 and not wanted.output:
        raise ModelError(f"{what} has {len(names)} outputs ({listed or 'none'}); choose one with --output-name")
    return wanted.output or names[0]


def source_of(walk: Walk, name: str, form: str, sha256: str) -> Source:
    """The record of where the walked model came from; its precision is that of its widest weights."""
    widest = max(walk.dtypes, key=lambda dtype: np.dtype(dtype).itemsize, default="float64")
    shape = "" if walk.wanted.shape is None else ",".join(map(str, walk.wanted.shape))
    return Source(name, form, sha256, widest, walk.assumed, walk.wanted.until, shape, walk.wanted.output)


def refuse_layer(name: str, what: str) -> ModelError:
    """The error for a layer or operation that is not known."""
    return ModelError(
        f"layer {name} is {what}, which is not supported: only piecewise-linear layers have linear regions. Read are "
        f"{SUPPORTED} To convert the part before it, use --until {name}"
    )


def refuse_product(name: str, what: str = "the product") -> ModelError:
    """The error for a product of two values that both depend on the input."""
    return ModelError(f"layer {name} is {what} of two values that both depend on the input, which is not piecewise "
                      f"linear. To convert the part before it, use --until {name}")  # fmt: skip


def append(walk: Walk, name: str, v: Vector, shape: Shape | None, step: Step, *others: Vector) -> Vector:
    """The vector that a step makes of v and perhaps others."""
    takes = tuple(current(walk, name, vector).place for vector in (v, *others))
    numbers = sum(entries(part) for part in vars(step).values() if hasattr(part, "dtype"))
    make_room(walk, name, numbers)
    walk.room -= numbers
    walk.made.append(Made(step, takes))
    return Vector(len(walk.made), shape, v.batch)


def current(walk: Walk, name: str, v: Vector) -> Vector:
    """A vector as it is now: after what was done to it in place, and of the shape that is known by now."""
    place = v.place
    while place in walk.replaced and place not in walk.lost:
        place = walk.replaced[place]
    if place in walk.lost:
        raise ModelError(f"layer {name} uses a value that layer {walk.lost[place]} changed in place by another name "
                         "(a copy, a slice or a transposed view of it); write that without changing it in "
                         "place")  # fmt: skip
    shape = (1, walk.inputs) if v.shape is None and walk.inputs is not None else v.shape
    return Vector(place, shape, v.batch)


def replace_in_place(walk: Walk, name: str, old: Vector, new: Vector) -> None:
    """Notes that a layer changed a vector in place: by whatever name it is used again, it is the new one.

    Where other names may hold a copy of it, or hold some of its values in another order, they are not known apart from
    then on, and refused when they are used.
    """
    relatives = _relatives(walk, old.place)
    if len(relatives) > 1 or relatives & walk.copied:
        walk.lost |= dict.fromkeys(relatives - {new.place}, name)
    elif old.place != new.place:
        walk.replaced[old.place] = new.place


def _relatives(walk: Walk, place: int) -> set[int]:
    """A vector with those that are selections of it, or it of them."""
    pairs = [(number, made.takes[0]) for number, made in enumerate(walk.made, start=1) if isinstance(made.step, Select)]
    found, grown = {place}, True
    while grown:
        more = {end for pair in pairs if set(pair) & found for end in pair}
        grown = not more <= found
        found |= more
    return found


def known(walk: Walk, v: Vector, size: int) -> Vector:
    """v with its shape, which its first layer of a known size tells: one row of `size` values."""
    if v.shape is not None:
        return v
    walk.inputs = size
    return Vector(v.place, (1, size), v.batch)


def shape_of(v: Vector) -> Shape:
    """The shape of v; raises ModelError where no layer has told it yet."""
    if v.shape is None:
        raise ModelError("the size of the input is not known before the first linear layer: give the shape of one row "
                         "with --input-shape, such as 3,32,32")  # fmt: skip
    return v.shape


def unknown(name: str) -> Vector:
    """Raises the error for a layer that needs the shape of the input before it is known."""
    raise ModelError(f"layer {name} comes before any layer that tells how many inputs there are, and does not tell "
                     "it either; give the shape of one row with --input-shape, such as 3,32,32")  # fmt: skip


def check_apart(name: str, v: Vector, axis: int) -> None:
    """Raises ModelError where a layer combines the values along the batch axis."""
    if v.batch is not None and v.batch == axis:
        raise mixes_rows(name, f"combines the values along axis {axis}")
