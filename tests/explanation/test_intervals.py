import time

import numpy as np
import pytest
from shapley_reference import drawn, enumerated, random_network

from relu_shallow.explanation import Background, explain_rows
from relu_shallow.explanation.exact import enclosed_values, exact_values
from relu_shallow.network import from_layers

SHARP = 1e-10


@pytest.mark.parametrize("units", [0.0, 1e4, 1e5])
@pytest.mark.parametrize("seed", range(20))
def test_intervals_hold_the_exact_values_however_early_the_search_ends(seed, units):
    network, X, background = drawn(seed)
    found = enclosed_values(network, X, background, list(range(network.outputs)), units=units)
    wanted = enumerated(network, X, background)
    slack = np.where(found.settled, SHARP, 0.0)[:, None, None]  # what is settled is a value, up to rounding
    assert (found.lo <= wanted + slack).all()
    assert (found.hi >= wanted - slack).all()


@pytest.fixture(scope="module")
def hard():
    """A network, two rows and a background of which the first looks settle nothing."""
    network = random_network(3, (14, 24, 24, 2))
    X, B = np.random.default_rng(3).normal(size=(2, 2, 14))
    background = Background(B, np.ones(2))
    return network, X, background, enumerated(network, X, background)


def test_intervals_hold_and_narrow_with_more_work_until_they_are_the_values(hard):
    network, X, background, wanted = hard
    widths = []
    for units in (0.0, 1e7, 3e7, 6e7, np.inf):
        found = enclosed_values(network, X, background, [0, 1], units=units)
        assert (found.lo <= wanted + SHARP).all()
        assert (found.hi >= wanted - SHARP).all()
        widths.append((found.hi - found.lo).sum())
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 1
    assert found.settled.all()
    np.testing.assert_allclose(found.lo, wanted, atol=SHARP)


def test_intervals_of_a_row_that_nothing_enclosed_are_infinite(hard):
    network, X, background, _ = hard
    found = enclosed_values(network, X, background, [0, 1], deadline=time.monotonic())
    assert (found.cells == 0).all()
    assert (found.lo == -np.inf).all()
    assert (found.hi == np.inf).all()


def test_the_sum_of_all_values_narrows_a_single_one():
    # f = relu(a + b - 1/2) - relu(a - b - 2): what the others leave of f(x) - f(b) bounds each value
    network = random_network(4, (20, 30, 30, 1))
    X, B = np.random.default_rng(5).normal(size=(2, 1, 20))
    found = enclosed_values(network, X, Background(B, np.ones(1)), [0], units=0.0)
    total = (network(X) - network(B))[0, 0]
    lo, hi = found.lo[0, 0], found.hi[0, 0]
    assert (lo >= total - (hi.sum() - hi) - SHARP).all()
    assert (hi <= total - (lo.sum() - lo) + SHARP).all()


def test_intervals_are_widened_by_the_rounding_of_large_numbers():
    """Terms of 1e12 cancel: without the widening a bound would claim digits that no sum of them has."""
    W = np.array([[1e12, 1e12, 1.0], [1e12, 1e12, 0.0]])
    network = from_layers([(W, np.zeros(2)), (np.array([[1.0, -1.0]]), np.zeros(1))])
    exact = exact_values(network, np.ones((1, 3)), Background(np.zeros((1, 3)), np.ones(1)), [0])
    assert abs(exact[0, 0, 2] - 1.0) < 1e-3
    hard = random_network(6, (14, 24, 24, 1))
    X, B = np.random.default_rng(6).normal(size=(2, 1, 14))
    found = enclosed_values(hard, 1e8 * X, Background(1e8 * B, np.ones(1)), [0], units=0.0)
    assert not found.settled.any()
    wanted = enumerated(hard, 1e8 * X, Background(1e8 * B, np.ones(1)))
    assert (found.lo <= wanted).all()
    assert (found.hi >= wanted).all()


def test_the_method_bounds_gives_values_between_its_bounds_that_add_up():
    network = random_network(3, (16, 40, 40, 2))
    X, B = np.random.default_rng(3).normal(size=(2, 2, 16))
    found = explain_rows(network, X, background=B, method="bounds", time_limit=0.3)
    assert set(found.status) <= {"bounds", "exact"}
    assert (found.lo <= found.phi).all()
    assert (found.phi <= found.hi).all()
    assert np.abs(found.gap).max() < SHARP
    exact = explain_rows(network, X, background=B, method="exact")
    assert (found.lo <= exact.phi + SHARP).all()
    assert (found.hi >= exact.phi - SHARP).all()
