"""Networks to explain, and Shapley values by their first definition: the mean over all orders of features."""

from itertools import pairwise, permutations
from math import factorial

import numpy as np
from scipy.sparse import csr_array

from relu_shallow.explanation import Background
from relu_shallow.network import Affine, Gate, Network, from_layers


def random_network(seed, widths):
    """A ReLU network with the given widths (inputs first, outputs last) and weights of ordinary size."""
    random = np.random.default_rng(seed)
    return from_layers(
        [
            (random.normal(size=(out, into)) / np.sqrt(into), 0.3 * random.normal(size=out))
            for into, out in pairwise(widths)
        ]
    )


def values_over_orders(f, x, B, weights):
    """E over b and over all n! orders of what f gains when feature i goes from b_i to x_i."""
    n = len(x)
    phi = np.zeros((f(x[None]).shape[1], n))
    for b, weight in zip(B, weights, strict=True):
        for order in permutations(range(n)):
            point = b.copy()
            before = f(point[None])[0]
            for i in order:
                point[i] = x[i]
                after = f(point[None])[0]
                phi[:, i] += weight / factorial(n) * (after - before)
                before = after
    return phi


def enumerated(network, X, background):
    """Interventional Shapley values from the network's values at all 2^n hybrids of every pair, by the definition."""
    players = network.inputs
    inside = (np.arange(1 << players)[:, None] >> np.arange(players)) & 1 > 0
    size = inside.sum(axis=1)
    joining = np.array([factorial(s) * factorial(players - s - 1) / factorial(players) for s in range(players)])
    phi = np.zeros((len(X), network.outputs, players))
    for row, x in enumerate(X):
        v = sum(
            weight * network(np.where(inside, x, b))
            for b, weight in zip(background.X, background.weights, strict=True)
        )
        for i in range(players):
            without = np.flatnonzero(~inside[:, i])
            phi[row, :, i] = joining[size[without]] @ (v[without + (1 << i)] - v[without])
    return phi


def drawn(seed):
    """A network of any depth, gates of any slopes, sparse and round weights; two rows and a weighted background."""
    random = np.random.default_rng(seed)
    widths = [int(width) for width in random.integers(1, 13, size=random.integers(2, 6))]
    layers = []
    for into, out in pairwise(widths):
        W = random.normal(size=(out, into)) * np.sqrt(2 / into) * (random.random((out, into)) < random.choice([0.5, 1]))
        W = np.round(W) if random.random() < 0.2 else W
        bias = random.normal(size=out) * random.choice([0, 1])
        layers.append(Affine(csr_array(W) if random.random() < 0.2 else W, bias))
    gates = []
    for width in widths[1:-1]:
        lo, hi = [(0.0, 1.0), (0.1, 1.0), (-1.0, 1.0), tuple(random.normal(size=2))][random.integers(4)]
        same = random.random(width) < 0.2
        gates.append(Gate(np.full(width, lo), np.where(same, lo, hi)))
    X, B = random.normal(size=(2, widths[0])), random.normal(size=(3, widths[0]))
    B[0, random.random(widths[0]) < 0.3] = X[0, 0]
    B[1, : widths[0] // 2] = X[1, : widths[0] // 2]
    return Network(tuple(layers), tuple(gates)), X, Background(B, random.random(3) + 0.1)
