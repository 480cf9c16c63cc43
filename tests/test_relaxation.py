"""Linear relaxations: bounds that hold at every point, in exact arithmetic, and are no wider than intervals."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from networks import NAMED
from scipy.sparse import csr_array

from relu_shallow.errors import DomainError
from relu_shallow.network import Affine, Gate, Network, activation_patterns, from_layers, preactivations, switching
from relu_shallow.relaxation import Ball, largest, linear_bounds, linear_upper, preactivation_bounds

SLOPES = {"relu": (0.0, 1.0), "leaky": (0.1, 1.0), "abs": (-1.0, 1.0), "odd": (2.0, -0.5), "straight": (0.3, 0.3)}


def random_network(rng, widths, slopes=(0.0, 1.0)):
    """A network of normal weights whose gates all have the given slopes."""
    maps = [Affine(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in pairwise(widths)]
    gates = [Gate(np.full(m, slopes[0]), np.full(m, slopes[1])) for m in widths[1:-1]]
    return Network(tuple(maps), tuple(gates))


def points_of(rng, lo, hi, count=500):
    """Points of a box: some inside, some in its corners and on its edges."""
    inside = rng.uniform(lo, hi, (count, len(lo)))
    return np.concatenate([inside, np.where(rng.random((count, len(lo))) < 0.5, lo, hi), np.clip(inside * 9, lo, hi)])


def intervals(network, lo, hi):
    """Plain interval arithmetic, without care for rounding."""
    found, low, high = [], lo, hi
    for layer, gate in zip(network.affine, [*network.gates, None], strict=True):
        W, b = np.maximum(layer.W, 0), np.minimum(layer.W, 0)
        low, high = W @ low + b @ high + layer.b, W @ high + b @ low + layer.b
        found.append((low, high))
        if gate is not None:
            ends = [z * np.where(z > 0, gate.active, gate.inactive) for z in (low, high)]
            ends += [np.where((low < 0) & (high > 0), 0.0, ends[0])]
            low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    return found


@pytest.mark.parametrize("name", SLOPES)
def test_no_point_of_the_box_is_outside_its_bounds(name):
    rng = np.random.default_rng(1)
    for widths in ([2, 5, 1], [3, 6, 5, 2], [4, 5, 5, 4, 3], [3, 2]):
        network = random_network(rng, widths, SLOPES[name])
        lo = rng.normal(size=widths[0])
        hi = lo + rng.uniform(0, 2, widths[0]) * (rng.random(widths[0]) < 0.8)
        bounds = preactivation_bounds(network, lo, hi)
        X = points_of(rng, lo, hi)
        for z, low, high, (wide_low, wide_high) in zip(
            preactivations(network, X), bounds.lower, bounds.upper, intervals(network, lo, hi), strict=True
        ):
            assert (z >= low - 1e-12 * (1 + np.abs(z))).all()
            assert (z <= high + 1e-12 * (1 + np.abs(z))).all()
            assert (low >= wide_low - 1e-11 * (1 + np.abs(wide_low))).all()
            assert (high <= wide_high + 1e-11 * (1 + np.abs(wide_high))).all()


@pytest.mark.parametrize("name", SLOPES)
def test_lines_lie_below_and_above_the_outputs(name):
    rng = np.random.default_rng(2)
    network = random_network(rng, [3, 6, 5, 2], SLOPES[name])
    lo, hi = np.full(3, -0.7), np.full(3, 0.9)
    C = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 0.0]])
    X = points_of(rng, lo, hi)
    A, a, B, b = linear_bounds(network, lo, hi, C)
    F = network(X) @ C.T
    assert (X @ A.T + a <= F + 1e-12).all()
    assert (X @ B.T + b >= F - 1e-12).all()
    bounds = preactivation_bounds(network, lo, hi)
    for tangent in ("near", "inactive", "active"):
        B, b = linear_upper(network, bounds, C, tangent=tangent)
        assert (X @ B.T + b >= F - 1e-12).all()
        assert (largest(B, b, lo, hi) >= F - 1e-12).all()


@pytest.mark.parametrize("name", SLOPES)
def test_bounds_of_a_cell_hold_at_every_point_with_its_signs(name):
    rng = np.random.default_rng(3)
    network = random_network(rng, [3, 5, 4, 2], SLOPES[name])
    lo, hi = np.full(3, -1.0), np.full(3, 1.0)
    X = points_of(rng, lo, hi, 4000)
    Z = preactivations(network, X)
    whole = preactivation_bounds(network, lo, hi)
    for _ in range(20):
        signs = np.where(np.concatenate([z[rng.integers(len(X))] for z in Z[:-1]]) > 0, 1, -1).astype(np.int8)
        signs[rng.random(9) < 0.6] = 0
        here = ((np.concatenate(Z[:-1], axis=1) * signs) >= 0).all(axis=1)
        for known, first in ((None, 0), (whole, 0), (whole, 1 if not signs[:5].any() else 0)):
            cell = preactivation_bounds(network, lo, hi, signs, known, first)
            assert not (cell.empty and here.any())
            for z, low, high in zip(Z, cell.lower, cell.upper, strict=True):
                assert (z[here] >= low - 1e-12).all()
                assert (z[here] <= high + 1e-12).all()


def test_many_boxes_at_once_are_as_one_by_one():
    rng = np.random.default_rng(4)
    network = random_network(rng, [3, 6, 5, 2])
    lo = rng.normal(size=(7, 3))
    hi = lo + rng.uniform(0, 1, (7, 3))
    signs = rng.integers(-1, 2, (7, 11)).astype(np.int8)
    many = preactivation_bounds(network, lo, hi, signs)
    lines = linear_upper(network, many, np.eye(2))
    for i in range(7):
        one = preactivation_bounds(network, lo[i], hi[i], signs[i])
        assert bool(one.empty) == bool(many.empty[i])
        if not one.empty:
            assert np.allclose(np.concatenate(one.lower), np.concatenate([low[i] for low in many.lower]))
            assert np.allclose(linear_upper(network, one, np.eye(2))[0], lines[0][i])
            assert np.array_equal(one.signs, many.signs[i])


def test_a_sparse_network_has_the_bounds_of_the_dense_one():
    network = random_network(np.random.default_rng(5), [4, 6, 5, 2], (0.1, 1.0))
    sparse = replace(network, affine=tuple(Affine(csr_array(layer.W), layer.b) for layer in network.affine))
    lo, hi = np.full((2, 4), -0.5), np.full((2, 4), 0.5)
    for dense_, other in zip(*[preactivation_bounds(net, lo, hi).upper for net in (network, sparse)], strict=True):
        assert np.allclose(dense_, other)


def test_one_layer_is_bounded_exactly_and_a_chord_is_reached_at_both_ends():
    #  relu(x) on [-1, 3] lies under the chord (x + 1) 3/4, and over x or 0
    network = NAMED["one_relu"].network
    A, a, B, b = linear_bounds(network, np.array([-1.0]), np.array([3.0]), np.eye(1))
    assert np.allclose([B[0, 0], b[0]], [0.75, 0.75])
    assert np.allclose([A[0, 0], a[0]], [1.0, 0.0])
    layer = from_layers([(np.array([[1.0, -2.0]]), np.array([0.5]))])
    bounds = preactivation_bounds(layer, np.zeros(2), np.ones(2))
    assert np.allclose([bounds.lower[0][0], bounds.upper[0][0]], [-1.5, 1.5], atol=1e-14)


def test_signs_that_exclude_each_other_prove_a_cell_empty():
    # x > 0 and -x > 0; |x| is then 0 at most in the point between them
    network = NAMED["stairs"].network  # relu(relu(x) - 1)
    lo, hi = np.array([-2.0]), np.array([2.0])
    assert preactivation_bounds(network, lo, hi, np.array([-1, 1], np.int8)).empty
    assert not preactivation_bounds(network, lo, hi, np.array([1, 1], np.int8)).empty


def test_signs_proved_by_the_bounds_are_those_of_every_point():
    rng = np.random.default_rng(6)
    network = random_network(rng, [2, 8, 8, 1])
    lo, hi = np.array([0.3, 0.1]), np.array([0.4, 0.3])
    signs = preactivation_bounds(network, lo, hi).signs
    assert np.count_nonzero(signs) >= 8
    active = activation_patterns(network, points_of(rng, lo, hi))
    assert switching(network).all()
    assert active[:, signs > 0].all()
    assert not active[:, signs < 0].any()


@pytest.mark.parametrize("norm", ["1", "2", "inf"])
def test_bounds_in_a_ball_hold_there_and_are_reached_by_one_layer(norm):
    rng = np.random.default_rng(10)
    order = {"1": 1, "2": 2, "inf": np.inf}[norm]
    network = random_network(rng, [3, 6, 5, 2])
    centre, weights = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    ball = Ball(norm, centre, weights, 0.8)
    V = rng.normal(size=(3000, 3))
    X = centre + 0.8 * V / np.linalg.norm(V, ord=order, axis=1)[:, None] / weights
    around = centre - 0.8 / weights, centre + 0.8 / weights
    bounds, wide = preactivation_bounds(network, *around, ball=ball), preactivation_bounds(network, *around)
    for z, low, high, highest in zip(preactivations(network, X), bounds.lower, bounds.upper, wide.upper, strict=True):
        assert (z >= low - 1e-12).all()
        assert (z <= high + 1e-12).all()
        assert (high <= highest).all()
    dual = {"1": np.inf, "2": 2, "inf": 1}[norm]
    first = network.affine[0]
    most = first.W @ centre + first.b + 0.8 * np.linalg.norm(first.W / weights, ord=dual, axis=1)
    open_ = bounds.upper[0] * bounds.lower[0] < 0
    assert np.allclose(bounds.upper[0][open_], most[open_], rtol=1e-12)
    assert open_.any()


def exactly(network, x):
    """Pre-activations in rational arithmetic."""
    h, found = [Fraction(float(value)) for value in x], []
    for index, layer in enumerate(network.affine):
        z = [
            sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(b)))
            for row, b in zip(layer.W, layer.b, strict=True)
        ]
        found.append(z)
        if index < len(network.gates):
            gate = network.gates[index]
            slopes = [(Fraction(on), Fraction(off)) for on, off in zip(gate.active, gate.inactive, strict=True)]
            h = [v * (on if v > 0 else off) for v, (on, off) in zip(z, slopes, strict=True)]
    return found


def test_bounds_hold_in_exact_arithmetic_where_rounding_is_all_there_is():
    """Boxes of one point: the bounds are as narrow as rounding lets them be, and hold the rational values."""
    rng = np.random.default_rng(7)
    for slopes in SLOPES.values():
        network = random_network(rng, [3, 5, 4, 2], slopes)
        x = rng.normal(size=3) * 1e3
        bounds = preactivation_bounds(network, x, x)
        B, b = linear_upper(network, bounds, np.eye(2))
        values = exactly(network, x)
        for z, low, high in zip(values, bounds.lower, bounds.upper, strict=True):
            assert all(Fraction(float(p)) <= v <= Fraction(float(q)) for p, v, q in zip(low, z, high, strict=True))
            assert (high - low <= 1e-9 * (1 + np.abs(high))).all()
        for row, shift, value in zip(B, b, values[-1], strict=True):
            line = sum((Fraction(w) * Fraction(v) for w, v in zip(row, x, strict=True)), Fraction(shift))
            assert line >= value


def test_lines_hold_in_exact_arithmetic_on_the_corners_of_wide_boxes():
    rng = np.random.default_rng(8)
    for slopes in SLOPES.values():
        network = random_network(rng, [2, 4, 3, 1], slopes)
        lo, hi = np.array([-1.1, -0.7]) * 1e4, np.array([0.3, 1.7]) * 1e4
        B, b = linear_upper(network, preactivation_bounds(network, lo, hi), np.eye(1))
        for corner in product(*zip(lo, hi, strict=True)):
            line = Fraction(float(B[0, 0])) * Fraction(corner[0]) + Fraction(float(B[0, 1])) * Fraction(corner[1])
            assert line + Fraction(float(b[0])) >= exactly(network, corner)[-1][0]


def test_a_box_without_end_is_refused():
    with pytest.raises(DomainError, match="finite box"):
        preactivation_bounds(NAMED["one_relu"].network, np.array([-np.inf]), np.array([1.0]))
