"""What rounding leaves open, decided in exact arithmetic on the very same weights: every float is a rational.

All maps are integer matrices: weights, slopes and the chart are scaled by powers of two (a positive factor changes
neither the sign of a row nor its zero set), so a layer is one integer matrix product.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from fractions import Fraction
from threading import Lock

import numpy as np
from jaxtyping import Bool, Float, UInt8

from relu_shallow.domain import Box, Domain, Polytope
from relu_shallow.lp.exact import Vertex, deepest_point, feasible, maximum, values, vertex_of
from relu_shallow.network import Affine, Network, dense
from relu_shallow.regions.charts import Chart, searched_inputs
from relu_shallow.regions.sparse_integers import SparseIntegers, some_columns
from relu_shallow.regions.weights import canonical, is_sparse

REMEMBERED = 256  # layers kept by prefix: undecided cells come in runs that share theirs


@dataclass(frozen=True, eq=False)
class ExactProblem:
    """A network on a chart in integers: (W, b, scale) per hidden layer, slopes, homogeneous embedding, domain rows."""

    layers: list[tuple[np.ndarray | SparseIntegers, np.ndarray]]
    slopes: list[tuple[np.ndarray, np.ndarray, int]]
    scales: list[int]
    embedding: np.ndarray
    e: np.ndarray
    domain_rows: np.ndarray
    offsets: list[int]
    remembered: OrderedDict = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)


def integers(values: np.ndarray) -> tuple[np.ndarray, int]:
    """(K, s) with K integer and values = K / s exactly, s a power of two."""
    ratios = [float(v).as_integer_ratio() for v in values.ravel()]
    scale = max((bottom for _, bottom in ratios), default=1)
    whole = np.empty(len(ratios), dtype=object)
    whole[:] = [top * (scale // bottom) for top, bottom in ratios]
    return whole.reshape(values.shape), scale


def lay_out_exactly(network: Network, domain: Domain, chart: Chart) -> ExactProblem:
    """The integer form of a network on a chart."""
    M, v, e = _exact_chart(domain, chart, searched_inputs(network, domain))
    n, d = M.shape
    everything = [*M.ravel(), *v, *e]
    scale = int(np.lcm.reduce(np.array([f.denominator for f in everything], dtype=object)))
    whole = np.array([int(f * scale) for f in everything], dtype=object)
    embedding = np.concatenate([whole[: n * d].reshape(n, d), whole[n * d : n * d + n, None]], axis=1)
    layers, scales = [], []
    for layer in network.affine[:-1]:
        W, b, s = _exact_layer(layer)
        layers.append((W, b))
        scales.append(s)
    slopes = []
    for gate in network.gates:
        both, s = integers(np.stack([gate.inactive, gate.active]))
        slopes.append((both[0], both[1], s))
    offsets = [0, *np.cumsum(network.widths).tolist()]
    exact_e = whole[n * d + n :]
    return ExactProblem(layers, slopes, scales, embedding, exact_e, _domain_rows(domain, embedding, exact_e), offsets)


def _exact_layer(layer: Affine) -> tuple[np.ndarray | SparseIntegers, np.ndarray, int]:
    """(W, b, scale) of a layer in integers."""
    if is_sparse(layer.W):
        rows = canonical(layer.W)
        both, scale = integers(np.concatenate([rows.data, layer.b]))
        W = SparseIntegers(both[: rows.nnz], rows.indices, rows.indptr, rows.shape[1])
        return W, both[rows.nnz :], scale
    both, scale = integers(np.concatenate([dense(layer.W), layer.b[:, None]], axis=1))
    return both[:, :-1], both[:, -1], scale


def _exact_chart(
    domain: Domain, chart: Chart, searched: Bool[np.ndarray, " inputs"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The chart's map in rationals; a box's own centre and half-widths are not rounded."""
    fractions = np.vectorize(lambda x: Fraction(float(x)), otypes=[object])
    M, v, e = fractions(chart.M), fractions(chart.v), fractions(chart.e)
    if isinstance(domain, Box):
        for column, axis in enumerate(np.flatnonzero(searched)):
            low, high = Fraction(float(domain.lo[axis])), Fraction(float(domain.hi[axis]))
            M[axis, column], v[axis] = (high - low) / 2, (high + low) / 2
    return M, v, e


def _domain_rows(domain: Domain, embedding: np.ndarray, e: np.ndarray) -> np.ndarray:
    """The rows in the kernel's order: a placeholder for the ball's, the unit box's faces, the polytope's own."""
    d = len(e) - 1
    rows = np.zeros((1 + 2 * d, d + 1), dtype=object)
    rows[:, d] = 1
    for axis in range(d):
        rows[1 + 2 * axis, axis], rows[2 + 2 * axis, axis] = 1, -1
    if isinstance(domain, Polytope):
        told = (domain.A != 0).any(axis=1)  # as charts.py: rows 0.x <= b say nothing
        both, _ = integers(np.concatenate([domain.A[told], domain.b[told, None]], axis=1))
        rows = np.concatenate([rows, both[:, -1, None] * e[None, :] - both[:, :-1].dot(embedding)])
    return rows


def layer_rows(problem: ExactProblem, layer: int, flags: UInt8[np.ndarray, " neurons"]) -> np.ndarray:
    """The integer pre-activations (width, d + 1) of a layer under a path's pattern of the layers below."""
    key = (layer, (flags[: problem.offsets[layer]] & 1).tobytes())
    with problem.lock:
        found = problem.remembered.get(key)
        if found is not None:
            problem.remembered.move_to_end(key)
            return found
    W, b = problem.layers[layer]
    if layer == 0:
        rows = W.dot(problem.embedding) + np.outer(b, problem.e)
    else:
        below = layer_rows(problem, layer - 1, flags)
        inactive, active, scale = problem.slopes[layer - 1]
        on = (flags[problem.offsets[layer - 1] : problem.offsets[layer]] & 1).astype(bool)
        kept = np.flatnonzero(np.where(on, active, inactive) != 0)
        inner = np.where(on, active, inactive)[kept, None] * below[kept]
        rows = some_columns(W, kept, inner) + np.outer(b, problem.e) * (_scale_below(problem, layer) * scale)
    with problem.lock:
        problem.remembered[key] = rows
        if len(problem.remembered) > REMEMBERED:
            problem.remembered.popitem(last=False)
    return rows


def _scale_below(problem: ExactProblem, layer: int) -> int:
    """How many times its true size the layer below is carried."""
    scale = 1
    for index in range(layer):
        scale *= problem.scales[index]
        if index < layer - 1:
            scale *= problem.slopes[index][2]
    return scale


def cell_rows(problem: ExactProblem, decided: int, flags: UInt8[np.ndarray, " neurons"]) -> np.ndarray:
    """The integer rows of the cell of a path: the domain's, and one for each neuron that was cut."""
    parts = [problem.domain_rows]
    for layer, (start, stop) in enumerate(zip(problem.offsets, problem.offsets[1:], strict=False)):
        path = flags[start : min(stop, decided)]
        cut = np.flatnonzero(path & 2)
        if len(cut):
            sign = np.where(path[cut] & 1, 1, -1).astype(object)
            parts.append(layer_rows(problem, layer, flags)[cut] * sign[:, None])
    return np.concatenate(parts)


@dataclass(frozen=True)
class Sides:
    """Which sides of a neuron a cell has, exactly, with a vertex that shows each; or that the cell is empty."""

    positive: Vertex | None
    negative: Vertex | None
    start: Vertex | None


def sides(problem: ExactProblem, decided: int, flags: UInt8[np.ndarray, " neurons"], basis: np.ndarray) -> Sides:
    """Decides the next neuron of a path on its cell: where its exact maximum and minimum lie.

    A side counts only if the neuron goes strictly beyond zero there; a cell without interior has no start.
    """
    rows = cell_rows(problem, decided, flags)
    start = vertex_of(rows, basis.tolist())
    if start is None or not feasible(rows, start):
        depth, _ = deepest_point(rows[1:])
        if depth <= 0:
            return Sides(None, None, None)
        start = _some_vertex(rows)
    layer = _layer_of(problem, decided)
    inactive, active, _ = problem.slopes[layer]
    if inactive[decided - problem.offsets[layer]] == active[decided - problem.offsets[layer]]:
        return Sides(None, None, start)  # linear: bounds no region, counts as inactive
    row = layer_rows(problem, layer, flags)[decided - problem.offsets[layer]]
    positive = maximum(rows, row, start, stop_above_zero=True)
    negative = maximum(rows, -row, start, stop_above_zero=True)
    return Sides(
        positive if values(row[None, :], positive)[0] > 0 else None,
        negative if values(-row[None, :], negative)[0] > 0 else None,
        start,
    )


def _layer_of(problem: ExactProblem, neuron: int) -> int:
    return max(i for i, offset in enumerate(problem.offsets[:-1]) if offset <= neuron)


def constant_neurons(problem: ExactProblem, start: int, flags: UInt8[np.ndarray, " neurons"]) -> np.ndarray:
    """The neurons from `start` to the end of the layer of the one before, whose row is exactly the zero function."""
    layer = _layer_of(problem, start - 1)
    first = problem.offsets[layer]
    rows = layer_rows(problem, layer, flags)[start - first :]
    return start + np.flatnonzero(~(rows != 0).any(axis=1))


def domain_vertex(problem: ExactProblem) -> Vertex | None:
    """A vertex of the domain's part in the chart, or None where that part has no interior."""
    rows = problem.domain_rows
    depth, _ = deepest_point(rows[1:])
    return _some_vertex(rows) if depth > 0 else None


def _some_vertex(rows: np.ndarray) -> Vertex:
    """A vertex of a polyhedron with interior: rows are imposed in turn, each by climbing it."""
    d = rows.shape[1] - 1
    start = vertex_of(rows, [1 + 2 * axis for axis in range(d)])
    assert start is not None, "a corner of the unit box"
    for index in range(1 + 2 * d, len(rows)):
        start = maximum(rows[:index], rows[index], start, stop_above_zero=True)
    return start


def interior(problem: ExactProblem, flags: UInt8[np.ndarray, " neurons"]) -> list[Fraction] | None:
    """A chart point deep inside the region of a full path, or None where the path's cell has no interior."""
    depth, point = deepest_point(cell_rows(problem, problem.offsets[-1], flags)[1:])
    return point if depth > 0 else None


def input_point(problem: ExactProblem, point: list[Fraction]) -> tuple[Fraction, ...]:
    """The input x = x' / x0 of a chart point."""
    lifted = [*point, Fraction(1)]
    x0 = sum((a * y for a, y in zip(problem.e, lifted, strict=True)), Fraction(0))
    return tuple(sum((a * y for a, y in zip(row, lifted, strict=True)), Fraction(0)) / x0 for row in problem.embedding)


def rounded(point: tuple[Fraction, ...]) -> Float[np.ndarray, " inputs"]:
    """A rational point in floats, each coordinate rounded once."""
    largest = Fraction(np.finfo(np.float64).max)
    return np.array([float(max(-largest, min(value, largest))) for value in point])


def strictly_inside(domain: Domain, x: Float[np.ndarray, " inputs"]) -> bool:
    """Whether a float point lies in the interior of the domain (within its affine hull), in exact arithmetic."""
    if isinstance(domain, Box):
        return bool((((domain.lo < x) & (x < domain.hi)) | ((domain.lo == x) & (x == domain.hi))).all())
    if isinstance(domain, Polytope):
        rows = [[Fraction(v) for v in row] for row in np.column_stack([domain.b, -domain.A]).tolist()]
        point = [Fraction(1), *map(Fraction, x.tolist())]
        return all(sum(a * v for a, v in zip(row, point, strict=True)) > 0 for row in rows if any(row[1:]))
    return True


def exact_pattern(problem: ExactProblem, x: Float[np.ndarray, " inputs"]) -> Bool[np.ndarray, " neurons"]:
    """The activation pattern of a float point, in exact arithmetic (linear neurons count as inactive)."""
    h, scale = integers(x)
    bits = []
    for layer, (W, b) in enumerate(problem.layers):
        z = W.dot(h) + b * scale
        inactive, active, slope_scale = problem.slopes[layer]
        bits.append((z > 0) & (inactive != active))
        h = z * np.where((z > 0).astype(bool), active, inactive)
        scale = scale * problem.scales[layer] * slope_scale
    return np.concatenate(bits).astype(bool)


def same_pattern(problem: ExactProblem, flags: UInt8[np.ndarray, " neurons"], x: np.ndarray) -> bool:
    """Whether every exact pre-activation at the float point x has the pattern's strict sign.

    A neuron whose row is identically zero under the pattern is inactive and needs no sign.
    """
    h, scale = integers(x)
    for layer, (W, b) in enumerate(problem.layers):
        start, stop = problem.offsets[layer], problem.offsets[layer + 1]
        z = W.dot(h) + b * scale
        on = (flags[start:stop] & 1).astype(bool)
        inactive, active, slope_scale = problem.slopes[layer]
        for j in np.flatnonzero(np.where(on, z <= 0, z >= 0) & (active != inactive).astype(bool)):
            if on[j] or any(layer_rows(problem, layer, flags)[j]):
                return False
        h = z * np.where(on, active, inactive)
        scale = scale * problem.scales[layer] * slope_scale
    return True
