"""A network as a chain of named steps, and its assembly into affine maps with gates between them.

Where one affine map stands alone its weights are taken exactly as they are. Where two really follow one another
(a batch normalisation after a linear layer, two linear layers in a row) they are multiplied out in float64; adding to
a zero bias, multiplying by one and reordering change nothing and are not counted as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import ModelError
from relu_shallow.network import Affine, Gate, Head, Matrix, Network, Source

DENSE_ENTRIES = 1 << 20  # sparse weights of at most this many entries (8 MB) are kept dense

SUPPORTED = (
    "between affine layers ReLU, LeakyReLU and PReLU; "
    "as the very last layer also softmax, log-softmax, sigmoid or tanh."
)


@dataclass(frozen=True, eq=False)
class Linear:
    """x -> W x."""

    name: str
    W: Matrix


@dataclass(frozen=True, eq=False)
class Scale:
    """x -> d * x, value by value."""

    name: str
    d: Float[np.ndarray, " values"]


@dataclass(frozen=True, eq=False)
class Shift:
    """x -> x + b, value by value."""

    name: str
    b: Float[np.ndarray, " values"]


@dataclass(frozen=True, eq=False)
class Select:
    """x -> x[index]: values reordered, repeated or left out."""

    name: str
    index: Int[np.ndarray, " values"]


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


Step: TypeAlias = Linear | Scale | Shift | Select | Bend | Final


@dataclass(frozen=True)
class Chain:
    """Named steps from `inputs` values to the output, and how many more numbers multiplying them out may take."""

    inputs: int
    steps: tuple[Step, ...]
    room: int = 1 << 40


@dataclass(frozen=True, eq=False)
class Partial:
    """The affine steps so far since the last gate; None stands for the identity and for zero."""

    W: Matrix | None = None
    b: Float[np.ndarray, " out"] | None = None


def assemble(chain: Chain, source: Source, feature_names: Sequence[str] = ()) -> Network:
    """The network of a chain, affine steps in a row multiplied out; raises ModelError on a head that is not last."""
    body, head = split_head(chain.steps)
    affine = [Partial()]
    gates: list[Gate] = []
    width = chain.inputs
    for step in body:
        _check_finite(step)
        if isinstance(step, Bend):
            gate = Gate(_slopes(step.inactive, width), _slopes(step.active, width))
            if affine[-1].W is None and affine[-1].b is None and gates and _keeps_sign(gates[-1]):
                gates[-1] = Gate(gates[-1].inactive * gate.inactive, gates[-1].active * gate.active)
            else:
                affine[-1] = _completed(affine[-1], width)
                gates.append(gate)
                affine.append(Partial())
        else:
            _check_room(affine[-1], step, width, chain.room)
            affine[-1] = _after(affine[-1], step, width)
            width = _width_after(step, width)
    affine[-1] = _completed(affine[-1], width)
    maps = tuple(Affine(_stored(layer.W), np.asarray(layer.b)) for layer in affine)
    return Network(maps, tuple(gates), head, tuple(feature_names), source=source)


def unfolded(chain: Chain) -> Network:
    """The same function with every step a layer of its own (equal slopes between affine steps): what a framework runs.

    Rounding bounds for the framework's own arithmetic are computed on this one, since multiplying out can cancel.
    """
    body, head = split_head(chain.steps)
    affine: list[Affine] = []
    gates: list[Gate] = []
    width = chain.inputs
    for step in body:
        bends = isinstance(step, Bend)
        if bends == (len(affine) == len(gates)):  # two gates or two affine maps in a row, or a gate at the start
            if bends:
                affine.append(Affine(_diagonal(np.ones(width)), np.zeros(width)))
            else:
                gates.append(Gate(np.ones(width), np.ones(width)))
        if isinstance(step, Bend):
            gates.append(Gate(_slopes(step.inactive, width), _slopes(step.active, width)))
        else:
            affine.append(_single(step, width))
            width = _width_after(step, width)
    if len(affine) == len(gates):
        affine.append(Affine(_diagonal(np.ones(width)), np.zeros(width)))
    return Network(tuple(affine), tuple(gates), head)


def split_head(steps: Sequence[Step]) -> tuple[tuple[Step, ...], Head]:
    """The steps before a final softmax, sigmoid or tanh, and that head; raises ModelError where one is not last."""
    for place, step in enumerate(steps[:-1]):
        if isinstance(step, Final):
            after = steps[place + 1].name
            raise ModelError(
                f"layer {step.name} is {step.head} in the middle of the network ({after} follows it): only "
                f"piecewise-linear activations have linear regions. Supported: {SUPPORTED} "
                f"Retrain with one of these, or give only the part of the network without it."
            )
    last = steps[-1] if steps else None
    return (tuple(steps[:-1]), last.head) if isinstance(last, Final) else (tuple(steps), "identity")


def _after(before: Partial, step: Step, width: int) -> Partial:
    """The affine map `step` after `before`, in float64."""
    W, b = before.W, before.b
    if isinstance(step, Shift):
        return Partial(W, step.b if b is None else b + step.b) if step.b.any() else before
    if isinstance(step, Scale):
        scaled = _diagonal(step.d) if W is None else _rows_scaled(W, step.d)
        return Partial(scaled, None if b is None else step.d * b)
    if isinstance(step, Select):
        picked = _selection(step.index, width) if W is None else W[step.index]
        return Partial(picked, None if b is None else b[step.index])
    assert isinstance(step, Linear)
    return Partial(step.W if W is None else step.W @ W, None if b is None else step.W @ b)


def _check_room(before: Partial, step: Step, width: int, room: int) -> None:
    """Raises ModelError where affine steps in a row, multiplied out, are far more numbers than the file holds."""
    inputs = width if before.W is None else int(before.W.shape[1])
    grows = before.W is not None and isinstance(step, (Linear, Select))
    sparse = not isinstance(before.W, np.ndarray) and not (isinstance(step, Linear) and isinstance(step.W, np.ndarray))
    entries = _width_after(step, width) * inputs
    if grows and not sparse and entries > room:
        raise ModelError(f"layer {step.name}, multiplied out with those before it, would have {entries} weights, "
                         "which a file of this size does not call for; it is not read")  # fmt: skip


def _completed(part: Partial, width: int) -> Partial:
    """The same map with its identity or zero written out."""
    W = _diagonal(np.ones(width)) if part.W is None else part.W
    return Partial(W, np.zeros(width) if part.b is None else part.b)


def _single(step: Step, width: int) -> Affine:
    """One affine step as a layer of its own."""
    if isinstance(step, Shift):
        return Affine(_diagonal(np.ones(width)), step.b)
    part = _completed(_after(Partial(), step, width), _width_after(step, width))
    return Affine(part.W, np.asarray(part.b))


def _width_after(step: Step, width: int) -> int:
    if isinstance(step, Linear):
        return int(step.W.shape[0])
    return len(step.index) if isinstance(step, Select) else width


def _slopes(slopes: Float[np.ndarray, " slopes"], width: int) -> Float[np.ndarray, " values"]:
    return np.array(np.broadcast_to(slopes, (width,)), dtype=np.float64)


def _keeps_sign(gate: Gate) -> bool:
    """Whether gates put directly after these see the sign these saw, so that slopes multiply."""
    return bool((gate.active > 0).all() and (gate.inactive >= 0).all())


def _rows_scaled(W: Matrix, d: Float[np.ndarray, " values"]) -> Matrix:
    return d[:, None] * W if isinstance(W, np.ndarray) else W.multiply(d[:, None]).tocsr()


def _diagonal(d: Float[np.ndarray, " values"]) -> Matrix:
    """diag(d), in CSR where dense would be large."""
    if len(d) ** 2 <= DENSE_ENTRIES:
        return np.diag(d)
    from scipy.sparse import csr_array

    return csr_array((d, np.arange(len(d)), np.arange(len(d) + 1)), shape=(len(d), len(d)))


def _selection(index: Int[np.ndarray, " values"], width: int) -> Matrix:
    """The 0/1 matrix of x -> x[index]."""
    if len(index) * width <= DENSE_ENTRIES:
        return np.eye(width)[index]
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(index)), index, np.arange(len(index) + 1)), shape=(len(index), width))


def _stored(W: Matrix) -> Matrix:
    """W as a network keeps it: float64, dense unless it is both sparse and large."""
    if isinstance(W, np.ndarray):
        return np.array(W, dtype=np.float64)
    return W.toarray() if W.shape[0] * W.shape[1] <= DENSE_ENTRIES else W.tocsr()


def _check_finite(step: Step) -> None:
    """Raises ModelError, naming the layer, where a weight is NaN or infinite."""
    for value in vars(step).values():
        entries = value if isinstance(value, np.ndarray) else getattr(value, "data", None)
        if isinstance(entries, np.ndarray) and not np.isfinite(entries).all():
            raise ModelError(
                f"layer {step.name} holds NaN or infinite weights, so it has no linear regions; "
                "load weights from before training diverged"
            )
