"""Sound linear bounds of every pre-activation and output over a box, by relaxations backwards through the layers.

A row c.h of a layer is followed back to the inputs: every gate's `c_i gate(z_i)` is replaced by a line `m_i z_i + t_i`
above it on z_i's known bounds (CROWN, Zhang et al. 2018; DeepPoly, Singh et al. 2019), where a gate has any two slopes.
The bounds hold in exact arithmetic: a line's slope may be any number, since t_i is then computed as the most that
`c_i gate(z_i) - m_i z_i` can be (at an end of the bounds or at 0), and what rounding takes from the coefficients is
paid for by its product with the largest value there (`precision.gamma`).

Arrays may hold one box, or many along leading axes. A *cell* is the part of a box with some gates' signs given:
1 active (z >= 0), -1 inactive (z <= 0), 0 open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from relu_shallow.errors import DomainError
from relu_shallow.network import Gate, Matrix, Network, switching
from relu_shallow.precision import TINY, UNIT, check_range, gamma

TOGETHER = 256  # neurons of a layer that are bounded at once: a fraction of a second in wide layers
Tangent = Literal["near", "inactive", "active"]
"""Which line touches a concave gate at 0: the nearer one by area (DeepPoly's choice), or always one of its slopes."""


@dataclass(frozen=True, eq=False)
class Ball:
    """{z : |weights (z - centre)| <= radius} in a norm: "1", "2" or "inf"; one for all boxes."""

    norm: Literal["1", "2", "inf"]
    centre: Float[np.ndarray, " inputs"]
    weights: Float[np.ndarray, " inputs"]
    radius: float


@dataclass(frozen=True, eq=False)
class Bounds:
    """lower <= z_l <= upper on a cell, for l = 1, ..., L + 1 (the last are the outputs); lower > upper proves it empty.

    Entries are arrays (*boxes, neurons of the layer). Neurons that intervals already show to have one sign keep the
    intervals' bounds.
    """

    lo: Float[np.ndarray, "*boxes inputs"]
    hi: Float[np.ndarray, "*boxes inputs"]
    lower: list[np.ndarray]
    upper: list[np.ndarray]

    @property
    def empty(self) -> Bool[np.ndarray, "*boxes"]:
        """Which cells are proved to hold no point."""
        pairs = zip(self.lower, self.upper, strict=True)
        return np.asarray(np.logical_or.reduce([(low > high).any(axis=-1) for low, high in pairs]))

    @property
    def hidden(self) -> tuple[Float[np.ndarray, "*boxes neurons"], Float[np.ndarray, "*boxes neurons"]]:
        """(lower, upper) of the hidden neurons, end to end."""
        none = np.zeros((*self.lo.shape[:-1], 0))
        return np.concatenate([none, *self.lower[:-1]], axis=-1), np.concatenate([none, *self.upper[:-1]], axis=-1)

    def of(self, box: int) -> Bounds:
        """The bounds of one box of many."""
        return Bounds(self.lo[box], self.hi[box], [low[box] for low in self.lower], [high[box] for high in self.upper])

    @property
    def signs(self) -> Int8[np.ndarray, "*boxes neurons"]:
        """The hidden neurons' signs that the bounds prove, end to end: 1 active, -1 inactive, 0 open."""
        low, high = self.hidden
        return ((low >= 0).astype(np.int8) - ((high <= 0) & (low < 0)).astype(np.int8)).astype(np.int8)


def stack_bounds(cells: Sequence[Bounds]) -> Bounds:
    """The bounds of several cells along a new first axis, as `Bounds.of` takes them apart."""
    lower = [np.stack(layer) for layer in zip(*(cell.lower for cell in cells), strict=True)]
    upper = [np.stack(layer) for layer in zip(*(cell.upper for cell in cells), strict=True)]
    return Bounds(np.stack([cell.lo for cell in cells]), np.stack([cell.hi for cell in cells]), lower, upper)


def open_neurons(network: Network, bounds: Bounds) -> Int[np.ndarray, " open"]:
    """The neurons that switch and may have either sign on a cell."""
    return np.flatnonzero((bounds.signs == 0) & switching(network))


def preactivation_bounds(
    network: Network,
    lo: Float[np.ndarray, "*boxes inputs"],
    hi: Float[np.ndarray, "*boxes inputs"],
    signs: Int8[np.ndarray, "*boxes neurons"] | None = None,
    known: Bounds | None = None,
    first: int = 0,
    ball: Ball | None = None,
    late: Callable[[], bool] | None = None,
) -> Bounds:
    """Bounds of every pre-activation and output over boxes (their part in a ball), or over their cells of given signs.

    `known` are bounds of larger cells: its layers before `first` are taken as they are, the others are never left
    wider than there. Once `late` says that time is up, intervals must do. Raises DomainError where a box is not finite,
    ModelError where float64 could overflow.
    """
    _check(network, lo, hi)
    found = Bounds(lo, hi, list(known.lower[:first]) if known else [], list(known.upper[:first]) if known else [])
    start = sum(network.widths[:first])
    for index in range(first, len(network.affine)):
        low, high = _interval(network, index, found)
        if known is not None:
            low, high = np.maximum(low, known.lower[index]), np.minimum(high, known.upper[index])
        if index > 0 or ball is not None:
            low, high = _tightened(network, index, found, low, high, ball, late)
        if index < len(network.gates):
            stop = start + network.widths[index]
            if signs is not None:
                low = np.where(signs[..., start:stop] > 0, np.maximum(low, 0.0), low)
                high = np.where(signs[..., start:stop] < 0, np.minimum(high, 0.0), high)
            start = stop
        found.lower.append(low)
        found.upper.append(high)
    return found


@dataclass(frozen=True, eq=False)
class Lines:
    """A x + a above combinations of a network's values over a cell, and what each gate did to them on the way.

    A is (*boxes, rows, inputs), a (*boxes, rows); `passes` holds (gate layer, c, m, t) with c.gate(z) <= m.z + sum(t)
    for every gate layer passed, last one first: arrays (*boxes, rows so far, neurons of the layer).
    """

    A: Float[np.ndarray, "*lines inputs"]
    a: Float[np.ndarray, "*line_constants"]
    passes: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]


def linear_upper(
    network: Network,
    bounds: Bounds,
    C: Float[np.ndarray, "*combinations values"],
    index: int = -1,
    tangent: Tangent = "near",
) -> tuple[Float[np.ndarray, "*rows inputs"], Float[np.ndarray, "*consts"]]:
    """(A, a) with C z_index <= A x + a at every x of the cell that the bounds belong to; index -1 is the output.

    C is (rows, values of that layer), or (*boxes, rows, values); A is (*boxes, rows, inputs).
    """
    lines = lines_above(network, bounds, {index % len(network.affine): C}, tangent)
    return lines.A, lines.a


def lines_above(
    network: Network,
    bounds: Bounds,
    combinations: Mapping[int, Float[np.ndarray, "*combinations values"]],
    tangent: Tangent | Bool[np.ndarray, " all_neurons"] = "near",
) -> Lines:
    """Lines above C z_index over a cell for each (index, C), those of the highest index first, C as there.

    `tangent` may also say of each neuron which slope touches at 0: the active one where true.
    """
    boxes = bounds.lo.shape[:-1]
    top = max(combinations)
    c = np.zeros((*boxes, 0, len(network.affine[top].b)))
    terms = size = np.zeros((*boxes, 0))
    passes, offsets = [], np.concatenate([[0], np.cumsum(network.widths)]).astype(int)
    for layer in range(top, -1, -1):
        if layer in combinations:
            C = combinations[layer]
            c = np.concatenate([c, np.broadcast_to(C, (*boxes, *C.shape[-2:]))], axis=-2)
            more = np.zeros((*boxes, C.shape[-2]))
            terms, size = np.concatenate([terms, more], axis=-1), np.concatenate([size, more], axis=-1)
        W, b = network.affine[layer].W, network.affine[layer].b
        reach = _reach(network, bounds, layer)
        slack = gamma(len(b) + 2) * (_times(np.abs(c), abs(W)) @ reach[..., None])[..., 0]
        terms, size = terms + c @ b + slack, size + np.abs(c) @ np.abs(b) + slack
        c = _times(c, W)
        if layer > 0:
            below = layer - 1
            lean = tangent if isinstance(tangent, str) else tangent[offsets[below] : offsets[below + 1]]
            m, t, magnitude = _through_gates(c, network.gates[below], bounds.lower[below], bounds.upper[below], lean)
            passes.append((below, c, m, t))
            c, terms, size = m, terms + t.sum(axis=-1), size + magnitude
    rounding = gamma(8 * (top + 1) + network.neurons + network.outputs + 16) * size
    return Lines(c, terms + rounding + TINY, passes)


def linear_bounds(
    network: Network,
    lo: Float[np.ndarray, "*boxes inputs"],
    hi: Float[np.ndarray, "*boxes inputs"],
    C: Float[np.ndarray, "rows outputs"],
    bounds: Bounds | None = None,
) -> tuple[
    Float[np.ndarray, "*boxes rows inputs"], Float[np.ndarray, "*boxes rows"],
    Float[np.ndarray, "*boxes rows inputs"], Float[np.ndarray, "*boxes rows"],
]:  # fmt: skip
    """(A, a, B, b) with A x + a <= C f(x) <= B x + b at every point of the boxes (or of the bounds' cells)."""
    bounds = bounds or preactivation_bounds(network, lo, hi)
    B, b = linear_upper(network, bounds, C)
    A, a = linear_upper(network, bounds, -C)
    return -A, -a, B, b


def largest(
    A: Float[np.ndarray, "*rows inputs"],
    a: Float[np.ndarray, "*consts"],
    lo: Float[np.ndarray, "*boxes inputs"],
    hi: Float[np.ndarray, "*boxes inputs"],
) -> Float[np.ndarray, "*consts"]:
    """An upper bound of A x + a over boxes, rounded outward; A is (*boxes, rows, inputs)."""
    low, high = lo[..., None, :], hi[..., None, :]
    size = (np.abs(A) * np.maximum(np.abs(low), np.abs(high))).sum(axis=-1) + np.abs(a)
    total = np.maximum(A * low, A * high).sum(axis=-1) + a
    return total + gamma(A.shape[-1] + 4) * size + TINY


def largest_in_ball(
    A: Float[np.ndarray, "*rows inputs"], a: Float[np.ndarray, "*consts"], ball: Ball
) -> Float[np.ndarray, "*consts"]:
    """An upper bound of A z + a over a ball: its value at the centre and the radius times A's dual norm (Hoelder)."""
    B = np.abs(A / ball.weights)
    if ball.norm == "inf":
        steep = B.sum(axis=-1)
    else:
        steep = B.max(axis=-1) if ball.norm == "1" else np.sqrt((B * B).sum(axis=-1) + TINY)
    size = np.abs(A) @ np.abs(ball.centre) + np.abs(a) + steep * ball.radius
    return np.asarray(A @ ball.centre + a + steep * ball.radius + gamma(2 * A.shape[-1] + 8) * size + TINY)


def _check(network: Network, lo: np.ndarray, hi: np.ndarray) -> None:
    if not (np.isfinite(lo).all() and np.isfinite(hi).all()):
        raise DomainError("linear relaxations need a finite box; give every input a lower and an upper bound")
    reach = max(float(np.abs(lo).max(initial=0.0)), float(np.abs(hi).max(initial=0.0)))
    check_range(network, reach)


def _times(c: Float[np.ndarray, "*rows k"], W: Matrix) -> Float[np.ndarray, "*rows n"]:
    """c W, with W dense or CSR and c of any number of leading axes."""
    if isinstance(W, np.ndarray):
        return np.asarray(c @ W)
    return np.asarray((W.T @ c.reshape(-1, c.shape[-1]).T).T.reshape(*c.shape[:-1], W.shape[1]))


def _gated(gate: Gate, z: np.ndarray) -> np.ndarray:
    return np.asarray(z * np.where(z > 0, gate.active, gate.inactive))


def _outputs_of(gate: Gate, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of gate(z) for low <= z <= high: its values at both ends, and 0 where that lies between."""
    ends = _gated(gate, low), _gated(gate, high)
    inside = (low < 0) & (high > 0)
    least = np.where(inside, np.minimum(np.minimum(*ends), 0.0), np.minimum(*ends))
    most = np.where(inside, np.maximum(np.maximum(*ends), 0.0), np.maximum(*ends))
    return least - UNIT * 2 * np.abs(least), most + UNIT * 2 * np.abs(most)


def _ordered(bounds: Bounds, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """A layer's bounds, those of an empty cell made to be of one point: what follows from them is of no cell."""
    low = bounds.lower[layer]
    return low, np.maximum(low, bounds.upper[layer])


def _into(network: Network, bounds: Bounds, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the values that come into a layer."""
    if layer == 0:
        return bounds.lo, bounds.hi
    return _outputs_of(network.gates[layer - 1], *_ordered(bounds, layer - 1))


def _reach(network: Network, bounds: Bounds, layer: int) -> np.ndarray:
    """The largest magnitudes of the values that come into a layer."""
    low, high = _into(network, bounds, layer)
    return np.maximum(np.abs(low), np.abs(high))


def _interval(network: Network, index: int, found: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a layer's pre-activations from those of the values that come in, one by one.

    Where nothing but zeros comes in they are the bias, without an error.
    """
    W, b = network.affine[index].W, network.affine[index].b
    low, high = _into(network, found, index)
    middle, half = 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low
    size = abs(W).T
    spread = _times(half, size)
    error = gamma(W.shape[1] + 8) * (_times(np.maximum(np.abs(low), np.abs(high)) * 2, size) + np.abs(b)) + TINY
    centre = _times(middle, W.T) + b
    constant = _times(((low != 0) | (high != 0)).astype(np.float64), size) == 0
    return np.where(constant, b, centre - spread - error), np.where(constant, b, centre + spread + error)


def _tightened(
    network: Network,
    index: int,
    found: Bounds,
    low: np.ndarray,
    high: np.ndarray,
    ball: Ball | None,
    late: Callable[[], bool] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """A layer's bounds, made narrower by relaxations for the neurons whose sign is open in some box."""
    open_ = (low < 0) & (high > 0)
    if index < len(network.gates):
        gate = network.gates[index]
        rows = np.flatnonzero((open_ & (gate.active != gate.inactive)).reshape(-1, low.shape[-1]).any(axis=0))
    else:
        rows = np.arange(low.shape[-1])
    low, high = low.copy(), high.copy()
    for first in range(0, len(rows), TOGETHER):
        if late is not None and late():
            break
        _narrow(network, index, found, rows[first : first + TOGETHER], low, high, ball)
    return low, high


def _narrow(
    network: Network, index: int, found: Bounds, rows: np.ndarray, low: np.ndarray, high: np.ndarray, ball: Ball | None
) -> None:
    """Makes the bounds of some neurons of a layer narrower, in place."""
    C = np.zeros((2 * len(rows), low.shape[-1]))
    C[np.arange(len(rows)), rows] = 1.0
    C[len(rows) + np.arange(len(rows)), rows] = -1.0
    A, a = linear_upper(network, found, C, index)
    most = largest(A, a, found.lo, found.hi)
    if ball is not None:
        most = np.minimum(most, largest_in_ball(A, a, ball))
    high[..., rows] = np.minimum(high[..., rows], most[..., : len(rows)])
    low[..., rows] = np.maximum(low[..., rows], -most[..., len(rows) :])


def _through_gates(
    c: np.ndarray, gate: Gate, low: np.ndarray, high: np.ndarray, tangent: Tangent | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m, t, size) with c.gate(z) <= m.z + sum(t) for low <= z <= high, and the magnitudes that are added up there."""
    high = np.maximum(low, high)
    low, high = low[..., None, :], high[..., None, :]
    off, on = c * gate.inactive, c * gate.active
    inside = (low < 0) & (high > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        chord = (on * high - off * low) / (high - low)
    if isinstance(tangent, str):
        tangent = high > -low if tangent == "near" else np.asarray(tangent == "active")
    touching = np.where(tangent, on, off)
    m = np.where(inside, np.where(on > off, chord, touching), np.where(high > 0, on, off))
    m = np.where(inside & (on == off), on, m)
    at_low = (np.where(low > 0, on, off) - m) * low
    at_high = (np.where(high > 0, on, off) - m) * high
    t = np.maximum(at_low, at_high)
    t = np.where(inside, np.maximum(t, 0.0), t)
    far = np.maximum(np.abs(low), np.abs(high))
    size = ((np.abs(on) + np.abs(off) + np.abs(m)) * far).sum(axis=-1)
    return m, t, size
