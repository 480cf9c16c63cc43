"""One table of networks and domains, run over every backend."""

import numpy as np
import pytest
from networks import CASES, NAMED, SMALL_CASES, case

from relu_shallow.domain import Box, WholeSpace
from relu_shallow.network import activation_patterns
from relu_shallow.regions.search import enumerate_regions

BACKENDS = ("kernel", "highs", "cvxpy")


def named(name):
    return NAMED[name] if name in NAMED else case(name)


@pytest.mark.parametrize("name", [*sorted(NAMED), *SMALL_CASES])
def test_every_backend_lists_the_same_patterns(name):
    network, box = named(name).network, Box(*named(name).box)
    lists = {lp: enumerate_regions(network, box, lp=lp) for lp in BACKENDS}
    for lp, found in lists.items():
        assert found.complete, lp
        assert found.regions == named(name).regions_in_box, lp
        assert (found.bits == lists["kernel"].bits).all(), lp


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_backend_finds_the_same_inscribed_radii(name):
    network, box = named(name).network, Box(*named(name).box)
    radii = [enumerate_regions(network, box, lp=lp).radii for lp in BACKENDS]
    np.testing.assert_allclose(radii[1], radii[0], rtol=1e-6)
    np.testing.assert_allclose(radii[2], radii[0], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(set(CASES) - set(SMALL_CASES)))
def test_the_kernel_finds_the_larger_known_counts(name):
    assert enumerate_regions(named(name).network, Box(*named(name).box)).regions == CASES[name][0]


@pytest.mark.parametrize(
    "name", [name for name in (*sorted(NAMED), *CASES) if name in NAMED or CASES[name][1] is not None]
)
def test_the_kernel_finds_the_known_counts_on_the_whole_space(name):
    found = enumerate_regions(named(name).network, WholeSpace())
    assert found.regions == named(name).regions_everywhere
    assert found.complete


@pytest.mark.parametrize("lp", BACKENDS)
def test_a_random_point_of_the_box_has_a_listed_pattern(lp):
    network, box = case("p_d2_6x6").network, Box(*case("p_d2_6x6").box)
    listed = {row.tobytes() for row in enumerate_regions(network, box, lp=lp).patterns}
    X = np.random.default_rng(0).uniform(box.lo, box.hi, (2000, 2))
    assert {row.tobytes() for row in activation_patterns(network, X)} <= listed
