"""A slow reference: all linear regions in exact integers, sharing nothing with us.

The network is read as plain (W, b) pairs of floats, each taken as the rational it is. A cell is the cone of the
(x, x0), x0 >= 0, over it, kept as its extreme rays (the double description method of Motzkin, Raiffa, Thompson and
Thrall): a hyperplane cuts the cell where rays lie strictly on both of its sides. No linear program is solved.
`strictly_feasible` answers the same question in a third way, by Fourier-Motzkin elimination.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import gcd, lcm

Row = list[int]  # (a_1, .., a_n, c): the form a . x + c, or the point (x, x0)
Ray = tuple[Row, int]  # a point of the ray, and the bits of the faces it lies on


def regions(layers, box=None, half_spaces=()) -> set[tuple[int, ...]]:
    """Every activation pattern with a full-dimensional cell, on a box [(lo, hi), ...] or on the whole space.

    Each further half-space (a_1, .., a_n, c) is a . x <= c. An input whose bounds are equal is fixed: the cells are
    those that are full-dimensional in the box's own affine hull.
    """
    inputs = len(layers[0][0][0])
    bounds = [(Fraction(float(lo)), Fraction(float(hi))) for lo, hi in box or []]
    if any(lo > hi for lo, hi in bounds):
        return set()
    free = [axis for axis in range(inputs) if not box or bounds[axis][0] < bounds[axis][1]]
    scale = lcm(*(value.denominator for pair in bounds for value in pair))
    place = _identity(inputs, free, bounds, scale)
    cells = [_over_a_box([bounds[axis] for axis in free])] if box else _orthants(inputs)
    face = 2 * inputs + 2
    for number, given in enumerate(half_spaces):
        *a, c = _integers(given)[0]
        row = _form([-v for v in a], c * scale, place, len(free))
        cells = [part for cell in cells for part in [_cut(cell, row, face + number)[1]] if part]
    exact = [_exact_layer(W, b) for W, b in layers[:-1]]
    found: set[tuple[int, ...]] = set()
    for cell in cells:
        _visit(exact, 0, place, scale, cell, (), face + len(half_spaces), found)
    return found


def pattern(layers, x) -> tuple[int, ...]:
    """The neurons that are strictly active at one point, in exact arithmetic."""
    h, scale = _integers(x)
    bits: tuple[int, ...] = ()
    for W, b in layers[:-1]:
        weights, biases, denominator = _exact_layer(W, b)
        z = [sum(map(int.__mul__, row, h)) + c * scale for row, c in zip(weights, biases, strict=True)]
        bits += tuple(int(value > 0) for value in z)
        h, scale = [max(value, 0) for value in z], scale * denominator
    return bits


def _visit(layers, index, below, scale, cell, pattern, face, found) -> None:
    """Adds the patterns of the regions inside a cell on which all layers under `index` are affine.

    `below` holds the values of the layer below times `scale`.
    """
    if index == len(layers):
        found.add(pattern)
        return
    W, b, denominator = layers[index]
    z = [_form(row, c * scale, below, len(below[0]) - 1) for row, c in zip(W, b, strict=True)]
    zero = [0] * len(below[0])
    open_cells: list[tuple[tuple[int, ...], list[Ray]]] = [((), cell)]
    while open_cells:
        bits, part = open_cells.pop()
        if len(bits) < len(z):
            sides = enumerate(_cut(part, z[len(bits)], face + len(bits)))
            open_cells += [((*bits, bit), side) for bit, side in sides if side]
        else:
            inner = [row if bit else zero for row, bit in zip(z, bits, strict=True)]
            _visit(layers, index + 1, inner, scale * denominator, part, pattern + bits, face + len(z), found)


def _cut(cell: list[Ray], row: Row, face: int) -> tuple[list[Ray], list[Ray]]:
    """The parts of a cell where row <= 0 and where row > 0, as rays; empty where a part has no interior.

    A row that vanishes on the whole cell leaves it on the first side: such a neuron is inactive.
    """
    values = [sum(map(int.__mul__, row, point)) for point, _ in cell]
    if all(value <= 0 for value in values):
        return cell, []
    if all(value >= 0 for value in values):
        return [], cell
    bit = 1 << face
    edges = []
    dimension = len(row)
    for i, (p, u) in enumerate(cell):
        for j, (q, v) in enumerate(cell):
            if values[i] > 0 > values[j] and _adjacent(cell, i, j, u & v, dimension):
                crossing = [values[i] * b - values[j] * a for a, b in zip(p, q, strict=True)]
                edges.append((_reduced(crossing), u & v | bit))
    on = [(point, faces | bit) for (point, faces), value in zip(cell, values, strict=True) if value == 0]
    below = [ray for ray, value in zip(cell, values, strict=True) if value < 0]
    above = [ray for ray, value in zip(cell, values, strict=True) if value > 0]
    return below + on + edges, above + on + edges


def _adjacent(cell: list[Ray], i: int, j: int, shared: int, dimension: int) -> bool:
    """Whether two extreme rays span an edge: enough faces in common, and no third ray on all of those."""
    if shared.bit_count() < dimension - 2:
        return False
    return all(faces & shared != shared or k in (i, j) for k, (_, faces) in enumerate(cell))


def _over_a_box(bounds: list[tuple[Fraction, Fraction]]) -> list[Ray]:
    """The cone over a full-dimensional box: a ray through each corner."""
    rays = []
    for choice in product((0, 1), repeat=len(bounds)):
        corner = [*(pair[side] for pair, side in zip(bounds, choice, strict=True)), Fraction(1)]
        scale = lcm(*(value.denominator for value in corner))
        faces = sum(1 << (2 * axis + side) for axis, side in enumerate(choice))
        rays.append((_reduced([int(value * scale) for value in corner]), faces))
    return rays


def _orthants(n: int) -> list[list[Ray]]:
    """The whole space in 2^n pieces, so that every cone is pointed; a pattern counts if it has a cell in one."""
    cells = []
    everything = (1 << (n + 1)) - 1  # face k is where coordinate k is zero
    for signs in product((1, -1), repeat=n):
        axes = [*signs, 1]
        cells.append([([axes[k] * int(j == k) for j in range(n + 1)], everything ^ (1 << k)) for k in range(n + 1)])
    return cells


def _identity(inputs, free, bounds, scale) -> list[Row]:
    """The inputs times `scale` as forms of the free ones."""
    rows = []
    for axis in range(inputs):
        row = [scale * int(axis == other) for other in free]
        rows.append([*row, 0 if axis in free else int(bounds[axis][0] * scale)])
    return rows


def _exact_layer(W, b) -> tuple[list[Row], Row, int]:
    """W and b times a common denominator, and that denominator."""
    flat = [Fraction(float(v)) for row in W for v in row] + [Fraction(float(v)) for v in b]
    denominator = lcm(*(value.denominator for value in flat))
    whole = [int(value * denominator) for value in flat]
    width = len(W[0])
    return [whole[k * width : (k + 1) * width] for k in range(len(b))], whole[len(whole) - len(b) :], denominator


def _form(weights: Row, constant: int, below: list[Row], free: int) -> Row:
    """weights . below + constant as a form of the free inputs."""
    row = [sum(w * h[k] for w, h in zip(weights, below, strict=True)) for k in range(free + 1)]
    row[-1] += constant
    return row


def _integers(row) -> tuple[Row, int]:
    exact = [v if isinstance(v, Fraction) else Fraction(float(v)) for v in row]
    scale = lcm(*(value.denominator for value in exact))
    return [int(value * scale) for value in exact], scale


def _reduced(point: Row) -> Row:
    common = gcd(*point)
    return [v // common for v in point] if common > 1 else point


def strictly_feasible(rows: list[list[Fraction]]) -> bool:
    """Whether some point has a . x + b > 0 for every row (a_1, .., a_n, b): Fourier-Motzkin, one variable at a time."""
    while rows and len(rows[0]) > 1:
        positive = [row for row in rows if row[0] > 0]
        negative = [row for row in rows if row[0] < 0]
        rest = [tuple(row[1:]) for row in rows if row[0] == 0]
        rest += [
            tuple(u / up[0] - d / down[0] for u, d in zip(up[1:], down[1:], strict=True))
            for up in positive
            for down in negative
        ]
        seen = {}
        for row in rest:
            # of parallel rows only the tightest counts
            scale = next((abs(v) for v in row[:-1] if v), None)
            if scale is None:
                if row[-1] <= 0:
                    return False
                continue
            key = tuple(v / scale for v in row[:-1])
            constant = row[-1] / scale
            if key not in seen or constant < seen[key]:
                seen[key] = constant
        rows = [[*key, constant] for key, constant in seen.items()]
        if not rows:
            return True
    return all(row[0] > 0 for row in rows)
