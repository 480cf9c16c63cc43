"""Weights from 1e-310 to 1e100, whose products underflow: what is called proved holds in exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from relu_shallow import Box, convert
from relu_shallow.network import from_layers
from relu_shallow.questions.extremes import extremes
from relu_shallow.questions.interactions import interactions
from relu_shallow.questions.monotone import monotone


def value(layers, x):
    """The output in fractions."""
    h = [Fraction(float(v)) for v in x]
    for depth, (W, b) in enumerate(layers):
        h = [sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(c)))
             for row, c in zip(W, b, strict=True)]  # fmt: skip
        h = h if depth == len(layers) - 1 else [max(v, Fraction(0)) for v in h]
    return h[0]


def tiny_layers(seed, scales, mixed):
    rng = np.random.default_rng(seed)

    def entries(*shape, power):
        plain = rng.normal(size=shape) * 10.0**power
        return plain * 10.0 ** rng.choice([0, 0, -150, -310], size=shape) if mixed else plain

    first, second, last = scales
    return [(entries(4, 2, power=first), entries(4, power=first)),
            (entries(3, 4, power=second), entries(3, power=max(first + second, -310))),
            (entries(1, 3, power=last), np.zeros(1))]  # fmt: skip


@pytest.mark.parametrize("kind", ["network", "regions"])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("scales", [(-200, -200, 0), (-160, -160, 100), (30, -300, -100), (-300, 100, -300)], ids=str)
def test_no_proof_rests_on_a_product_that_underflowed(scales, mixed, kind):
    for seed in range(1):
        layers = tiny_layers(seed, scales, mixed)
        network = from_layers(layers)
        source = network if kind == "network" else convert(network, domain=Box(-1.0, 1.0))
        rises = monotone(source, domain=Box(-1.0, 1.0) if kind == "network" else None, time_limit=0.2)
        ends = extremes(source, domain=Box(-1.0, 1.0), time_limit=0.2)
        never = interactions(source, domain=Box(-1.0, 1.0) if kind == "network" else None).status[0, 1] == "never"
        assert value(layers, ends.maximum.point) >= Fraction(ends.maximum.value)
        assert value(layers, ends.minimum.point) <= Fraction(ends.minimum.value)
        rng = np.random.default_rng(seed)
        for x, y in zip(rng.uniform(-1, 1, (12, 2)), rng.uniform(-1, 1, (12, 2)), strict=True):
            at = [value(layers, p) for p in (x, (y[0], x[1]), (x[0], y[1]), y)]
            assert Fraction(ends.minimum.bound) <= at[0] <= Fraction(ends.maximum.bound)
            assert not never or at[0] - at[1] - at[2] + at[3] == 0
            for j in range(2):
                change = (at[1 + j] - at[0]) * (1 if y[j] > x[j] else -1)
                assert not (rises.status[0, 0, j] == "proved" and change < 0)
                assert not (rises.status[1, 0, j] == "proved" and change > 0)
