"""The certificate of removal: a bound in exact arithmetic, tight where it must be, and nothing is proved in vain."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array

from relu_shallow.errors import ModelError
from relu_shallow.modular import removal as module
from relu_shallow.modular.removal import clusterability_bound, removal, removed_weights, spectral_bound
from relu_shallow.modular.removal_box import change_in_box, difference_network
from relu_shallow.network import Affine, Gate, Network, evaluate, from_layers

SLOPES = {"relu": (0.0, 1.0), "leaky": (0.1, 1.0), "abs": (-1.0, 1.0), "odd": (2.0, -0.5), "straight": (0.3, 0.3)}


def pair(rng, widths, slopes=(0.0, 1.0), share=0.3, size=1.0, everywhere=False):
    """A network, and the same after a share of its hidden-to-hidden weights (or of all) was made zero."""
    maps = [Affine(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in pairwise(widths)]
    gates = tuple(Gate(np.full(m, slopes[0]), np.full(m, slopes[1])) for m in widths[1:-1])
    inner = range(len(maps)) if everywhere else range(1, len(maps) - 1)
    gone = [rng.random(layer.W.shape) < share * (i in inner) for i, layer in enumerate(maps)]
    for layer, out in zip(maps, gone, strict=True):
        layer.W[out] *= size
    less = [Affine(np.where(out, 0.0, layer.W), layer.b) for layer, out in zip(maps, gone, strict=True)]
    return Network(tuple(maps), gates), Network(tuple(less), gates)


def of_layers(*layers):
    return from_layers([(np.array(W, dtype=float), np.array(b, dtype=float)) for W, b in layers])


def exactly(network, x):
    """The outputs at a point as rationals."""
    h = [Fraction(float(v)) for v in x]
    for index, layer in enumerate(network.affine):
        W, b = np.asarray(layer.W), layer.b
        z = [sum((Fraction(w) * v for w, v in zip(row.tolist(), h, strict=True)), Fraction(c))
             for row, c in zip(W, b.tolist(), strict=True)]  # fmt: skip
        if index == len(network.gates):
            return z
        on, off = network.gates[index].active.tolist(), network.gates[index].inactive.tolist()
        h = [v * Fraction(on[i] if v > 0 else off[i]) for i, v in enumerate(z)]
    return None


def shortfalls(bounds, before, after, X):
    """How many bounds are below the true change, in exact rationals."""
    return sum(
        abs(p - q) > Fraction(float(bound))
        for x, row in zip(X, bounds, strict=True)
        for p, q, bound in zip(exactly(after, x), exactly(before, x), row, strict=True)
    )


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", SLOPES)
def test_no_exact_change_is_beyond_its_bound(name, plain):
    rng = np.random.default_rng(3)
    for widths, size in (([2, 5, 4, 3], 1.0), ([3, 4, 4, 4, 2], 1e-14), ([2, 4, 3, 1], 1e-3), ([3, 2], 1.0)):
        before, after = pair(rng, widths, SLOPES[name], size=size, everywhere=size != 1e-3)
        X = rng.normal(size=(12, widths[0])) * 10.0 ** rng.integers(-3, 3, (12, 1))
        found = removal(before, after, X, plain=plain)
        assert not shortfalls(found.bound, before, after, X)


def test_a_bound_without_its_rounding_or_its_first_term_is_seen_to_fall_short(monkeypatch):
    rng = np.random.default_rng(0)
    before, after = pair(rng, [3, 4, 4, 4, 2], size=1e-17)
    X = rng.normal(size=(30, 3))
    assert not shortfalls(removal(before, after, X).bound, before, after, X)
    monkeypatch.setattr(module, "_image", lambda E, h, eta: 0.999 * np.abs(h @ E.T))
    assert shortfalls(removal(before, after, X).bound, before, after, X)
    monkeypatch.setattr(module, "_image", lambda E, h, eta: np.abs(h @ E.T))
    monkeypatch.setattr(module, "gamma", lambda _: 0.0)
    assert shortfalls(removal(before, after, X).bound, before, after, X)


def test_values_that_cancelled_before_are_known_only_so_well():
    """h_1 is the small difference of large numbers: its rounding error is far above that of the products after it."""
    rng = np.random.default_rng(6)
    first, last = ([[1e8, -1e8]], [0]), ([[1]], [0])
    before, after = of_layers(first, ([[1]], [0]), last), of_layers(first, ([[0]], [0]), last)
    X = 0.1 + 1e-6 * rng.random((40, 2))
    found = removal(before, after, X)
    assert not shortfalls(found.bound, before, after, X)
    assert shortfalls(np.abs(found.change) * (1 + 1e-13), before, after, X)


def test_a_gate_that_is_taken_to_be_too_far_from_zero_is_seen(monkeypatch):
    rng = np.random.default_rng(5)
    before, after = pair(rng, [3, 6, 6, 6, 2], share=0.5)
    X = rng.normal(size=(40, 3))
    assert not shortfalls(removal(before, after, X).bound, before, after, X)
    own = module._gate_change
    monkeypatch.setattr(module, "_gate_change", lambda gate, z, error, delta, plain: own(
        gate, 2 * z, error, delta, plain))  # fmt: skip
    assert shortfalls(removal(before, after, X).bound, before, after, X)


def test_one_removed_weight_on_an_active_path_changes_what_its_bound_says():
    first, last = (np.eye(2), [1, 1]), ([[3, 1]], [0])
    before = of_layers(first, ([[2, 0.5], [0, 1]], [1, 1]), last)
    after = of_layers(first, ([[2, 0], [0, 1]], [1, 1]), last)
    X = np.array([[1.0, 3.0]])  # h_1 = (2, 4); 0.5 * 4 * 3 = 6
    found = removal(before, after, X)
    assert found.change[0, 0] == 6
    assert 6 <= found.bound[0, 0] < 6 * (1 + 1e-13)


def test_an_inactive_neuron_passes_on_only_what_lifts_it_over_zero():
    """z = -5 is moved by at most 2: nothing comes out; at -1 by 2: at most 1."""
    for bias, most in ((-5.0, 0.0), (-1.0, 1.0)):
        first, last = ([[1]], [0]), ([[1]], [0])
        before = of_layers(first, ([[-2]], [bias + 2]), last)
        after = of_layers(first, ([[0]], [bias + 2]), last)
        found = removal(before, after, np.array([[1.0]]))
        assert most <= found.bound[0, 0] <= most * (1 + 1e-13)
        assert removal(before, after, np.array([[1.0]]), plain=True).bound[0, 0] >= 2


def test_where_nothing_is_removed_the_bound_is_zero_and_all_is_proved():
    before, _ = pair(np.random.default_rng(0), [3, 5, 5, 3])
    found = removal(before, before, np.random.default_rng(1).normal(size=(20, 3)))
    assert not found.bound.any()
    assert found.share_proved == 1
    assert found.share_changed == 0


@pytest.mark.parametrize("outputs", [1, 3])
def test_no_row_that_is_proved_changes_its_class_in_exact_arithmetic(outputs):
    rng = np.random.default_rng(2)
    proved = changed = 0
    for size in (0.02, 0.1, 0.5):
        before, after = pair(rng, [3, 6, 6, outputs], size=size)
        X = rng.normal(size=(60, 3))
        found = removal(before, after, X)
        for x, sure, moved in zip(X, found.proved, found.changed, strict=True):
            one, other = exactly(before, x), exactly(after, x)
            classes = [f[0] > 0 if outputs == 1 else f.index(max(f)) for f in (one, other)]
            assert (classes[0] != classes[1]) == moved
            assert not (sure and moved)
        proved, changed = proved + found.proved.sum(), changed + found.changed.sum()
    assert proved > 40
    assert changed


def test_margins_of_two_classes_are_proved_where_bounds_of_each_are_not_enough():
    """Both outputs read the one neuron that moves with nearly the same weight, so their difference hardly moves."""
    first, last = ([[1]], [0]), ([[5], [5.01]], [0, 1])
    before, after = of_layers(first, ([[1]], [1]), last), of_layers(first, ([[0]], [1]), last)
    found = removal(before, after, np.array([[10.0]]))
    assert found.proved[0]
    assert found.bound.min() > 40


def test_sparse_matrices_have_the_same_certificate():
    rng = np.random.default_rng(4)
    before, after = pair(rng, [3, 6, 6, 3], everywhere=True)
    X = rng.normal(size=(9, 3))

    def sparse(network):
        return replace(network, affine=tuple(Affine(csr_array(a.W), a.b) for a in network.affine))

    dense, other = removal(before, after, X), removal(sparse(before), sparse(after), X)
    assert np.allclose(dense.bound, other.bound, rtol=1e-12)
    assert (dense.proved == other.proved).all()


def test_training_after_the_removal_is_not_taken_for_a_removal():
    before, after = pair(np.random.default_rng(0), [3, 5, 5, 3])
    first, second, *rest = after.affine
    moved = replace(after, affine=(first, Affine(second.W * 1.01, second.b), *rest))
    shifted = replace(after, affine=(Affine(first.W, first.b + 1), second, *rest))
    for other in (moved, shifted):
        with pytest.raises(ModelError, match="weights made zero"):
            removed_weights(before, other)
    with pytest.raises(ModelError, match="layers"):
        removed_weights(before, pair(np.random.default_rng(0), [3, 4, 5, 3])[1])


# --- by clusterability ------------------------------------------------------------------------------------------


def test_the_bound_by_clusterability_holds_and_is_what_the_formula_says():
    rng = np.random.default_rng(7)
    for size in (1.0, 1e-6, 1e-16):
        before, after = pair(rng, [3, 6, 5, 3], size=size)
        X = rng.normal(size=(20, 3))
        bound = clusterability_bound(before, after, X)
        for x, most in zip(X, bound, strict=True):
            square = sum((p - q) ** 2 for p, q in zip(exactly(after, x), exactly(before, x), strict=True))
            assert square <= Fraction(float(most)) ** 2
        W2, W3 = before.affine[1].W, before.affine[2].W
        C = np.square(after.affine[1].W).sum() / np.square(W2).sum()
        h = np.linalg.norm(np.maximum(X @ before.affine[0].W.T + before.affine[0].b, 0), axis=1)
        known = np.linalg.norm(W3, 2) * np.linalg.norm(W2) * np.sqrt(max(1 - C, 0)) * h
        if size == 1.0:
            assert np.allclose(bound, known, rtol=1e-10)


def test_the_bound_by_clusterability_counts_with_the_steeper_slope():
    first, last = ([[1]], [0]), ([[3]], [0])
    gates = (Gate.relu(1), Gate(np.array([-5.0]), np.array([2.0])))
    before = replace(of_layers(first, ([[-4]], [0]), last), gates=gates)
    after = replace(of_layers(first, ([[0]], [0]), last), gates=gates)
    bound = clusterability_bound(before, after, np.array([[1.0]]))
    assert 60 <= bound[0] < 60 * (1 + 1e-12)  # 3 * 5 * 4 * 1
    assert exactly(before, [1.0]) == [60]


def test_a_spectral_norm_is_bounded_from_above_and_closely():
    rng = np.random.default_rng(1)
    for W in (np.diag([3.0, 4.0]), np.ones((3, 5)), np.zeros((2, 3)), np.array([[3.0], [4.0]])):
        exact = {(2, 2): 4.0, (3, 5): np.sqrt(15), (2, 3): 0.0, (2, 1): 5.0}[W.shape]
        assert exact <= spectral_bound(W) <= exact * (1 + 1e-11) + 1e-11
    for _ in range(20):
        W = np.round(rng.normal(size=(4, 3)) * 2**20) / 2**20
        v = np.linalg.svd(W)[2][0]  # any vector gives a lower bound, in exact arithmetic
        v = [Fraction(float(a)) for a in v]
        image = [sum(Fraction(float(w)) * a for w, a in zip(row, v, strict=True)) for row in W]
        assert sum(a * a for a in image) <= Fraction(spectral_bound(W)) ** 2 * sum(a * a for a in v)


def test_the_bound_by_clusterability_is_of_two_hidden_layers():
    before, after = pair(np.random.default_rng(0), [3, 5, 5, 5, 3])
    with pytest.raises(ModelError, match="two hidden layers"):
        clusterability_bound(before, after, np.zeros((1, 3)))


# --- over a box -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SLOPES)
def test_no_change_at_a_point_is_outside_the_bounds_of_its_box(name):
    rng = np.random.default_rng(8)
    for widths, size in (([2, 5, 4, 3], 1.0), ([3, 4, 4, 4, 2], 1e-3), ([2, 4, 3, 1], 1e-15)):
        before, after = pair(rng, widths, SLOPES[name], size=size)
        lo = rng.normal(size=widths[0])
        hi = lo + rng.uniform(0, 1, widths[0])
        least, most = change_in_box(before, after, lo, hi)
        for x in rng.uniform(lo, hi, (15, widths[0])):
            for p, q, a, b in zip(exactly(after, x), exactly(before, x), least, most, strict=True):
                assert Fraction(float(a)) <= p - q <= Fraction(float(b))


def test_the_difference_network_is_the_difference_and_shares_what_is_common():
    rng = np.random.default_rng(9)
    before, after = pair(rng, [3, 4, 5, 4, 2])
    X = rng.normal(size=(50, 3))
    both = difference_network(before, after)
    assert both.widths == (4, 10, 8)
    assert np.allclose(both(X), evaluate(after, X) - evaluate(before, X), atol=1e-12)
    assert difference_network(before, before).widths == before.widths
    assert not difference_network(before, before)(X).any()


def test_the_bounds_of_a_point_are_those_of_a_box_of_one_point():
    before, after = pair(np.random.default_rng(10), [3, 6, 6, 2], size=0.1)
    x = np.random.default_rng(0).normal(size=3)
    least, most = change_in_box(before, after, x, x)
    change = (evaluate(after, x[None]) - evaluate(before, x[None]))[0]
    assert (least <= change).all()
    assert (change <= most).all()
    assert (most - least).max() < 1e-10


def test_nothing_removed_changes_nothing_over_a_box():
    before, _ = pair(np.random.default_rng(11), [3, 6, 6, 2])
    least, most = change_in_box(before, before, -np.ones(3), np.ones(3))
    assert not least.any()
    assert not most.any()


def test_a_gate_that_turns_back_at_zero_is_bounded_there_too():
    """h = (|x|, 1), and 1 - |x| is removed: the most that changes is 1, at x = 0, between the ends of the box."""
    maps = [([[1], [0]], [0, 1]), ([[-1, 1]], [2]), ([[1]], [0])]
    gates = (Gate(-np.ones(2), np.ones(2)), Gate(-np.ones(1), np.ones(1)))
    before = replace(of_layers(*maps), gates=gates)
    after = replace(of_layers(maps[0], ([[0, 0]], [2]), maps[2]), gates=gates)
    least, most = change_in_box(before, after, -np.ones(1), np.ones(1))
    assert least[0] <= -1
    assert most[0] >= 0
