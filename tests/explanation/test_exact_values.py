import time

import numpy as np
import pytest
from conftest import data_path
from networks import NAMED
from scipy.linalg import block_diag
from shapley_reference import drawn, enumerated, random_network, values_over_orders

from relu_shallow.errors import DataError
from relu_shallow.explanation import Background, explain_rows, max_additivity_gap, status_counts
from relu_shallow.explanation.exact import exact_values, settled_values
from relu_shallow.explanation.hybrids import shapley_shares
from relu_shallow.network import from_layers

SHARP = 1e-10  # the agreement asked for in the project's plan


@pytest.mark.parametrize("widths", [(1, 3, 1), (3, 5, 2), (4, 6, 6, 3), (5, 2)])
def test_exact_values_are_the_mean_over_all_orders_of_features(widths):
    network = random_network(len(widths), widths)
    random = np.random.default_rng(0)
    X, B, weights = (
        random.normal(size=(3, widths[0])),
        random.normal(size=(4, widths[0])),
        np.array([0.1, 0.2, 0.3, 0.4]),
    )
    phi = exact_values(network, X, Background(B, weights), list(range(widths[-1])))
    for x, values in zip(X, phi, strict=True):
        np.testing.assert_allclose(values, values_over_orders(network, x, B, weights), atol=SHARP)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_exact_values_of_named_networks_with_any_gates_are_the_mean_over_orders(name):
    network = NAMED[name].network
    random = np.random.default_rng(1)
    X, B = random.normal(size=(2, 4, network.inputs))
    phi = exact_values(network, X, Background(B, np.ones(4)), list(range(network.outputs)))
    for x, values in zip(X, phi, strict=True):
        np.testing.assert_allclose(values, values_over_orders(network, x, B, np.full(4, 0.25)), atol=SHARP)


@pytest.mark.parametrize("widths", [(6, 8, 8, 2), (9, 10, 1)])
def test_exact_values_agree_with_shaps_exact_explainer(widths):
    shap = pytest.importorskip("shap")
    network = random_network(7, widths)
    random = np.random.default_rng(2)
    X, B = random.normal(size=(5, widths[0])), random.normal(size=(8, widths[0]))
    theirs = shap.explainers.Exact(lambda points: network(points), shap.maskers.Independent(B, max_samples=8))(X)
    ours = explain_rows(network, X, background=B, method="exact")
    values = theirs.values.reshape(len(X), widths[0], -1)  # shap drops the axis of a single output
    np.testing.assert_allclose(ours.phi.transpose(0, 2, 1), values, atol=SHARP)
    base = np.asarray(theirs.base_values).reshape(len(X), -1)
    np.testing.assert_allclose(np.broadcast_to(ours.base_value, ours.prediction.shape), base, atol=SHARP)


def test_features_in_which_a_pair_agrees_get_nothing_and_cost_nothing():
    network = random_network(3, (40, 6, 1))  # 2^40 hybrids if agreeing features were split
    x = np.zeros((1, 40))
    B = np.zeros((2, 40))
    B[0, [3, 11]], B[1, [11, 30]] = 1.0, -2.0
    phi = exact_values(network, x, Background(B, np.ones(2)), [0])[0, 0]
    assert set(np.flatnonzero(phi)) <= {3, 11, 30}
    few = [3, 11, 30]

    def reduced(points):
        full = np.zeros((len(points), 40))
        full[:, few] = points
        return network(full)

    np.testing.assert_allclose(phi[few], values_over_orders(reduced, x[0, few], B[:, few], [0.5, 0.5])[0], atol=SHARP)


def test_a_row_equal_to_the_background_gets_nothing():
    network = random_network(4, (3, 4, 2))
    x = np.ones((1, 3))
    assert not exact_values(network, x, Background(x, np.ones(1)), [0, 1]).any()


@pytest.mark.parametrize("players", range(1, 8))
def test_the_weights_of_coalitions_give_one_to_a_player_who_does_all_the_work(players):
    share = shapley_shares(players)
    for dictator in range(players):
        v = (np.arange(1 << players) >> dictator & 1).astype(float)
        np.testing.assert_allclose(share @ v, np.eye(players)[dictator], atol=SHARP)
    np.testing.assert_allclose(share.sum(axis=1), 0, atol=SHARP)


@pytest.mark.parametrize("seed", range(60))
def test_exact_values_of_any_network_are_those_of_enumeration(seed):
    network, X, background = drawn(seed)
    outputs = list(range(network.outputs))
    phi = exact_values(network, X, background, outputs)
    np.testing.assert_allclose(phi, enumerated(network, X, background), atol=SHARP)
    total = network(X) - background.weights @ network(background.X)
    np.testing.assert_allclose(phi.sum(axis=2), total, atol=SHARP)


@pytest.mark.parametrize("features", [14, 15, 17])
def test_one_neuron_of_many_features_summed_by_halves_is_as_enumerated(features):
    network = random_network(features, (features, 2, 2))
    X, B = np.random.default_rng(features).normal(size=(2, 2, features))
    background = Background(B[:1], np.ones(1))
    np.testing.assert_allclose(
        exact_values(network, X[:1], background, [0, 1]), enumerated(network, X[:1], background), atol=SHARP
    )


def test_forty_features_that_count_alike_share_alike():
    network = from_layers([(np.ones((2, 40)), np.array([-11.0, -30.0])), (np.array([[1.0, -3.0]]), np.zeros(1))])
    phi = exact_values(network, np.ones((1, 40)), Background(np.zeros((1, 40)), np.ones(1)), [0])
    np.testing.assert_allclose(phi[0, 0], (29.0 - 30.0) / 40, atol=SHARP)


def test_more_features_than_can_be_summed_by_halves_are_split_or_given_up_at_the_limit():
    network = random_network(2, (60, 3, 1))
    X, B = np.random.default_rng(2).normal(size=(2, 1, 60))
    background = Background(B, np.ones(1))
    assert not settled_values(network, X, background, [0], units=1e7)[1].any()
    assert not settled_values(network, X, background, [0], deadline=time.monotonic() + 0.2)[1].any()


def test_a_deep_network_of_thirty_features_in_pairs_is_the_sum_of_its_parts():
    parts = [random_network(seed, (2, 5, 4, 1)) for seed in range(15)]
    layers = [
        (block_diag(*(part.affine[level].W for part in parts)), np.concatenate([p.affine[level].b for p in parts]))
        for level in range(2)
    ]
    last = np.concatenate([part.affine[2].W for part in parts], axis=1), sum(part.affine[2].b for part in parts)
    X, B = np.random.default_rng(8).normal(size=(2, 3, 30))
    background = Background(B, np.ones(3))
    phi = exact_values(from_layers([*layers, last]), X, background, [0])
    for number, part in enumerate(parts):
        own = slice(2 * number, 2 * number + 2)
        alone = enumerated(part, X[:, own], Background(B[:, own], np.ones(3)))
        np.testing.assert_allclose(phi[:, :, own], alone, atol=SHARP)


def test_which_rows_are_within_reach_depends_on_the_work_alone():
    network = random_network(9, (9, 12, 12, 1))  # a row takes between 0.7 and 1 million units
    X = np.random.default_rng(9).normal(size=(12, 9))
    background = Background(X[6:], np.ones(6))
    whole = exact_values(network, X, background, [0])
    done = [settled_values(network, X, background, [0], units=8e5, workers=workers)[1] for workers in (1, 3)]
    np.testing.assert_array_equal(done[0], done[1])
    assert 0 < done[0].sum() < 12
    phi, reached = settled_values(network, X, background, [0], units=8e5)
    np.testing.assert_array_equal(phi[reached], whole[reached])
    assert not settled_values(network, X, background, [0], deadline=time.monotonic())[1].any()


def test_a_network_too_large_to_be_laid_out_is_refused():
    network = from_layers([(np.ones((12_000, 1)), np.ones(12_000)), (np.ones((1, 12_000)), np.ones(1))])
    with pytest.raises(DataError, match=r"12,000 neurons are too many .* method estimate"):
        exact_values(network, np.ones((1, 1)), Background(np.zeros((1, 1)), np.ones(1)), [0])


def test_exact_attributions_add_up_on_a_real_table():
    sklearn = pytest.importorskip("sklearn.neural_network")
    from relu_shallow.data import read_table

    X = read_table(data_path("tabular/pima-indians-diabetes.csv"), no_header=True).X
    X, y = (X[:, :8] - X[:, :8].mean(axis=0)) / X[:, :8].std(axis=0), X[:, 8]
    mlp = sklearn.MLPClassifier((8, 6), random_state=0, max_iter=100, tol=1.0).fit(X, y)
    layers = [(W.T, b) for W, b in zip(mlp.coefs_, mlp.intercepts_, strict=True)]
    network = from_layers(layers, head="sigmoid")
    attribution = explain_rows(network, X[:60], background=X)
    assert status_counts(attribution) == {"exact": 60}
    assert max_additivity_gap(attribution) < SHARP
    np.testing.assert_allclose(
        1 / (1 + np.exp(-attribution.prediction[:, 0])), mlp.predict_proba(X[:60])[:, 1], atol=SHARP
    )


def test_progress_counts_the_rows_enumerated():
    network = random_network(8, (3, 8, 1))
    X = np.random.default_rng(6).normal(size=(12, 3))
    seen = []
    explain_rows(network, X, progress=seen.append)
    assert seen == list(range(1, 13))
