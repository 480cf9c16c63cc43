"""Clusterings of hidden neurons: planted modules are found, labels mean the same in every layer."""

from itertools import pairwise, product

import numpy as np
import pytest

from relu_shallow.errors import DataError, ModelError, UsageError
from relu_shallow.modular.bipartite import bsgc, bsgc_gradients, gradient_similarity, gradient_weights, matched
from relu_shallow.modular.clustering import cluster_graph, even_labels, exchanged, kept
from relu_shallow.modular.kmeans import assigned, kmeans
from relu_shallow.modular.measures import mean_clusterability


def planted(rng, sizes, noise=0.0, share=1.0):
    """(matrices with blocks of these sizes (per layer, per module), permuted; the modules of the neurons)."""
    labels = [rng.permutation(np.repeat(np.arange(len(layer)), layer)) for layer in sizes]
    weights = []
    for before, after in pairwise(labels):
        W = rng.normal(size=(len(after), len(before))) + 3 * rng.choice([-1, 1], (len(after), len(before)))
        own = after[:, None] == before[None, :]
        W *= np.where(own, rng.random(W.shape) < share, noise)
        weights.append(W)
    return weights, labels


def same_partition(one, other):
    """Whether labels over all layers agree up to the modules' numbers, which are the same in every layer."""
    pairs = set(zip(np.concatenate(one).tolist(), np.concatenate(other).tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("k", [2, 3, 8])
def test_planted_modules_of_one_size_are_found(k, noise):
    rng = np.random.default_rng(k)
    for seed in range(5):
        weights, labels = planted(rng, [[4] * k, [3] * k, [5] * k], noise)
        assert same_partition(cluster_graph(weights, k, seed=seed), labels)


def test_planted_modules_of_different_sizes_are_found_without_being_asked_to_be_even():
    rng = np.random.default_rng(1)
    weights, labels = planted(rng, [[1, 6, 3], [2, 5, 2], [4, 1, 7]])
    for balanced in (False, True):
        assert same_partition(cluster_graph(weights, 3, balanced=balanced), labels)


def test_a_clustering_of_one_layer_alone_would_not_know_the_labels_of_the_next():
    """The test of agreement over layers sees labels that are renumbered in one layer."""
    weights, labels = planted(np.random.default_rng(0), [[3, 3], [3, 3], [3, 3]])
    found = cluster_graph(weights, 2)
    assert same_partition(found, labels)
    assert not same_partition([found[0], 1 - found[1], found[2]], labels)


def test_every_module_has_neurons_in_every_layer_and_even_ones_as_many():
    rng = np.random.default_rng(2)
    for widths, k in (((7, 5, 9), 5), ((12, 13, 4), 4), ((6, 6), 6), ((5, 8), 1)):
        weights = [rng.normal(size=(b, a)) for a, b in pairwise(widths)]
        for balanced in (True, False):
            labels = cluster_graph(weights, k, balanced=balanced)
            counts = [np.bincount(label, minlength=k) for label in labels]
            assert all(count.min() >= 1 for count in counts)
            if balanced:
                assert all(count.max() - count.min() <= 1 for count in counts)


def test_dead_neurons_get_a_module_like_any_other():
    weights, _ = planted(np.random.default_rng(3), [[3, 3], [3, 3]])
    weights[0][2], weights[0][:, 1] = 0.0, 0.0
    assert sum(np.bincount(label).sum() for label in cluster_graph(weights, 2)) == 12


def test_the_same_seed_gives_the_same_labels():
    weights = [np.random.default_rng(4).normal(size=(16, 16)) for _ in range(2)]
    one, other = cluster_graph(weights, 4, seed=7), cluster_graph(weights, 4, seed=7)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_exchanging_neurons_loses_nothing_keeps_sizes_and_ends_where_no_exchange_in_a_layer_helps():
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=(6, 6)), rng.normal(size=(6, 6))]
    start = tuple(rng.permutation(np.repeat([0, 1], 3)) for _ in range(3))
    found = exchanged(weights, start, 2)
    best = mean_clusterability(weights, found)
    assert best >= mean_clusterability(weights, start)
    for layer in range(3):
        assert np.bincount(found[layer]).tolist() == [3, 3]
        for bits in product((0, 1), repeat=6):
            if sum(bits) == 3:
                other = [np.array(bits) if i == layer else label for i, label in enumerate(found)]
                assert mean_clusterability(weights, other) <= best + 1e-12


def test_even_labels_are_of_consecutive_neurons():
    assert [label.tolist() for label in even_labels((5, 4), 2)] == [[0, 0, 0, 1, 1], [0, 0, 1, 1]]
    assert kept(even_labels((2, 2), 2))[0].tolist() == [[True, False], [False, True]]
    with pytest.raises(UsageError, match="1 to 4"):
        even_labels((5, 4), 5)


BAD = [
    ([], 2, ModelError, "modular already"),
    ([np.ones((3, 4))], 4, UsageError, "hidden layer 2 has 3 neurons"),
    ([np.ones((3, 4))], 0, UsageError, "1 to 3"),
    ([np.ones((3, 4)), np.zeros((3, 3))], 2, ModelError, "hidden matrix 2 .* is all zeros"),
    ([np.ones((3, 4)), np.ones((3, 4))], 2, ModelError, "chain"),
    ([np.full((3, 3), np.nan)], 2, ModelError, "NaN"),
]


@pytest.mark.parametrize(("weights", "k", "error", "words"), BAD)
def test_what_cannot_be_clustered_is_refused_with_the_reason(weights, k, error, words):
    with pytest.raises(error, match=words):
        cluster_graph(weights, k)


# --- k-means and assignments ------------------------------------------------------------------------------------


def test_kmeans_finds_points_that_lie_apart():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 80)
    P = 10 * np.eye(4)[truth] + rng.normal(size=(80, 4))
    assert same_partition([kmeans(P, 4)], [truth])
    assert len(set(kmeans(np.zeros((5, 2)), 1))) == 1
    with pytest.raises(UsageError, match="1 to 3"):
        kmeans(np.zeros((3, 2)), 4)


@pytest.mark.parametrize("balanced", [True, False])
def test_an_assignment_costs_no_more_than_any_other_of_its_kind(balanced):
    rng = np.random.default_rng(6)
    for n, k in ((5, 2), (6, 3), (4, 4), (5, 3)):
        cost = rng.random((n, k))
        cost[:, 0] /= 5  # so that unbalanced ones lean to one side
        found = assigned(cost, balanced=balanced)

        def allowed(labels, n=n, k=k):
            counts = np.bincount(labels, minlength=k)
            return counts.min() >= (n // k if balanced else 1) and (not balanced or counts.max() <= -(-n // k))

        assert allowed(found)
        every = [np.array(labels) for labels in product(range(k), repeat=n)]
        least = min(cost[np.arange(n), labels].sum() for labels in every if allowed(labels))
        assert cost[np.arange(n), found].sum() <= least + 1e-12


# --- the published clustering -----------------------------------------------------------------------------------


def test_bipartite_clustering_finds_planted_blocks_and_only_the_repaired_one_matches_the_sides():
    rng = np.random.default_rng(7)
    unmatched = 0
    for seed in range(6):
        (W,), labels = planted(rng, [[4, 4, 4], [5, 5, 5]], noise=0.01)
        rows, cols = bsgc(W, 3, seed=seed)
        assert same_partition([cols, rows], labels)
        rows, cols = bsgc(W, 3, seed=seed, published=True)
        assert same_partition([rows], labels[1:])
        assert same_partition([cols], labels[:1])
        unmatched += not same_partition([cols, rows], labels)
        assert same_partition([cols, matched(W, rows, cols, 3)], labels)
    assert unmatched >= 3


def test_the_scale_of_a_neuron_hides_no_cluster_from_the_bipartite_clustering():
    rng = np.random.default_rng(9)
    for seed in range(4):
        (W,), labels = planted(rng, [[5, 5, 5], [6, 6, 6]], noise=0.01)
        W *= 10.0 ** rng.uniform(-2, 2, (len(W), 1))
        rows, cols = bsgc(W, 3, seed=seed)
        assert same_partition([cols, rows], labels)


def test_the_gradients_similarity_is_the_sum_of_the_formula():
    G = [np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 2.0]])]
    rows, cols = gradient_similarity([*G, np.zeros((2, 2))])
    assert np.allclose(cols, np.array([[9, 12], [12, 16]]) / 25 + np.array([[0, 0], [0, 1]]))
    assert np.allclose(rows, [[1, 0], [0, 1]])
    assert np.allclose(np.square(gradient_weights(G)).sum(axis=0), np.diag(cols))
    with pytest.raises(DataError, match="no gradient"):
        gradient_similarity([np.zeros((2, 2))])


def test_gradients_of_planted_blocks_show_the_blocks():
    rng = np.random.default_rng(8)
    weights, labels = planted(rng, [[4, 4], [3, 3]])
    G = [weights[0] * rng.normal() + np.where(weights[0], rng.normal(size=weights[0].shape), 0) for _ in range(9)]
    rows, cols = bsgc_gradients(G, 2)
    assert same_partition([cols, rows], labels)
    assert same_partition(cluster_graph([gradient_weights(G)], 2), labels)
