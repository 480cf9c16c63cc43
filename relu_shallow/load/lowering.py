"""From a graph of steps to affine maps with layers of gates between them.

The level of a vector is the number of gates on its longest path from the input. Layer l has

    gates      those whose level is l, on the vectors they take;
    carriers   gates with two slopes of one, on vectors from below that something above still needs (a residual),

and everything of level l is an affine function of what the two give. Where one affine map stands alone its weights are
taken exactly as they are. Where two really follow one another (a batch normalisation after a linear layer, two linear
layers in a row) they are multiplied out in float64; adding to zero, multiplying by one and reordering change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import ModelError
from relu_shallow.load.graph import Bend, Graph, Linear, Made, Scale, Select, Shift, Stack, Sum, pruned, split_head
from relu_shallow.load.matrices import (
    blocks,
    diagonal,
    entries,
    entries_of_product,
    product,
    rows_scaled,
    selection,
    stored,
    total,
)
from relu_shallow.network import Affine, Gate, Matrix, Network, Source


@dataclass(frozen=True, eq=False)
class Form:
    """An affine function of vectors: the sum of W_k x_k (None for the identity) plus b (None for zero)."""

    terms: dict[int, Matrix | None]
    b: Float[np.ndarray, " out"] | None = None


def assemble(graph: Graph, source: Source, feature_names: Sequence[str] = ()) -> Network:
    """The network of a graph, affine steps in a row multiplied out; raises ModelError on a head that is not last."""
    graph, head = split_head(graph)
    graph = _gates_merged(graph)
    width, level = graph.width, _levels(graph)
    affine, gates = [], []
    state: list[int] = [0]
    first, neurons = dict[int, int](), 0
    for layer in range(1, level[graph.output] + 1):
        bends = [place for place, made in enumerate(graph.made, start=1)
                 if isinstance(made.step, Bend) and level[place] == layer]  # fmt: skip
        taken = [graph.made[place - 1].takes[0] for place in bends]
        carried = _carried(graph, width, level, state, layer)
        affine.append(_layer(graph, width, state, [*taken, *carried]))
        steps = [graph.made[place - 1].step for place in bends]
        slopes = [(_for_each(step.inactive, width[place]), _for_each(step.active, width[place]))
                  for step, place in zip(steps, taken, strict=True) if isinstance(step, Bend)]  # fmt: skip
        slopes += [(np.ones(width[place]), np.ones(width[place])) for place in carried]
        gates.append(Gate(np.concatenate([low for low, _ in slopes]), np.concatenate([high for _, high in slopes])))
        first |= zip(bends, accumulate((width[place] for place in bends), initial=neurons), strict=False)
        neurons += len(gates[-1].active)
        state = [*bends, *carried]
    affine.append(_layer(graph, width, state, [graph.output]))
    return Network(tuple(affine), tuple(gates), head, tuple(feature_names), source=source,
                   brackets=_brackets(graph, width, first))  # fmt: skip


def _brackets(graph: Graph, width: Sequence[int], first: Mapping[int, int]) -> Int[np.ndarray, "entries 3"]:
    """The brackets gate by gate; `first` is the number of the first neuron of each vector of gates."""
    rows = [np.zeros((0, 3), np.int64)]
    for each in graph.brackets:
        values = np.arange(width[each.gates])
        rows.append(np.stack([first[each.gates] + values, first[each.later] + values,
                              np.full(len(values), each.state)], axis=1))  # fmt: skip
    return np.concatenate(rows)


def _levels(graph: Graph) -> list[int]:
    level = [0]
    for made in graph.made:
        level.append(max(level[place] for place in made.takes) + isinstance(made.step, Bend))
    return level


def _carried(graph: Graph, width: Sequence[int], level: Sequence[int], state: list[int], layer: int) -> list[int]:
    """The vectors from below a layer that its gates or something above still need.

    Either these vectors, or those of the layer below that they are made of, whichever are fewer values.
    """
    crossing = sorted({
        place
        for number, made in enumerate(graph.made, start=1)
        if not isinstance(made.step, Bend) and level[number] >= layer
        for place in made.takes
        if level[place] < layer
    })  # fmt: skip
    below = sorted(set(_needed(graph, state, crossing)) & set(state))
    fewer = sum(width[place] for place in below) < sum(width[place] for place in crossing)
    return below if fewer else crossing


def _needed(graph: Graph, state: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """The vectors that the wanted ones are made of, back to those of the state, in order."""
    found: set[int] = set()
    ahead = list(wanted)
    while ahead:
        place = ahead.pop()
        if place not in found:
            found.add(place)
            if place not in state:
                ahead.extend(graph.made[place - 1].takes)
    return sorted(found)


def _layer(graph: Graph, width: Sequence[int], state: Sequence[int], wanted: Sequence[int]) -> Affine:
    """The wanted vectors, end to end, as an affine map of those of the state."""
    forms: dict[int, Form] = {}
    for place in _needed(graph, state, wanted):
        if place in state:
            forms[place] = Form({place: None})
        else:
            made = graph.made[place - 1]
            forms[place] = _after(made, [forms[taken] for taken in made.takes],
                                  [width[taken] for taken in made.takes], width, graph.room)  # fmt: skip
    rows = [forms[place] for place in wanted]
    heights = [width[place] for place in wanted]
    b = np.concatenate([np.zeros(height) if form.b is None else form.b
                        for form, height in zip(rows, heights, strict=True)])  # fmt: skip
    return Affine(stored(_joined(rows, heights, state, width)), b)


def _joined(rows: Sequence[Form], heights: Sequence[int], state: Sequence[int], width: Sequence[int]) -> Matrix:
    grid = [[_written(form, place, height) for place in state] for form, height in zip(rows, heights, strict=True)]
    if len(grid) == len(state) == 1 and grid[0][0] is not None:
        return grid[0][0]
    return blocks(grid, heights, [width[place] for place in state])


def _written(form: Form, place: int, height: int) -> Matrix | None:
    """A form's matrix on one vector, the identity written out; None where it does not depend on it."""
    if place not in form.terms:
        return None
    W = form.terms[place]
    return diagonal(np.ones(height)) if W is None else W


def _after(made: Made, before: list[Form], came: list[int], width: Sequence[int], room: int) -> Form:
    """The affine step of `made` after the forms of what it takes, `came` values each, in float64."""
    step, form = made.step, before[0]
    if isinstance(step, Shift):
        shift = _for_each(step.b, came[0])
        return replace(form, b=shift if form.b is None else form.b + shift) if shift.any() else form
    if isinstance(step, Sum):
        return _sum(before, came[0])
    if isinstance(step, Stack):
        return _stack(before, came, width)
    if isinstance(step, Scale):
        d = _for_each(step.d, came[0])
        scaled = {place: diagonal(d) if W is None else rows_scaled(W, d) for place, W in form.terms.items()}
        return Form(scaled, None if form.b is None else d * form.b)
    terms: dict[int, Matrix | None] = {}
    if isinstance(step, Select):
        for place, W in form.terms.items():
            _check_room(step.name, 0 if W is None else entries(W) // max(W.shape[0], 1) * len(step.index), room)
            terms[place] = selection(step.index, came[0]) if W is None else W[step.index]
        return Form(terms, None if form.b is None else form.b[step.index])
    assert isinstance(step, Linear)
    for place, W in form.terms.items():
        _check_room(step.name, 0 if W is None else entries_of_product(step.W, W), room)
        terms[place] = step.W if W is None else product(step.W, W)
    return Form(terms, None if form.b is None else product(step.W, form.b))


def _sum(forms: list[Form], height: int) -> Form:
    terms: dict[int, Matrix | None] = {}
    for form in forms:
        for place, W in form.terms.items():
            known = diagonal(np.ones(height)) if W is None and place in terms else W
            if place not in terms:
                terms[place] = known
            else:
                old = terms[place]
                terms[place] = total(diagonal(np.ones(height)) if old is None else old, known)
    shifts = [form.b for form in forms if form.b is not None]
    return Form(terms, np.sum(shifts, axis=0) if shifts else None)


def _stack(forms: list[Form], heights: list[int], width: Sequence[int]) -> Form:
    places = sorted({place for form in forms for place in form.terms})
    terms: dict[int, Matrix | None] = {
        place: blocks([[_written(form, place, height)] for form, height in zip(forms, heights, strict=True)],
                      heights, [width[place]])
        for place in places
    }  # fmt: skip
    if all(form.b is None for form in forms):
        return Form(terms)
    return Form(terms, np.concatenate([np.zeros(height) if form.b is None else form.b
                                       for form, height in zip(forms, heights, strict=True)]))  # fmt: skip


def _check_room(name: str, numbers: int, room: int) -> None:
    """Raises ModelError where affine steps in a row, multiplied out, are far more numbers than the file holds."""
    if numbers > room:
        raise ModelError(f"layer {name}, multiplied out with those before it, would have {numbers} weights, "
                         "which a file of this size does not call for; it is not read")  # fmt: skip


def _gates_merged(graph: Graph) -> Graph:
    """The same graph where gates that directly follow gates of kept sign, and alone use them, are one with them."""
    users = np.zeros(len(graph.made) + 1, np.int64)
    for made in graph.made:
        users[list(made.takes)] += 1
    users[graph.output] += 1
    steps = list(graph.made)
    for place, made in enumerate(steps):
        before = steps[made.takes[0] - 1] if made.takes[0] else None
        if isinstance(made.step, Bend) and before is not None and users[made.takes[0]] == 1:
            first = before.step
            if isinstance(first, Bend) and _keeps_sign(first):
                both = Bend(first.name, first.inactive * made.step.inactive, first.active * made.step.active)
                steps[place] = Made(both, before.takes)
    return pruned(replace(graph, made=tuple(steps)), graph.output)


def _for_each(numbers: Float[np.ndarray, " numbers"], width: int) -> Float[np.ndarray, " values"]:
    return np.array(np.broadcast_to(numbers, (width,)), dtype=np.float64)


def _keeps_sign(gate: Bend) -> bool:
    """Whether gates put directly after these see the sign these saw, so that slopes multiply."""
    return bool((gate.active > 0).all() and (gate.inactive >= 0).all())
