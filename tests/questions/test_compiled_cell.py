"""What the search's compiled steps say of a cell, against sampled points, rational arithmetic and NumPy's own steps."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from networks import NAMED

from relu_shallow.domain import Box
from relu_shallow.network import Affine, Gate, Network, preactivations
from relu_shallow.precision import PENALTIES
from relu_shallow.questions import cell_kernel, compiled_cell, nearest, norm_kernel
from relu_shallow.questions.compiled_cell import nearest_of, packed_if_small, relaxed, scores, squeezed, values_of
from relu_shallow.questions.distance import NORMS, proved_distance, size
from relu_shallow.questions.goal import Goal, another_class, class_of, margins
from relu_shallow.questions.least_norm import least_norm
from relu_shallow.questions.nearest import nearest_point
from relu_shallow.questions.space import space_of
from relu_shallow.relaxation import Ball

SLOPES = {"relu": (0.0, 1.0), "leaky": (0.1, 1.0), "abs": (-1.0, 1.0), "falling": (1.0, -0.5), "linear": (0.7, 0.7)}


def random_network(rng, widths, slopes, size=1.0):
    maps = [Affine(size * rng.normal(size=(m, n)), 0.5 * size * rng.normal(size=m)) for n, m in pairwise(widths)]
    return Network(tuple(maps), tuple(Gate(np.full(m, slopes[0]), np.full(m, slopes[1])) for m in widths[1:-1]))


def plain(function):
    """The Python function behind a compiled one."""
    return getattr(function, "py_func", function)


def goal_of(rng, network):
    return Goal(rng.normal(size=(2, network.outputs)), rng.normal(size=2), np.zeros(2, bool))


def cell_of(rng, network, ball=None, around=None):
    """(goal, lo, hi, signs, bounds, A, a, owners) of a random cell that holds a random point, and that point."""
    n = network.inputs
    lo = rng.normal(size=n) if around is None else around - 0.5
    hi = lo + rng.uniform(0.1, 2, n)
    inside = rng.uniform(lo, hi)
    if ball is not None:
        inside = ball.centre + (inside - ball.centre) * min(1, 0.99 * ball.radius / max(size(ball.norm, ball.weights * (
            inside - ball.centre)), 1e-9))  # fmt: skip
        lo, hi = np.minimum(lo, inside), np.maximum(hi, inside)
    z = np.concatenate([np.zeros(0), *(v[0] for v in preactivations(network, inside[None])[:-1])])
    signs = np.where(rng.random(len(z)) < 0.3, np.sign(z), 0).astype(np.int8)
    goal, net = goal_of(rng, network), packed_if_small(network)
    found = relaxed(net, goal, (lo, hi), signs, None, 0, ball, values_of(net, hi))
    assert found is not None  # the cell holds a point
    return goal, lo, hi, signs, found[0], found[1], inside


def points_of(rng, network, lo, hi, signs, ball, inside):
    """Points of a cell among random ones."""
    X = np.concatenate([rng.uniform(lo, hi, (400, len(lo))), inside[None], inside + 0.01 * (rng.uniform(lo, hi, (
        100, len(lo))) - inside)])  # fmt: skip
    Z = np.concatenate([np.zeros((len(X), 0)), *preactivations(network, X)[:-1]], axis=1)
    held = (Z * signs >= -1e-13).all(axis=1)
    if ball is not None:
        held &= size(ball.norm, ball.weights * (X - ball.centre)) <= ball.radius
    return X[held], Z[held]


@pytest.mark.parametrize("slopes", SLOPES)
def test_bounds_and_lines_hold_at_every_point_of_a_cell(slopes):
    rng = np.random.default_rng(len(slopes))
    for trial in range(30):
        widths = [int(v) for v in rng.integers(1, 6, rng.integers(2, 5))]
        network = random_network(rng, widths, SLOPES[slopes])
        ball = None
        if trial % 3:
            ball = Ball(("1", "2")[trial % 2], rng.normal(size=widths[0]), rng.uniform(0.5, 2, widths[0]), 1.0)
        goal, lo, hi, signs, bounds, (A, a, owners), inside = cell_of(rng, network, ball)
        X, Z = points_of(rng, network, lo, hi, signs, ball, inside)
        assert len(X)
        low, high = bounds.hidden
        assert (low <= Z + 1e-12).all()
        assert (high >= Z - 1e-12).all()
        values = preactivations(network, X)[-1] @ goal.C.T + goal.c
        above, which = X @ A.T + a, 0
        for r, owner in enumerate(owners.tolist()):
            if owner >= 0:
                assert (above[:, r] >= signs[owner] * Z[:, owner] - 1e-12).all()
            else:
                assert (above[:, r] >= values[:, which // (2 if len(widths) > 2 else 1)] - 1e-12).all()
                which += 1
        low, high = squeezed(lo, hi, A, a, np.zeros(len(lo), bool))
        fits = X[(above >= 0).all(axis=1)]
        assert ((low <= fits) & (fits <= high)).all()


def test_bounds_hold_in_exact_arithmetic_where_floats_cancel():
    rng = np.random.default_rng(5)
    for trial in range(20):
        n = 4
        W = rng.normal(size=(3, n)) * 2.0**30
        network = Network(
            (Affine(W, -W @ np.full(n, 0.3)), Affine(rng.normal(size=(2, 3)), rng.normal(size=2))),
            (Gate(np.zeros(3), np.ones(3)),),
        )
        x = np.full(n, 0.3) + 2.0**-50 * rng.integers(-3, 4, n)
        net = packed_if_small(network)
        bounds, (A, a, owners) = relaxed(net, Goal(np.eye(2), np.zeros(2), np.zeros(2, bool)), (x, x),
                                         np.zeros(3, np.int8), None, 0, None, values_of(net, x))  # fmt: skip
        exact = [sum((Fraction(w) * Fraction(v) for w, v in zip(row, x.tolist(), strict=True)), Fraction(b))
                 for row, b in zip(W.tolist(), network.affine[0].b.tolist(), strict=True)]  # fmt: skip
        low, high = bounds.hidden
        assert all(Fraction(p) <= v <= Fraction(q) for p, v, q in zip(low.tolist(), exact, high.tolist(), strict=True))
        hidden = [max(v, Fraction(0)) for v in exact]
        last = network.affine[1]
        for r, owner in enumerate(owners.tolist()):
            assert owner == -1
            k = r // 2
            true = sum((Fraction(w) * v for w, v in zip(last.W[k].tolist(), hidden, strict=True)), Fraction(last.b[k]))
            line = sum((Fraction(g) * Fraction(v) for g, v in zip(A[r].tolist(), x.tolist(), strict=True)),
                       Fraction(a[r]))  # fmt: skip
            assert line >= true, trial


@pytest.mark.parametrize("norm", ["1", "inf"])
def test_the_compiled_bound_is_that_of_the_plain_steps(norm):
    rng = np.random.default_rng(7)
    told = 0
    for _ in range(60):
        n, k = int(rng.integers(1, 6)), int(rng.integers(1, 8))
        A, a, x, w = rng.normal(size=(k, n)), rng.normal(size=k) - 0.3, rng.normal(size=n), rng.uniform(0.5, 2, n)
        lo, hi = x - rng.uniform(-0.1, 1, n), x + rng.uniform(0.1, 1, n)
        reach = float(size(norm, w * (hi - lo)))
        bound, z, y = nearest_of(norm, (x, w), (lo, hi), (A, a), np.zeros(k), reach)
        Z = rng.uniform(lo, hi, (300, n))
        Z = Z[(Z @ A.T + a >= 0).all(axis=1)]
        assert (bound <= size(norm, w * (Z - x))).all()
        G = A / w * reach
        length = np.linalg.norm(G, axis=1)
        plain = least_norm(norm, w * (lo - x) / reach, w * (hi - x) / reach, G / length[:, None], -(A @ x + a) / length,
                           PENALTIES[1])  # fmt: skip
        proof = proved_distance(norm, w, x, (lo, hi), (A, a), plain.dual * reach / length, plain.slope * w)
        assert bound >= proof * (1 - 1e-6) - 1e-9
        if np.isfinite(bound) and bound > 0:
            told += 1
            assert np.isclose(bound, size(norm, w * (z - x)), rtol=1e-6)
            assert (y >= 0).all()
            assert (A @ z + a >= -1e-7).all()
    assert told > 5


def test_a_box_is_narrowed_to_where_a_row_can_hold():
    # x + y >= 3/2 in the unit square: both are at least 1/2; and -2 x + y >= -1/2: x is at most 3/4
    A, a = np.array([[1.0, 1.0], [-2.0, 1.0]]), np.array([-1.5, 0.5])
    lo, hi = squeezed(np.zeros(2), np.ones(2), A, a, np.zeros(2, bool))
    assert (lo <= 0.5).all()
    assert np.allclose(lo, 0.5, atol=1e-12)
    assert hi[0] >= 0.75
    assert np.allclose(hi, [0.75, 1.0], atol=1e-12)
    lo, hi = squeezed(np.zeros(2), np.ones(2), A, a, np.array([False, True]))
    assert lo.tolist()[1] == 1.0  # a whole number
    lo, hi = squeezed(np.zeros(2), np.ones(2), A, a - 3, np.zeros(2, bool))
    assert (lo > hi).any()


def test_the_compiled_proof_holds_for_any_multipliers():
    rng = np.random.default_rng(3)
    prove = plain(norm_kernel.proved)
    for _ in range(200):
        n, k = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        A, a, x = rng.normal(size=(k, n)), rng.normal(size=k), rng.normal(size=n)
        lo = rng.normal(size=n)
        hi, w = lo + rng.uniform(0, 2, n), rng.uniform(0.2, 3, n)
        Z = rng.uniform(lo, hi, (200, n))
        Z = Z[(Z @ A.T + a >= 0).all(axis=1)]
        dual, slope = rng.exponential(size=k) * 10.0 ** rng.integers(-2, 4), rng.normal(size=n) * 3
        for norm in ("1", "inf"):
            bound = prove(compiled_cell.NORM[norm], w, x, lo, hi, A, a, dual, slope)
            assert (bound <= size(norm, w * (Z - x))).all()
            other = proved_distance(norm, w, x, (lo, hi), (A, a), dual, slope * w)
            assert bound == other == np.inf or np.isclose(bound, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_compiled_and_plain_steps_find_the_same_nearest_points(norm, monkeypatch):
    rng = np.random.default_rng(1)
    for slopes in ("relu", "abs"):
        network = random_network(rng, [3, 5, 4, 3], SLOPES[slopes])
        x = rng.normal(size=3)
        goals = another_class(network, int(class_of(network, network(x[None]))[0]))
        space, found = space_of(Box(-3, 3), network), []
        for few in (1 << 17, 0):
            monkeypatch.setattr(compiled_cell, "FEW_ENTRIES", few)
            assert (packed_if_small(network) is None) == (few == 0)
            found.append(nearest_point(network, x, goals, space, norm, time_limit=20.0))
        assert [one.ended for one in found] == ["settled"] * 2
        assert np.isclose(found[0].upper, found[1].upper, rtol=1e-6)


def test_margins_and_costs_are_those_of_numpy():
    rng = np.random.default_rng(8)
    network = random_network(rng, [3, 4, 4, 2], SLOPES["leaky"])
    goal, net, X = goal_of(rng, network), packed_if_small(network), rng.normal(size=(20, 3))
    values, errors = margins(goal, network, X)
    for x, value, error in zip(X, values, errors, strict=True):
        h = np.zeros((4, 10))
        found = plain(cell_kernel.margin_at)(net, goal.C, goal.c, x, *h)
        assert np.allclose(found, (value, error), rtol=1e-9, atol=1e-14)
        assert found[1] >= 0.9 * error
    goal, lo, hi, signs, bounds, (A, a, owners), _ = cell_of(rng, network)
    sides, z = values_of(net, hi), rng.uniform(lo, hi)
    cost = scores(net, goal, signs, bounds, sides, owners, np.ones(len(a)), z, 0.0)
    # a row's line is above its value by what the gates' lines cost on the way, weighted rows together by the total
    Z = np.concatenate([v[0] for v in preactivations(network, z[None])])
    total = 0.0
    for r, owner in enumerate(owners.tolist()):
        true = (goal.C @ Z[-2:] + goal.c)[r // 2] if owner < 0 else signs[owner] * Z[owner]
        total += A[r] @ z + a[r] - true
    inside = (bounds.hidden[0] <= Z[:-2]).all() and (Z[:-2] <= bounds.hidden[1]).all()
    assert not inside or np.isclose(cost.sum(), total, rtol=1e-9)


def test_nothing_is_compiled_while_time_runs():
    nearest.compile_search()
    kernels = (norm_kernel.bounded, norm_kernel.pushed, norm_kernel.squeeze, cell_kernel.bound_cell,
               cell_kernel.rows_of, cell_kernel.costs, cell_kernel.values_at)  # fmt: skip
    before = [len(kernel.signatures) for kernel in kernels]
    assert before == [1] * len(kernels)
    X = np.asfortranarray(np.linspace(-1, 1, 8).reshape(2, 4))[:, ::2]
    X.flags.writeable = False
    network = random_network(np.random.default_rng(0), [2, 4, 3, 3], SLOPES["relu"])
    own = int(class_of(network, network(X[:1]))[0])
    for norm in NORMS:
        goals = tuple(replace(goal, C=np.repeat(goal.C, 2, axis=1)[:, ::2]) for goal in another_class(network, own))
        weights = np.array([1.0, 9.0, 2.0])[::2]
        found = nearest_point(network, X[0], goals, space_of(Box(-2, 2), network), norm, weights)
        assert found.cells
    assert [len(kernel.signatures) for kernel in kernels] == before


def test_sparse_and_large_networks_keep_to_numpy():
    from scipy.sparse import csr_array

    network = NAMED["stairs"].network
    assert packed_if_small(network) is not None
    sparse = Network((Affine(csr_array(network.affine[0].W), network.affine[0].b), *network.affine[1:]), network.gates)
    assert packed_if_small(sparse) is None
