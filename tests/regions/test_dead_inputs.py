"""Inputs without weights: the list is that of the network without them, lifted, and the search does not grow."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from relu_shallow.certify import verify
from relu_shallow.checks.maps import maps_of
from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, fit
from relu_shallow.network import Affine, Network, from_layers
from relu_shallow.proof.check import check_file
from relu_shallow.proof.prove import with_proof
from relu_shallow.regions.gathering import merge_folders
from relu_shallow.regions.partition import Partition, unpack
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.stream import stream_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.store import load_shallow, save_shallow


def random_layers(seed: int, sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(seed)
    return [(random.normal(size=(o, i)), 0.5 * random.normal(size=o)) for i, o in pairwise(sizes)]


def with_dead(layers: list[tuple[np.ndarray, np.ndarray]], inputs: int, live: np.ndarray) -> Network:
    """The same network with further inputs, of which it reads those at `live`."""
    W = np.zeros((len(layers[0][0]), inputs))
    W[:, live] = layers[0][0]
    return from_layers([(W, layers[0][1]), *layers[1:]])


def largest_radius(network: Network, domain: Domain, region: int, found: Partition) -> float:
    """The radius of the largest ball in a region of a bounded domain, by a general solver, in all inputs."""
    n = network.inputs
    pattern = unpack(found.bits[region : region + 1], network.neurons)
    rows = maps_of(network, pattern).rows[:, 0] * np.where(pattern[0], 1.0, -1.0)[:, None]
    A, b = -rows[:, :-1], rows[:, -1]
    if isinstance(domain, Box):
        wide = domain.hi > domain.lo
        fixed = np.where(wide, 0.0, domain.lo)
        b = np.concatenate([b - A @ fixed, domain.hi[wide], -domain.lo[wide]])
        A = np.concatenate([A[:, wide], np.eye(n)[wide][:, wide], -np.eye(n)[wide][:, wide]])
    elif isinstance(domain, Polytope):
        A, b = np.concatenate([A, domain.A]), np.concatenate([b, domain.b])
    norms = np.linalg.norm(A, axis=1)
    answer = linprog(np.append(np.zeros(A.shape[1]), -1.0), A_ub=np.column_stack([A, norms]), b_ub=b,
                     bounds=[(None, None)] * (A.shape[1] + 1))  # fmt: skip
    return float("inf") if answer.status == 3 else float(answer.x[-1])


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), live=st.integers(1, 3), dead=st.integers(1, 3), where=st.sampled_from("bwp"))
def test_the_regions_are_those_of_the_network_without_its_dead_inputs(seed, live, dead, where):
    random = np.random.default_rng(seed)
    layers, n = random_layers(seed, (live, 5, 4, 2)), live + dead
    places = np.sort(random.permutation(n)[:live])
    network, small = with_dead(layers, n, places), from_layers(layers)
    lo = -0.5 - random.random(n)
    A = random.normal(size=(live + 2, live))
    lifted = np.zeros((len(A), n))
    lifted[:, places] = A
    domain, reduced = {
        "b": (Box(lo, -lo * 3), Box(lo[places], -lo[places] * 3)),
        "w": (WholeSpace(), WholeSpace()),
        "p": (Polytope(lifted, np.ones(len(A))), Polytope(A, np.ones(len(A)))),
    }[where]
    found, expected = enumerate_regions(network, domain), enumerate_regions(small, reduced)
    assert (found.level, found.complete) == ("certified", True)
    assert np.array_equal(found.bits, expected.bits)
    assert found.effort.lps == expected.effort.lps
    assert verify(shallow_network(found), network, exact=True).ok
    for region in range(min(len(found.bits), 20)):
        assert found.radii[region] == pytest.approx(largest_radius(network, domain, region, found), rel=1e-6)


def test_the_domain_stays_the_users_and_the_witness_is_in_its_middle():
    network = with_dead(random_layers(0, (2, 6, 1)), 4, np.array([1, 2]))
    domain = Box([-1, -1, -1, 4], [0, 1, 1, 10])
    found = enumerate_regions(network, domain)
    assert found.domain is domain or np.array_equal(found.domain.hi, domain.hi)
    assert (found.witnesses[:, [0, 3]] == [-0.5, 7.0]).all()


def test_a_narrow_dead_input_bounds_the_radius():
    network = with_dead(random_layers(1, (2, 6, 1)), 3, np.array([0, 1]))
    found = enumerate_regions(network, Box([-1, -1, 0], [1, 1, 1e-3]))
    assert found.radii.max() == pytest.approx(5e-4)
    assert verify(shallow_network(found), exact=True).ok


def test_a_dead_input_without_a_float_between_its_bounds_is_searched_all_the_same():
    network = with_dead(random_layers(2, (2, 5, 1)), 3, np.array([0, 1]))
    found = enumerate_regions(network, Box([-1, -1, 1.0], [1, 1, np.nextafter(1.0, 2)]))
    assert found.level == "certified"
    assert verify(shallow_network(found), exact=True).ok


def test_a_dead_input_that_a_polytope_couples_to_a_live_one_is_searched():
    network = with_dead(random_layers(3, (1, 6, 1)), 2, np.array([0]))
    strip = Polytope([[1, -1], [-1, 1], [0, 1], [0, -1]], [0.1, 0.1, 0.2, 0.2])  # |x0 - x1| <= 0.1, |x1| <= 0.2
    found = enumerate_regions(network, strip)
    expected = enumerate_regions(from_layers(random_layers(3, (1, 6, 1))), Box(-0.3, 0.3))
    assert np.array_equal(found.bits, expected.bits)
    assert verify(shallow_network(found), network, exact=True).ok


@pytest.mark.parametrize("domain", [Box(-1, 2), Box([-1, 0, 0], [1, 0, 1]), WholeSpace(), Polytope([[0, 0, 0]], [1])])
def test_a_network_that_reads_no_input_has_one_region(domain):
    layers = random_layers(4, (3, 4, 1))
    network = from_layers([(np.zeros((4, 3)), layers[0][1]), *layers[1:]])
    found = enumerate_regions(network, domain)
    assert (len(found.bits), found.level, found.complete) == (1, "certified", True)
    assert found.radii[0] == largest_radius(network, fit(domain, 3), 0, found)
    assert verify(shallow_network(found), network, exact=True).ok


def test_sparse_first_layers_have_dead_inputs_too():
    network = with_dead(random_layers(5, (2, 5, 1)), 5, np.array([0, 3]))
    first = network.affine[0]
    sparse = replace(network, affine=(Affine(scipy.sparse.csr_array(first.W), first.b), *network.affine[1:]))
    found, expected = enumerate_regions(sparse, Box(-1, 1)), enumerate_regions(network, Box(-1, 1))
    assert np.array_equal(found.bits, expected.bits)
    assert found.effort.lps == expected.effort.lps


def test_regions_that_only_exact_arithmetic_sees_are_found_among_dead_inputs():
    tiny = 2.0**-80  # the strip between x = 0 and x = tiny is thinner than what floats tell apart
    layers = [(np.array([[1.0], [1.0], [-1.0]]), np.array([0.0, -tiny, 0.5])), (np.ones((1, 3)), np.zeros(1))]
    domain = Box([-1, -1, -3], [1, 1, 5])
    found = enumerate_regions(with_dead(layers, 3, np.array([1])), domain)
    assert np.array_equal(found.bits, enumerate_regions(from_layers(layers), Box(-1, 1)).bits)
    assert len(found.bits) == 4
    assert verify(shallow_network(found), exact=True).ok


@pytest.mark.parametrize("domain", [Box(-1, 2), WholeSpace()])
def test_a_proof_holds_with_dead_inputs(domain, tmp_path):
    network = with_dead(random_layers(6, (2, 4, 3, 1)), 3, np.array([0, 2]))
    proved = with_proof(shallow_network(enumerate_regions(network, domain)))
    save_shallow(proved, tmp_path / "proved.shallow.safetensors")
    status, said = check_file(tmp_path / "proved.shallow.safetensors")
    assert status == 0, said
    assert verify(load_shallow(tmp_path / "proved.shallow.safetensors"), network).ok


@pytest.mark.parametrize("domain", [Box(-1, 1), WholeSpace()])
def test_parts_resumed_and_merged_list_the_same_regions(domain, tmp_path):
    network = with_dead(random_layers(7, (2, 7, 5, 1)), 5, np.array([0, 4]))
    expected = enumerate_regions(network, domain)
    parts = [tmp_path / f"part{index}.regions" for index in (1, 2)]
    for index, part in enumerate(parts, 1):
        share = (index, 2)
        stream_regions(network, domain, part, max_regions=5, share=share)
        stream_regions(network, domain, part, resume=True, share=share)
    merged = merge_folders(parts, tmp_path / "all.regions")
    assert (merged.regions, merged.complete, merged.level) == (len(expected.bits), True, "certified")
    assert verify(merged, network, exact=True).ok


@pytest.mark.parametrize(("live", "dead"), [(1, 1), (2, 1), (2, 0)])
def test_exact_areas_are_looked_at_in_the_two_inputs_that_count(live, dead):
    network = with_dead(random_layers(8, (live, 5, 1)), live + dead, np.arange(live))
    shallow = shallow_network(enumerate_regions(network, Box(-1, 2)))
    (areas,) = [check for check in verify(shallow, exact=True).checks if "areas" in check.name and "V" in check.name]
    assert areas.ok
    assert "of 9, exactly" in areas.detail


@pytest.mark.parametrize("domain", [Box(-1, 1), WholeSpace()])
def test_a_region_left_out_among_dead_inputs_is_missed(domain):
    network = with_dead(random_layers(9, (2, 5, 1)), 4, np.array([1, 3]))
    found = enumerate_regions(network, domain)
    kept = np.arange(len(found.bits)) != 2
    short = replace(found, bits=found.bits[kept], witnesses=found.witnesses[kept], radii=found.radii[kept])
    checks = verify(shallow_network(short), exact=True).checks
    assert any("missing" in check.name and not check.ok for check in checks)
