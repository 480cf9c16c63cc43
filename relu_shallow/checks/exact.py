"""Signs in exact arithmetic: every float is an integer times a power of two, so a network is integer arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from relu_shallow.domain import Box, Domain, WholeSpace
from relu_shallow.network import Network, dense
from relu_shallow.regions.partition import ExactWitnesses

Point = tuple[Fraction, ...]
Row = list[int]  # a_1, .., a_d, b of a . y + b, up to a positive factor


@runtime_checkable
class Listing(Protocol):
    """Listed regions as proofs need them: packed patterns and points inside. A table is one, and part of a folder."""

    @property
    def network(self) -> Network:
        """The deep network."""
        ...

    @property
    def bits(self) -> UInt8[np.ndarray, "regions bytes"]:
        """Packed patterns."""
        ...

    @property
    def witnesses(self) -> Float[np.ndarray, "regions inputs"]:
        """Points inside."""
        ...

    @property
    def exact_witnesses(self) -> ExactWitnesses:
        """Rational points of the regions that hold no float one."""
        ...

    @property
    def regions(self) -> int:
        """How many."""
        ...


def rational(x: Float[np.ndarray, " inputs"]) -> Point:
    """A float point, exactly."""
    return tuple(map(Fraction, x.tolist()))


def witness_of(table: Listing, region: int) -> Point:
    """A region's interior point: the rational one where it has one, else the float one."""
    return table.exact_witnesses.get(region) or rational(table.witnesses[region])


def is_witness(
    network: Network, x: Point, pattern: Bool[np.ndarray, " neurons"], free: Sequence[int] | None = None
) -> bool:
    """Whether x proves the region of a pattern: each exact pre-activation has the pattern's sign and is not zero.

    A neuron that is identically zero under the pattern, where only the `free` inputs vary (all by default), is inactive
    and needs no sign.
    """
    columns = list(range(network.inputs)) if free is None else list(free)
    top, bottom = over_one_denominator(x)
    units, _ = integers(np.eye(network.inputs, network.inputs + 1))
    value, scale = np.concatenate([units, top[:, None]], axis=1), 0  # (G, g) and z side by side
    start = 0
    for layer, gate in zip(network.affine, network.gates, strict=False):
        value, scale = affine_step(dense(layer.W), layer.b, value, scale, (1, bottom))
        bits = pattern[start : start + len(gate.active)]
        signs = np.array([(z > 0) - (z < 0) for z in value[:, -1]])
        blank = np.array([z == 0 and not row.any() for row, z in zip(value[:, columns], value[:, -1], strict=True)])
        right = np.where(blank, ~bits, signs == np.where(bits, 1, -1))
        if not np.where(gate.active == gate.inactive, ~bits, right).all():
            return False
        slope, power = integers(np.where(bits, gate.active, gate.inactive))
        value, scale = value * slope[:, None], scale + power
        start += len(bits)
    return True


def is_inside(domain: Domain, x: Point) -> bool:
    """Whether a rational point lies in the domain; in a polytope's interior, without which there are no regions."""
    if isinstance(domain, WholeSpace):
        return True
    if isinstance(domain, Box):
        bounds = zip(domain.lo.tolist(), x, domain.hi.tolist(), strict=True)
        return all(low <= value <= high for low, value, high in bounds)  # Python compares these exactly
    top, bottom = over_one_denominator(x)
    rows, _ = integers(np.column_stack([domain.A, domain.b]))
    told = (rows[:, :-1] != 0).any(axis=1)  # 0.x <= b says nothing, or that the domain is empty
    strictly = rows[:, :-1].dot(top) < rows[:, -1] * bottom
    return bool(np.where(told, strictly, rows[:, -1] >= 0).all())


def pattern_beyond(network: Network, point: Point, direction: Sequence[int]) -> Bool[np.ndarray, " neurons"]:
    """The activation pattern just beyond a point in a direction: signs of (value, derivative), value first.

    A neuron of which both are zero is zero all along the way and inactive.
    """
    top, bottom = over_one_denominator(point)
    steps = np.empty(len(point), dtype=object)
    steps[:] = [int(v) for v in direction]
    value, scale = np.stack([steps, top], axis=1), 0
    bits = []
    for layer, gate in zip(network.affine, network.gates, strict=False):
        value, scale = affine_step(dense(layer.W), layer.b, value, scale, (bottom,))
        on = np.array([z > 0 or (z == 0 and step > 0) for step, z in value], dtype=bool)
        bits.append(on & (gate.active != gate.inactive))
        slope, power = integers(np.where(on, gate.active, gate.inactive))
        value, scale = value * slope[:, None], scale + power
    return np.concatenate(bits)


def exact_rows(network: Network, pattern: Bool[np.ndarray, " neurons"], fixed: dict[int, Fraction]) -> list[Row]:
    """Every neuron's row under a pattern on the inputs that are not fixed, times -1 where the neuron is inactive."""
    value, scale = integers(np.eye(network.inputs, network.inputs + 1))
    free = [i for i in range(network.inputs) if i not in fixed]
    rows: list[Row] = []
    start = 0
    for layer, gate in zip(network.affine, network.gates, strict=False):
        value, scale = affine_step(dense(layer.W), layer.b, value, scale, (1,))
        bits = pattern[start : start + len(gate.active)]
        start += len(bits)
        for bit, line in zip(bits.tolist(), value.tolist(), strict=True):
            rows.append(_restricted(line if bit else [-v for v in line], free, fixed))
        slope, power = integers(np.where(bits, gate.active, gate.inactive))
        value, scale = value * slope[:, None], scale + power
    return rows


def exact_walls(domain: Domain, free: Sequence[int]) -> list[Row]:
    """The domain's rows on the inputs that vary, each positive inside."""
    if isinstance(domain, WholeSpace):
        return []
    if isinstance(domain, Box):
        rows = []
        for place, axis in enumerate(free):
            for sign, bound in ((1, -Fraction(float(domain.lo[axis]))), (-1, Fraction(float(domain.hi[axis])))):
                row = [0] * len(free) + [bound.numerator]
                row[place] = sign * bound.denominator
                rows.append(row)
        return rows
    both, _ = integers(np.column_stack([-domain.A, domain.b]))
    return [[*(row[i] for i in free), row[-1]] for row in both.tolist() if any(row[:-1])]


def affine_step(
    W: np.ndarray, b: np.ndarray, value: np.ndarray, scale: int, constants: Sequence[int]
) -> tuple[np.ndarray, int]:
    """(W value, times 2^scale, and its scale), with b times each of `constants` added to the last columns."""
    numbers, power = integers(np.concatenate([W, b[:, None]], axis=1))
    result = numbers[:, :-1] @ value
    for column, factor in enumerate(constants, start=result.shape[1] - len(constants)):
        result[:, column] += numbers[:, -1] * (factor * 2**scale)
    return result, scale + power


def integers(array: np.ndarray) -> tuple[np.ndarray, int]:
    """(integers, power) with array = integers / 2^power exactly."""
    ratios = [float(number).as_integer_ratio() for number in array.ravel()]
    power = max((denominator.bit_length() - 1 for _, denominator in ratios), default=0)
    whole = np.empty(array.size, dtype=object)
    whole[:] = [numerator * (2**power // denominator) for numerator, denominator in ratios]
    return whole.reshape(array.shape), power


def over_one_denominator(x: Point) -> tuple[np.ndarray, int]:
    """(integers, denominator) with x = integers / denominator."""
    bottom = lcm(*(v.denominator for v in x))
    top = np.empty(len(x), dtype=object)
    top[:] = [v.numerator * (bottom // v.denominator) for v in x]
    return top, bottom


def _restricted(line: list[int], free: Sequence[int], fixed: dict[int, Fraction]) -> Row:
    """A row on the free inputs: what the fixed ones contribute goes into the constant."""
    if not fixed:
        return line
    constant = line[-1] + sum((line[i] * v for i, v in fixed.items()), Fraction(0))
    return [*(line[i] * constant.denominator for i in free), constant.numerator]
