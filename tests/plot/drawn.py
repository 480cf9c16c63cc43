"""Shallow networks to draw, and what a picture of them must agree with."""

from functools import cache
from itertools import pairwise

import numpy as np
from networks import NAMED

from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network

FLAT = ("one_relu", "abs", "beyond_the_box", "stairs", "sawtooth", "pass_through", "two_slopes", "two_arms")
PLANE = ("crossing_lines", "triangle", "bent_line", "bent_line_corner", "xor", "cones", "linear")


def random_network(*widths, seed=0):
    rng = np.random.default_rng(seed)
    return from_layers([(rng.normal(size=(b, a)), rng.normal(size=b))
                        for a, b in pairwise(widths)])  # fmt: skip


def shallow_of(network, domain, **limits):
    return shallow_network(enumerate_regions(network, domain, workers=1, **limits))


@cache
def drawn(name):
    """A shallow network by name: of the small networks with hand-made answers, or a deeper random one."""
    if name in NAMED:
        return shallow_of(NAMED[name].network, Box(*NAMED[name].box))
    network = random_network(2, 9, 7, 5, 3, seed=5)
    if name == "deep":
        return shallow_of(network, Box(-3, 3))
    if name == "everywhere":
        return shallow_of(network, WholeSpace())
    if name == "wedge":
        return shallow_of(network, Polytope([[1, 1], [-1, 1], [0, -1]], [2, 2, 1]))
    if name == "half_plane":
        return shallow_of(network, Polytope([[1, 2]], [1]))
    if name == "flat":
        return shallow_of(random_network(4, 8, 6, 3, seed=8), Box([-2, 0.5, -2, -1], [2, 0.5, 2, -1]))
    if name == "one_output":
        return shallow_of(random_network(2, 10, 8, 1, seed=2), Box([-2, -1], [2, 3]))
    if name == "partial":
        return shallow_of(network, Box(-3, 3), max_regions=40)
    if name == "curve":
        return shallow_of(random_network(1, 12, 6, 3, seed=1), Box(-2, 2))
    raise KeyError(name)


DEEP = ("deep", "everywhere", "wedge", "half_plane", "flat", "one_output")


def inputs_at(places, shallow, axes):
    """Rows of inputs for points of the picture's plane."""
    X = np.zeros((len(places), shallow.network.inputs))
    if isinstance(shallow.domain, Box):
        fixed = shallow.domain.lo == shallow.domain.hi
        X[:, fixed] = shallow.domain.lo[fixed]
    X[:, list(axes)] = places[:, : len(axes)]
    return X


def random_places(scene, count, seed=0):
    left, right, low, high = scene.view
    return np.random.default_rng(seed).uniform((left, low), (right, high), (count, 2))
