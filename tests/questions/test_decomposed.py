"""Bounds from the regions of modules: never below the truth, and the truth at the end; against all joint regions."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import planted
from scipy.optimize import linprog

import relu_shallow as rs
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.network import evaluate, from_layers
from relu_shallow.questions import decomposed, extremes, sums
from relu_shallow.questions.addend_regions import joined, pieces_of, proved_bounds, proved_empty, unit_box
from relu_shallow.questions.boxed_kernel import BELOW, EMPTY, OPTIMAL, descend
from relu_shallow.questions.decomposed import Decomposed
from relu_shallow.questions.largest import largest_over_box
from relu_shallow.questions.sums import addends_over, box_around, largest_of

GATES = ("relu", "leaky", "abs")
DIAMOND = Polytope(np.array([[1.0, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0], [0, 0, 1], [0, 0, -1], [1, 1, 1]]),
                   np.array([1.0, 1, 1, 1, 1, 1, 1.5]))  # fmt: skip


def solved(A, b, g, c, floor=-np.inf):
    """What the compiled simplex says of max g.y + c over A y + b >= 0 in the unit box."""
    k, n = A.shape
    mu, y = np.zeros(k), np.zeros(n)
    limits = decomposed.decomposition_limits()
    status, value = descend(A, b, k, g, c, floor, limits, np.zeros((k, n)), np.zeros(k), np.zeros(n), np.zeros(n),
                            np.zeros(k, np.int64), np.zeros(n, np.int64), mu, y)  # fmt: skip
    return status, value, mu, y


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 9), st.booleans())
def test_the_compiled_simplex_agrees_with_highs(seed, n, k, whole):
    rng = np.random.default_rng(seed)
    A, b, g = rng.normal(size=(k, n)), rng.normal(size=k), rng.normal(size=n)
    if whole:  # many ties
        A, b, g = np.rint(A), np.rint(b), np.rint(g)
    status, value, mu, y = solved(A, b, g, 0.5)
    found = linprog(-g, A_ub=-A, b_ub=b, bounds=(-1, 1)) if k else linprog(-g, bounds=(-1, 1))
    assert (mu >= 0).all()
    if found.status == 2:
        assert status == EMPTY
        assert mu @ b + np.abs(mu @ A).sum() < 0
        return
    assert status == OPTIMAL
    assert value == pytest.approx(0.5 - found.fun, abs=1e-8)
    assert g @ y + 0.5 == pytest.approx(value, abs=1e-8)
    assert (A @ y + b >= -1e-8).all()
    assert 0.5 + mu @ b + np.abs(g + mu @ A).sum() == pytest.approx(value, abs=1e-8)
    status, value, mu, _ = solved(A, b, g, 0.5, floor=value + 0.1)
    assert status == BELOW
    assert 0.5 + mu @ b + np.abs(g + mu @ A).sum() <= value + 1e-9


def in_modules(seed, domain, **shape):
    network, _ = planted(seed, gates=GATES, **shape)
    return rs.convert(network, domain, modular=True)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5))
def test_no_point_of_a_region_is_above_what_any_multipliers_prove(seed):
    rng = np.random.default_rng(seed)
    shallow = in_modules(seed, Box(-1, 1))
    weights, table = rng.normal(size=2), shallow.tables[seed % len(shallow.tables)]
    lo, hi = np.array([-1.0, -0.3, 0.2]), np.array([0.7, 0.9, 0.2])
    box = unit_box(lo, hi)
    pieces = pieces_of(table, box, (np.zeros((0, 3)), np.zeros(0)), weights)
    u, mu = rng.normal(size=3), rng.exponential(size=pieces.b.shape) * (rng.random(pieces.b.shape) < 0.5)
    X = rng.uniform(lo, hi, (500, 3))
    Y = (X - box.middle) / np.where(box.half > 0, box.half, 1)
    sums_ = evaluate(table.network, X) @ weights + Y @ u
    for multipliers in (mu, np.zeros_like(mu)):
        assert (sums_ <= proved_bounds(pieces, u, multipliers)[table.region_of(X)] + 1e-13).all()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("polytope", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_the_decomposition_ends_at_the_largest_value_of_all_joint_regions(seed, polytope, own):
    domain = DIAMOND if polytope else Box(-1, 1)
    shallow = in_modules(seed, domain, own_inputs=own, modules=2, widths=(2, 2))
    each = extremes.region_extremes(rs.convert(shallow.network, domain), 1, minus=0)
    weights = np.array([-1.0, 1.0])
    addends = addends_over(shallow, domain if polytope else sums.fit(domain, 3), weights)
    found = alone(addends, weights)
    assert found.value == pytest.approx(each.largest.max(), abs=1e-8)
    assert found.closed
    assert found.value <= each.largest_bound.max() + 1e-12
    assert found.bound >= each.largest.max() - 1e-12
    assert Fraction(found.value) <= exact_sum(shallow.network, weights, found.point) <= Fraction(found.bound)
    assert found.bound == pytest.approx(each.largest.max(), abs=1e-7)


def exact_sum(network, weights, x):
    """weights . f at a point of floats, in fractions."""
    h = [Fraction(v) for v in x.tolist()]
    for depth, layer in enumerate(network.affine):
        h = [sum((Fraction(w) * v for w, v in zip(row, h, strict=True)), Fraction(c))
             for row, c in zip(layer.W.tolist(), layer.b.tolist(), strict=True)]  # fmt: skip
        if depth < len(network.gates):
            gate = network.gates[depth]
            slopes = zip(gate.inactive.tolist(), gate.active.tolist(), strict=True)
            h = [v * Fraction(q if v > 0 else p) for v, (p, q) in zip(h, slopes, strict=True)]
    return sum(Fraction(w) * v for w, v in zip(weights.tolist(), h, strict=True))


def alone(addends, weights, seconds=np.inf):
    """The decomposition by itself, without the branch and bound that usually stands beside it."""
    search = Decomposed(addends.pieces, addends.box, sums._values(addends, weights))
    search.run(seconds)
    return search


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.02, 0.1])
def test_a_bound_holds_whenever_the_time_is_up(seconds):
    shallow = in_modules(11, Box(-1, 1), modules=4, widths=(3, 2), inputs=4)
    weights = np.array([1.0, -1.0])
    truth = largest_over_box(shallow.network, -np.ones(4), np.ones(4), weights)
    found = alone(addends_over(shallow, sums.fit(Box(-1, 1), 4), weights), weights, seconds)
    assert found.value <= truth.bound
    assert found.bound >= truth.value
    assert np.isfinite(found.bound)
    value = evaluate(shallow.network, found.point[None])[0] @ weights
    assert found.value <= value + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_the_first_bound_is_the_best_of_all_multipliers(seed):
    """Against the one linear program of all modules' regions weighted (the disjunctive hull), solved by HiGHS."""
    shallow = in_modules(seed, Box(-1, 1), inputs=2, modules=2)
    weights = np.array([1.0, 0.5])
    addends = addends_over(shallow, sums.fit(Box(-1, 1), 2), weights)
    search = Decomposed(addends.pieces, addends.box, sums._values(addends, weights))
    search.try_points(np.random.default_rng(0).uniform(-1, 1, (1000, 2)))
    everything = tuple(np.ones(len(p.c), np.uint8) for p in addends.pieces)
    part = decomposed._Part(search, everything)
    best, nothing = hull(addends.pieces), np.zeros((len(addends.pieces), 2))
    U, mean = part.descended(nothing, 2000, np.inf)
    found, first = part.proved(U, mean).bound, part.proved(nothing, mean).bound
    assert best - 1e-9 <= found <= best + 0.02 * (first - best) + 1e-9


def hull(pieces):
    """max sum_r h.y_r + c w_r: of each module w_r >= 0 sum to 1, the y_r to one y, and A y_r + b w_r >= 0."""
    n = pieces[0].h.shape[1]
    columns = sum(len(p.c) for p in pieces) * (n + 1) + n
    cost, at, equal, right, above = np.zeros(columns), n, [], [], []
    for p in pieces:
        one, same = np.zeros(columns), np.zeros((n, columns))
        same[:, :n] = -np.eye(n)
        for r in range(len(p.c)):
            y, w = slice(at, at + n), at + n
            cost[y], cost[w], one[w] = p.h[r], p.c[r], 1.0
            same[:, y] = np.eye(n)
            rows = np.zeros((p.A.shape[1] + 2 * n, columns))
            rows[:, y] = np.concatenate([p.A[r], np.eye(n), -np.eye(n)])
            rows[:, w] = np.concatenate([p.b[r], np.ones(2 * n)])
            above.append(rows)
            at += n + 1
        equal += [one[None], same]
        right += [[1.0], np.zeros(n)]
    above = np.concatenate(above)
    found = linprog(-cost, A_ub=-above, b_ub=np.zeros(len(above)), A_eq=np.concatenate(equal),
                    b_eq=np.concatenate(right), bounds=[(None, None)] * n + [(None, None)] * (columns - n))  # fmt: skip
    return -found.fun


def test_meeting_regions_are_one_piece_and_empty_ones_are_proved_so():
    network = from_layers([(np.array([[1.0], [1.0]]), np.array([-0.5, 0.5])), (np.eye(2), np.zeros(2)),
                           (np.ones((1, 2)), np.zeros(1))])  # fmt: skip
    shallow = rs.convert(network, Box(-1, 1), modular=True)
    addends = addends_over(shallow, sums.fit(Box(-1, 1), 1), np.ones(1))
    empty = {}
    for r, first in enumerate(shallow.tables[0].patterns):
        for s, second in enumerate(shallow.tables[1].patterns):
            piece = joined([(addends.pieces[0], r), (addends.pieces[1], s)])
            status, _, mu, _ = solved(piece.A[0], piece.b[0], piece.h[0], piece.c[0])
            empty[bool(first[0]), bool(second[0])] = status == EMPTY and proved_empty(piece, mu)
    assert empty == {(False, False): False, (False, True): False, (True, True): False, (True, False): True}


def test_a_box_around_a_polytope_holds_it_and_an_unbounded_one_has_none():
    lo, hi = box_around(DIAMOND)
    assert (lo <= -1).all()
    assert (hi >= 1).all()
    np.testing.assert_allclose([lo, hi], [-np.ones(3), np.ones(3)], atol=1e-9)
    assert box_around(Polytope(np.array([[1.0, 1.0], [-1.0, 0.0]]), np.ones(2))) is None


@pytest.mark.parametrize("domain", [Box(-1, 1), DIAMOND, WholeSpace(), Polytope([[1.0, 1, 1], [-1, 0, 0]], [2.0, 1])])
@pytest.mark.parametrize("seed", range(3))
def test_extremes_of_a_sum_are_those_of_the_one_list(seed, domain):
    shallow = in_modules(seed, domain, modules=2, widths=(2, 2))
    one, other = rs.extremes(rs.convert(shallow.network, domain), 1), rs.extremes(shallow, 1)
    for mine, theirs in ((other.minimum, one.minimum), (other.maximum, one.maximum)):
        assert mine.status == theirs.status
        assert mine.value == pytest.approx(theirs.value, abs=1e-7)
        assert mine.bound == pytest.approx(theirs.bound, abs=1e-7)


def test_a_hat_in_two_modules_is_bounded_on_the_whole_space():
    # relu(x) + relu(x - 2) in one module, -2 relu(x - 1) in the other: no module is bounded, the sum is
    first = (np.ones((3, 1)), np.array([0.0, -1.0, -2.0]))
    second = (np.array([[1.0, 0, 1.0], [0, 2.0, 0]]), np.zeros(2))
    network = from_layers([first, second, (np.array([[1.0, -1.0]]), np.zeros(1))])
    shallow = rs.convert(network, WholeSpace(), modular=True)
    assert len(shallow.tables) == 2
    found = rs.extremes(shallow)
    assert (found.maximum.status, found.minimum.status) == ("exact", "exact")
    assert found.maximum.value == pytest.approx(1.0, abs=1e-12)
    early = rs.extremes(shallow, time_limit=0.0)
    assert early.maximum.bound == np.inf
    assert early.maximum.status == "bounds"


def test_a_box_beyond_the_converted_one_or_a_partial_list_is_left_to_the_network():
    shallow = in_modules(0, Box(-1, 1))
    weights = np.array([1.0, 0.0])
    assert addends_over(shallow, sums.fit(Box(-2, 1), 3), weights) is None
    assert addends_over(shallow, sums.fit(Box(-0.5, 0.25), 3), weights) is not None
    partial = replace(shallow, completeness=replace(shallow.completeness, complete=False))
    assert addends_over(partial, sums.fit(Box(-1, 1), 3), weights) is None
    found = rs.extremes(shallow, 0, domain=Box(-2, 1))
    truth = rs.extremes(shallow.network, 0, domain=Box(-2, 1))
    assert found.maximum.value == pytest.approx(truth.maximum.value)


def test_both_searches_together_give_the_better_bound(monkeypatch):
    shallow = in_modules(7, Box(-1, 1), modules=4, widths=(3, 2), inputs=4)
    weights = np.array([1.0, -1.0])
    truth = largest_over_box(shallow.network, -np.ones(4), np.ones(4), weights)
    addends = addends_over(shallow, sums.fit(Box(-1, 1), 4), weights)
    monkeypatch.setattr(sums, "FIRST_TURN", 1e-3)
    found = largest_of(addends, weights)
    assert found.status == "exact"
    assert found.value == pytest.approx(truth.value, abs=1e-7)
    assert found.bound >= truth.value
    assert Fraction(found.value) <= exact_sum(shallow.network, weights, found.point) <= Fraction(found.bound)
