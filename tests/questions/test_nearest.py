"""Nearest points: answers worked out by hand, all regions one by one, and bounds that hold whatever a solver says."""

from itertools import pairwise, product

import numpy as np
import pytest
from networks import NAMED
from scipy.optimize import linprog

from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import UsageError
from relu_shallow.network import Affine, Gate, Network, evaluate, from_layers, local_maps
from relu_shallow.precision import NEAREST
from relu_shallow.questions import least_norm, nearest_cell
from relu_shallow.questions.distance import NORMS, proved_distance, size
from relu_shallow.questions.goal import another_class, class_of, past, target_class
from relu_shallow.questions.nearest import nearest_point
from relu_shallow.questions.space import space_of

SLOPES = {"relu": (0.0, 1.0), "leaky": (0.1, 1.0), "abs": (-1.0, 1.0)}
HALF_PLANE = from_layers([(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0.0, -1.0]))])  # class 1 where x + y > 1


def random_network(rng, widths, slopes=(0.0, 1.0)):
    maps = [Affine(rng.normal(size=(m, n)), 0.5 * rng.normal(size=m)) for n, m in pairwise(widths)]
    return Network(tuple(maps), tuple(Gate(np.full(m, slopes[0]), np.full(m, slopes[1])) for m in widths[1:-1]))


def region_by_region(network, x, goals, norm, box, weights):
    """The least distance over all 2^N patterns, a program for each by other solvers."""
    best = np.inf
    for bits in product((False, True), repeat=network.neurons):
        pattern = np.array(bits, dtype=bool)
        maps = local_maps(network, pattern)
        signs = np.where(pattern, 1.0, -1.0)
        rows = np.concatenate([np.zeros((0, network.inputs)), *(G for G, _ in maps[:-1])]) * signs[:, None]
        constants = np.concatenate([np.zeros(0), *(g for _, g in maps[:-1])]) * signs
        alpha, beta = maps[-1]
        for goal in goals:
            A = np.concatenate([rows, goal.C @ alpha])
            a = np.concatenate([constants, goal.C @ beta + goal.c])
            best = min(best, least_distance(norm, A, a, x, box, weights))
    return best


def least_distance(norm, A, a, x, box, weights):
    """min |weights (z - x)| over {A z + a >= 0} in a box: HiGHS, or Clarabel for the Euclidean norm."""
    n, (lo, hi) = len(x), box
    if norm == "2":
        import cvxpy as cp

        if linprog(np.zeros(n), A_ub=-A, b_ub=a, bounds=np.stack([lo, hi], axis=1)).status != 0:
            return np.inf
        z = cp.Variable(n)
        problem = cp.Problem(cp.Minimize(cp.norm(cp.multiply(weights, z - x))), [A @ z + a >= 0, z >= lo, z <= hi])
        return float(problem.solve(solver=cp.CLARABEL))
    count = n if norm == "1" else 1
    T = np.eye(n) if norm == "1" else np.ones((n, 1))
    W = np.diag(weights)
    rows = np.block([[-A, np.zeros((len(A), count))], [W, -T], [-W, -T]])
    right = np.concatenate([a, weights * x, -weights * x])
    ends = [*zip(lo, hi, strict=True), *[(0, None)] * count]
    found = linprog(np.append(np.zeros(n), np.ones(count)), A_ub=rows, b_ub=right, bounds=ends)
    return float(found.fun) if found.status == 0 else np.inf


def checked(network, x, goals, space, norm, weights=None, **more):
    """The nearest point, with what must hold of every answer."""
    found = nearest_point(network, x, goals, space, norm, weights, **more)
    assert found.lower <= found.upper
    if np.isfinite(found.upper):
        w = np.ones(len(x)) if weights is None else weights
        assert float(size(norm, w * (found.point - x))) <= found.upper
        assert space.surely_holds(found.point)
        values = evaluate(network, found.point[None])[0]
        assert any((goal.C @ values + goal.c > 0).all() for goal in goals)
    if found.status == "exact":
        assert found.upper - found.lower <= 2 * NEAREST * found.upper + 1e-11
    return found


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("slopes", SLOPES)
def test_the_answer_is_that_of_all_regions_one_by_one(norm, slopes):
    rng = np.random.default_rng(len(slopes))
    found_some = 0
    for widths in ([2, 4, 2, 3], [3, 5, 1]):
        network = random_network(rng, widths, SLOPES[slopes])
        box = np.full(widths[0], -1.0), np.full(widths[0], 1.0)
        weights = rng.uniform(0.5, 2.0, widths[0])
        x = rng.uniform(-1, 1, widths[0])
        goals = another_class(network, int(class_of(network, network(x[None]))[0])) if widths[-1] > 1 else (
            past(network, 0, float(network(x[None])[0, 0]) + 0.5, "above"),)  # fmt: skip
        found = checked(network, x, goals, space_of(Box(*box), network), norm, weights)
        truth = region_by_region(network, x, goals, norm, box, weights)
        assert (found.status == "none") == (truth == np.inf)
        if truth < np.inf:
            assert found.status == "exact"
            assert np.isclose(found.upper, truth, rtol=1e-6 if norm == "2" else 2e-7, atol=1e-7)
            found_some += 1
    assert found_some


@pytest.mark.parametrize(
    ("norm", "weights", "distance"),
    [("1", (1, 1), 1.0), ("2", (1, 1), np.sqrt(0.5)), ("inf", (1, 1), 0.5), ("1", (1, 3), 1.0), ("1", (3, 2), 2.0),
     ("inf", (1, 3), 0.75), ("2", (1, 2), 2 / np.sqrt(5))],
)  # fmt: skip
def test_the_distance_to_a_line_is_the_one_known(norm, weights, distance):
    """x + y = 1 from the origin."""
    space = space_of(WholeSpace(), HALF_PLANE)
    found = checked(HALF_PLANE, np.zeros(2), another_class(HALF_PLANE, 0), space, norm, np.array(weights, float))
    assert found.status == "exact"
    assert np.isclose(found.upper, distance, rtol=3e-7)


def test_kinks_on_the_way_are_seen():
    #  relu(relu(x) - 1) reaches 1/2 at x = 3/2: from x = -1/4 that is 7/4 away, behind two kinks and flat ground
    network = NAMED["stairs"].network
    goals = (past(network, 0, 0.5, "above"),)
    for domain in (WholeSpace(), Box(-2.0, 2.0)):
        for norm in NORMS:
            found = checked(network, np.array([-0.25]), goals, space_of(domain, network), norm)
            assert found.status == "exact"
            assert np.isclose(found.upper, 1.75, rtol=3e-7)


def test_that_nothing_is_there_is_proved():
    network = NAMED["stairs"].network
    space = space_of(Box(-2.0, 1.4), network)
    found = checked(network, np.zeros(1), (past(network, 0, 0.5, "above"),), space, "inf")
    assert found.status == "none"
    assert found.lower == np.inf
    everywhere = checked(network, np.zeros(1), (past(network, 0, -0.5, "below"),), space_of(WholeSpace(), network), "2")
    assert everywhere.status == "bounds"  # the whole space has no end at which to stop
    assert everywhere.lower > 1e6


def test_a_point_that_meets_the_goal_is_its_own_nearest():
    found = checked(HALF_PLANE, np.ones(2), (target_class(HALF_PLANE, 1),), space_of(WholeSpace(), HALF_PLANE), "2")
    assert found.upper == 0
    on_border = checked(HALF_PLANE, np.full(2, 0.5), another_class(HALF_PLANE, 0), space_of(Box(0, 1), HALF_PLANE), "1")
    assert on_border.lower == 0
    assert on_border.upper < 1e-12


def test_half_spaces_of_the_domain_are_kept():
    # x + y >= 1 and y <= 1/4: the nearest in the largest coordinate is (3/4, 1/4)
    space = space_of(Polytope([[0.0, 1.0]], [0.25]), HALF_PLANE)
    found = checked(HALF_PLANE, np.zeros(2), another_class(HALF_PLANE, 0), space, "inf")
    assert np.isclose(found.upper, 0.75, rtol=3e-7)


def test_a_point_outside_the_domain_has_its_nearest_inside():
    space = space_of(Box([2.0, -1.0], [3.0, 1.0]), HALF_PLANE)
    found = checked(HALF_PLANE, np.zeros(2), another_class(HALF_PLANE, 0), space, "1")
    assert found.status == "exact"
    assert np.isclose(found.upper, 2.0, rtol=3e-7)


def test_a_bound_holds_for_any_multipliers():
    rng = np.random.default_rng(3)
    for _ in range(300):
        n, k = rng.integers(1, 5), rng.integers(1, 6)
        A, a, x = rng.normal(size=(k, n)), rng.normal(size=k), rng.normal(size=n)
        lo = rng.normal(size=n)
        hi = lo + rng.uniform(0, 2, n)
        w = rng.uniform(0.2, 3, n)
        Z = rng.uniform(lo, hi, (200, n))
        Z = Z[(Z @ A.T + a >= 0).all(axis=1)]
        dual, slope = rng.normal(size=k) * 10.0 ** rng.integers(-2, 4), rng.normal(size=n) * 3
        for norm in NORMS:
            bound = proved_distance(norm, w, x, (lo, hi), (A, a), dual, slope)
            assert bound >= 0
            assert (bound <= size(norm, w * (Z - x))).all()


def test_a_bound_is_reached_by_the_right_multipliers():
    A, a, box = np.array([[1.0, 1.0]]), np.array([-1.0]), (np.full(2, -5.0), np.full(2, 5.0))
    for norm, dual, slope in (("1", 1.0, (1, 1)), ("2", np.sqrt(0.5), (np.sqrt(0.5),) * 2), ("inf", 0.5, (0.5, 0.5))):
        bound = proved_distance(norm, np.ones(2), np.zeros(2), box, (A, a), np.array([dual]), np.array(slope, float))
        assert dual * (1 - 1e-13) <= bound <= dual
    away = np.array([-11.0])  # x + y >= 11 in the box: nothing
    assert proved_distance("2", np.ones(2), np.zeros(2), box, (A, away), np.ones(1), np.zeros(2)) == np.inf


@pytest.mark.parametrize("answer", ["none", "nonsense"])
def test_a_solver_that_fails_makes_bounds_wider_and_never_wrong(monkeypatch, answer):
    network = random_network(np.random.default_rng(11), [2, 4, 2, 2])
    x, space = np.array([0.3, -0.4]), space_of(Box(-1, 1), network)
    goals = another_class(network, int(class_of(network, network(x[None]))[0]))
    truth = checked(network, x, goals, space, "inf")
    rng = np.random.default_rng(12)

    def broken(norm, low, high, G, h, price=1.0, seconds=1.0):
        del norm, price, seconds
        n = len(low)
        if answer == "none":
            return None
        return least_norm.Solution(rng.uniform(low, high), rng.exponential(size=len(h)) * 9, rng.normal(size=n), 0.0)

    monkeypatch.setattr(nearest_cell, "least_norm", broken)
    found = checked(network, x, goals, space, "inf", time_limit=3.0)
    assert found.lower <= truth.upper
    assert found.upper >= truth.lower


def test_bounds_hold_when_time_is_up():
    network = random_network(np.random.default_rng(5), [5, 14, 14, 3])
    x, space = np.full(5, 0.2), space_of(Box(-1, 1), network)
    goals = another_class(network, int(class_of(network, network(x[None]))[0]))
    soon = checked(network, x, goals, space, "1", time_limit=1e-3)
    later = checked(network, x, goals, space, "1", time_limit=3.0)
    assert soon.lower <= later.upper
    assert later.lower >= soon.lower
    assert soon.cells <= len(goals)


@pytest.mark.parametrize("norm", NORMS)
def test_both_solvers_of_linear_programs_agree(norm):
    rng = np.random.default_rng(9)
    for _ in range(40):
        n, k = rng.integers(1, 8), rng.integers(1, 12)
        low = np.where(rng.random(n) < 0.7, -rng.random(n), 0.2 * rng.normal(size=n))
        high = low + rng.random(n) * (rng.random(n) < 0.9) * 2
        G = rng.normal(size=(k, n))
        G /= np.linalg.norm(G, axis=1)[:, None]
        h = 0.2 * rng.normal(size=k)
        if norm == "2":
            found = least_norm._least_square(low, high, G, h)
            truth = least_distance("2", G, -h, np.zeros(n), (low, high), np.ones(n)) if found.missed < 0.5 else np.inf
            assert found.missed >= 0.5 or np.isclose(np.linalg.norm(found.u), truth, atol=1e-6)
            continue
        costs = []
        for solve in (least_norm._climbed, least_norm._priced):
            one = solve(norm, low, high, G, h, 2.0**14)
            costs.append(float(size(norm, one.u)) + 2.0**14 * one.missed)
        assert np.isclose(*costs, rtol=1e-7, atol=1e-7)


def test_what_makes_no_sense_is_refused():
    space, goals = space_of(WholeSpace(), HALF_PLANE), another_class(HALF_PLANE, 0)
    with pytest.raises(UsageError, match="positive numbers"):
        nearest_point(HALF_PLANE, np.zeros(2), goals, space, "1", np.array([1.0, 0.0]))
    with pytest.raises(UsageError, match="2 finite numbers"):
        nearest_point(HALF_PLANE, np.full(2, np.nan), goals, space)
    with pytest.raises(UsageError, match="classes 0 to 1"):
        target_class(HALF_PLANE, 2)
