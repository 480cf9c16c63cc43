"""The proof that no region is missing: it says yes to complete lists, and no whatever is taken away or added."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import hard
import numpy as np
import pytest
from networks import NAMED, case

from relu_shallow.certify import verify
from relu_shallow.checks.closure import check_closure
from relu_shallow.checks.crossing import deepest, proportional
from relu_shallow.checks.exact import is_witness, pattern_beyond, rational
from relu_shallow.checks.plane import check_plane, clip, polygon_area
from relu_shallow.domain import Box, Polytope, WholeSpace, fit
from relu_shallow.errors import UsageError
from relu_shallow.network import from_layers
from relu_shallow.regions.partition import pack, sort_order
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import build_table, shallow_network

EVERYWHERE = WholeSpace()
DOMAINS = {"box": Box(-1.0, 1.0), "everywhere": EVERYWHERE}
SEEDS = 3


def closure(partition, **options):
    table = build_table(partition)
    return check_closure(table, fit(partition.domain, table.network.inputs), np.arange(table.regions), **options)


def keeping(partition, keep):
    """The partition with only the regions that a mask keeps."""
    number = np.cumsum(keep) - 1
    tiny = {int(number[r]): x for r, x in partition.exact_witnesses.items() if keep[r]}
    return replace(partition, bits=partition.bits[keep], witnesses=partition.witnesses[keep],
                   radii=partition.radii[keep], exact_witnesses=tiny)  # fmt: skip


def random_partition(*sizes, seed=0, domain=EVERYWHERE):
    rng = np.random.default_rng(seed)
    pairs = [(rng.normal(size=(o, i)), rng.normal(size=o)) for i, o in pairwise(sizes)]
    return enumerate_regions(from_layers(pairs), domain)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("kind", hard.KINDS)
def test_a_complete_list_of_a_hard_network_is_proved_and_no_other(kind, domain):
    """Whichever region is taken away, its pattern is found again behind a facet of those left."""
    for seed in range(SEEDS):
        partition = enumerate_regions(from_layers(hard.layers(kind, seed)), DOMAINS[domain])
        found = closure(partition)
        assert (found.looked_at, found.false, found.missing) == (partition.regions, [], {})
        for region in range(min(partition.regions, 4) if partition.regions > 1 else 0):
            lacking = closure(keeping(partition, np.arange(partition.regions) != region))
            assert partition.bits[region].tobytes() in lacking.missing


@pytest.mark.parametrize(
    "domain", [Box(np.full(3, -2.0), np.full(3, 2.0)), WholeSpace(),
               Polytope(np.array([[1.0, 1, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]]), np.array([1.0, 1, 1, 1])),
               Polytope(np.array([[1.0, 1, 1]]), np.array([1.0])),
               Box(np.array([-2.0, 0.5, -2]), np.array([2.0, 0.5, 2]))],
)  # fmt: skip
def test_any_part_of_a_list_is_noticed_to_be_a_part(domain):
    partition = random_partition(3, 8, 6, 1, domain=domain)
    assert not closure(partition).missing
    rng = np.random.default_rng(1)
    for share in (0.02, 0.5, 0.98):
        keep = rng.random(partition.regions) < share
        keep[0], keep[-1] = True, False
        found = closure(keeping(partition, keep))
        gone = {row.tobytes() for row in partition.bits[~keep]}
        assert found.missing
        assert set(found.missing) <= gone


def test_the_point_shown_for_a_missing_region_lies_on_its_border():
    partition = random_partition(2, 6, 4, 1)
    for region in range(partition.regions):
        found = closure(keeping(partition, np.arange(partition.regions) != region))
        ((bits, point),) = found.missing.items()
        assert bits == partition.bits[region].tobytes()
        inside = rational(partition.witnesses[region])
        step = [int((a - b) * 2**60) for a, b in zip(inside, point, strict=True)]
        assert (pattern_beyond(partition.network, point, step) == partition.patterns[region]).all()


def test_a_region_that_is_none_is_found_even_where_its_neighbours_are_listed():
    """Patterns that no point has, one neuron away from real ones, with a real region's witness."""
    partition = random_partition(2, 6, 4, 1)
    patterns = {row.tobytes() for row in partition.bits}
    tried = 0
    for neuron in range(10):
        flipped = partition.patterns[0].copy()
        flipped[neuron] ^= True
        row = pack(flipped[None])
        if row[0].tobytes() in patterns:
            continue
        bits = np.concatenate([partition.bits, row])
        order = sort_order(bits)
        witnesses = np.concatenate([partition.witnesses, partition.witnesses[:1]])[order]
        radii = np.append(partition.radii, 1.0)[order]
        found = closure(replace(partition, bits=bits[order], witnesses=witnesses, radii=radii))
        assert found.false == [int(np.flatnonzero((bits[order] == row).all(axis=1))[0])]
        tried += 1
    assert tried > 2


def test_neurons_that_vanish_together_lead_to_the_region_behind_all_of_them():
    """z2 is zero wherever z1 is inactive, and follows it beyond: the flip of z1 alone is a region of nothing.

        z1 = x, z2 = relu(z1): patterns 00 (x < 0) and 11 (x > 0)
    """  # fmt: skip
    one = np.ones((1, 1))
    network = from_layers([(one, np.zeros(1)), (one, np.zeros(1)), (one, np.zeros(1))])
    partition = enumerate_regions(network, Box(-1.0, 1.0))
    assert partition.patterns.tolist() == [[False, False], [True, True]]
    found = closure(partition)
    assert (found.missing, found.exact) == ({}, 2)
    for region in (0, 1):
        assert list(closure(keeping(partition, np.arange(2) != region)).missing) == [partition.bits[region].tobytes()]


def test_threads_and_samples_prove_the_same():
    partition = random_partition(3, 10, 8, 1, domain=Box(-2.0, 2.0))
    alone, together = closure(partition), closure(partition, workers=3)
    assert (alone.looked_at, alone.facets) == (together.looked_at, together.facets) == (partition.regions, alone.facets)
    shallow = shallow_network(partition)
    told: list[int] = []
    found = verify(shallow, points=50, exact=True, sample=7, progress=told.append)
    assert found.ok
    assert told == [7]
    assert "7 regions, a random sample" in next(c.detail for c in found.checks if c.name == "none is missing, proved")
    for sample in (0, -3):
        with pytest.raises(UsageError, match="at least 1"):
            verify(shallow, exact=True, sample=sample)
    with pytest.raises(UsageError, match="for the exact check"):
        verify(shallow, sample=5)


def test_of_a_partial_list_the_regions_are_proved_and_nothing_else():
    network = random_partition(3, 8, 6, 1).network
    shallow = shallow_network(enumerate_regions(network, Box(-1.0, 1.0), max_regions=9))
    found = verify(shallow, points=50, exact=True)
    assert found.ok
    assert "none is missing, proved: the list is partial" in found.left_out
    witnesses = shallow.table.witnesses.copy()
    witnesses[[2, 3]] = witnesses[[3, 2]]
    moved = replace(shallow, tables=(replace(shallow.table, witnesses=witnesses),))
    failed = {check.name for check in verify(moved, points=50, exact=True).checks if not check.ok}
    assert "each region is real, proved" in failed


def test_verify_says_no_for_one_region_less_in_every_dimension():
    for sizes in ((1, 5, 4, 1), (2, 6, 4, 1), (4, 8, 4, 2)):
        partition = random_partition(*sizes, domain=Box(-2.0, 2.0))
        smallest = int(np.argmin(partition.radii))
        lacking = shallow_network(keeping(partition, np.arange(partition.regions) != smallest))
        failed = {check.name for check in verify(lacking, points=50, exact=True).checks if not check.ok}
        assert "none is missing, proved" in failed


# In two dimensions


@pytest.mark.parametrize("name", ["crossing_lines", "p_d2_6x6"])
def test_areas_add_up_exactly_and_euler_holds_where_the_list_is_complete(name):
    network, box = (NAMED[name].network, NAMED[name].box) if name in NAMED else (case(name).network, case(name).box)
    partition = enumerate_regions(network, Box(*box))
    plane = check_plane(build_table(partition), fit(partition.domain, 2))
    assert plane.ok
    lacking = keeping(partition, np.arange(partition.regions) != 1)
    assert not check_plane(build_table(lacking), fit(partition.domain, 2)).ok


def test_hard_networks_in_the_plane_have_exact_areas():
    done = 0
    for kind in hard.KINDS:
        network = from_layers(hard.layers(kind, 5))
        if network.inputs == 2 and network.neurons:
            partition = enumerate_regions(network, Box(-1.0, 1.0))
            assert check_plane(build_table(partition), fit(partition.domain, 2)).ok, kind
            done += 1
    assert done > 3


def test_polygons_are_cut_and_measured():
    square = [(Fraction(x), Fraction(y)) for x, y in ((0, 0), (3, 0), (3, 3), (0, 3))]
    corner = clip(square, [-1, -1, 1])  # x + y <= 1
    assert polygon_area(square) == 9
    assert polygon_area(corner) == Fraction(1, 2)
    assert clip(square, [1, 0, 0]) == square
    assert polygon_area(clip(square, [3, 0, -1])) == 8


# Exact arithmetic


def test_the_deepest_point_of_known_bodies():
    wedge = [[1, 0, 0], [0, 1, 0], [-1, -1, 3]]  # x, y >= 0, x + y <= 3: s = x = y, 3 - 2 s = 2 s
    depth, point = deepest(wedge, 2)
    assert depth == Fraction(3, 4)
    assert min(point) >= depth
    assert deepest([[1, 0], [-1, 0]], 1)[0] == 0  # flat
    assert deepest([[1, -2], [-1, 1]], 1)[0] < 0  # empty
    assert deepest([[1, 0]], 1)[0] == 1  # unbounded: as deep as is asked
    assert deepest([], 0) == (1, [])


def test_rows_are_multiples_of_each_other_with_their_constants():
    assert proportional([2, -4, 6], [1, -2, 3])
    assert not proportional([2, -4, 6], [1, -2, 2])
    assert not proportional([2, 0, 1], [0, 2, 1])


def test_a_point_on_a_border_has_another_pattern_on_either_side():
    network = from_layers([(np.array([[1.0], [-1.0]]), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    zero = (Fraction(0),)
    assert pattern_beyond(network, zero, [1]).tolist() == [True, False]
    assert pattern_beyond(network, zero, [-1]).tolist() == [False, True]
    assert not is_witness(network, zero, np.array([False, False]))
    assert is_witness(network, (Fraction(1, 10**400),), np.array([True, False]))


# What hostile readers found


def test_a_flat_polytope_has_no_regions_whatever_is_listed():
    """x = 0 as two half-spaces; the list of a real box is put on it."""
    network = random_partition(2, 6, 4, 1).network
    partition = enumerate_regions(network, Box(-1.0, 1.0))
    flat = Polytope(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.array([0.0, 0.0, 1.0, 1.0]))
    witnesses = partition.witnesses * [0.0, 1.0]
    found = closure(replace(partition, domain=flat, witnesses=witnesses))
    assert found.false == list(range(partition.regions))
    shallow = shallow_network(replace(partition, domain=flat, witnesses=witnesses))
    failed = {check.name for check in verify(shallow, points=50, exact=True).checks if not check.ok}
    assert {"each region is real, proved", "none is missing, proved"} <= failed


def test_a_sample_does_not_trust_the_neighbours_that_it_does_not_prove():
    """relu(relu(x)) has the regions 00 and 11; where 00 and 10 are listed, the flip of the first neuron is false."""
    one = np.ones((1, 1))
    network = from_layers([(one, np.zeros(1)), (one, np.zeros(1)), (one, np.zeros(1))])
    partition = enumerate_regions(network, Box(-1.0, 1.0))
    fake = replace(partition, bits=pack(np.array([[False, False], [True, False]])))
    table = build_table(fake)
    box = fit(Box(-1.0, 1.0), 1)
    found = check_closure(table, box, np.array([0]))
    assert list(found.missing) == [partition.bits[1].tobytes()]
    assert check_closure(table, box, np.arange(2)).false == [1]


def test_a_list_with_much_missing_is_given_up_early():
    partition = random_partition(3, 12, 8, 1, domain=Box(-2.0, 2.0))
    keep = np.random.default_rng(0).random(partition.regions) < 0.5
    lacking = keeping(partition, keep)
    assert lacking.regions > 100
    assert 20 <= len(closure(lacking).missing) < (~keep).sum()
    found = verify(shallow_network(lacking), points=50, exact=True)
    assert "that is enough" in next(c.detail for c in found.checks if c.name == "none is missing, proved")


def test_a_point_as_a_domain_has_one_region_even_on_a_hyperplane():
    network = from_layers([(np.array([[1.0, -1.0], [1.0, 2.0]]), np.array([0.0, 1.0])), (np.ones((1, 2)), np.zeros(1))])
    point = Box(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    found = verify(shallow_network(enumerate_regions(network, point)), points=50, exact=True)
    assert found.ok, [check for check in found.checks if not check.ok]
    line = Box(np.array([0.5, -1.0]), np.array([0.5, 1.0]))
    fixed = from_layers([(np.array([[1.0, 0.0], [1.0, 2.0]]), np.array([-0.5, 1.0])), (np.ones((1, 2)), np.zeros(1))])
    found = verify(shallow_network(enumerate_regions(fixed, line)), points=50, exact=True)
    assert found.ok, [check for check in found.checks if not check.ok]


def test_a_rational_witness_that_proves_nothing_is_noticed_whatever_the_float_one_does():
    partition = random_partition(2, 6, 4, 1, domain=Box(-1.0, 1.0))
    table = build_table(partition)
    bogus = replace(table, exact_witnesses={2: rational(table.witnesses[3])})
    box = fit(Box(-1.0, 1.0), 2)
    assert 2 in check_closure(bogus, box, np.arange(table.regions)).false
    assert not check_plane(bogus, box).ok


def test_a_witness_beside_a_flat_box_proves_nothing():
    flat = Box(np.array([-2.0, 0.5, -2.0]), np.array([2.0, 0.5, 2.0]))
    partition = random_partition(3, 8, 6, 1, domain=flat)
    witnesses = partition.witnesses.copy()
    witnesses[4, 1] = 0.5 + 2.0**-50
    assert closure(replace(partition, witnesses=witnesses)).false == [4]


def test_an_empty_polytope_has_no_regions():
    partition = random_partition(2, 6, 4, 1, domain=Box(-1.0, 1.0))
    empty = Polytope(np.array([[0.0, 0.0]]), np.array([-1.0]))
    assert closure(replace(partition, domain=empty)).false == list(range(partition.regions))


def test_what_underflows_is_not_taken_for_zero():
    """Relu of x times 1e-200, thrice: rows too small for floats, that bound regions all the same."""
    tiny = np.full((1, 1), 1e-200)
    one = np.ones((1, 1))
    last = (np.array([[1e100]]), np.array([-1e-290]))
    pairs = [(one, np.array([-0.25])), (tiny, np.zeros(1)), (tiny, np.zeros(1)), last, (one, np.zeros(1))]
    partition = enumerate_regions(from_layers(pairs), Box(-1.0, 1.0))
    assert not closure(partition).missing
    for region in range(partition.regions):
        assert closure(keeping(partition, np.arange(partition.regions) != region)).missing
