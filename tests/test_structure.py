"""What of a network is not needed: counted on networks made to have it."""

import numpy as np

from relu_shallow.network import Affine, Gate, Network, from_layers
from relu_shallow.structure import structure_of


def plain():
    r = np.random.default_rng(0)
    return [(r.normal(size=(5, 3)), r.normal(size=5)), (r.normal(size=(4, 5)), r.normal(size=4)),
            (r.normal(size=(2, 4)), r.normal(size=2))]  # fmt: skip


def test_a_network_of_random_weights_needs_all_of_it():
    found = structure_of(from_layers(plain()))
    assert (found.dead_inputs, found.rank, found.repeated, found.constant, found.carriers) == ((), 3, 0, 0, 0)


def test_an_input_without_weights_is_dead_and_lowers_the_rank():
    layers = plain()
    layers[0][0][:, 1] = 0.0
    found = structure_of(from_layers(layers))
    assert (found.dead_inputs, found.rank) == ((1,), 2)


def test_a_first_layer_of_rank_one_varies_in_one_direction():
    layers = plain()
    layers[0][0][:] = np.outer(np.arange(1.0, 6.0), [1.0, 2.0, 3.0])
    assert structure_of(from_layers(layers)).rank == 1


def test_repeated_and_constant_neurons_are_counted_once_each_beyond_the_first():
    layers = plain()
    layers[1][0][2], layers[1][1][2] = layers[1][0][0], layers[1][1][0]
    layers[1][0][3] = 0.0
    found = structure_of(from_layers(layers))
    assert (found.repeated, found.constant) == (1, 1)
    layers[1][1][2] += 0.5
    assert structure_of(from_layers(layers)).repeated == 0


def test_gates_with_equal_slopes_are_carriers():
    layers = plain()
    affine = tuple(Affine(*layer) for layer in layers)
    gates = (Gate(np.array([0.0, 1.0, 1.0, 0.2, 0.0]), np.ones(5)), Gate.relu(4))
    assert structure_of(Network(affine, gates)).carriers == 2
