"""Tiny networks with answers worked out by hand, and the small cases of the data folder with their known counts.

A drawing shows the input space: one line is an input axis, letters or numbers are regions, `|`, `-`, `/` their borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import comb

import numpy as np
from conftest import data_path
from hard import star, tent

from relu_shallow.network import Affine, Gate, Network, from_layers


@dataclass(frozen=True, eq=False)
class NamedNetwork:
    """A network, a box (lo, hi), and its numbers of regions in the box and everywhere (None where not known)."""

    network: Network
    box: tuple[np.ndarray, np.ndarray]
    regions_in_box: int
    regions_everywhere: int | None


def _named(layers, lo, hi, in_box, everywhere):
    network = layers if isinstance(layers, Network) else from_layers([(np.array(W), np.array(b)) for W, b in layers])
    box = np.full(network.inputs, float(lo)), np.full(network.inputs, float(hi))
    return NamedNetwork(network, box, in_box, everywhere)


def _two_slopes():
    """relu(|x| - 1) with |x| as one gate of slopes -1 and 1."""
    gates = (Gate(np.array([-1.0]), np.array([1.0])), Gate.relu(1))
    maps = [Affine(np.eye(1), np.zeros(1)), Affine(np.eye(1), -np.ones(1)), Affine(np.eye(1), np.zeros(1))]
    return Network(tuple(maps), gates)


def _pass_through():
    """x and x - 1/2 passed on by gates that do not switch, beside relu(x): two regions, the sign of x."""
    gate = Gate(np.array([1.0, 0.0, -2.0]), np.array([1.0, 1.0, -2.0]))
    first = Affine(np.ones((3, 1)), np.array([0.0, 0.0, -0.5]))
    return Network((first, Affine(np.array([[1.0, 2.0, 3.0]]), np.zeros(1))), (gate,))


NAMED: dict[str, NamedNetwork] = {
    # no hidden layer: the plane is one region
    "linear": _named([([[2.0, -1.0]], [3.0])], -1, 1, 1, 1),
    #     relu(x)
    #    0     1
    # -------|-------
    #        0
    "one_relu": _named([([[1.0]], [0.0]), ([[1.0]], [0.0])], -1, 1, 2, 2),
    #  |x| = relu(x) + relu(-x)
    #   01    10            00 holds only the point 0, 11 nothing
    # -------|-------
    "abs": _named([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])], -1, 1, 2, 2),
    #  relu(x - 5): the box ends long before the border
    #   0          |  1
    # -[---]-------|-----
    #  -1  1       5
    "beyond_the_box": _named([([[1.0]], [-5.0]), ([[1.0]], [0.0])], -1, 1, 1, 2),
    #  relu(relu(x) - 1)
    #   00 | 10 | 11
    # -----|----|-----
    #      0    1
    "stairs": _named([([[1.0]], [0.0]), ([[1.0]], [-1.0]), ([[1.0]], [0.0])], -2, 2, 3, 3),
    #  /\/\/\/\  on [0, 1]: 8 pieces, and one more on each side of it, where layers 2 and 3 hold rows that are
    #  identically zero (left) or negative (right)
    "sawtooth": _named(tent(3), 0, 1, 8, 10),
    #  xor of two bits: parallel lines x + y = 0 and x + y = 1
    #  \  \10
    #   \10\ \      00 \ 10 \ 11
    "xor": _named([([[1.0, 1.0], [1.0, 1.0]], [0.0, -1.0]), ([[1.0, -2.0]], [0.0])], -1, 2, 3, 3),
    #   01 | 11
    #  ----|----
    #   00 | 10
    "crossing_lines": _named([(np.eye(2), [0.0, 0.0]), ([[1.0, 1.0]], [0.0])], -1, 1, 4, 4),
    #  three lines round a triangle: 1 + 3 + 3 = 7 of the 8 sign patterns
    #  \ |
    #   \|
    #    |\         x = 0, y = 0, x + y = 1
    #  --|-\--
    #    |  \
    "triangle": _named(
        [([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.0, -1.0]), ([[1.0, 2.0, 3.0]], [0.5])], -1, 2, 7, 7
    ),
    #  relu(relu(x) + relu(y) - 1): the quadrants, and a line that bends at each axis
    #  ____        |
    #      \       |    left of x = 0 the line is y = 1, under y = 0 it is x = 1; the quadrant x, y < 0 has none
    #       \      |
    #        |     |    in [-1, 1]^2 only the slanted part is inside, in [-2, 2]^2 three quadrants are cut
    "bent_line": _named([(np.eye(2), [0.0, 0.0]), ([[1.0, 1.0]], [-1.0]), ([[1.0], [-1.0]], [0.0, 2.0])], -2, 2, 7, 7),
    "bent_line_corner": _named([(np.eye(2), [0.0, 0.0]), ([[1.0, 1.0]], [-1.0]), ([[1.0]], [0.0])], -1, 1, 5, 7),
    #  a neuron that is always off (-1), one that is identically zero, one that is always on (2)
    "constants": _named([([[0.0], [0.0], [0.0]], [-1.0, 0.0, 2.0]), ([[1.0, 1.0, 1.0]], [0.0])], -1, 1, 1, 1),
    #  x, x again, and -2x: 001 | 110
    "duplicated": _named([([[1.0], [1.0], [-2.0]], [0.0] * 3), ([[1.0, 1.0, 1.0]], [0.0])], -1, 1, 2, 2),
    #  \|/
    #  -*-      ten lines through one point, 20 cones; a closed test would pass all 1,024 patterns there
    #  /|\
    "cones": _named(star(10), -1, 1, 20, 20),
    #  a whole second layer that dies and lives again: relu(x), relu(-x) -> relu(a - 1), relu(b - 1)
    #   01 01 | 01 00 | 10 00 | 10 10
    #  -------|-------|-------|-------
    #        -1       0       1
    "two_arms": _named(
        [([[1.0], [-1.0]], [0.0, 0.0]), (np.eye(2), [-1.0, -1.0]), ([[1.0, -1.0], [2.0, 0.5]], [0.0, 1.0])], -2, 2, 4, 4
    ),
    #  relu(|x| - 1), |x| being one gate:  01 | 00 | 10 | 11
    "pass_through": _named(_pass_through(), -1, 1, 2, 2),
    "two_slopes": _named(_two_slopes(), -2, 2, 4, 4),
}


def general_position(neurons, inputs):
    """Zaslavsky (1975): the regions of N hyperplanes in general position in R^n."""
    return sum(comb(neurons, i) for i in range(inputs + 1))


# From cases/README.md of the data folder: regions in [-1, 1]^n, everywhere
CASES: dict[str, tuple[int, int | None]] = {
    "g_zero_dead": (37, None),
    "g_zero_on": (21, None),
    "g_zero_zero": (37, None),
    "g_dup": (28, 89),
    "g_negdup": (28, 92),
    "g_nobias": (28, 28),
    "g_rounded": (11, 39),
    "g_scaled": (33, None),
    "g_thin": (32, None),
    "g_all_dead": (1, None),
    "p_d2_6x6": (26, None),
    "p_d4_6x6": (85, None),
    "z_d2_12": (23, general_position(12, 2)),
    "z_d2_40": (311, general_position(40, 2)),
    "z_d3_12": (91, general_position(12, 3)),
    "z_d3_30": (1188, general_position(30, 3)),
    "z_d4_14": (370, general_position(14, 4)),
    "z_d5_16": (3019, general_position(16, 5)),
    "z_d6_14": (3247, general_position(14, 6)),
}
SMALL_CASES = [name for name, (count, _) in CASES.items() if count <= 100]


def case(name: str) -> NamedNetwork:
    """One case of the data folder."""
    with np.load(data_path(f"cases/{name}.npz")) as stored:
        layers = [(stored[f"W{i}"], stored[f"b{i}"]) for i in range(len(stored.files)) if f"W{i}" in stored.files]
        box = stored["box_lo"], stored["box_hi"]
    return NamedNetwork(from_layers(layers), box, *CASES[name])


GATES = {"relu": (0.0, 1.0), "leaky": (0.1, 1.0), "abs": (-1.0, 1.0), "linear": (1.0, 1.0)}


def planted(seed, modules=3, widths=(3, 2), inputs=3, outputs=2, gates=("relu",), own_inputs=False):
    """A network of so many modules, its neurons shuffled in each layer, and the module of each neuron."""
    rng = np.random.default_rng(seed)
    label = [np.repeat(np.arange(modules), width) for width in widths]
    order = [rng.permutation(len(part)) for part in label]
    label = [part[place] for part, place in zip(label, order, strict=True)]
    first = rng.normal(size=(len(label[0]), inputs))
    if own_inputs:
        first *= label[0][:, None] == np.arange(inputs) % modules
    affine, slopes = [Affine(first, rng.normal(size=len(first)))], []
    for below, above in pairwise(label):
        W = rng.normal(size=(len(above), len(below))) * (above[:, None] == below)
        affine.append(Affine(W, rng.normal(size=len(above))))
    affine.append(Affine(rng.normal(size=(outputs, len(label[-1]))), rng.normal(size=outputs)))
    for part in label:
        kinds = np.array([GATES[kind] for kind in rng.choice(gates, len(part))])
        slopes.append(Gate(kinds[:, 0], kinds[:, 1]))
    return Network(tuple(affine), tuple(slopes)), np.concatenate(label)
