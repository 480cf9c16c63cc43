import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relu_shallow.lp import BACKENDS
from relu_shallow.lp.question import Polyhedron, dual_bound
from relu_shallow.precision import general_lp_margin

every_backend = pytest.mark.parametrize("backend", sorted(BACKENDS))


def random_question(seed, d, extra):
    """A box with a few more unit-norm rows round an inner point, and a direction."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(extra, d))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    A = np.concatenate([np.eye(d), -np.eye(d), A])
    inside = rng.uniform(-0.5, 0.5, d)
    b = np.concatenate([np.ones(2 * d), -A[2 * d :] @ inside + rng.uniform(0, 0.5, extra)])
    h = rng.normal(size=d)
    return Polyhedron(A, b), h / np.linalg.norm(h), float(rng.normal())


@every_backend
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 5), extra=st.integers(0, 6))
def test_the_point_is_feasible_and_the_dual_proves_that_nothing_is_larger(backend, seed, d, extra):
    polyhedron, h, c = random_question(seed, d, extra)
    answer = BACKENDS[backend](polyhedron, h, c, np.inf)
    small = 100 * general_lp_margin(d)  # rows may meet at a narrow angle, which magnifies the solver's tolerance
    assert answer.status == "optimal"
    assert (polyhedron.A @ answer.point + polyhedron.b >= -small).all()
    assert answer.value == pytest.approx(h @ answer.point + c, abs=small)
    assert (answer.dual >= -small).all()
    assert np.abs(h + polyhedron.A.T @ answer.dual).max() <= small
    assert dual_bound(polyhedron, c, answer.dual) == pytest.approx(answer.value, abs=small)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 5), extra=st.integers(0, 6))
def test_two_solvers_that_share_nothing_find_the_same_maximum(seed, d, extra):
    question = random_question(seed, d, extra)
    first, second = (BACKENDS[name](*question, np.inf).value for name in ("highs", "cvxpy"))
    assert first == pytest.approx(second, abs=100 * general_lp_margin(d))


@every_backend
def test_an_empty_polyhedron_is_infeasible(backend):
    nothing = Polyhedron(np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0]))  # y >= 1 and y <= -1
    answer = BACKENDS[backend](nothing, np.ones(1), 0.0, np.inf)
    assert answer.status == "infeasible"
    assert answer.value == -np.inf


@every_backend
def test_an_unbounded_question_is_undecided_not_infeasible(backend):
    answer = BACKENDS[backend](Polyhedron(np.eye(1), np.zeros(1)), np.ones(1), 0.0, np.inf)
    assert answer.status == "undecided"
    assert answer.value == np.inf
