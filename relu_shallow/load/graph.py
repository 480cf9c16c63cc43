"""A network as a graph of named steps on flat vectors, whatever framework wrote it.

Vector 0 is the input; vector i is made by step i from vectors before it. Lowering (load/lowering.py) puts the steps
together into affine maps with gates between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import ModelError
from relu_shallow.network import Head, Matrix

SUPPORTED = (
    "affine layers with ReLU, LeakyReLU, PReLU, ReLU6, hard-tanh, hard-sigmoid, clip, abs, max, min and max-pooling "
    "between them; as the very last layer also softmax, log-softmax, sigmoid or tanh."
)


@dataclass(frozen=True, eq=False)
class Linear:
    """x -> W x."""

    name: str
    W: Matrix


@dataclass(frozen=True, eq=False)
class Scale:
    """x -> d * x, value by value; a factor of one entry holds for every value."""

    name: str
    d: Float[np.ndarray, " values"]


@dataclass(frozen=True, eq=False)
class Shift:
    """x -> x + b, value by value; a shift of one entry holds for every value."""

    name: str
    b: Float[np.ndarray, " values"]


@dataclass(frozen=True, eq=False)
class Select:
    """x -> x[index]: values reordered, repeated or left out."""

    name: str
    index: Int[np.ndarray, " values"]


@dataclass(frozen=True, eq=False)
class Sum:
    """x, y, ... -> x + y + ...: vectors of one size."""

    name: str


@dataclass(frozen=True, eq=False)
class Stack:
    """x, y, ... -> the values of all, end to end."""

    name: str


@dataclass(frozen=True, eq=False)
class Bend:
    """Two-slope gates; a slope of one entry holds for every value."""

    name: str
    inactive: Float[np.ndarray, " slopes"]
    active: Float[np.ndarray, " slopes"]


@dataclass(frozen=True)
class Final:
    """A softmax, log-softmax, sigmoid or tanh, which must come last."""

    name: str
    head: Head


Step: TypeAlias = Linear | Scale | Shift | Select | Sum | Stack | Bend | Final


@dataclass(frozen=True, eq=False)
class Made:
    """A step and the vectors it takes: 0 for the input, i for what step i makes."""

    step: Step
    takes: tuple[int, ...]


@dataclass(frozen=True)
class Bracket:
    """Two vectors of gates in the search for the largest of k: value by value, the first compared two losers unless
    the second, which compares the winner with others, is in the given state.
    """  # fmt: skip

    gates: int
    later: int
    state: int


@dataclass(frozen=True, eq=False)
class Graph:
    """Steps from `inputs` values to the vector `output`, and how many more numbers putting them together may take."""

    inputs: int
    made: tuple[Made, ...]
    output: int
    room: int = 1 << 40
    brackets: tuple[Bracket, ...] = ()

    @property
    def width(self) -> tuple[int, ...]:
        """The number of values of every vector, the input's first."""
        width = [self.inputs]
        for made in self.made:
            width.append(_width_after(made.step, [width[place] for place in made.takes]))
        return tuple(width)


def split_head(graph: Graph) -> tuple[Graph, Head]:
    """The graph of what its output needs, before a final softmax, sigmoid or tanh, and that head.

    Raises ModelError where a head is not last.
    """
    last = graph.made[graph.output - 1].step if graph.output else None
    output = graph.made[graph.output - 1].takes[0] if isinstance(last, Final) else graph.output
    for place in _needed(graph, output):
        made = graph.made[place - 1]
        smooth = next((step for taken in made.takes if taken and isinstance(step := graph.made[taken - 1].step, Final)),
                      made.step if isinstance(made.step, Final) else None)  # fmt: skip
        if isinstance(smooth, Final):
            after = made.step.name if made.step is not smooth else getattr(last, "name", "another layer")
            raise ModelError(
                f"layer {smooth.name} is {smooth.head} in the middle of the network ({after} follows it): only "
                f"piecewise-linear activations have linear regions. Supported: {SUPPORTED} "
                f"Retrain with one of these, or convert the part before it: --until {smooth.name}"
            )
        _check_finite(made.step)
    return pruned(graph, output), last.head if isinstance(last, Final) else "identity"


def pruned(graph: Graph, output: int) -> Graph:
    """The graph of what a vector depends on, which is then its output."""
    needed = _needed(graph, output)
    number = {0: 0} | {old: new for new, old in enumerate(needed, start=1)}
    kept = tuple(Made(graph.made[place - 1].step, tuple(number[taken] for taken in graph.made[place - 1].takes))
                 for place in needed)  # fmt: skip
    brackets = tuple(Bracket(number[each.gates], number[each.later], each.state) for each in graph.brackets
                     if each.gates in number and each.later in number)  # fmt: skip
    return Graph(graph.inputs, kept, number[output], graph.room, brackets)


def _needed(graph: Graph, output: int) -> list[int]:
    """The steps that the output depends on, in order."""
    found: set[int] = set()
    ahead = [output]
    while ahead:
        place = ahead.pop()
        if place and place not in found:
            found.add(place)
            ahead.extend(graph.made[place - 1].takes)
    return sorted(found)


def _width_after(step: Step, widths: list[int]) -> int:
    if isinstance(step, Linear):
        return int(step.W.shape[0])
    if isinstance(step, Select):
        return len(step.index)
    return sum(widths) if isinstance(step, Stack) else widths[0]


def _check_finite(step: Step) -> None:
    """Raises ModelError, naming the layer, where a weight is NaN or infinite."""
    for value in vars(step).values():
        entries = value if isinstance(value, np.ndarray) else getattr(value, "data", None)
        if isinstance(entries, np.ndarray) and not np.isfinite(entries).all():
            raise ModelError(
                f"layer {step.name} holds NaN or infinite weights, so it has no linear regions; "
                "load weights from before training diverged"
            )
