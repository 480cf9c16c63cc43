"""Networks to explain, and Shapley values by their first definition: the mean over all orders of features."""

from itertools import pairwise, permutations
from math import factorial

import numpy as np

from relu_shallow.network import from_layers


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
