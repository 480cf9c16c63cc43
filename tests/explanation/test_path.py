"""Integrated and expected gradients: their laws, and automatic differentiation along finely divided paths."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import data_path
from scipy.sparse import csr_array
from shapley_reference import random_network
from torch import nn

from relu_shallow.explanation import Background, path
from relu_shallow.explanation.path import integrated_gradients
from relu_shallow.load import load_network
from relu_shallow.network import Affine, from_layers
from relu_shallow.precision import evaluation_error

STEPS = 20_000
SHARP = 1e-10  # of the outputs' size: the completeness asked for in the project's plan


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        h = torch.relu(self.first(x))
        return self.last(torch.relu(h + self.second(h)))


class Abs(nn.Module):
    def forward(self, x):
        return x.abs()


MODULES = {
    "plain": (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), (4,)),
    "leaky": (nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.3), nn.Linear(8, 8), nn.ReLU6(), nn.Linear(8, 2)), (4,)),
    "steeper where inactive": (nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(-1.5), nn.Linear(6, 6), nn.PReLU(6),
                                             nn.Linear(6, 1)), (3,)),
    "absolute values": (nn.Sequential(nn.Linear(3, 6), Abs(), nn.Linear(6, 5), Abs(), nn.Linear(5, 2)), (3,)),
    "residual": (Residual(), (4,)),
    "convolution": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 2, stride=2), nn.ReLU(), nn.Flatten(),
                                  nn.Linear(12, 3)), (1, 6, 6)),
    "largest of windows": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
                                         nn.Linear(8, 2)), (1, 6, 6)),
}  # fmt: skip


def drawn(module, seed=0):
    """The module in float64, its parameters drawn anew and of ordinary size."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=1.5 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.5)
    return module.double()


def along_the_path(module, x, b, shape):
    """phi by the midpoint rule, gradients by torch."""
    t = (torch.arange(STEPS, dtype=torch.float64)[:, None] + 0.5) / STEPS
    points = (torch.from_numpy(b) + t * torch.from_numpy(x - b)).requires_grad_()
    outputs = module(points.reshape(-1, *shape))
    rows = [torch.autograd.grad(y, points, retain_graph=True)[0].mean(dim=0) for y in outputs.sum(dim=0)]
    return torch.stack(rows).numpy() * (x - b)


def one(b):
    """The background of a single row."""
    return Background(np.asarray(b, dtype=float).reshape(1, -1), np.ones(1))


def completeness_gap(network, X, background):
    """(gap, scale): how far each sum of phi is from f(x) - E f(b), and the outputs' size."""
    phi = integrated_gradients(network, X, background, list(range(network.outputs)))
    at_x, at_b = network(X), network(background.X)
    scale = max(np.abs(at_x).max(), np.abs(at_b).max())
    return np.abs(phi.sum(axis=2) - (at_x - background.weights @ at_b)).max(), scale


@pytest.mark.parametrize("name", MODULES)
def test_gradients_agree_with_torch_along_a_finely_divided_path(name):
    module, shape = MODULES[name]
    module = drawn(module)
    network = load_network(module, input_shape=shape)
    random = np.random.default_rng(1)
    X, B = random.normal(size=(2, 2, network.inputs))
    for b in B:
        phi = integrated_gradients(network, X, one(b), list(range(network.outputs)))
        for x, found in zip(X, phi, strict=True):
            np.testing.assert_allclose(found, along_the_path(module, x, b, shape), rtol=0, atol=20 / STEPS)


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_of_a_row_is_what_the_output_gains_within_the_evaluations_own_rounding(seed):
    random = np.random.default_rng(seed)
    widths = [(6, 16, 16, 2), (20, 64, 1), (5, 12, 12, 12, 12, 12, 3), (40, 80, 80, 80, 4)][seed]
    network = random_network(seed, widths)
    X, B = random.normal(size=(2, 6, widths[0])) * 10.0 ** random.uniform(-2, 2, size=(2, 6, 1))
    gap, scale = completeness_gap(network, X, Background(B, random.uniform(size=6)))
    assert gap <= SHARP * scale
    assert gap <= network.neurons * evaluation_error(network, np.concatenate([X, B])).max()


@pytest.mark.parametrize("name", ["onnx/conv/NN_rul_small_window_20.onnx", "pt/carla_adult_ann.pt"])
def test_the_sum_of_a_row_is_what_the_output_gains_in_real_networks(name):
    network = load_network(data_path(name))
    random = np.random.default_rng(0)
    X = random.uniform(size=(2, network.inputs))
    gap, scale = completeness_gap(network, X, Background(np.vstack([np.zeros(network.inputs), X[:1]]), np.ones(2)))
    assert gap <= SHARP * scale


def test_weights_of_very_different_size_cost_no_accuracy():
    """Neurons scaled by powers of ten and back are the same function, and so are features in other units."""
    network = random_network(5, (4, 10, 10, 2))
    by = 10.0 ** np.random.default_rng(0).integers(-9, 10, size=10)
    units = np.array([1e-6, 1.0, 1e3, 1e8])
    (W1, b1), (W2, b2), (W3, b3) = [(layer.W, layer.b) for layer in network.affine]
    scaled = from_layers([(W1 / units * by[:, None], b1 * by), (W2 / by, b2), (W3, b3)])
    X, B = np.random.default_rng(1).normal(size=(2, 5, 4))
    expected = integrated_gradients(network, X, Background(B, np.ones(5)), [0, 1])
    found = integrated_gradients(scaled, X * units, Background(B * units, np.ones(5)), [0, 1])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_linear_network_has_the_closed_form():
    network = random_network(0, (7, 3))
    X, B = np.random.default_rng(0).normal(size=(2, 5, 7))
    background = Background(B, np.arange(1.0, 6.0))
    phi = integrated_gradients(network, X, background, [2, 0])
    np.testing.assert_allclose(phi, network.affine[0].W[[2, 0]] * (X - background.mean)[:, None, :], atol=1e-14)


def test_one_relu_is_split_by_its_inputs_in_proportion():
    """relu(x + 2 y - 1) from (0, 0) to (1, 1) is active for t > 1/3, so phi = (1, 2) * 2/3."""
    network = from_layers([(np.array([[1.0, 2.0]]), -np.ones(1)), (np.eye(1), np.zeros(1))])
    phi = integrated_gradients(network, np.ones((1, 2)), one([0.0, 0.0]), [0])
    np.testing.assert_allclose(phi[0, 0], [2 / 3, 4 / 3], atol=1e-15)


def test_features_that_enter_alike_get_the_same():
    network = random_network(3, (5, 8, 8, 1))
    W = network.affine[0].W.copy()
    W[:, 3] = W[:, 1]
    twins = from_layers([(W, network.affine[0].b), *((layer.W, layer.b) for layer in network.affine[1:])])
    X, B = np.random.default_rng(0).normal(size=(2, 6, 5))
    X[:, 3], B[:, 3] = X[:, 1], B[:, 1]
    phi = integrated_gradients(twins, X, Background(B, np.ones(6)), [0])
    np.testing.assert_allclose(phi[..., 3], phi[..., 1], rtol=1e-13)


def test_expected_gradients_are_the_weighted_mean_over_single_baselines():
    network = random_network(4, (5, 9, 9, 2))
    random = np.random.default_rng(0)
    X, B, weights = random.normal(size=(7, 5)), random.normal(size=(4, 5)), np.array([0.1, 0.2, 0.3, 0.4])
    phi = integrated_gradients(network, X, Background(B, weights), [0, 1])
    singles = [integrated_gradients(network, X, one(b), [0, 1]) for b in B]
    np.testing.assert_allclose(phi, np.tensordot(weights, singles, axes=1), atol=1e-14)


def test_a_row_that_is_its_baseline_and_a_feature_that_does_not_move_get_nothing():
    network = random_network(4, (5, 9, 9, 2))
    b = np.random.default_rng(0).normal(size=5)
    assert not integrated_gradients(network, b[None], one(b), [0, 1]).any()
    x = b + np.array([1.0, 0.0, -1.0, 0.0, 2.0])
    assert (integrated_gradients(network, x[None], one(b), [0, 1])[0] != 0).all(axis=0).tolist() == (x != b).tolist()


@pytest.mark.parametrize("entries", [1, 300, 5000, 1 << 22])
def test_neither_threads_nor_how_much_is_held_at_once_change_the_values(monkeypatch, entries):
    network = random_network(6, (6, 20, 20, 20, 3))
    X, B = np.random.default_rng(0).normal(size=(2, 9, 6))
    X, background = X[:3], Background(B[:2], np.ones(2))
    expected = integrated_gradients(network, X, background, [2, 0])
    monkeypatch.setattr(path, "ENTRIES", entries)
    monkeypatch.setattr(path, "ROWS", 1)
    first = integrated_gradients(network, X, background, [2, 0], workers=1)
    np.testing.assert_allclose(first, expected, rtol=1e-10, atol=1e-14)
    assert (first == integrated_gradients(network, X, background, [2, 0], workers=3)).all()


def test_sparse_weights_give_what_dense_ones_give():
    network = random_network(6, (6, 20, 20, 20, 3))
    sparse = replace(network, affine=tuple(Affine(csr_array(layer.W), layer.b) for layer in network.affine))
    X, B = np.random.default_rng(0).normal(size=(2, 9, 6))
    phi, same = (integrated_gradients(each, X, Background(B, np.ones(9)), [2, 0]) for each in (network, sparse))
    np.testing.assert_allclose(same, phi, atol=1e-13)


def test_outputs_are_given_in_the_order_asked_for():
    network = random_network(6, (6, 10, 10, 3))
    X, B = np.random.default_rng(0).normal(size=(2, 4, 6))
    every = integrated_gradients(network, X, Background(B, np.ones(4)), [0, 1, 2])
    np.testing.assert_allclose(
        integrated_gradients(network, X, Background(B, np.ones(4)), [2, 0]), every[:, [2, 0]], atol=1e-14
    )


def test_rows_are_done_in_order_until_the_deadline():
    network = random_network(6, (6, 10, 10, 3))
    X, B = np.random.default_rng(0).normal(size=(2, 300, 6))
    told = []
    whole = integrated_gradients(network, X, Background(B, np.ones(300)), [0], progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 300
    assert len(integrated_gradients(network, X, Background(B, np.ones(300)), [0], deadline=time.monotonic() - 1)) == 0
    X = np.tile(X, (40, 1))
    some = integrated_gradients(network, X, Background(B, np.ones(300)), [0], deadline=time.monotonic() + 0.3)
    assert 0 < len(some) < len(X)
    np.testing.assert_allclose(some, np.tile(whole, (40, 1, 1))[: len(some)], atol=1e-13)


def test_no_rows_have_no_values():
    network = random_network(6, (6, 10, 10, 3))
    assert integrated_gradients(network, np.zeros((0, 6)), one(np.zeros(6)), [0]).shape == (0, 1, 6)
