"""Laws of the compiled search."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from conftest import data_path
from hard import layers
from networks import NAMED, case
from rational import regions

from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import DomainError
from relu_shallow.network import activation_patterns, from_layers
from relu_shallow.regions.search import enumerate_regions


def random_network(widths, seed=0):
    r = np.random.default_rng(seed)
    return from_layers(
        [(r.normal(size=(o, i)) / np.sqrt(i), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]
    )


def listed(partition):
    return set(map(tuple, partition.patterns.astype(int).tolist()))


@pytest.mark.parametrize("kind", ["plain", "zero biases", "integers", "an ulp apart"])
@pytest.mark.parametrize("seed", range(5))
def test_polytopes_agree_with_exact_rationals_pattern_for_pattern(kind, seed):
    pairs, r = layers(kind, seed), np.random.default_rng(seed)
    n = pairs[0][0].shape[1]
    A = np.concatenate([r.normal(size=(2, n)), np.round(r.normal(size=(1, n)) * 2) / 2 + np.eye(1, n)])
    pairs[0][0][0], pairs[0][1][0] = A[0] / 3, -0.1  # a neuron parallel to a face
    c = np.array([0.3 + 10.0 ** -float(r.integers(1, 17)), 1.0, 0.5])
    if seed % 2:  # bounded, and far from the origin
        A, c = np.concatenate([A, np.eye(n), -np.eye(n)]), np.concatenate([c, np.full(n, 1e3), np.full(n, -999.0)])
        c[:3] += A[:3].sum(axis=1) * 999.5
        pairs[0][1][:] -= pairs[0][0].sum(axis=1) * 999.5
    expected = regions(pairs, half_spaces=np.column_stack([A, c]))
    if expected:
        assert listed(enumerate_regions(from_layers(pairs), Polytope(A, c))) == expected
    else:
        with pytest.raises(DomainError, match="interior"):
            enumerate_regions(from_layers(pairs), Polytope(A, c))


@pytest.mark.parametrize(("off", "gap"), [(1e3, 1e-13), (1e3, 3e-15), (1e6, 1e-10), (1e9, 0.0)])
def test_a_polytope_far_away_keeps_its_thin_corner(off, gap):
    """x1 >= -1, off <= x2 <= off + 1, x1 + x2 <= off, and relu(x1 + gap): constants that cancel."""
    A, c = [[-1.0, 0.0], [0.0, -1.0], [0.0, 1.0], [1.0, 1.0]], [1.0, -off, off + 1, off]
    pairs = [(np.array([[1.0, 0.0]]), np.array([gap])), (np.eye(1), np.zeros(1))]
    expected = regions(pairs, half_spaces=np.column_stack([A, c]))
    assert listed(enumerate_regions(from_layers(pairs), Polytope(A, c))) == expected


def test_a_limit_on_the_whole_space_counts_each_region_once():
    network = random_network((3, 12, 1))
    assert enumerate_regions(network, WholeSpace(), max_regions=300).complete
    part = enumerate_regions(network, WholeSpace(), max_regions=298)
    assert (part.regions, part.complete) == (298, False)


def test_a_single_point_is_decided_exactly():
    x = np.array([0.1, 0.2, 0.3])
    W = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [3.0, 0.0, -1.0]])
    b = -(W @ x)  # rounded: the exact signs are those of the rounding error
    network = from_layers([(W, b), (np.ones((1, 3)), np.zeros(1))])
    exact = [sum(Fraction(w) * Fraction(v) for w, v in zip(row, x, strict=True)) + Fraction(c) > 0
             for row, c in zip(W, b, strict=True)]  # fmt: skip
    assert enumerate_regions(network, Box(x, x)).patterns[0].tolist() == exact


@pytest.mark.parametrize("seed", range(4))
def test_every_witness_has_its_regions_pattern_and_lies_inside_by_its_radius(seed):
    network = random_network((3, 8, 8, 1), seed)
    for domain in (Box(-1.0, 1.0), Box([-1, -1e-3, 0], [1, 1e-3, 5.0]), WholeSpace()):
        found = enumerate_regions(network, domain)
        assert (activation_patterns(network, found.witnesses) == found.patterns).all()
        assert (found.radii > 0).all()
        step = np.random.default_rng(seed).normal(size=found.witnesses.shape)
        step *= (np.minimum(found.radii, 1e6) * 0.99 / np.linalg.norm(step, axis=1))[:, None]
        if isinstance(domain, Box):
            assert (activation_patterns(network, found.witnesses + step) == found.patterns).all()


def test_patterns_are_sorted_and_each_stands_once():
    found = enumerate_regions(random_network((4, 10, 10, 1)), WholeSpace())
    rows = [row.tobytes() for row in found.bits]
    assert rows == sorted(set(rows))


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_any_number_of_workers_finds_the_same_regions(workers):
    network = random_network((4, 16, 16, 1))
    alone = enumerate_regions(network, Box(-1.0, 1.0))
    together = enumerate_regions(network, Box(-1.0, 1.0), workers=workers)
    assert (alone.bits == together.bits).all()
    np.testing.assert_allclose(alone.radii, together.radii, rtol=1e-9)


def test_a_limit_gives_that_many_regions_of_the_full_list_and_says_so():
    network = random_network((4, 16, 16, 1))
    everything = listed(enumerate_regions(network, Box(-1.0, 1.0)))
    part = enumerate_regions(network, Box(-1.0, 1.0), max_regions=100)
    assert part.regions == 100
    assert not part.complete
    assert listed(part) < everything
    exact = enumerate_regions(network, Box(-1.0, 1.0), max_regions=len(everything))
    assert exact.regions == len(everything)


def test_no_time_still_gives_a_partial_list():
    part = enumerate_regions(random_network((6, 40, 40, 1)), Box(-1.0, 1.0), time_limit=0.0)
    assert part.regions >= 1
    assert not part.complete


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e4])
def test_the_charts_radius_does_not_matter(radius, monkeypatch):
    network = random_network((3, 12, 1))
    monkeypatch.setattr("relu_shallow.regions.charts.natural_radius", lambda network: radius)
    assert enumerate_regions(network, WholeSpace()).regions == 1 + 12 + 66 + 220


def test_a_polytope_holds_the_regions_that_meet_it():
    network = NAMED["triangle"].network
    corner = Polytope([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [0.0, 0.0, 1.0])  # the triangle itself: one region
    assert enumerate_regions(network, corner).regions == 1
    assert enumerate_regions(network, Polytope([[-1.0, 0.0]], [0.0])).regions == 4  # x >= 0, unbounded
    square = Polytope(np.concatenate([np.eye(2), -np.eye(2)]), [2.0, 2.0, 1.0, 1.0])
    assert listed(enumerate_regions(network, square)) == listed(enumerate_regions(network, Box(-1.0, 2.0)))


def test_empty_flat_and_misfit_domains_are_refused():
    network = NAMED["triangle"].network
    with pytest.raises(DomainError, match="empty"):
        enumerate_regions(network, Polytope([[1.0, 0.0], [-1.0, 0.0]], [-1.0, -1.0]))
    with pytest.raises(DomainError, match="flat"):
        enumerate_regions(network, Polytope([[1.0, 0.0], [-1.0, 0.0]], [0.0, 0.0]))
    with pytest.raises(DomainError, match="3 dimensions but the network has 2 inputs"):
        enumerate_regions(network, Box([0, 0, 0], [1, 1, 1]))


def test_a_flat_box_is_searched_in_its_own_hull():
    network = random_network((3, 6, 6, 1), 3)
    found = enumerate_regions(network, Box([-1, 0.25, -1], [1, 0.25, 1]))
    assert (found.witnesses[:, 1] == 0.25).all()
    W, b = network.affine[0].W, network.affine[0].b
    flat = from_layers([(W[:, [0, 2]], b + 0.25 * W[:, 1]), *[(a.W, a.b) for a in network.affine[1:]]])
    assert found.regions == enumerate_regions(flat, Box(-1.0, 1.0)).regions
    point = enumerate_regions(network, Box([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]))
    assert point.regions == 1
    assert (point.patterns[0] == activation_patterns(network, point.witnesses)[0]).all()


def test_a_sliver_a_tenth_of_a_millionth_wide_is_found():
    found = enumerate_regions(case("g_thin").network, Box(*case("g_thin").box))
    assert found.regions == 32
    assert (found.radii < 1e-7).sum() == 4


@pytest.mark.parametrize(
    ("file", "lo", "hi", "count"),
    [
        ("onnx/archcomp/Single_Pendulum_controller_single_pendulum.onnx", -2, 2, 1266),
        ("onnx/archcomp/Double_Pendulum_controller_double_pendulum_less_robust.onnx", -2, 2, 120879),
        ("onnx/archcomp/ACC_controller_5_20.onnx", -1, 1, 213656),
        ("onnx/archcomp/VCAS_VertCAS_noResp_pra01_v9_20HU_200.onnx", -1, 1, 49926),
        ("onnx/archcomp/NAV_nn-nav-set.onnx", -1, 1, 32400),
        ("onnx/tll/tllBench_n2_NM8_m1_instance_0_0.onnx", -2, 2, 433),
    ],
)
def test_published_networks_have_the_counts_two_enumerators_agree_on(file, lo, hi, count):
    from relu_shallow.load import load_network

    found = enumerate_regions(load_network(data_path(file)), Box(float(lo), float(hi)), workers=2)
    assert found.regions == count
    assert found.complete


def test_a_real_300_neuron_network_loses_none_of_its_70672_regions():
    from relu_shallow.load import load_network

    network = load_network(data_path("onnx/acasxu/ACASXU_run2a_1_1_batch_2000.onnx"))
    box = Box([-0.30353116, -0.00929755, 0.49338, 0.3, 0.3], [-0.29855283, 0.00929755, 0.5, 0.5, 0.5])
    found = enumerate_regions(network, box, workers=2)
    assert found.regions == 70672
    assert found.level == "certified"


def test_inscribed_balls_of_the_whole_space_are_the_largest_ones():
    triangle = enumerate_regions(NAMED["triangle"].network, WholeSpace())
    radius = {tuple(w): r for w, r in zip(triangle.patterns.astype(int).tolist(), triangle.radii, strict=True)}
    assert radius.pop((1, 1, 0)) == pytest.approx(1 / (2 + np.sqrt(2)))  # legs 1: inradius (1 + 1 - sqrt 2) / 2
    assert set(radius.values()) == {np.inf}
    strip = enumerate_regions(NAMED["xor"].network, WholeSpace())  # 0 < x + y < 1
    assert sorted(strip.radii)[0] == pytest.approx(1 / np.sqrt(8))
    far = from_layers([(np.eye(1), np.array([-1e9])), (np.eye(1), np.array([-3.0])), (np.eye(1), np.zeros(1))])
    assert sorted(enumerate_regions(far, WholeSpace()).radii) == [pytest.approx(1.5), np.inf, np.inf]


def test_a_network_too_wide_to_be_written_out_is_refused():
    from scipy.sparse import eye_array

    from relu_shallow.errors import ModelError
    from relu_shallow.network import Affine, Gate, Network

    n = 20_000
    wide = Network((Affine(eye_array(n, format="csr"), np.zeros(n)), Affine(np.ones((1, n)), np.zeros(1))),
                   (Gate.relu(n),))  # fmt: skip
    with pytest.raises(ModelError, match="400,020,000 numbers once written out"):
        enumerate_regions(wide, Box(-1.0, 1.0))


def test_without_certification_nothing_is_certified_not_even_by_chance():
    network = from_layers([(np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    for domain in (Box(-1.0, 1.0), WholeSpace()):
        assert enumerate_regions(network, domain, certify=False).level == "uncertified"
        assert enumerate_regions(network, domain).level == "certified"
