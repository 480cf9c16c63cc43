import numpy as np
import pytest
from networks import NAMED, SMALL_CASES, case

from relu_shallow.domain import Box, Polytope, WholeSpace, contains
from relu_shallow.errors import DomainError
from relu_shallow.lp import BACKENDS
from relu_shallow.lp.question import Polyhedron, without_optimum
from relu_shallow.network import activation_patterns, from_layers
from relu_shallow.regions.plain import enumerate_plain


def polytope(A, b):
    return Polytope(np.array(A, dtype=float), np.array(b, dtype=float))


every_backend = pytest.mark.parametrize("backend", sorted(BACKENDS))


@every_backend
@pytest.mark.parametrize("name", sorted(NAMED))
def test_the_regions_of_a_tiny_network_are_those_counted_by_hand(name, backend):
    named = NAMED[name]
    found = enumerate_plain(named.network, Box(*named.box), BACKENDS[backend])
    assert found.regions == named.regions_in_box
    assert found.complete
    assert found.level == "uncertified"


@pytest.mark.parametrize("name", SMALL_CASES)
def test_the_regions_of_a_known_case_are_all_found(name):
    named = case(name)
    assert enumerate_plain(named.network, Box(*named.box), BACKENDS["highs"]).regions == named.regions_in_box


def test_witnesses_lie_inside_and_show_their_regions_pattern():
    named = case("p_d4_6x6")
    found = enumerate_plain(named.network, Box(*named.box), BACKENDS["highs"])
    assert (activation_patterns(named.network, found.witnesses) == found.patterns).all()
    assert contains(found.domain, found.witnesses).all()
    assert (found.radii > 0).all()
    assert [row.tobytes() for row in found.bits] == sorted({row.tobytes() for row in found.bits})


def test_the_inscribed_radius_is_in_the_units_of_the_inputs():
    named = NAMED["one_relu"]
    found = enumerate_plain(named.network, Box(-3, 1), BACKENDS["highs"])
    assert found.radii == pytest.approx([1.5, 0.5])
    assert found.witnesses[:, 0] == pytest.approx([-1.5, 0.5])


def test_a_thin_long_box_keeps_its_ball_in_input_units():
    network = NAMED["crossing_lines"].network
    found = enumerate_plain(network, Box([-1e4, -1e-2], [1e4, 1e-2]), BACKENDS["highs"])
    assert found.regions == 4
    assert found.radii == pytest.approx(np.full(4, 0.5e-2))


def test_a_box_that_fixes_an_input_is_searched_in_its_own_plane():
    named = NAMED["triangle"]  # on y = 0.5 the lines x = 0 and x = 0.5 are crossed
    found = enumerate_plain(named.network, Box([-1.0, 0.5], [2.0, 0.5]), BACKENDS["highs"])
    assert found.regions == 3
    assert (found.witnesses[:, 1] == 0.5).all()


def test_a_polytope_gives_the_regions_that_meet_its_interior():
    corner = polytope([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [0.0, 0.0, 1.0])  # the triangle itself
    for name, expected in (("triangle", 1), ("crossing_lines", 1), ("cones", 6)):  # five lines in a quadrant
        assert enumerate_plain(NAMED[name].network, corner, BACKENDS["highs"]).regions == expected
    shifted = polytope(corner.A, corner.b + np.array([0.5, 0.5, 0.0]))
    assert enumerate_plain(NAMED["crossing_lines"].network, shifted, BACKENDS["highs"]).regions == 4


@pytest.mark.parametrize(
    ("domain", "says"),
    [
        (WholeSpace(), "kernel"),
        (polytope([[1.0, 0.0]], [1.0]), "unbounded"),
        (polytope([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.0, -1.0, 1.0, 1.0]), "empty"),
        (polytope([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.0, 0.0, 1.0, 1.0]), "flat"),
        (polytope([[0.0, 0.0], [1.0, 1.0]], [-1.0, 1.0]), "empty"),
        (Box([0.0, 1.0], [0.0, 1.0]), "single point"),
        (Box([0.0] * 3, [1.0] * 3), "3 dimensions"),
    ],
)
def test_a_domain_it_cannot_search_is_refused_with_a_reason(domain, says):
    with pytest.raises(DomainError, match=says):
        enumerate_plain(NAMED["triangle"].network, domain, BACKENDS["highs"])


def test_a_limit_gives_the_first_regions_and_says_that_the_list_is_partial():
    named = NAMED["cones"]
    whole = enumerate_plain(named.network, Box(*named.box), BACKENDS["highs"])
    part = enumerate_plain(named.network, Box(*named.box), BACKENDS["highs"], max_regions=7)
    assert not part.complete
    assert (part.bits == whole.bits[:7]).all()
    assert enumerate_plain(named.network, Box(*named.box), BACKENDS["highs"], max_regions=20).complete
    assert not enumerate_plain(named.network, Box(*named.box), BACKENDS["highs"], time_limit=0.0).complete


def test_a_solver_that_gives_up_never_makes_a_complete_list():
    def gives_up(polyhedron: Polyhedron, h, c, stop):
        return without_optimum(polyhedron, "undecided")

    named = NAMED["crossing_lines"]
    found = enumerate_plain(named.network, Box(*named.box), gives_up)
    assert not found.complete
    assert found.certificate.open > 0


def test_scaling_a_neuron_changes_nothing():
    named = NAMED["triangle"]
    W, b = named.network.affine[0].W, named.network.affine[0].b
    scale = np.array([1e-9, 1.0, 1e9])
    scaled = from_layers([(W * scale[:, None], b * scale), (named.network.affine[1].W, named.network.affine[1].b)])
    found = enumerate_plain(scaled, Box(*named.box), BACKENDS["highs"])
    assert found.regions == 7
