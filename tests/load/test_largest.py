"""The largest of k is one k-way choice: regions that differ only in the order of losers are one region."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from relu_shallow.domain import Box
from relu_shallow.load import load_network
from relu_shallow.network import activation_patterns, local_maps, without_losers
from relu_shallow.regions.search import enumerate_regions


class LargestOfK(nn.Module):
    """max over k affine functions of two inputs, then, beside it, an ordinary gate."""

    def __init__(self, k, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.a, self.b = nn.Linear(2, k), nn.Linear(2, 1)

    def forward(self, x):
        return self.a(x).amax(dim=1, keepdim=True) + torch.relu(self.b(x))


def choices(model, X):
    """Who wins, and what the gate says, straight from the weights: no lowering, no bracket."""
    with torch.no_grad():
        scores, z = model.a(X).numpy(), model.b(X).numpy()[:, 0]
    return {(int(winner), bool(on)) for winner, on in zip(scores.argmax(axis=1), z > 0, strict=True)}


@pytest.mark.parametrize("k", [2, 3, 4, 5, 7, 8])
def test_merged_regions_are_the_winners_times_the_gates(k):
    model = LargestOfK(k).double()
    network = load_network(model)
    found = enumerate_regions(network, Box(np.full(2, -3.0), np.full(2, 3.0)))
    assert found.level == "certified"
    merged = np.unique(without_losers(network, found.patterns), axis=0)
    grid = torch.tensor(list(product(np.linspace(-3, 3, 700), repeat=2)))
    assert len(merged) == len(choices(model, grid))


def test_the_order_of_losers_is_the_only_thing_merged():
    """Cells with the same merged pattern have the same affine function; cells next to one another have not."""
    network = load_network(LargestOfK(8).double())
    found = enumerate_regions(network, Box(np.full(2, -3.0), np.full(2, 3.0)))
    merged, group = np.unique(without_losers(network, found.patterns), axis=0, return_inverse=True)
    assert len(merged) < found.regions
    slopes = np.array([np.append(*local_maps(network, pattern)[-1]) for pattern in found.patterns])
    for number in range(len(merged)):
        assert np.ptp(slopes[group == number], axis=0).max() < 1e-12
    firsts = np.array([slopes[group == number][0] for number in range(len(merged))])
    assert len(np.unique(firsts.round(9), axis=0)) == len(merged)


def test_a_point_and_its_neighbours_beyond_a_losers_border_share_a_merged_pattern():
    network = load_network(LargestOfK(8).double())
    X = np.random.default_rng(0).uniform(-3, 3, (5_000, 2))
    patterns = activation_patterns(network, X)
    assert len(np.unique(patterns, axis=0)) > len(np.unique(without_losers(network, patterns), axis=0)) > 2


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.pool, self.out = nn.Conv2d(1, 2, 2), nn.MaxPool2d(3, stride=2, padding=1), nn.Linear(8, 2)

    def forward(self, x):
        return self.out(torch.relu(self.pool(self.conv(x))).flatten(1))


def test_a_pooling_layer_names_its_brackets():
    """Windows of nine values: eight gates each, seven of which answer to a later one."""
    module = Pooled().double()
    network = load_network(module, input_shape=(1, 5, 5))
    assert len(network.brackets) == 8 * 7
    X = np.random.default_rng(0).normal(size=(40, 25))
    with torch.no_grad():
        theirs = module(torch.from_numpy(X).reshape(-1, 1, 5, 5)).numpy()
    np.testing.assert_allclose(network(X), theirs, rtol=1e-12, atol=1e-12)
