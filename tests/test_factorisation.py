"""On a box a network is the sum of its factors, exactly, and each unstable neuron is in one of them."""

from fractions import Fraction

import numpy as np
import pytest
from command_line import random_layers
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import planted
from scipy.sparse import csr_array

from relu_shallow.factorisation import factorise
from relu_shallow.network import Affine, Network, dense, from_layers, switching
from relu_shallow.relaxation import open_neurons, preactivation_bounds


def exact(network, x):
    """The outputs at a point of floats, in fractions."""
    h = [Fraction(v) for v in x.tolist()]
    for depth, layer in enumerate(network.affine):
        W, b = dense(layer.W).tolist(), layer.b.tolist()
        h = [sum((Fraction(w) * v for w, v in zip(row, h, strict=True)), Fraction(c))
             for row, c in zip(W, b, strict=True)]  # fmt: skip
        if depth < len(network.gates):
            gate = network.gates[depth]
            slopes = zip(gate.inactive.tolist(), gate.active.tolist(), strict=True)
            h = [v * Fraction(q if v > 0 else p) for v, (p, q) in zip(h, slopes, strict=True)]
    return h


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([0.05, 0.3, 1.0]), st.booleans(), st.booleans())
def test_the_factors_sum_to_the_network_exactly(seed, depth, radius, sparse, modular):
    rng = np.random.default_rng(seed)
    if modular:
        network, _ = planted(seed, 3, (3, 2, 2, 3)[:depth], gates=("relu", "leaky", "abs", "linear"))
    else:
        network = from_layers(random_layers(3, *(6, 5, 4, 3)[:depth], 2, seed=seed))
    thin = [Affine(layer.W * (rng.random(layer.W.shape) < 0.5), layer.b) for layer in network.affine]
    thin = [Affine(csr_array(layer.W), layer.b) for layer in thin] if sparse else thin
    network = Network(tuple(thin), network.gates)
    centre = rng.uniform(-1, 1, 3)
    lo, hi = centre - radius, centre + radius
    parts = factorise(network, lo, hi)
    for x in rng.uniform(lo, hi, (3, 3)):
        values = [exact(part.network, x) for part in parts]
        assert [sum(column) for column in zip(*values, strict=True)] == exact(network, x)
    unstable = open_neurons(network, preactivation_bounds(network, lo, hi))
    assert sorted(np.concatenate([part.unstable for part in parts]).tolist()) == unstable.tolist()
    assert not len(parts[0].unstable)
    for part in parts:
        assert switching(part.network).sum() == len(part.unstable)
    assert [part.unstable[0] for part in parts[1:]] == sorted(part.unstable[0] for part in parts[1:])


def test_two_folds_join_where_an_unstable_neuron_reads_both():
    # relu(x0), relu(x1), then their sum + 1, which is positive, and their difference, which has either sign
    first, joint = (np.eye(2), np.zeros(2)), np.array([[1.0, 1.0], [1.0, -1.0]])
    stable = from_layers([first, (joint[:1], np.ones(1)), (np.ones((1, 1)), np.zeros(1))])
    lo, hi = -np.ones(2), np.ones(2)
    assert [part.unstable.tolist() for part in factorise(stable, lo, hi)] == [[], [0], [1]]
    both = from_layers([first, (joint, np.array([1.0, 0.0])), (np.ones((1, 2)), np.zeros(1))])
    assert [part.unstable.tolist() for part in factorise(both, lo, hi)] == [[], [0, 1, 3]]
    # through a linear neuron: the second layer is stable, the third reads both folds through it
    one = np.ones((1, 1))
    deep = from_layers([first, (joint[:1], np.ones(1)), (one, -2 * np.ones(1)), (one, np.zeros(1))])
    assert [part.unstable.tolist() for part in factorise(deep, lo, hi)] == [[], [0, 1, 3]]


@pytest.mark.parametrize("place", [(0.5, 0.75), (-3.0, -2.0)])
def test_where_nothing_is_unstable_there_is_one_affine_part(place):
    network = from_layers([(np.ones((2, 1)), np.array([0.0, 1.0])), (np.ones((1, 2)), np.zeros(1))])
    (part,) = factorise(network, *np.array(place)[:, None])
    assert not switching(part.network).any()
