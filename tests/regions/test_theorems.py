"""Theorems about linear regions, held against the search: counts that are known, and laws between two searches."""

from fractions import Fraction
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hard import star, tent
from networks import general_position
from rational import regions

from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import DomainError
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions

EVERYWHERE = WholeSpace()
BOX = Box(-1.0, 1.0)
both = pytest.mark.parametrize("domain", [BOX, EVERYWHERE], ids=["box", "whole space"])
seeds = pytest.mark.parametrize("seed", range(2))


def whole_weights(widths, seed, most=9):
    """Layers of integers: every product and sum below is exact in floats."""
    r = np.random.default_rng(seed)
    return [(r.integers(-most, most + 1, (o, i)).astype(float), r.integers(-most, most + 1, o).astype(float))
            for i, o in pairwise(widths)]  # fmt: skip


def normal_weights(widths, seed):
    r = np.random.default_rng(seed)
    return [(r.normal(size=(o, i)), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]


def patterns(layers, domain):
    """The activation patterns found, as tuples."""
    found = enumerate_regions(from_layers(layers), domain)
    assert found.complete
    listed = list(map(tuple, found.patterns.astype(int).tolist()))
    assert len(set(listed)) == len(listed)
    return set(listed)


def cut(domain, inputs, row, constant):
    """The part of a domain where row . x <= constant."""
    A, b = rows_of(domain, inputs)
    return Polytope(np.concatenate([A, [row]]), np.append(b, constant))


def rows_of(domain, inputs):
    """A domain as A x <= b."""
    if isinstance(domain, Polytope):
        return domain.A, domain.b
    if isinstance(domain, WholeSpace):
        return np.zeros((0, inputs)), np.zeros(0)
    ones = np.ones(inputs)
    return np.concatenate([np.eye(inputs), -np.eye(inputs)]), np.concatenate([domain.hi * ones, -domain.lo * ones])


# --- counts ---


@pytest.mark.parametrize(("inputs", "neurons"), [(1, 20), (2, 25), (3, 14), (4, 11), (5, 9), (6, 6), (7, 5)])
def test_one_layer_in_general_position_has_zaslavskys_count(inputs, neurons):
    """Zaslavsky (1975): sum of C(N, i), i <= n; with no more hyperplanes than dimensions, all 2^N."""
    found = patterns(normal_weights((inputs, neurons, 1), inputs), EVERYWHERE)
    assert len(found) == general_position(neurons, inputs)
    if neurons <= inputs:
        assert len(found) == 2**neurons


@pytest.mark.parametrize("domain", [BOX, Box(-1e-9, 1e6), EVERYWHERE], ids=["box", "lopsided box", "whole space"])
@pytest.mark.parametrize(("inputs", "neurons"), [(1, 7), (2, 10), (3, 8), (4, 6), (5, 6)])
def test_hyperplanes_through_the_origin_have_the_count_of_a_central_arrangement(inputs, neurons, domain):
    """Schlaefli (1901), Cover (1965): 2 sum of C(N - 1, i), i < n. The origin is inside each of the domains."""
    layers = [(W, 0 * b) for W, b in normal_weights((inputs, neurons, 1), neurons)]
    assert len(patterns(layers, domain)) == 2 * sum(comb(neurons - 1, i) for i in range(inputs))


@both
@pytest.mark.parametrize("widths", [(2, 6, 6, 1), (3, 3, 3, 3, 1)])
def test_without_biases_every_region_is_a_cone(widths, domain):
    """Positive homogeneity: the cones that meet a box around the origin are all of them, and none holds a ball."""
    layers = [(W, 0 * b) for W, b in normal_weights(widths, 1)]
    assert patterns(layers, domain) == patterns(layers, Box(-1e-6, 1e-6))
    assert np.isinf(enumerate_regions(from_layers(layers), EVERYWHERE).radii).all()


@pytest.mark.parametrize("lines", [1, 2, 7, 10])
def test_lines_through_one_point_have_two_cones_each(lines):
    assert len(patterns(star(lines), BOX)) == len(patterns(star(lines), EVERYWHERE)) == 2 * lines


@pytest.mark.parametrize("levels", range(1, 10))
def test_a_sawtooth_has_2_to_the_depth_teeth(levels):
    """Telgarsky (2016): on [0, 1] the composed tent map has 2^L pieces; each tail is one more, from two layers on."""
    assert len(patterns(tent(levels), Box(0.0, 1.0))) == 2**levels
    if levels <= 6:
        assert len(patterns(tent(levels), EVERYWHERE)) == 2**levels + (2 if levels > 1 else 1)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_sawtooth_in_each_coordinate_has_the_product_of_their_teeth(levels):
    """Montufar et al. (2014): independent foldings multiply."""
    two = [(np.kron(np.eye(2), W), np.tile(b, 2)) for W, b in tent(levels)]
    assert len(patterns(two, Box(0.0, 1.0))) == 4**levels


@both
@pytest.mark.parametrize("widths", [(2, 5, 5, 1), (3, 4, 4, 4, 1), (1, 6, 6, 1), (4, 3, 5, 1)])
def test_no_network_has_more_regions_than_the_bound(widths, domain):
    """Montufar (2017): the product over layers of sum C(N_l, i), i <= the smallest width up to there."""
    n, *hidden, _ = widths
    bound, narrowest = 1, n
    for width in hidden:
        narrowest = min(narrowest, width)
        bound *= sum(comb(width, i) for i in range(narrowest + 1))
    assert 1 < len(patterns(normal_weights(widths, 0), domain)) <= bound


# --- the same network in other words ---


@both
@seeds
def test_permuted_neurons_have_permuted_patterns(seed, domain):
    """Adding up in another order is exact here, so the two networks are one function."""
    layers, r = whole_weights((3, 6, 5, 1), seed), np.random.default_rng(seed)
    first, second = r.permutation(6), r.permutation(5)
    (W1, b1), (W2, b2), (W3, b3) = layers
    permuted = [(W1[first], b1[first]), (W2[np.ix_(second, first)], b2[second]), (W3[:, second], b3)]
    order = np.concatenate([first, 6 + second])
    assert patterns(permuted, domain) == {tuple(bits[i] for i in order) for bits in patterns(layers, domain)}


@both
@seeds
def test_positively_scaled_neurons_have_the_same_patterns(seed, domain):
    """Any positive factor for a neuron, its inverse in the next layer; powers of two leave the floats exact."""
    layers, r = normal_weights((3, 6, 5, 1), seed), np.random.default_rng(seed)
    scales = [2.0 ** r.integers(-40, 41, width) for width in (6, 5)]
    scaled, above = [], np.ones(3)
    for (W, b), scale in zip(layers, [*scales, np.ones(1)], strict=True):
        scaled.append((W * scale[:, None] / above, b * scale))
        above = scale
    assert patterns(scaled, domain) == patterns(layers, domain)


@both
@seeds
def test_a_layer_scaled_as_a_whole_has_the_same_patterns(seed, domain):
    """By 3, 5, 7, ..: integers stay integers, and the next layer's biases take the factor instead of its weights."""
    layers, factor, scaled = whole_weights((2, 5, 4, 3, 1), seed), 1.0, []
    for (W, b), own in zip(layers, (3.0, 5.0, 7.0, 11.0), strict=True):
        factor *= own
        scaled.append((W * own, b * factor))
    assert patterns(scaled, domain) == patterns(layers, domain)


@seeds
def test_an_affine_change_of_the_whole_spaces_inputs_keeps_the_patterns(seed):
    """x = M y + v with an integer M of determinant 1, 2^k or -1, and an integer v, on integer weights."""
    (W, b), *rest = layers = whole_weights((3, 6, 5, 1), seed)
    r = np.random.default_rng(seed)
    shear = np.tril(r.integers(-3, 4, (3, 3)), -1) + np.eye(3)
    M = shear @ np.triu(r.integers(-3, 4, (3, 3)), 1) + shear  # shear @ (I + upper)
    M = M[r.permutation(3)] * 2.0 ** r.integers(-20, 21, 3)
    v = r.integers(-50, 51, 3).astype(float)
    assert patterns([(W @ M, b + W @ v), *rest], EVERYWHERE) == patterns(layers, EVERYWHERE)


@seeds
def test_an_affine_change_that_maps_a_box_to_a_box_keeps_its_patterns(seed):
    """A permutation, a reflection, a power of two and a shift of each input."""
    (W, b), *rest = layers = whole_weights((3, 6, 5, 1), seed)
    r = np.random.default_rng(seed)
    order, scale = r.permutation(3), 2.0 ** r.integers(-20, 21, 3) * r.choice([-1, 1], 3)
    v, lo, hi = r.integers(-50, 51, 3).astype(float), np.array([-1.0, -2.0, 0.0]), np.array([1.0, 0.5, 3.0])
    # x_order = scale y + v
    M = np.zeros((3, 3))
    M[order, np.arange(3)] = scale
    ends = np.sort([(lo[order] - v[order]) / scale, (hi[order] - v[order]) / scale], axis=0)
    assert (M @ ((lo[order] - v[order]) / scale) + v == lo).all()  # nothing was rounded
    assert patterns([(W @ M, b + W @ v), *rest], Box(*ends)) == patterns(layers, Box(lo, hi))


@both
@seeds
def test_an_affine_change_of_a_polytope_keeps_its_patterns(seed, domain):
    (W, b), *rest = layers = whole_weights((2, 5, 5, 1), seed)
    A, c = rows_of(cut(domain, 2, [1.0, 2.0], 1.0), 2)
    M, v = np.array([[1.0, 3.0], [2.0, 7.0]]), np.array([4.0, -3.0])
    assert patterns([(W @ M, b + W @ v), *rest], Polytope(A @ M, c - A @ v)) == patterns(layers, Polytope(A, c))


@both
@seeds
def test_an_input_that_nothing_looks_at_changes_nothing(seed, domain):
    (W, b), *rest = layers = normal_weights((2, 5, 4, 1), seed)
    wider = [(np.column_stack([W[:, :1], np.zeros(5), W[:, 1:]]), b), *rest]
    assert patterns(wider, domain) == patterns(layers, domain)


@both
@seeds
def test_a_layer_that_passes_its_inputs_on_repeats_their_bits(seed, domain):
    """relu(relu(z)) = relu(z): the copies are active exactly where the originals are."""
    first, second, out = normal_weights((2, 5, 4, 1), seed)
    doubled = [first, (np.eye(5), np.zeros(5)), second, out]
    assert patterns(doubled, domain) == {bits[:5] + bits[:5] + bits[5:] for bits in patterns([first, second, out],
                                                                                             domain)}  # fmt: skip


# --- parts and wholes ---


@both
@pytest.mark.parametrize(("at", "seed"), [(1, 0), (2, 2)])
def test_the_regions_of_a_network_are_those_of_its_second_part_on_each_region_of_its_first(seed, at, domain):
    """Split at any layer: on a region of the first part its output is affine, and the rest is searched on it."""
    layers = whole_weights((2, 5, 4, 3, 1), seed, most=4)
    width = layers[at - 1][0].shape[0]
    first = [*layers[:at], (np.eye(width), np.zeros(width))]
    joined = set()
    for bits in patterns(first, domain):
        polytope, (G, g) = region_of(layers[:at], bits, domain)
        W, b = layers[at]
        second = [(W @ G, W @ g + b), *layers[at + 1 :]]
        joined |= {bits + more for more in patterns(second, polytope)}
    assert joined == patterns(layers, domain)


def region_of(layers, bits, domain):
    """The polytope of a pattern, and the affine map on it that the layers are; integers throughout."""
    inputs = layers[0][0].shape[1]
    A, c = rows_of(domain, inputs)
    G, g, start = np.eye(inputs), np.zeros(inputs), 0
    for W, b in layers:
        G, g = W @ G, W @ g + b
        on = np.array(bits[start : start + len(b)], dtype=bool)
        sign = np.where(on, -1.0, 1.0)
        A, c = np.concatenate([A, sign[:, None] * G]), np.concatenate([c, -sign * g])
        G, g, start = G * on[:, None], g * on, start + len(b)
    told = (A != 0).any(axis=1)
    return Polytope(A[told], c[told]) if told.any() else domain, (G, g)


@both
@seeds
def test_a_network_without_its_last_neuron_has_the_patterns_without_their_last_bit(seed, domain):
    """Each neuron of the last layer only cuts; without it the cells it cut grow together."""
    *first, (W, b), (out, c) = layers = normal_weights((2, 5, 5, 1), seed)
    smaller = [*first, (W[:-1], b[:-1]), (out[:, :-1], c)]
    assert patterns(smaller, domain) == {bits[:-1] for bits in patterns(layers, domain)}


@seeds
def test_a_smaller_domain_has_some_of_the_patterns(seed):
    layers = normal_weights((3, 7, 6, 1), seed)
    chain = [cut(Box(-0.5, 0.25), 3, [1.0, 1.0, -1.0], 0.1), Box(-0.5, 0.25), BOX, Box(-30.0, 1.0), EVERYWHERE]
    found = [patterns(layers, domain) for domain in chain]
    assert all(small <= large for small, large in pairwise(found))
    assert len(found[0]) < len(found[-1])


@both
@seeds
def test_the_two_halves_of_a_cut_domain_have_all_its_patterns(seed, domain):
    """The cells a hyperplane passes through are in both halves: their number is that of the cut itself."""
    layers = normal_weights((2, 6, 5, 1), seed)
    row, constant = np.array([2.0, -1.0]), 0.125
    below, above = (patterns(layers, cut(domain, 2, sign * row, sign * constant)) for sign in (1.0, -1.0))
    everything = patterns(layers, domain)
    assert below | above == everything
    # on the line x2 = 2 x1 - 1/8 the network has one input, x1; no hyperplane of it is this line
    W, b = layers[0]
    line = [(W @ np.array([[1.0], [2.0]]), b + W @ np.array([0.0, -constant])), *layers[1:]]
    ends = Box(-0.4375, 0.5625) if domain is BOX else EVERYWHERE
    assert len(below) + len(above) == len(everything) + len(patterns(line, ends))


@seeds
def test_boxes_that_tile_a_box_have_its_patterns_together(seed):
    layers = normal_weights((3, 6, 6, 1), seed)
    ends = np.array([-1.0, -0.3, 1.0])
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3)
    parts = [patterns(layers, Box(ends[corner], ends[corner + 1])) for corner in corners]
    assert set().union(*parts) == patterns(layers, BOX)


@seeds
def test_networks_side_by_side_on_inputs_of_their_own_have_all_pairs_of_patterns(seed):
    """Block-diagonal layers on separate inputs: a region of the whole is a product of regions."""
    one, two = normal_weights((1, 4, 3, 1), seed), normal_weights((2, 3, 3, 1), seed + 10)
    side = [(np.block([[U, np.zeros((len(U), V.shape[1]))], [np.zeros((len(V), U.shape[1])), V]]), np.append(u, v))
            for (U, u), (V, v) in zip(one, two, strict=True)]  # fmt: skip
    pairs = {(*p[:4], *q[:3], *p[4:], *q[3:]) for p in patterns(one, BOX) for q in patterns(two, BOX)}
    assert patterns(side, BOX) == pairs


# --- what the laws are held against ---


def test_a_point_of_a_domain_too_small_for_a_law_is_refused():
    with pytest.raises(DomainError, match="interior"):
        patterns(normal_weights((2, 3, 1), 0), cut(cut(BOX, 2, [1.0, 1.0], 0.0), 2, [-1.0, -1.0], 0.0))


def test_the_reference_knows_the_same_theorems():
    layers = [(W, 0 * b) for W, b in normal_weights((3, 9, 1), 9)]
    assert len(regions(layers)) == 2 * (1 + 8 + 28)
    assert len(regions(normal_weights((3, 9, 1), 0))) == general_position(9, 3)
    assert len(regions(tent(8), [(0, 1)])) == 256
    assert all(Fraction(float(v)).denominator == 1 for v in whole_weights((2, 2), 0)[0][1])
