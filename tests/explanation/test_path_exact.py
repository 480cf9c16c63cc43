"""Integrated gradients against exact rational arithmetic: a walk from breakpoint to breakpoint of the whole network."""

from fractions import Fraction as Q
from itertools import pairwise

import numpy as np
import pytest
from networks import NAMED
from scipy.sparse import csr_array

from relu_shallow.explanation import Background
from relu_shallow.explanation.path import integrated_gradients
from relu_shallow.network import Affine, Gate, Network, from_layers

ROUNDING = 1e-13


def rational(array):
    return [[Q(float(v)) for v in row] for row in array] if np.ndim(array) == 2 else [Q(float(v)) for v in array]


def walk(network, x, b):
    """phi of every output in rationals: at each t the gradient just after it, up to the next zero of any neuron."""
    maps = [(rational(layer.W), rational(layer.b)) for layer in network.affine]
    slopes = [list(zip(rational(gate.inactive), rational(gate.active), strict=True)) for gate in network.gates]
    x, b = rational(x), rational(b)
    d = [p - q for p, q in zip(x, b, strict=True)]
    phi = [[Q(0)] * len(x) for _ in range(network.outputs)]
    t = Q(0)
    while t < 1:
        # h = p + q s after s more, and its gradient with respect to the input
        p, q = [u + t * v for u, v in zip(b, d, strict=True)], d
        gradient = [[Q(int(i == j)) for j in range(len(x))] for i in range(len(x))]
        step = 1 - t
        for (W, bias), gate in zip(maps, [*slopes, None], strict=True):
            p = [sum(map(Q.__mul__, row, p)) + c for row, c in zip(W, bias, strict=True)]
            q = [sum(map(Q.__mul__, row, q)) for row in W]
            gradient = [[sum(w * g[i] for w, g in zip(row, gradient, strict=True)) for i in range(len(x))] for row in W]
            if gate is not None:
                step = min([step, *(-u / v for u, v in zip(p, q, strict=True) if v and -u / v > 0)])
                active = [u > 0 or (u == 0 and v > 0) for u, v in zip(p, q, strict=True)]
                slope = [pair[on] for pair, on in zip(gate, active, strict=True)]
                p, q = ([s * v for s, v in zip(slope, values, strict=True)] for values in (p, q))
                gradient = [[s * g for g in row] for s, row in zip(slope, gradient, strict=True)]
        for row, g in zip(phi, gradient, strict=True):
            for i in range(len(x)):
                row[i] += step * g[i] * d[i]
        t += step
    return np.array([[float(v) for v in row] for row in phi])


def agree(network, X, B):
    outputs = list(range(network.outputs))
    for b in B:
        phi = integrated_gradients(network, X, Background(b[None], np.ones(1)), outputs)
        np.testing.assert_allclose(
            phi, [walk(network, x, b) for x in X], rtol=0, atol=ROUNDING * (1 + np.abs(phi).max())
        )


ROUNDED = {"cones"}  # weights that are sines: on a border of the drawing z is not zero but the size of a rounding


@pytest.mark.parametrize("name", sorted(NAMED.keys() - ROUNDED))
def test_named_networks_agree_with_rationals_also_on_their_borders(name):
    network = NAMED[name].network
    n = network.inputs
    random = np.random.default_rng(0)
    points = np.concatenate([np.zeros((1, n)), np.ones((1, n)), random.integers(-4, 5, size=(5, n)) / 2])
    agree(network, points, points)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_named_networks_agree_with_rationals_anywhere(name):
    network = NAMED[name].network
    points = np.random.default_rng(1).normal(size=(5, network.inputs))
    agree(network, points, points)


@pytest.mark.parametrize("widths", [(1, 3, 3, 1), (2, 4, 4, 4, 2), (3, 5, 1), (3, 3, 3, 3, 3, 2)])
def test_networks_of_small_integers_agree_with_rationals(widths):
    """Weights and points of few values: zero stretches, breakpoints at both ends and several at one t."""
    random = np.random.default_rng(sum(widths))
    for _ in range(5):
        affine = tuple(
            Affine(
                random.integers(-2, 3, size=(out, into)).astype(float), random.integers(-1, 2, size=out).astype(float)
            )
            for into, out in pairwise(widths)
        )
        gates = tuple(Gate(random.choice([0.0, -1.0, 0.25], n), random.choice([1.0, 0.25], n)) for n in widths[1:-1])
        network = Network(affine, gates)
        points = random.integers(-2, 3, size=(4, widths[0])).astype(float)
        agree(network, points, points)


def test_breakpoints_one_float_apart_agree_with_rationals():
    near = np.nextafter(0.5, 1.0)
    first = np.array([[1.0], [1.0], [-1.0]]), np.array([-0.5, -near, near])
    network = from_layers([first, (np.ones((2, 3)), np.array([0.0, -0.25])), (np.array([[1.0, 2.0]]), np.zeros(1))])
    points = np.array([[0.0], [0.5], [near], [1.0]])
    agree(network, points, points)


def test_breakpoints_that_round_to_the_ends_of_a_piece_agree_with_rationals():
    """The second layer's relu(x - 1/2) - 1e-30 is zero just after 1/2, and relu(1 - x) - 1e-30 just before 1."""
    first = np.array([[1.0], [-1.0], [0.0]]), np.array([-0.5, 1.0, 1.0])
    second = np.array([[1.0, 0.0, -1e-30], [0.0, 1.0, -1e-30]]), np.zeros(2)
    third = np.array([[1.0, -2.0], [2.0, 1.0]]), np.array([0.25, -0.75])
    fourth = np.array([[1.0, -1.0], [-1.0, 3.0]]), np.array([-0.125, 0.25])
    network = from_layers([first, second, third, fourth, (np.array([[1.0, 2.0]]), np.zeros(1))])
    points = np.array([[0.0], [0.5], [1.0], [2.0]])
    agree(network, points, points)


def test_a_neuron_that_is_zero_along_a_stretch_counts_as_inactive():
    """|x - y| as one gate of slopes -1 and 1, from (0, 0) to (3, 3): the slope is -1, and the two parts cancel."""
    gate = Gate(np.array([-1.0]), np.array([1.0]))
    network = Network((Affine(np.array([[1.0, -1.0]]), np.zeros(1)), Affine(np.eye(1), np.zeros(1))), (gate,))
    phi = integrated_gradients(network, np.array([[3.0, 3.0]]), Background(np.zeros((1, 2)), np.ones(1)), [0])
    assert phi.tolist() == [[[-3.0, 3.0]]]


@pytest.mark.parametrize("kind", [np.asarray, csr_array], ids=["dense", "sparse"])
def test_a_zero_that_rounding_hides_counts_as_zero(kind):
    """0.1 + 0.2 - 0.3 is 2.8e-17 for a computer; a neuron of it would be active on one side of the origin."""
    weights = np.array([[0.1, 0.2, -0.3], [-0.1, -0.2, 0.3]])
    assert (weights @ np.ones(3) != 0).any()
    affine = (
        Affine(kind(weights), np.zeros(2)),
        Affine(kind(np.eye(2)), np.zeros(2)),
        Affine(np.ones((1, 2)), np.zeros(1)),
    )
    network = Network(affine, (Gate.relu(2), Gate.relu(2)))
    X = np.array([[1.0, 1.0, 1.0], [-2.0, -2.0, -2.0], [0.7, 0.7, 0.7]])
    assert not integrated_gradients(network, X, Background(np.zeros((1, 3)), np.ones(1)), [0]).any()
