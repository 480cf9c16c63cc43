"""Estimates against enumeration, their errors against what is seen over many seeds, and what stops them."""

import time

import numpy as np
import pytest
import scipy.sparse as sp
from enumeration import values_by_enumeration
from shapley_reference import random_network

from relu_shallow.errors import DataError, UsageError
from relu_shallow.explanation import sampling_walks
from relu_shallow.explanation.background import Background
from relu_shallow.explanation.estimate import estimate_values
from relu_shallow.explanation.sampling import FEWEST_PAIRS, Sums, lay_strata, standard_errors
from relu_shallow.network import Affine, Gate, Network, from_layers


def case(seed=0, widths=(6, 12, 10, 2), rows=4, points=20):
    random = np.random.default_rng(seed)
    background = Background(random.normal(size=(points, widths[0])), random.random(points) + 0.05)
    return random_network(seed, widths), random.normal(size=(rows, widths[0])), background


def exact_values(network, X, background, outputs):
    return values_by_enumeration(network, X, background.X, background.weights)[:, outputs]


def two_slopes():
    network = random_network(3, (5, 8, 6, 2))
    random = np.random.default_rng(3)
    gates = tuple(Gate(random.normal(size=w), random.normal(size=w)) for w in network.widths)
    return Network(network.affine, gates)


def sparse(network):
    return Network(tuple(Affine(sp.csr_array(layer.W), layer.b) for layer in network.affine), network.gates)


NETWORKS = {
    "one layer": random_network(1, (6, 12, 1)),
    "three layers": random_network(2, (5, 9, 7, 4, 3)),
    "two slopes": two_slopes(),
    "sparse": sparse(random_network(4, (6, 12, 10, 2))),
    "two slopes, sparse": sparse(two_slopes()),
    "no hidden layer": from_layers([(np.array([[1.0, -2.0, 3.0]]), np.ones(1))]),
    "one input": random_network(5, (1, 6, 1)),
    "wider than the first layer": random_network(6, (7, 3, 20, 1)),
}


@pytest.mark.parametrize("narrow", [sampling_walks.NARROW, 0], ids=["compiled steps", "matrix products"])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_estimates_agree_with_enumeration_within_their_errors_and_add_up(network, narrow, monkeypatch):
    monkeypatch.setattr(sampling_walks, "NARROW", narrow)
    random = np.random.default_rng(0)
    X, background = random.normal(size=(3, network.inputs)), Background(random.normal(size=(15, network.inputs)),
                                                                       random.random(15))  # fmt: skip
    background.X[:5, 0] = X[0, 0]  # features in which a row and a background row agree
    outputs = list(range(network.outputs))[::-1]
    found = estimate_values(network, X, background, outputs, tolerance=0.002, most_pairs=2000)
    exact = exact_values(network, X, background, outputs)
    assert (np.abs(found.phi - exact) <= 4.5 * found.se + 1e-12).all()
    np.testing.assert_allclose(found.phi.sum(axis=2), exact.sum(axis=2), rtol=1e-12, atol=1e-12)
    assert found.covered
    assert (found.phi[0, :, 0] != 0).any() or network.inputs == 1


def test_both_ways_of_walking_draw_and_find_the_same(monkeypatch):
    network, X, background = case()
    found = []
    for narrow in (1000, 0):
        monkeypatch.setattr(sampling_walks, "NARROW", narrow)
        found.append(estimate_values(network, X, background, [0, 1]))
    np.testing.assert_allclose(found[0].phi, found[1].phi, atol=1e-12)
    np.testing.assert_allclose(found[0].se, found[1].se, atol=1e-12)
    assert found[0].evaluations == found[1].evaluations


def pairwise_network(random):
    """An additive part and relu(u_i x_i + u_j x_j - t) for pairs: no three features interact."""
    first, biases = [np.eye(6), -np.eye(6)], [np.zeros(12)]
    for i, j in [(0, 1), (1, 2), (3, 5), (0, 4)]:
        row = np.zeros(6)
        row[[i, j]] = random.normal(size=2)
        first.append(row[None])
        biases.append(random.normal(size=1))
    return from_layers([
        (np.concatenate(first), np.concatenate(biases)), (random.normal(size=(2, 16)), random.normal(size=2)),
    ])  # fmt: skip


def test_without_interactions_of_three_features_estimates_are_exact():
    random = np.random.default_rng(1)
    network = pairwise_network(random)
    X, background = random.normal(size=(5, 6)), Background(random.normal(size=(20, 6)), random.random(20))
    found = estimate_values(network, X, background, [0, 1])
    np.testing.assert_allclose(found.phi, exact_values(network, X, background, [0, 1]), atol=1e-13)
    assert found.se.max() < 1e-13
    assert found.settled.all()


def test_with_interactions_of_three_features_errors_are_not_zero():
    network, X, background = case()
    assert (estimate_values(network, X, background, [0]).se > 1e-6).all()


def coverage(background, X, network, runs, **options):
    """The share of values within 1.96 standard errors of the exact ones over many seeds, and the mean of squares."""
    exact = exact_values(network, X, background, [0, 1])
    found = [estimate_values(network, X, background, [0, 1], seed=s, workers=1, **options) for s in range(runs)]
    z = np.array([(e.phi - exact) / e.se for e in found])
    return (np.abs(z) < 1.96).mean(), np.mean([e.phi - exact for e in found], axis=0) / np.std(
        [e.phi for e in found], axis=0)  # fmt: skip


SETTINGS = {
    "each background row a stratum, two pairs": (20, {"tolerance": 1.0}),
    "one background row": (1, {"tolerance": 1.0}),
    "stopped by the tolerance": (20, {"tolerance": 0.03}),
    "rows of the background drawn": (1000, {"tolerance": 1.0, "most_pairs": 64}),
    "fewest pairs, rows drawn": (300, {"tolerance": 1.0, "most_pairs": FEWEST_PAIRS}),
}


@pytest.mark.parametrize(("points", "options"), SETTINGS.values(), ids=SETTINGS)
def test_the_exact_value_lies_within_two_standard_errors_nineteen_times_of_twenty(points, options):
    network, X, background = case(points=points, rows=3)
    share, bias = coverage(background, X, network, 150, **options)
    assert 0.90 < share < 0.99
    assert np.abs(bias).max() < 0.4  # of a standard deviation


def test_few_pairs_widen_the_errors_by_students_t():
    one = np.ones((1, 1))
    for freedom, quantile in [(1, 12.7062), (4, 2.77645), (10**6, 1.96)]:
        sums = Sums(freedom + 1, one, 4 * one, 16 * one / freedom, freedom, 0)
        assert standard_errors(sums)[0, 0] == pytest.approx(2 * quantile / 1.96, rel=1e-4)


def test_each_pass_draws_anew_and_four_times_the_pairs_halve_the_errors():
    network, X, background = case(rows=20, points=1)
    one, two, three = (estimate_values(network, X, background, [0], tolerance=0.0, most_pairs=m) for m in (32, 64, 128))
    assert (one.pairs == 32).all()
    assert (three.pairs == 128).all()
    assert (one.phi != two.phi).all()
    assert 0.4 < np.median(three.se / one.se) < 0.6


def test_weights_count_as_repeated_rows_do():
    network, X, background = case(points=3)
    twice = Background(background.X[[0, 0, 1, 2, 2, 2]], np.ones(6))
    once = Background(background.X, np.array([2.0, 1.0, 3.0]))
    for B in (once, twice):
        found = estimate_values(network, X, B, [0, 1], tolerance=0.001)
        assert (np.abs(found.phi - exact_values(network, X, once, [0, 1])) < 4.5 * found.se).all()


def test_a_large_background_is_drawn_from_and_the_values_still_add_up():
    network, X, background = case(points=3000)
    found = estimate_values(network, X, background, [1], tolerance=1.0)
    assert not found.covered
    total = network(X)[:, [1]] - background.weights @ network(background.X)[:, [1]]
    np.testing.assert_allclose(found.phi.sum(axis=2), total, atol=1e-12)


def test_strata_hold_every_row_and_all_weight_and_two_pairs():
    network, _, background = case(points=300)
    fB = network(background.X)
    for count, pairs in [(300, 600), (300, 10_000), (32, 64), (1, 32), (50, 5000)]:
        strata = lay_strata(background, fB, count, pairs)
        assert strata.pairs.min() >= 2
        assert strata.pairs.sum() >= 0.8 * pairs
        assert strata.weight.sum() == pytest.approx(1)
        seen = np.concatenate([strata.members[a:b] for a, b in zip(strata.lo, strata.hi, strict=True)])
        assert set(seen) == set(range(300))
        np.testing.assert_allclose(strata.weight @ strata.centre, background.weights @ fB)
        np.testing.assert_allclose(strata.cum[strata.hi - 1], 1.0)


# --- groups -----------------------------------------------------------------------------------------------------


def test_the_error_of_a_sum_counts_how_its_terms_vary_together():
    network, X, background = case(rows=2)
    exact = exact_values(network, X, background, [0])
    groups = {"pair": [0, 3], "all": [1, 2, 4, 5]}
    found = [estimate_values(network, X, background, [0], groups=groups, seed=s, tolerance=1.0) for s in range(120)]
    assert found[0].group_names == ("pair", "all")
    for k, members in enumerate(groups.values()):
        np.testing.assert_allclose(found[0].group_phi[:, :, k], found[0].phi[:, :, members].sum(axis=2), atol=1e-12)
        z = np.array([(e.group_phi[:, :, k] - exact[:, :, members].sum(axis=2)) / e.group_se[:, :, k] for e in found])
        assert 0.9 < (np.abs(z) < 1.96).mean() < 1
    everything = estimate_values(network, X, background, [0], groups={"x": range(6)})
    assert everything.group_se.max() < 1e-7  # the sum of all is known


# --- stopping, seeds, threads -------------------------------------------------------------------------------------


def test_a_row_is_settled_when_every_error_is_below_the_tolerance_times_its_scale():
    network, X, background = case(rows=6)
    found = estimate_values(network, X, background, [0, 1], tolerance=0.01)
    base = background.weights @ network(background.X)
    deviation = np.sqrt(background.weights @ (network(background.X) - base) ** 2)
    np.testing.assert_allclose(found.scale, np.maximum(np.abs(network(X) - base), deviation))
    assert found.settled.all()
    assert (found.se <= 0.01 * found.scale[:, :, None]).all()
    assert (found.pairs >= FEWEST_PAIRS).all()


def test_rows_that_do_not_settle_stop_at_the_most_pairs():
    network, X, background = case()
    told = []
    found = estimate_values(network, X, background, [0], tolerance=0.0, most_pairs=500, progress=told.append)
    assert not found.settled.any()
    assert (found.pairs <= 500).all()
    assert (2 * found.pairs > 500).all()
    assert told == [len(X)]


def test_a_passed_deadline_leaves_the_last_rows_out_and_a_near_one_ends_in_time():
    network, X, background = case(rows=40, widths=(20, 64, 64, 2), points=100)
    assert estimate_values(network, X, background, [0], deadline=time.monotonic() - 1).phi.shape == (0, 1, 20)
    began = time.monotonic()
    found = estimate_values(network, X, background, [0], tolerance=0.0, most_pairs=1 << 20, deadline=began + 0.5)
    assert time.monotonic() - began < 3
    assert len(found.phi) == len(found.pairs) > 0
    assert (found.pairs >= FEWEST_PAIRS).all()
    total = network(X)[:, [0]] - background.weights @ network(background.X)[:, [0]]
    np.testing.assert_allclose(found.phi.sum(axis=2), total[: len(found.phi)], atol=1e-10)


def test_no_rows_give_no_estimates():
    network, X, background = case()
    assert estimate_values(network, X[:0], background, [0]).phi.shape == (0, 1, 6)


def test_the_seed_alone_decides_the_values_not_threads_nor_other_rows():
    network, X, background = case(rows=6, widths=(6, 12, 10, 2), points=400)
    first = estimate_values(network, X, background, [0, 1], workers=1)
    for workers in (2, 5):
        again = estimate_values(network, X, background, [0, 1], workers=workers)
        np.testing.assert_array_equal(first.phi, again.phi)
        np.testing.assert_array_equal(first.se, again.se)
    alone = estimate_values(network, X[4:], background, [0, 1])
    np.testing.assert_allclose(first.phi[4:], alone.phi, atol=1e-13)
    other = estimate_values(network, X, background, [0, 1], seed=1)
    assert (first.phi != other.phi).all()


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"tolerance": -1.0}, UsageError, "tolerance"),
    ({"tolerance": float("nan")}, UsageError, "tolerance"),
    ({"most_pairs": 3}, UsageError, "fewest"),
    ({"groups": {"a": [0, 1], "b": [1]}}, DataError, "feature 1 is in two groups, 'a' and 'b'"),
    ({"groups": {"a": [9]}}, DataError, "holds feature 9"),
])  # fmt: skip
def test_what_cannot_be_done_is_said(options, error, words):
    network, X, background = case()
    with pytest.raises(error, match=words):
        estimate_values(network, X, background, [0], **options)
