"""Robust radii and counterfactuals: the rules are kept, and the answers are those worked out by hand."""

from itertools import product

import numpy as np
import pytest
from conftest import data_path

from relu_shallow.cli import options
from relu_shallow.domain import Box
from relu_shallow.errors import DomainError, UsageError
from relu_shallow.load import load_network
from relu_shallow.network import from_layers
from relu_shallow.questions.constraints import Constraints
from relu_shallow.questions.counterfactual import counterfactual
from relu_shallow.questions.distance import NORMS, SCALES, spread_weights
from relu_shallow.questions.features import feature_numbers
from relu_shallow.questions.radius import robust_radii

# class 1 where x + 2 y + z > 2.5
PLANE = from_layers([(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]), np.array([0.0, -2.5]))])
# relu(x) - relu(-x - 1): 0 on [-1, 0]
FLAT = from_layers([(np.array([[1.0], [-1.0]]), np.array([0.0, -1.0])), (np.array([[1.0, -1.0]]), np.array([0.0]))])
ORIGIN = np.zeros(3)


@pytest.mark.parametrize(
    ("constraints", "after"),
    [
        (Constraints(), (0.0, 1.25, 0.0)),
        (Constraints(ranges={1: (-1.0, 1.0)}, fixed=(2,)), (0.5, 1.0, 0.0)),
        (Constraints(decreasing=(1,), fixed=(2,)), (2.5, 0.0, 0.0)),
        (Constraints(fixed=(0, 2), whole=(1,)), (0.0, 2.0, 0.0)),
        (Constraints(fixed=(1,), whole=(0,), increasing=(2,), ranges={2: (0.0, 0.75)}), (2.0, 0.0, 0.5)),
    ],
)
def test_a_counterfactual_keeps_the_constraints(constraints, after):
    found = counterfactual(PLANE, ORIGIN, norm="1", constraints=constraints, domain=Box(-5, 5))
    assert found.nearest.status == "exact"
    assert (found.own, found.there) == (0, 1)
    assert np.isclose(found.nearest.upper, np.abs(after).sum(), rtol=1e-6)
    if constraints.fixed:
        assert np.allclose(found.nearest.point, after, atol=1e-6) or constraints.whole == (0,)


def test_one_hot_features_move_together():
    # from (1, 0, 0) to the member that matters most
    one_hot = Constraints(groups=((0, 1),))
    found = counterfactual(PLANE, np.array([1.0, 0.0, 0.0]), constraints=one_hot, domain=Box(0, 1))
    assert np.allclose(found.nearest.point, (0.0, 1.0, 0.5), atol=1e-6)
    assert found.nearest.point[:2].tolist() == [0.0, 1.0]
    assert np.isclose(found.nearest.upper, 2.5, rtol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_whole_numbers_are_those_of_trying_all(norm):
    rng = np.random.default_rng(4)
    layers = [(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in ((3, 5), (5, 2))]
    network = from_layers(layers)
    grid = np.array(list(product(range(-3, 4), repeat=3)), float)
    classes = network(grid).argmax(axis=1)
    order = {"1": 1, "2": 2, "inf": np.inf}[norm]
    for x in (grid[40], grid[171]):
        own = network(x[None]).argmax()
        found = counterfactual(network, x, norm=norm, constraints=Constraints(whole=(0, 1, 2)), domain=Box(-3, 3))
        away = np.linalg.norm((grid - x)[classes != own], ord=order, axis=1)
        assert np.isclose(found.nearest.upper, away.min(), rtol=1e-9)
        assert found.nearest.status == "exact"


def test_rules_that_leave_nothing_are_told_apart():
    constraints = Constraints(fixed=(0, 1, 2))
    assert counterfactual(PLANE, ORIGIN, constraints=constraints, domain=Box(-1, 1)).nearest.status == "none"
    with pytest.raises(DomainError, match="no value left"):
        counterfactual(PLANE, ORIGIN, constraints=Constraints(fixed=(0,)), domain=Box(1, 2))
    with pytest.raises(UsageError, match="two one-hot groups"):
        counterfactual(PLANE, ORIGIN, constraints=Constraints(groups=((0, 1), (1, 2))))
    with pytest.raises(UsageError, match="not one of the 3 inputs"):
        counterfactual(PLANE, ORIGIN, constraints=Constraints(fixed=(3,)))
    with pytest.raises(UsageError, match="tells no class"):
        counterfactual(FLAT, np.zeros(1))


def test_features_are_named_or_numbered():
    assert feature_numbers(("b", "0"), ("a", "b")) == (1, 0)
    with pytest.raises(UsageError, match="there is no feature 'c'; the features are a, b"):
        feature_numbers(("c",), ("a", "b"))


def test_scales_measure_in_the_spread_of_the_data():
    X = np.array([[0.0, 5.0], [2.0, 5.0], [10.0, 5.0]])
    assert spread_weights(X, "range").tolist() == [0.1, 1.0]
    assert spread_weights(X, "mad").tolist() == [0.5, 1.0]
    assert np.isclose(spread_weights(X, "sd")[0], 1 / X[:, 0].std())


@pytest.mark.parametrize("norm", NORMS)
def test_a_radius_is_the_distance_to_the_other_side_of_a_threshold(norm):
    X = np.array([[0.5], [-0.75], [-3.0]])
    found = robust_radii(FLAT, X, norm, output=0, threshold=0.25)
    assert np.allclose(found.upper, [0.25, 1.0, 3.25], rtol=1e-6)
    assert found.status == ("exact",) * 3
    assert found.classes.tolist() == [1, 0, 0]
    assert found.classes_there.tolist() == [0, 1, 1]
    assert (found.lower <= found.upper).all()
    assert robust_radii(FLAT, X, norm, output=0, threshold=9.0, domain=Box(-4, 4)).status == ("none",) * 3


def test_the_command_line_offers_what_the_library_has():
    assert options.NORMS == NORMS
    assert options.SCALES == SCALES


def test_no_sample_inside_the_radius_of_a_real_row_has_another_class():
    network = load_network(data_path("pt/carla_adult_ann.pt"))
    rng = np.random.default_rng(0)
    X = rng.random((2, 20))
    X[:, 6:] = X[:, 6:] > 0.5
    for norm in NORMS:
        found = robust_radii(network, X, norm, domain=Box(0, 1), time_limit=1.0)
        assert (found.lower > 0).all()
        for x, own, lower in zip(X, found.classes, found.lower, strict=True):
            V = rng.normal(size=(2000, 20))
            V /= np.linalg.norm(V, ord={"1": 1, "2": 2, "inf": np.inf}[norm], axis=1)[:, None]
            inward = np.where((x == 0) | (x == 1), np.abs(V) * (1 - 2 * x), V)
            Z = np.clip(x + inward * lower, 0, 1)  # no farther from x, which lies in the box
            assert (network(Z).argmax(axis=1) == own).all()
