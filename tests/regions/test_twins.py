"""Neurons that repeat another, or its negative, cost no linear programs and go to no exact arithmetic."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse

from relu_shallow.certify import verify
from relu_shallow.domain import Box, WholeSpace
from relu_shallow.network import Affine, Gate, Network, from_layers
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.weights import weights_of
from relu_shallow.shallow.build import shallow_network

SIZES = ((2, 6, 5, 1), (3, 5, 4, 1))


def random_layers(seed, sizes):
    random = np.random.default_rng(seed)
    return [(random.normal(size=(o, i)), 0.3 * random.normal(size=o)) for i, o in pairwise(sizes)]


def doubled(layers, sign):
    """Every hidden neuron followed by itself, or by its negative (which nothing reads)."""
    found = []
    for index, (W, b) in enumerate(layers):
        if index:
            W = np.kron(W, [[0.5, 0.5] if sign > 0 else [1.0, 0.0]])
        if index < len(layers) - 1:
            W, b = np.kron(W, [[1.0], [sign]]), np.kron(b, [1.0, sign])
        found.append((W, b))
    return from_layers(found)


@pytest.mark.parametrize("domain", [Box(-1, 1), WholeSpace()])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_a_network_with_every_neuron_twice_has_the_same_regions_at_about_the_same_cost(domain, sizes, seed):
    layers = random_layers(seed, sizes)
    plain, twice = (enumerate_regions(net, domain) for net in (from_layers(layers), doubled(layers, 1.0)))
    assert np.array_equal(twice.patterns, np.repeat(plain.patterns, 2, axis=1))
    assert twice.level == "certified"
    assert twice.effort.lps <= 1.1 * plain.effort.lps
    assert twice.certificate.exact == plain.certificate.exact


@pytest.mark.parametrize("seed", range(2))
def test_a_neuron_and_its_negative_are_never_both_active(seed):
    layers = random_layers(seed, SIZES[0])
    plain, both = (enumerate_regions(net, Box(-1, 1)) for net in (from_layers(layers), doubled(layers, -1.0)))
    patterns = both.patterns.reshape(len(both.bits), -1, 2)
    assert np.array_equal(patterns[:, :, 0], plain.patterns)
    assert not patterns.all(axis=2).any()  # both inactive only where the pre-activation is zero all over the region
    assert verify(shallow_network(both), exact=True).ok


def test_where_all_below_is_off_a_neuron_and_its_negative_are_both_inactive():
    layers = [(np.eye(1), np.zeros(1)), (np.array([[1.0], [-1.0]]), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
    found = enumerate_regions(from_layers(layers), Box(-1, 1))
    assert found.patterns.astype(int).tolist() == [[0, 0, 0], [1, 1, 0]]


def test_twins_are_told_from_neurons_that_differ_in_bias_slopes_or_sign_alone():
    W, b = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, -0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), np.zeros(7)
    b[1] = 1.0
    gate = Gate(np.array([0.0, 0, 0.1, 0, 1, 0, 0]), np.ones(7))
    for matrix in (W, scipy.sparse.csr_array(W)):
        network = Network((Affine(matrix, b), Affine(np.ones((1, 7)), np.zeros(1))), (gate,))
        assert weights_of(network).twin.tolist() == [0, 0, 1, -1, 0, 0, 0]
