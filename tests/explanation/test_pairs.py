from itertools import combinations
from math import factorial

import numpy as np
import pytest
from shapley_reference import drawn, enumerated, random_network

from relu_shallow.errors import DataError
from relu_shallow.explanation import Background, explain, explain_rows, interaction_table
from relu_shallow.explanation.hybrids import MOST_FEATURES, interaction_values, interactions
from relu_shallow.network import from_layers

SHARP = 1e-10


def index_of_pair(v, players, i, j):
    """The Shapley interaction index by its definition (Grabisch and Roubens 1999)."""
    others = [k for k in range(players) if k not in (i, j)]
    total = 0.0
    for size in range(players - 1):
        weight = factorial(size) * factorial(players - size - 2) / factorial(players - 1)
        for members in combinations(others, size):
            S = sum(1 << k for k in members)
            total += weight * (v[S | 1 << i | 1 << j] - v[S | 1 << i] - v[S | 1 << j] + v[S])
    return total


@pytest.mark.parametrize("players", range(1, 7))
def test_interactions_of_any_game_are_half_their_index_and_rows_sum_to_the_value(players):
    v = np.random.default_rng(players).normal(size=(2, 1 << players))
    found = interactions(v, players)
    for o in range(2):
        for i, j in combinations(range(players), 2):
            assert found[o, i, j] == found[o, j, i]
            assert found[o, i, j] == pytest.approx(index_of_pair(v[o], players, i, j) / 2, abs=SHARP)
    assert found.sum(axis=(1, 2)) == pytest.approx(v[:, -1] - v[:, 0])


@pytest.mark.parametrize("seed", range(8))
def test_rows_of_interactions_sum_to_the_exact_values_of_networks(seed):
    network, X, background = drawn(seed)
    found = interaction_values(network, X, background, list(range(network.outputs)))
    np.testing.assert_allclose(found.sum(axis=3), enumerated(network, X, background), atol=SHARP)


def test_features_that_no_neuron_sees_together_do_not_interact():
    W = np.array([[1.0, -2.0, 0.0, 0.0], [0.5, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, -1.0]])
    network = from_layers([(W, np.array([0.1, -0.2, 0.3, 0.4])), (np.array([[1.0, -1.0, 2.0, 3.0]]), np.zeros(1))])
    X, B = np.random.default_rng(2).normal(size=(2, 4, 4))
    found = interaction_values(network, X, Background(B, np.ones(4)), [0])[:, 0]
    np.testing.assert_allclose(found[:, :2, 2:], 0.0, atol=SHARP)
    assert (np.abs(found[:, 2, 3]) > 1e-3).any()


def test_large_batches_of_hybrids_are_cut_without_changing_the_values(monkeypatch):
    network = random_network(5, (7, 6, 2))
    X, B = np.random.default_rng(3).normal(size=(2, 6, 7))
    whole = interaction_values(network, X, Background(B, np.ones(6)), [0, 1])
    monkeypatch.setattr("relu_shallow.explanation.hybrids.HYBRIDS", 16)
    np.testing.assert_allclose(interaction_values(network, X, Background(B, np.ones(6)), [0, 1]), whole, atol=SHARP)


def test_the_lines_of_the_table_of_a_row_add_up_to_its_prediction():
    network, X, background = drawn(2)
    attribution = explain_rows(network, X, background=background)
    names, columns = interaction_table(network, attribution)
    table = dict(zip(names, columns, strict=True))
    for row in range(len(X)):
        for k in range(network.outputs):
            lines = (table["row"] == row) & (table["output"] == k)
            wanted = attribution.prediction[row, k] - attribution.base_value[k]
            assert table["value"][lines].sum() == pytest.approx(wanted, abs=SHARP)


def test_the_explanation_of_shap_carries_interactions_on_request():
    network, X, background = drawn(2)
    found = explain(network, X, background=background, interactions=True)
    shape = (len(X), network.inputs, network.inputs) + ((network.outputs,) if network.outputs > 1 else ())
    assert found.interaction_values.shape == shape
    np.testing.assert_allclose(found.interaction_values.sum(axis=2), found.values, atol=SHARP)


def test_rows_that_differ_in_too_many_features_are_refused():
    network = random_network(6, (MOST_FEATURES + 1, 4, 1))
    X = np.ones((2, MOST_FEATURES + 1))
    X[0, 1:] = 0.0
    with pytest.raises(DataError, match=f"row 1 differs from a background row in {MOST_FEATURES + 1} features"):
        interaction_values(network, X, Background(np.zeros_like(X[:1]), np.ones(1)), [0])
