"""The published measures: known values, what each fault of the published procedure does, and its repair."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from relu_shallow.errors import DataError, ModelError, UsageError
from relu_shallow.modular.ablation import ClassAccuracy, class_accuracy, random_labels, specialisation
from relu_shallow.modular.circuits import SEARCHES, circuit
from relu_shallow.modular.hidden import hidden_layers
from relu_shallow.modular.measures import clusterability, clustered_clusterability, enmeshment, layer_clusterability
from relu_shallow.modular.measuring import measure
from relu_shallow.modular.torch_module import module_of
from relu_shallow.network import from_layers


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_equal_weights_have_clusterability_one_over_k_and_blocks_have_one(k):
    labels = np.repeat(np.arange(k), 8 // k)
    W = np.full((8, 8), -0.3)
    assert clusterability(W, labels, labels) == pytest.approx(1 / k, rel=1e-15)
    assert clusterability(np.where(labels[:, None] == labels, W, 0.0), labels, labels) == 1


def test_clusterability_is_a_share_of_squares():
    W = np.array([[3.0, 4.0], [0.0, 12.0]])
    assert clusterability(W, np.array([0, 1]), np.array([0, 1])) == pytest.approx((9 + 144) / 169)
    with pytest.raises(ModelError, match="zeros"):
        clusterability(np.zeros((2, 2)), np.array([0, 1]), np.array([0, 1]))


def test_the_published_procedure_scores_a_block_matrix_far_below_one_and_the_repaired_one_gives_one():
    rng = np.random.default_rng(0)
    labels = [rng.permutation(np.repeat(np.arange(4), 4)) for _ in range(3)]
    weights = [np.where(labels[i + 1][:, None] == labels[i], rng.normal(size=(16, 16)), 0.0) for i in range(2)]
    assert clustered_clusterability(weights, 4) == [1, 1]
    published = np.mean([clustered_clusterability(weights, 4, seed=seed, published=True) for seed in range(5)], axis=0)
    assert (published < 0.6).all()


def test_the_enmeshment_loss_is_one_minus_the_mean_clusterability_with_its_gradient():
    rng = np.random.default_rng(1)
    labels = [rng.integers(0, 2, n) for n in (3, 4, 5)]
    weights = [rng.normal(size=(4, 3)), rng.normal(size=(5, 4))]
    tensors = [torch.tensor(W, requires_grad=True) for W in weights]
    masks = [torch.tensor(b[:, None] == a) for a, b in pairwise(labels)]
    loss = enmeshment(tensors, masks)
    assert float(loss.detach()) == pytest.approx(1 - np.mean(layer_clusterability(weights, labels)))
    assert torch.autograd.gradcheck(lambda *W: enmeshment(W, masks), tensors)


# --- what modules are for ---------------------------------------------------------------------------------------


def two_specialists():
    """Module 0 computes relu(x0), which speaks for class 0; module 1 relu(x1), for class 1; neuron order mixed."""
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    network = from_layers([(np.eye(2), np.zeros(2)), (swap, np.zeros(2)), (swap, np.zeros(2))])
    labels = (np.array([0, 1]), np.array([1, 0]))
    X = np.array([[2.0, 1.0], [3.0, 1.0], [1.0, 2.0], [0.0, 5.0]])
    return network, labels, X, np.array([0, 0, 1, 1])


def test_a_module_off_takes_its_class_away_and_alone_answers_it_only():
    network, labels, X, y = two_specialists()
    module = module_of(network)
    found = class_accuracy(module, hidden_layers(module, torch.tensor(X)), labels, X, y)
    assert found.whole.tolist() == [1, 1]
    assert found.off.tolist() == [[0, 1], [1, 0]]
    assert found.alone.tolist() == [[1, 0], [0, 1]]
    assert specialisation(found) == pytest.approx(1)
    with pytest.raises(DataError, match="0 to 2"):
        class_accuracy(module, hidden_layers(module, torch.tensor(X)), labels, X, y + (y == 1))


def test_modules_that_all_classes_miss_alike_are_not_special_and_unmissed_ones_say_nothing():
    whole = np.ones(4)
    alike = ClassAccuracy(whole, np.full((3, 4), 0.5), np.zeros((3, 4)))
    assert specialisation(alike) == pytest.approx(0)
    assert np.isnan(specialisation(ClassAccuracy(whole, np.ones((3, 4)), np.zeros((3, 4)))))


def test_random_labels_have_the_sizes_of_the_modules():
    labels = (np.array([0, 0, 0, 1]), np.array([1, 0, 1, 1]))
    drawn = random_labels(labels, 3)
    assert [np.bincount(label).tolist() for label in drawn] == [[3, 1], [1, 3]]
    assert any((random_labels(labels, i)[0] != labels[0]).any() for i in range(5))


# --- circuits ---------------------------------------------------------------------------------------------------


def blobs(seed=0):
    """Rows of three classes around corners of a triangle, and a network that tells them apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 150)
    corner = 3 * np.array([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]])
    X = corner[y] + 0.3 * rng.normal(size=(150, 2))
    first = np.concatenate([corner, -corner, rng.normal(size=(4, 2))])
    hidden = np.eye(3, 10) + 0.01 * rng.normal(size=(3, 10))
    return from_layers([(first, np.zeros(10)), (hidden, np.zeros(3)), (2 * np.eye(3), np.zeros(3))]), X, y


@pytest.mark.parametrize("search", SEARCHES)
def test_a_circuit_stays_within_its_threshold_and_answers_its_class_alone(search):
    network, X, y = blobs()
    for target in range(3):
        found = circuit(network, X, y, target, search=search)
        assert found.divergence <= 0.01
        assert found.weights == sum(np.count_nonzero(layer.W) for layer in found.network.affine) < found.available
        assert found.answered == pytest.approx((y == target).mean(), abs=0.02)
        assert found.share == found.weights / found.available
        kept = zip(found.network.affine, network.affine, strict=True)
        assert all(((one.W == other.W) | (one.W == 0)).all() for one, other in kept)


@pytest.mark.parametrize("published", [False, True])
def test_a_circuit_comes_near_its_threshold_and_not_beyond_it(published):
    rng = np.random.default_rng(3)
    network = from_layers([(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in ((2, 12), (12, 12), (12, 3))])
    X = rng.normal(size=(80, 2))
    y = network(X).argmax(axis=1)
    for threshold in (1e-4, 1e-3, 0.02):
        found = circuit(network, X, y, int(y[0]), threshold=threshold, published=published)
        assert threshold / 2 < found.divergence <= threshold


def test_the_divergence_told_is_that_of_the_circuit():
    from scipy.special import softmax

    network, X, y = blobs()
    for published in (False, True):
        found = circuit(network, X, y, 1, published=published)
        rows = y == 1 if published else np.ones(len(y), dtype=bool)
        P, Q = (softmax(net(X), axis=1) for net in (network, found.network))
        if not published:
            P, Q = (np.stack([p[:, 1], 1 - p[:, 1]], axis=1) for p in (P, Q))
        each = (P * np.log(P / Q)).sum(axis=1)
        known = each[rows].mean() if published else (each[y == 1].mean() + each[y != 1].mean()) / 2
        assert found.divergence == pytest.approx(known, rel=1e-6, abs=1e-12)


def test_the_published_circuit_answers_its_class_for_rows_of_others_too():
    network, X, y = blobs()
    assert circuit(network, X, y, 0, published=True).answered == 1
    for target in range(3):
        found = circuit(network, X, y, target, published=True)
        assert found.weights < circuit(network, X, y, target).weights
        assert found.answered > (y == target).mean() + 0.1


def test_no_single_weight_more_could_have_gone_last():
    """Greedy: of the first layer, which is pruned last, no weight that is left can go."""
    network, X, y = blobs()
    found = circuit(network, X, y, 0)
    again = circuit(found.network, X, y, 0, threshold=0.0)
    assert again.weights <= found.weights
    W = found.network.affine[0].W
    for i, j in np.argwhere(W):
        less = W.copy()
        less[i, j] = 0.0
        trial = from_layers([(less, found.network.affine[0].b), *((a.W, a.b) for a in found.network.affine[1:])])
        assert divergence(network, trial, X, y, 0) > 0.01


def divergence(network, other, X, y, target):
    from scipy.special import softmax

    p, q = (softmax(net(X), axis=1)[:, target] for net in (network, other))
    each = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return (each[y == target].mean() + each[y != target].mean()) / 2


def test_blocks_that_are_not_halved_keep_more_weights_and_take_fewer_tries():
    network, X, y = blobs()
    fine, coarse = (circuit(network, X, y, 0, search="blocks", smallest=size) for size in (1, 8))
    assert coarse.tries < fine.tries
    assert fine.weights <= coarse.weights <= coarse.available
    assert coarse.divergence <= 0.01


def test_a_circuit_needs_rows_of_its_class_and_of_others():
    network, X, y = blobs()
    with pytest.raises(DataError, match="class 5 has 0 of 150"):
        circuit(network, X, y, 5)
    with pytest.raises(DataError, match="150 of 150"):
        circuit(network, X, np.zeros(150, dtype=int), 0)
    with pytest.raises(UsageError, match="single or blocks"):
        circuit(network, X, y, 0, search="all")


def test_all_measures_of_a_network_come_together():
    network, X, y = blobs()
    found = measure(network, X, y, 3, search="blocks")
    assert len(found.circuits) == len(found.published_circuits) == 3
    assert found.accuracy.off.shape == (3, 3)
    assert found.accuracy.whole.min() == 1
    assert 0 <= found.clusterability[0] <= 1
    assert not measure(network, X, y, 3).circuits
