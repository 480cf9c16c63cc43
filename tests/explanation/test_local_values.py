from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED, case
from shapley_reference import random_network, values_over_orders

from relu_shallow.domain import Box, WholeSpace
from relu_shallow.explanation import Background, explain_rows
from relu_shallow.explanation.exact import exact_values
from relu_shallow.explanation.local import certified
from relu_shallow.explanation.model import boundary_distance, local_model
from relu_shallow.network import activation_patterns, local_maps
from relu_shallow.precision import local_rows_error
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network

SHARP = 1e-10


def test_local_values_are_the_shapley_values_of_the_local_formula():
    network = random_network(0, (4, 6, 5, 2))
    X, B = np.random.default_rng(0).normal(size=(2, 5, 4))
    weights = np.array([1, 2, 3, 4, 0.0])
    found = explain_rows(network, X, background=Background(B, weights), method="local")
    for x, phi, alpha, beta in zip(X, found.phi, found.alpha, found.beta, strict=True):
        formula = lambda points, alpha=alpha, beta=beta: points @ alpha.T + beta  # noqa: E731
        np.testing.assert_allclose(phi, values_over_orders(formula, x, B, weights / 10), atol=SHARP)


def test_the_gap_is_what_the_values_miss_of_the_prediction():
    network = random_network(1, (3, 8, 8, 2))
    X, B = np.random.default_rng(1).normal(size=(2, 30, 3))
    found = explain_rows(network, X, background=B, method="local")
    mean = network(B).mean(axis=0)
    np.testing.assert_allclose(found.base_value, mean, atol=SHARP)
    np.testing.assert_allclose(found.prediction, network(X), atol=SHARP)
    np.testing.assert_allclose(found.gap, found.phi.sum(axis=2) - (network(X) - mean), atol=SHARP)
    assert np.abs(found.gap).max() > 0.01  # a local explanation of a bent function does not add up


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([1e-6, 0.01, 0.1, 0.3, 1.0]), depth=st.integers(1, 3))
def test_a_local_row_that_says_exact_has_the_networks_own_values(seed, spread, depth):
    network = random_network(seed, (3, *[4] * depth, 2))
    random = np.random.default_rng(seed)
    centre = random.normal(size=3)
    X, B = centre + spread * random.normal(size=(2, 4, 3))
    found = explain_rows(network, X, background=B, method="local")
    own = exact_values(network, X, Background(B, np.ones(4)), [0, 1])
    for status, phi, values in zip(found.status, found.phi, own, strict=True):
        if status == "exact":
            np.testing.assert_allclose(phi, values, atol=SHARP)


def test_rows_near_their_background_are_certified_and_rows_across_a_boundary_are_not():
    # relu(x): the box of -1 and 2 crosses the kink, that of 1 and 2 does not
    network = random_network(0, (1, 1, 1))
    W, b = network.affine[0].W[0, 0], network.affine[0].b[0]
    kink = -b / W
    right = explain_rows(network, [[kink + 2.0], [kink - 1.0], [kink]], background=[[kink + 1.0]], method="local")
    assert right.status == ("exact", "local", "local")


def test_a_box_that_only_just_leaves_the_region_is_not_certified():
    # the region x + y >= 0 holds x = (2, -1) and b = (-1, 2), but not the hybrid (-1, -1)
    from relu_shallow.network import from_layers

    network = from_layers([(np.ones((1, 2)), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))])
    assert explain_rows(network, [[2.0, -1.0]], background=[[-1.0, 2.0]], method="local").status == ("local",)
    assert explain_rows(network, [[2.0, -1.0]], background=[[1.5, 0.0]], method="local").status == ("exact",)


def test_one_background_row_of_no_weight_does_not_count():
    network = random_network(0, (2, 6, 1))
    x = np.array([[0.3, -0.2]])
    background = Background(np.concatenate([x + 1e-9, x + 100.0]), np.array([1.0, 0.0]))
    assert explain_rows(network, x, background=background, method="local").status == ("exact",)


def test_a_network_without_neurons_is_exact_everywhere():
    network = NAMED["linear"].network
    found = explain_rows(network, np.eye(2), method="local")
    assert found.status == ("exact", "exact")
    assert np.isinf(found.distance).all()
    np.testing.assert_allclose(found.gap, 0, atol=SHARP)


def test_certified_row_by_row_is_what_certified_says_of_all(monkeypatch):
    network = random_network(9, (3, 5, 1))
    random = np.random.default_rng(9)
    B = random.normal(size=3) + 0.02 * random.normal(size=(6, 3))
    X = B.mean(axis=0) + 0.3 * random.normal(size=(300, 3))
    model = local_model(network, X, [0])
    together = certified(network, model, X, Background(B, np.ones(6)))
    one_by_one = [
        all(
            certified(network, local_model(network, x[None], [0]), x[None], Background(b[None], np.ones(1)))[0]
            for b in B
        )
        for x in X
    ]
    assert 0 < together.sum() < 300
    assert together.tolist() == one_by_one
    monkeypatch.setattr("relu_shallow.explanation.local.CHUNK", 50)
    assert certified(network, model, X, Background(B, np.ones(6))).tolist() == one_by_one


@pytest.mark.parametrize("name", ["p_d2_6x6", "g_nobias", "z_d3_12"])
def test_error_bounds_of_rows_hold_against_rational_arithmetic(name):
    network = case(name).network
    x = np.random.default_rng(0).normal(size=network.inputs)
    pattern = activation_patterns(network, x[None])[0]
    E, e = local_rows_error(network, pattern)
    rows = [(row, constant) for G, g in local_maps(network, pattern)[:-1] for row, constant in zip(G, g, strict=True)]
    point = [Fraction(float(v)) for v in x]
    exact, layer_input, start = [], point, 0
    for gate, layer in zip(network.gates, network.affine[:-1], strict=True):
        z = [
            sum(Fraction(float(w)) * h for w, h in zip(row, layer_input, strict=True)) + Fraction(float(b))
            for row, b in zip(layer.W, layer.b, strict=True)
        ]
        exact += z
        active = pattern[start : start + len(z)]
        slopes = np.where(active, gate.active, gate.inactive)
        layer_input = [Fraction(float(s)) * v for s, v in zip(slopes, z, strict=True)]
        start += len(z)
    for (row, constant), value, bound, shift in zip(rows, exact, E, e, strict=True):
        computed = Fraction(float(row @ x + constant))
        assert abs(computed - value) <= Fraction(float(bound @ np.abs(x) + shift))
        assert bound @ np.abs(x) + shift < SHARP


@pytest.mark.parametrize("name", ["p_d2_6x6", "two_arms", "cones", "two_slopes"])
def test_the_nearest_boundary_is_where_the_pattern_changes_and_not_before(name):
    network = (NAMED[name] if name in NAMED else case(name)).network
    random = np.random.default_rng(2)
    X = random.uniform(-0.9, 0.9, size=(20, network.inputs))
    model = local_model(network, X, [0])
    distance = boundary_distance(network, model, X)
    directions = random.normal(size=(400, network.inputs))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for x, near in zip(X, distance, strict=True):
        if np.isinf(near):
            continue
        own = activation_patterns(network, x[None])
        assert (activation_patterns(network, x + 0.999 * near * directions) == own).all()
        gradients = np.concatenate([G for G, _ in local_maps(network, own[0])[:-1]])
        gradients = gradients[np.linalg.norm(gradients, axis=1) > 0]
        outward = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
        crossing = np.concatenate([x + 1.001 * near * outward, x - 1.001 * near * outward])
        assert (activation_patterns(network, crossing) != own).any()


@pytest.mark.parametrize("name", ["p_d2_6x6", "z_d3_12", "cones", "two_arms"])
def test_a_converted_network_is_explained_as_the_deep_one(name):
    named = NAMED[name] if name in NAMED else case(name)
    shallow = shallow_network(enumerate_regions(named.network, Box(*named.box)))
    lo, hi = named.box
    X = np.random.default_rng(3).uniform(lo, hi, size=(50, named.network.inputs))
    for method in ("local", "auto"):
        table, deep = explain_rows(shallow, X, method=method), explain_rows(named.network, X, method=method)
        assert table.status == deep.status
        for what in ("phi", "prediction", "base_value", "alpha", "beta", "distance"):
            np.testing.assert_allclose(getattr(table, what), getattr(deep, what), atol=SHARP)
        np.testing.assert_array_equal(table.region, shallow.table.region_of(X))


def test_regions_of_a_deep_network_are_numbered_as_they_are_met():
    network = NAMED["two_arms"].network
    found = explain_rows(network, [[1.5], [-1.5], [1.6], [0.5], [-0.5]], method="local")
    assert found.region.tolist() == [0, 1, 0, 2, 3]


def test_the_whole_space_is_explained_far_from_the_origin():
    named = NAMED["two_arms"]
    shallow = shallow_network(enumerate_regions(named.network, WholeSpace()))
    X = np.array([[-1e6], [1e6]])
    np.testing.assert_allclose(explain_rows(shallow, X).phi, explain_rows(named.network, X).phi, rtol=SHARP)


def test_many_rows_are_explained_without_a_loop_over_rows():
    network = random_network(0, (6, 16, 16, 2))
    X = np.random.default_rng(0).normal(size=(20_000, 6))
    found = explain_rows(network, X, method="local")
    some = np.arange(0, 20_000, 4001)
    for i in some:
        alpha, beta = local_maps(network, activation_patterns(network, X[i][None])[0])[-1]
        np.testing.assert_allclose(found.alpha[i], alpha, atol=SHARP)
        np.testing.assert_allclose(found.beta[i], beta, atol=SHARP)
