"""Numbers near the end of float64: what underflow takes decides no facet and proves no region away."""

from dataclasses import replace
from fractions import Fraction

import hard
import numpy as np
import pytest
import rational

from relu_shallow.checks.closure import check_closure
from relu_shallow.checks.facets import doubt_of
from relu_shallow.domain import Box, fit
from relu_shallow.network import from_layers
from relu_shallow.precision import SAFE_EXPONENT, TINY, gamma
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import build_table

ROUNDING = gamma(50)


def magnitudes(r, count, most):
    """Numbers of up to a size, the smallest floats and zero among them."""
    sizes = np.exp2(r.uniform(-1074, most, size=count)) * r.choice([-1.0, 1.0], size=count)
    sizes[r.random(count) < 0.1] = 0.0
    return sizes


def test_the_doubt_of_a_quotient_covers_every_quotient_that_it_may_be():
    """Compared in exact fractions at the corners of what numerator and denominator may be."""
    r, count, tried = np.random.default_rng(0), 2000, 0
    for near, most in [(False, SAFE_EXPONENT), (True, SAFE_EXPONENT), (True, -1000.0)]:
        row, value, row_error, value_error = (magnitudes(r, count, most) for _ in range(4))
        row_error, value_error = (np.where(e == 0.0, 0.0, np.abs(e) + TINY) for e in (row_error, value_error))
        if near:  # the denominator just above its own error
            value = value_error * (1.0 + np.exp2(r.uniform(-40, 1, size=count)))
        for g, eg, z, ez in zip(row, row_error, value, value_error, strict=True):
            if abs(z) <= ez or abs(Fraction(g) / Fraction(z)) > Fraction(2.0**SAFE_EXPONENT):
                continue
            quotient = g / z
            doubt = doubt_of(quotient, eg, z, ez, ROUNDING)
            tried += 1
            if doubt < np.inf:
                for a in (-1, 1):
                    for b in (-1, 1):
                        exact = (Fraction(g) + a * Fraction(eg)) / (Fraction(z) + b * Fraction(ez))
                        assert abs(exact - Fraction(quotient)) <= Fraction(doubt), (g, eg, z, ez)
    assert tried > 1000


def vanishing(seed):
    """A network whose pre-activations shrink from layer to layer, into the smallest floats and below them."""
    r = np.random.default_rng(seed)
    layers, size = [], 0
    for W, b in hard.layers("plain", seed, 7, 2):
        step = int(r.choice([0, 300, 540, 700]))
        size -= step
        layers.append((np.ldexp(W, -step), np.ldexp(b, size)))  # the biases are zero where no float is as small
    return layers


@pytest.mark.parametrize("seed", range(30))
def test_weights_whose_products_underflow_lose_no_region_and_prove_none_away(seed):
    layers = vanishing(seed)
    box = Box(-1.0, 1.0)
    partition = enumerate_regions(from_layers(layers), box)
    known = rational.regions(layers, [(-1.0, 1.0)] * layers[0][0].shape[1])
    assert {tuple(map(int, row)) for row in partition.patterns} == known
    assert partition.level == "certified"
    everything = np.ones(partition.regions, dtype=bool)
    for gone in (None, *range(min(partition.regions, 6))):
        keep = everything.copy()
        if gone is not None:
            keep[gone] = False
        if not keep.any():
            continue
        number = np.cumsum(keep) - 1
        exact = {int(number[region]): point for region, point in partition.exact_witnesses.items() if keep[region]}
        part = replace(partition, bits=partition.bits[keep], witnesses=partition.witnesses[keep],
                       radii=partition.radii[keep], exact_witnesses=exact)  # fmt: skip
        table = build_table(part)
        found = check_closure(table, fit(box, table.network.inputs), np.arange(table.regions))
        assert not found.false
        assert bool(found.missing) == (gone is not None)
