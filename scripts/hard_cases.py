"""Named hard networks: their layers, where they are searched, and how many regions they truly have.

The number is a theorem's, or the reference's (exact integers, tests/rational.py) where that can count so far.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import comb
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts"), str(ROOT / "tests")]

from benchmark.cases import real_network  # noqa: E402
from benchmark.problem import Layers, Problem  # noqa: E402
from hard import star, tent  # noqa: E402

from relu_shallow.domain import Box, Domain, WholeSpace  # noqa: E402

ACAS = "onnx/acasxu/ACASXU_run2a_1_1_batch_2000.onnx"
ACAS_LO = [-0.30353116, -0.00929755, 0.49338, 0.3, 0.3]
ACAS_HI = [-0.29855283, 0.00929755, 0.5, 0.5, 0.5]


@dataclass(frozen=True)
class Hard:
    """A problem, and its true count: a number with the reason for it, or None where the reference is to count."""

    title: str
    problem: Callable[[], Problem]
    count: int | None
    source: str = "reference"


def _layers(widths: tuple[int, ...], seed: int) -> Layers:
    r = np.random.default_rng(seed)
    return [(r.normal(size=(o, i)), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]


def _on(layers: Layers, lo: object = -np.inf, hi: object = np.inf) -> Problem:
    n = layers[0][0].shape[1]
    return Problem(layers, np.full(n, lo, dtype=float), np.full(n, hi, dtype=float))


def _zero_biases() -> Problem:
    return _on([(W, 0 * b) for W, b in _layers((3, 12, 1), 0)])


def _duplicates() -> Problem:
    (W, b), *rest = _layers((3, 8, 6, 1), 1)
    W[1], b[1], W[2], b[2], W[3], b[3] = W[0], b[0], -2 * W[0], -2 * b[0], 3 * W[0], 3 * b[0]
    return _on([(W, b), *rest], -1, 1)


def _grid() -> Problem:
    """Two families of parallel lines, x = 0..9 and y = 0..9."""
    W = np.repeat(np.eye(2), 10, axis=0)
    return _on([(W, -np.tile(np.arange(10.0), 2)), (np.ones((1, 20)), np.zeros(1))])


def _dead() -> Problem:
    (W, b), (V, c), *rest = _layers((3, 8, 8, 1), 2)
    W[1], W[2], W[3], b[1], b[2], b[3] = 0, 0, 0, -1, 0, 1
    V[4], c[4] = 0, 0
    return _on([(W, b), (V, c), *rest], -1, 1)


def _sliver() -> Problem:
    (W, b), *rest = _layers((3, 8, 6, 1), 3)
    W[1], b[1] = W[0], b[0] + 1e-13
    return _on([(W, b), *rest], -1, 1)


def _scales() -> Problem:
    r = np.random.default_rng(4)
    spoiled = []
    for W, b in _layers((3, 8, 8, 1), 4):
        scale = 10.0 ** r.uniform(-12, 12, len(b))
        spoiled.append((W * scale[:, None], b * scale))
    return _on(spoiled)


def _scales_everywhere() -> Problem:
    r = np.random.default_rng(5)
    return _on([(W * 10.0 ** r.uniform(-12, 12, W.shape), b * 10.0 ** r.uniform(-12, 12, b.shape))
                for W, b in _layers((3, 10, 8, 1), 5)])  # fmt: skip


def _one_vertex() -> Problem:
    """Twelve planes through (3, -2, 1), integer weights, and eight more through its image."""
    r, point, layers = np.random.default_rng(6), np.array([3.0, -2.0, 1.0]), []
    for into, out in pairwise((3, 12, 8, 1)):
        W = r.integers(-4, 5, (out, into)).astype(float)
        layers.append((W, -W @ point))
        point = np.maximum(W @ point + layers[-1][1], 0)
    return _on(layers)


def _twelve_planes() -> Problem:
    """Planes through (3, -2, 1) with the integer normals (1, k, k^2), any three of them independent."""
    k = np.arange(1.0, 13.0)
    W = np.column_stack([np.ones(12), k, k**2])
    return _on([(W, -W @ np.array([3.0, -2.0, 1.0])), (np.ones((1, 12)), np.zeros(1))])


def _ulps() -> Problem:
    (W, b), (V, c), *rest = _layers((3, 8, 6, 1), 7)
    W[1], b[1] = W[0] * (1 + 2.0**-52), b[0]
    V[:, 0] = -V[:, 1]
    return _on([(W, b), (V, c), *rest], -1, 1)


def _thin_box() -> Problem:
    return _on(_layers((4, 10, 8, 1), 8), [-1, -1, 0.3, -1], [1, 1, 0.3 + 1e-6, 1])


def _flat_box() -> Problem:
    return _on(_layers((4, 10, 8, 1), 8), [-1, -1, 0.3, -1], [1, 1, 0.3, 1])


def _real(model: str, domain: str | Domain) -> Callable[[], Problem]:
    return lambda: real_network(f"onnx/{model}.onnx", domain)


THEOREM_12 = 2 * sum(comb(11, i) for i in range(3))
CONTROLLER = "archcomp/Single_Pendulum_controller_single_pendulum"
CASES: tuple[Hard, ...] = (
    Hard("10 lines through the origin, plane (2^10 patterns are feasible if flat cells count)", lambda: _on(star(10)),
         20, "theorem"),
    Hard("all biases zero: 12 planes through the origin, 3 inputs", _zero_biases, THEOREM_12, "theorem"),
    Hard("12 planes with integer weights through (3, -2, 1)", _twelve_planes, THEOREM_12, "theorem"),
    Hard("two layers, all planes through one vertex, integers, 3-12-8", _one_vertex, None),
    Hard("sawtooth, 10 layers of 2, on [0, 1]", lambda: _on(tent(10), 0, 1), 2**10, "theorem"),
    Hard("parallel: a 10 by 10 grid of lines, plane", _grid, 121, "theorem"),
    Hard("a neuron, its copy, -2 and 3 times it, 3-8-6, [-1, 1]^3", _duplicates, None),
    Hard("dead and constant neurons, 3-8-8, [-1, 1]^3", _dead, None),
    Hard("a slab 1e-13 wide, 3-8-6, [-1, 1]^3", _sliver, None),
    Hard("two neurons one unit in the last place apart, 3-8-6, [-1, 1]^3", _ulps, None),
    Hard("neurons scaled by 1e-12 to 1e12, 3-8-8, everywhere", _scales, None),
    Hard("weights spread over 1e-12 to 1e12, 3-10-8, everywhere", _scales_everywhere, None),
    Hard("a box 1e-6 thin in one of 4 inputs, 4-10-8", _thin_box, None),
    Hard("a flat box, one of 4 inputs fixed, 4-10-8", _flat_box, None),
    Hard("pendulum controller, 2-25-25, [-2, 2]^2", _real(CONTROLLER, Box(-2.0, 2.0)), None),
    Hard("pendulum controller, 2-25-25, whole plane", _real(CONTROLLER, WholeSpace()), None),
    Hard("ACAS Xu 1_1, 5-50x6, a thin box", lambda: real_network(ACAS, Box(ACAS_LO, ACAS_HI)), 70_672, "others"),
    Hard("ACAS Xu 1_1, 5-50x6, property 4 (one input fixed)",
         lambda: real_network(ACAS, "vnnlib:onnx/acasxu/prop_4.vnnlib"), 19_143, "others"),
    Hard("NAV controller, 4-64-32, [-1, 1]^4", _real("archcomp/NAV_nn-nav-point", Box(-1.0, 1.0)), 1_098_996,
         "others"),
)  # fmt: skip
