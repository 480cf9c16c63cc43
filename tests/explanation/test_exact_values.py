import time

import numpy as np
import pytest
from conftest import data_path
from networks import NAMED, case
from shapley_reference import random_network, values_over_orders

from relu_shallow.errors import DataError
from relu_shallow.explanation import Background, explain_rows, max_additivity_gap, status_counts
from relu_shallow.explanation.exact import MOST_FEATURES, exact_values, shapley_shares

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


def test_large_batches_are_cut_without_changing_the_values(monkeypatch):
    network = random_network(5, (7, 6, 2))
    X, B = np.random.default_rng(3).normal(size=(2, 6, 7))
    whole = exact_values(network, X, Background(B, np.ones(6)), [0, 1])
    monkeypatch.setattr("relu_shallow.explanation.exact.HYBRIDS", 16)
    np.testing.assert_allclose(exact_values(network, X, Background(B, np.ones(6)), [0, 1]), whole, atol=SHARP)


def test_exact_attributions_add_up_on_a_real_table():
    sklearn = pytest.importorskip("sklearn.neural_network")
    from relu_shallow.data import read_table
    from relu_shallow.network import from_layers

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


def test_the_exact_method_refuses_rows_that_differ_in_too_many_features_and_auto_does_not():
    network = random_network(6, (MOST_FEATURES + 1, 4, 1))
    X = np.random.default_rng(4).normal(size=(3, MOST_FEATURES + 1))
    X[0, 1:] = 0.0
    B = np.zeros((1, MOST_FEATURES + 1))
    with pytest.raises(DataError, match=f"row 1 differs from a background row in {MOST_FEATURES + 1} features"):
        explain_rows(network, X, background=B, method="exact")
    assert explain_rows(network, X, background=B, method="auto").status[0] == "exact"


def test_rows_left_when_the_time_is_over_are_local_and_say_so():
    named = case("z_d6_14")
    X = np.random.default_rng(5).uniform(-1, 1, size=(40, named.network.inputs))
    began = time.monotonic()
    none = explain_rows(named.network, X, time_limit=0.0)
    assert time.monotonic() - began < 60
    local = explain_rows(named.network, X, method="local")
    assert none.status == local.status
    np.testing.assert_array_equal(none.phi, local.phi)
    assert "local" in none.status


def test_progress_counts_the_rows_enumerated():
    network = random_network(8, (3, 8, 1))
    X = np.random.default_rng(6).normal(size=(12, 3))
    seen = []
    explain_rows(network, X, progress=seen.append)
    assert seen == list(range(1, 13))
