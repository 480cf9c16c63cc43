"""A node of an ONNX graph, and what the operators read of it: axes, whole numbers, sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import ROWS, Size, mixes_rows
from relu_shallow.load.walk import Shape, Vector, Walk, refuse_product, shape_of

FLOAT32, FLOAT64 = 1, 11  # onnx.TensorProto.DataType
NUMBER_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64,
                9: np.bool_, 10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64}  # fmt: skip
LEAST, MOST = float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)  # what "no bound" is written as


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of a graph: its name, its inputs' and outputs' names, its attributes, the operator set's version."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any]
    opset: int
    branches: Mapping[str, Branch] = field(default_factory=dict)  # of control flow, by their attributes' names

    @property
    def needs(self) -> tuple[str, ...]:
        """The values that it needs: its inputs, and what its branches take from around them."""
        return (*self.inputs, *(name for branch in self.branches.values() for name in branch.taken))


@dataclass(frozen=True, eq=False)
class Branch:
    """A graph inside a node of control flow, in the order of the file; `taken` are the values from around it."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    outputs: tuple[str, ...]
    taken: tuple[str, ...]


def check_product(node: Node, *factors: Any) -> None:
    """Raises ModelError where more than one factor of a product depends on the input."""
    if sum(isinstance(factor, Vector) for factor in factors) > 1:
        raise refuse_product(node.name, f"{node.op}, a product")


def fixed(node: Node, what: str, value: Any) -> np.ndarray:
    """An argument that must not depend on the input, as an array."""
    if isinstance(value, Vector):
        raise ModelError(f"layer {node.name} ({node.op}) takes its {what} from a value that depends on the input; "
                         "only constants are read there")  # fmt: skip
    return np.asarray(value)


def whole_numbers(node: Node, key: str, value: Any = None) -> list[int] | None:
    """An option's whole numbers, given as an input (newer operator sets) or as an attribute (older); None for none."""
    given = node.options.get(key) if value is None else fixed(node, key, value).ravel()
    if given is None:
        return None
    return [counted(node, size) for size in np.atleast_1d(np.asarray(given, dtype=object))]


def counted(node: Node, size: Any) -> int:
    """A whole number; raises ModelError where it is the unknown number of rows."""
    if isinstance(size, Size):
        raise mixes_rows(node.name, f"computes with {size.what}")
    return int(size)


def given_axes(node: Node, axes: Any, rank: int) -> list[int] | None:
    """The axes that an input or an attribute names, from 0 on; None for none given."""
    given = whole_numbers(node, "axes", axes)
    if given is None:
        return None
    if any(not -rank <= axis < rank for axis in given):
        raise ValueError(f"axes {given} of {rank}")
    return [axis % rank for axis in given]


def one_axis(node: Node, rank: int, default: int | None = None) -> int:
    """The attribute `axis`, from 0 on."""
    axis = int(node.options["axis"] if default is None else node.options.get("axis", default))
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of {rank}")
    return axis % rank


def sizes(v: Vector) -> list[Any]:
    """The shape, with `ROWS` along the batch axis."""
    found: list[Any] = list(shape_of(v))
    if v.batch is not None:
        found[v.batch] = ROWS
    return found


def target_shape(walk: Walk, node: Node, v: Vector, given: Any) -> Shape:
    """A shape to spread to, 1 along the batch axis, which the file may call the number of rows."""
    target = list(np.atleast_1d(fixed(node, "shape", given)))
    shape = shape_of(v)
    here = None if v.batch is None else len(target) - len(shape) + v.batch
    if here is not None and 0 <= here < len(target) and (target[here] == ROWS or target[here] == walk.batch):
        target[here] = 1
    return tuple(counted(node, size) for size in target)


def window_options(node: Node, axes: int) -> tuple[list[int], list[int]]:
    """(strides, dilations) along the axes of a window."""
    strides, dilations = (list(node.options.get(key, [1] * axes)) for key in ("strides", "dilations"))
    if not len(strides) == len(dilations) == axes:
        raise ValueError(f"strides {strides} and dilations {dilations} for {axes} axes")
    return strides, dilations


def in_pairs(pads: Sequence[int], axes: int) -> list[tuple[int, int]]:
    """ONNX's pads (all the first ones, then all the last ones) as (before, after) for each axis."""
    if len(pads) != 2 * axes:
        raise ValueError(f"{len(pads)} pads for {axes} axes")
    return [(int(before), int(after)) for before, after in zip(pads[:axes], pads[axes:], strict=True)]
