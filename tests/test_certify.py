from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import data_path
from networks import CASES, NAMED, case, general_position
from scipy.sparse import eye_array

from relu_shallow.certify import points_worth, verify
from relu_shallow.checks import places
from relu_shallow.checks.counting import general_position_count, polytope_volume
from relu_shallow.checks.exact import is_witness, rational
from relu_shallow.checks.lists import first_differing_neuron
from relu_shallow.checks.maps import maps_of
from relu_shallow.checks.walls import look_behind_walls
from relu_shallow.conversion import convert
from relu_shallow.domain import Box, Polytope, WholeSpace, fit
from relu_shallow.errors import DataError
from relu_shallow.load import load_network
from relu_shallow.network import Affine, Gate, Network, Source, activation_patterns, from_layers, local_maps, named
from relu_shallow.precision import surely_signed
from relu_shallow.regions.partition import Partition
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.trie import Trie


def partition_of(name, domain=None):
    named = NAMED[name] if name in NAMED else case(name)
    return enumerate_regions(named.network, domain or Box(*named.box))


def converted(name, domain=None):
    return shallow_network(partition_of(name, domain))


def failed(verification):
    return {check.name for check in verification.checks if not check.ok}


def with_table(shallow, **changes):
    return replace(shallow, tables=(replace(shallow.table, **changes),))


def without(partition: Partition, region):
    keep = np.arange(partition.regions) != region
    return replace(
        partition, bits=partition.bits[keep], witnesses=partition.witnesses[keep], radii=partition.radii[keep]
    )


# It says yes


@pytest.mark.parametrize("name", [*sorted(NAMED), *(name for name, (count, _) in CASES.items() if count < 400)])
@pytest.mark.parametrize("domain", ["box", "everywhere"])
def test_a_true_conversion_is_verified(name, domain):
    shallow = converted(name, None if domain == "box" else WholeSpace())
    found = verify(shallow, shallow.network, points=500)
    assert failed(found) == set()
    assert found.ok


def test_the_checks_that_apply_are_all_made():
    shallow = converted("z_d2_12")
    names = {check.name for check in verify(shallow, shallow.network, np.zeros((3, 2)), points=100).checks}
    assert names == {
        "same network", "patterns unique", "trie", "equal at random points", "equal on the data", "equal at witnesses",
        "equal on region boundaries", "equal at shared vertices", "affine maps", "half-spaces", "witness patterns",
        "witnesses in the domain", "half-spaces hold at witnesses", "neighbours listed", "no unlisted neighbour",
        "no region behind a wall", "inscribed radii", "level", "sampled points in listed regions",
        "volumes sum to the domain's",
    }  # fmt: skip
    everywhere = verify(converted("z_d2_12", WholeSpace()), points=100)
    assert "count of regions in general position" in {check.name for check in everywhere.checks}
    assert any(reason.startswith("volumes") for reason in everywhere.left_out)


def test_the_same_seed_looks_at_the_same_points():
    shallow = converted("p_d2_6x6")
    assert verify(shallow, points=200, seed=3) == verify(shallow, points=200, seed=3)


def test_a_polytope_and_a_flat_box_are_verified():
    corner = Polytope(np.array([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]), np.array([0.5, 0.5, 1.0]))
    for domain in (corner, Box(np.array([-1.0, 0.5]), np.array([2.0, 0.5]))):
        found = verify(converted("triangle", domain), points=300)
        assert found.ok
        assert "volumes sum to the domain's" in {check.name for check in found.checks}


def test_of_a_partial_list_only_what_it_holds_is_checked():
    named = NAMED["cones"]
    partial = shallow_network(enumerate_regions(named.network, Box(*named.box), max_regions=6))
    found = verify(partial, points=300)
    assert found.ok
    assert not {"neighbours listed", "volumes sum to the domain's"} & {check.name for check in found.checks}
    alpha = partial.alpha.copy()
    alpha[3, 0, 1] += 1.0
    assert not verify(with_table(partial, alpha=alpha), points=300).ok


def in_modules():
    """A network of three modules, in one table each."""
    rng = np.random.default_rng(3)
    W2 = np.kron(np.eye(3), np.ones((2, 3))) * rng.normal(size=(6, 9))
    layers = [(rng.normal(size=(9, 2)), rng.normal(size=9)), (W2, rng.normal(size=6)), (np.ones((1, 6)), np.ones(1))]
    return convert(from_layers(layers), Box(-1, 2), modular=True)


def test_tables_that_add_are_verified_one_by_one():
    shallow = in_modules()
    one, two, three = shallow.tables
    assert verify(shallow, shallow.network, points=300).ok
    assert verify(shallow, points=300, exact=True).ok
    broken = replace(shallow, tables=(one, replace(two, beta=two.beta + 0.5), three))
    assert "affine maps" in failed(verify(broken, points=300))
    assert "equal at random points" in failed(verify(broken, points=300))


@pytest.mark.parametrize("how", ["left out", "twice", "weight", "slope", "output", "constant", "from outside"])
def test_no_when_modules_do_not_add_up_to_the_network(how):
    shallow = in_modules()
    assert "modules add up" in {check.name for check in verify(shallow, points=300).checks}
    broken = BROKEN_MODULES[how](shallow)
    assert "modules add up" in failed(verify(broken, points=300))


def with_layer(shallow, table, index, **changes):
    """The shallow network with another affine map in the network of one of its tables."""
    own = shallow.tables[table].network
    affine = list(own.affine)
    affine[index] = Affine(changes.get("W", affine[index].W), changes.get("b", affine[index].b))
    tables = list(shallow.tables)
    tables[table] = replace(tables[table], network=replace(own, affine=tuple(affine)))
    return replace(shallow, tables=tuple(tables))


def with_another_slope(shallow):
    own = shallow.tables[0].network
    leaky = Gate(own.gates[0].inactive + 0.5, own.gates[0].active)
    table = replace(shallow.tables[0], network=replace(own, gates=(leaky, *own.gates[1:])))
    return replace(shallow, tables=(table, *shallow.tables[1:]))


def with_a_weight_between_modules(shallow):
    affine = list(shallow.network.affine)
    W = affine[1].W.copy()
    W[0, -1] = 0.25
    affine[1] = Affine(W, affine[1].b)
    return replace(shallow, network=replace(shallow.network, affine=tuple(affine)))


BROKEN_MODULES = {
    "left out": lambda shallow: replace(shallow, tables=shallow.tables[:2]),
    "twice": lambda shallow: replace(shallow, tables=(*shallow.tables, shallow.tables[1])),
    "weight": lambda shallow: with_layer(shallow, 1, 1, W=shallow.tables[1].network.affine[1].W * 1.5),
    "slope": with_another_slope,
    "output": lambda shallow: with_layer(shallow, 2, 2, W=shallow.tables[2].network.affine[2].W * 0.5),
    "constant": lambda shallow: with_layer(shallow, 2, 2, b=np.ones(1)),
    "from outside": with_a_weight_between_modules,
}


# It says no


def test_no_when_one_weight_of_the_model_has_changed():
    shallow = converted("p_d2_6x6")
    layers = [(layer.W.copy(), layer.b.copy()) for layer in shallow.network.affine]
    layers[1][0][2, 3] += 1e-3
    found = verify(shallow, from_layers(layers), points=500)
    assert {"same network", "equal at random points"} <= failed(found)


def test_no_when_the_stored_network_itself_was_changed():
    shallow = converted("p_d2_6x6")
    affine = list(shallow.network.affine)
    affine[2] = Affine(affine[2].W * 1.001, affine[2].b)
    other = replace(shallow.network, affine=tuple(affine))
    assert not verify(with_table(replace(shallow, network=other), network=other), points=500).ok


@pytest.mark.parametrize("name", ["crossing_lines", "cones", "p_d2_6x6", "z_d3_12"])
def test_no_when_any_one_region_is_removed(name):
    whole = partition_of(name)
    for region in range(0, whole.regions, max(1, whole.regions // 8)):
        assert not verify(shallow_network(without(whole, region)), points=200).ok


def test_a_small_removed_region_is_missed_by_its_neighbours_where_volumes_are_not_computed():
    whole = partition_of("p_d4_6x6")
    for region in np.argsort(whole.radii)[:5]:
        assert "no unlisted neighbour" in failed(verify(shallow_network(without(whole, region)), points=100))


def random_network(seed, *sizes):
    rng = np.random.default_rng(seed)
    return from_layers([(rng.normal(size=(b, a)) / np.sqrt(a), rng.normal(size=b) * 0.3)
                        for a, b in pairwise(sizes)])  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "sizes", "domain", "count"),
    [
        (1, (2, 6, 6, 1), WholeSpace(), 58),
        (0, (3, 8, 6, 2), Box(-2, 2), 20),
        (3, (5, 8, 8, 1), Box(-1, 1), 10),
        (3, (8, 12, 6, 1), Box(-1, 1), 1),
    ],
)
def test_whichever_region_is_removed_it_is_found_behind_a_wall(seed, sizes, domain, count):
    whole = enumerate_regions(random_network(seed, *sizes), fit(domain, sizes[0]))
    table = shallow_network(whole).table
    assert look_behind_walls(table, whole.domain).missing == 0
    large = np.flatnonzero(whole.radii > 1e-6)
    by_size = large[np.argsort(whole.radii[large])]
    for region in by_size[np.unique(np.linspace(0, len(by_size) - 1, count).astype(int))]:
        holed = shallow_network(without(whole, region)).table
        assert look_behind_walls(holed, whole.domain).missing > 0, whole.radii[region]


def test_no_when_a_region_of_radius_a_hundredth_is_removed_in_eight_dimensions():
    whole = enumerate_regions(random_network(3, 8, 12, 6, 1), fit(Box(-1, 1), 8))
    region = np.argsort(whole.radii)[whole.regions // 10]
    assert "no region behind a wall" in failed(verify(shallow_network(without(whole, region)), points=200))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.01, 100.0, np.inf])
def test_no_when_a_radius_is_not_that_of_the_largest_ball(factor):
    shallow = converted("p_d2_6x6")
    radii = shallow.table.radii.copy()
    radii[3] = factor if factor in (0.0, np.inf) else factor * radii[3]
    assert failed(verify(with_table(shallow, radii=radii), points=50)) == {"inscribed radii"}


def test_no_when_a_level_is_claimed_that_nothing_proves():
    shallow = converted("p_d2_6x6")
    known = shallow.completeness
    claimed = replace(shallow, completeness=replace(known, certificate=replace(known.certificate, open=1)))
    assert failed(verify(claimed, points=50)) == {"level"}


def test_names_are_compared_where_the_model_has_names_of_its_own():
    shallow = converted("p_d2_6x6")
    assert verify(replace(shallow, network=named(shallow.network, ["a", "b"])), shallow.network, points=50).ok
    model = named(shallow.network, ["b", "a"])
    other = replace(shallow, network=named(shallow.network, ["a", "b"]))
    assert failed(verify(other, model, points=50)) == {"same feature names"}


def test_another_file_with_the_same_numbers_is_noted_and_not_refused():
    shallow = converted("p_d2_6x6")
    stored = replace(shallow.network, source=Source("a.onnx", "onnx", "0" * 64))
    given = replace(shallow.network, source=Source("a.onnx", "onnx", "1" * 64))
    found = verify(replace(shallow, network=stored), given, points=50)
    assert found.ok
    assert any(note.startswith("same file") for note in found.left_out)
    assert not any(note.startswith("same file") for note in verify(shallow, given, points=50).left_out)


@pytest.mark.parametrize("side", [1e7, 1e8])
def test_a_true_conversion_on_a_huge_box_is_verified(side):
    rng = np.random.default_rng(5)
    for size in ((3, 3), (2, 3), (3, 10), (4, 4)):
        rng.normal(size=size)
    W1, b1, W2, b2 = rng.normal(size=(6, 2)), rng.normal(size=6), rng.normal(size=(4, 6)), rng.normal(size=4)
    network = from_layers([(W1, b1), (W2, b2), (np.array([[1.0, 1.0, 1.0, -1.0]]), np.zeros(1))])
    shallow = shallow_network(enumerate_regions(network, fit(Box(-side, side), 2)))
    assert failed(verify(shallow, points=200)) == set()


def test_no_when_a_region_is_removed_on_the_whole_space():
    whole = partition_of("z_d2_12", WholeSpace())
    found = failed(verify(shallow_network(without(whole, 40)), points=200))
    assert {"count of regions in general position", "neighbours listed"} <= found


def test_no_when_a_region_is_listed_twice():
    whole = partition_of("p_d2_6x6")
    twice = np.insert(np.arange(whole.regions), 5, 5)
    doubled = replace(whole, bits=whole.bits[twice], witnesses=whole.witnesses[twice], radii=whole.radii[twice])
    assert "patterns unique" in failed(verify(shallow_network(doubled), points=200))
    table = converted("p_d2_6x6").table
    bits = table.bits.copy()
    bits[7] = bits[8]
    assert "patterns unique" in failed(verify(with_table(converted("p_d2_6x6"), bits=bits), points=200))


@pytest.mark.parametrize("field", ["alpha", "beta"])
def test_no_when_an_affine_map_is_changed_by_a_millionth(field):
    shallow = converted("p_d2_6x6")
    changed = getattr(shallow.table, field).copy()
    changed.reshape(-1)[-1] += 1e-6
    assert "affine maps" in failed(verify(with_table(shallow, **{field: changed}), points=200))


@pytest.mark.parametrize("field", ["H", "c"])
def test_no_when_a_half_space_is_changed_by_a_millionth(field):
    shallow = converted("p_d2_6x6")
    for row in range(0, shallow.half_spaces, 5):
        changed = getattr(shallow.table, field).copy()
        changed[row] += 1e-6
        assert "half-spaces" in failed(verify(with_table(shallow, **{field: changed}), points=200))


def test_no_when_a_witness_is_moved():
    shallow = converted("p_d2_6x6")
    for witness, check in ((shallow.table.witnesses[4], "witness patterns"), ([3.0, 3.0], "witnesses in the domain")):
        moved = shallow.table.witnesses.copy()
        moved[9] = witness
        assert check in failed(verify(with_table(shallow, witnesses=moved), points=200))


def test_no_when_a_witness_lies_on_a_border():
    shallow = converted("abs")
    for onto in (0.0, -0.0, 5e-324):  # 5e-324 has the pattern of its region; but its pre-activations are not rounded
        moved = shallow.table.witnesses.copy()
        moved[0] = onto
        assert "witness patterns" in failed(verify(with_table(shallow, witnesses=moved), points=50))


def test_no_when_a_sign_is_swapped_in_the_trie():
    shallow = converted("p_d2_6x6")
    child = shallow.table.trie.child.copy()
    child[6] = child[6, ::-1]
    trie = Trie(shallow.table.trie.row, child, shallow.table.trie.root)
    assert failed(verify(with_table(shallow, trie=trie), points=200)) == {"trie"}


def test_no_when_the_trie_is_not_a_tree():
    shallow = converted("p_d2_6x6")
    trie = shallow.table.trie
    loop, wild = trie.child.copy(), trie.row.copy()
    loop[3] = trie.root
    wild[3] = 10**6
    for broken in (
        Trie(trie.row, loop, trie.root),
        Trie(wild, trie.child, trie.root),
        Trie(trie.row[:-1], trie.child[:-1], trie.root),
    ):
        assert failed(verify(with_table(shallow, trie=broken), points=200)) == {"trie"}


def test_no_when_two_rows_are_exchanged_in_the_trie():
    shallow = converted("p_d2_6x6")
    row = shallow.table.trie.row.copy()
    first, second = np.unique(row, return_index=True)[1][:2]
    row[[first, second]] = row[[second, first]]
    trie = Trie(row, shallow.table.trie.child, shallow.table.trie.root)
    assert "half-spaces" in failed(verify(with_table(shallow, trie=trie), points=200))


def test_no_when_the_list_belongs_to_another_domain():
    small = converted("p_d2_6x6", Box(-0.3, 0.3))
    assert not verify(replace(small, domain=Box(np.full(2, -1.0), np.full(2, 1.0))), points=500).ok


def test_no_when_the_head_or_the_shape_differs():
    shallow = converted("p_d2_6x6")
    assert failed(verify(shallow, replace(shallow.network, head="sigmoid"), points=50)) == {"same network"}
    assert failed(verify(shallow, case("p_d4_6x6").network, points=50)) == {"same network"}


def test_bad_data_is_refused_with_a_reason():
    with pytest.raises(DataError, match="2 inputs"):
        verify(converted("p_d2_6x6"), data=np.zeros((3, 5)))
    with pytest.raises(DataError, match="NaN"):
        verify(converted("p_d2_6x6"), data=np.full((1, 2), np.nan))


# What it stands on


@pytest.mark.parametrize("name", ["two_slopes", "sawtooth", "p_d4_6x6"])
def test_maps_of_many_patterns_are_those_of_one_at_a_time(name):
    table = converted(name).table
    maps = maps_of(table.network, table.patterns)
    for region, pattern in enumerate(table.patterns):
        one = [np.column_stack([G, g]) for G, g in local_maps(table.network, pattern)]
        np.testing.assert_allclose(maps.rows[:, region], np.concatenate(one[:-1]), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(maps.output[:, region], one[-1], rtol=1e-12, atol=1e-13)


def test_exact_arithmetic_tells_a_border_from_a_point_beside_it():
    # as binary numbers 0.1 + 0.2 - 0.3 is 2^-55 and not 0; one unit less in the bias makes it negative
    for bias, active in ((-0.3, True), (np.nextafter(-0.3, -1), False)):
        network = from_layers([(np.array([[0.1, 0.2]]), np.array([bias])), (np.eye(1), np.zeros(1))])
        for bit in (True, False):
            assert is_witness(network, rational(np.ones(2)), np.array([bit])) == (bit == active)
    zero = NAMED["constants"].network  # rows -1, 0 and 2: identically zero is inactive and needs no sign
    assert is_witness(zero, rational(np.array([0.3])), np.array([False, False, True]))
    assert not is_witness(zero, rational(np.array([0.3])), np.array([False, True, True]))
    flat = NAMED["abs"].network
    assert not is_witness(flat, rational(np.array([0.0])), np.array([False, False]))  # the pattern of 0 is no region's


def test_volumes_of_known_bodies():
    eye = np.eye(3)
    assert polytope_volume(np.concatenate([eye, -eye]), np.full(6, 0.5)) == pytest.approx(1.0, rel=1e-12)
    simplex = np.array([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]), np.array([0.25, 0.25, 0.5])
    assert polytope_volume(*simplex) == pytest.approx(0.5, rel=1e-12)
    assert polytope_volume(np.array([[2.0], [-1.0]]), np.array([1.0, 1e-9])) == pytest.approx(0.5 + 1e-9, rel=1e-12)
    with pytest.raises(ValueError, match="not inside"):
        polytope_volume(np.array([[1.0], [-1.0]]), np.array([1.0, -0.5]))


def test_the_theorem_is_used_only_where_it_holds():
    assert general_position_count(case("z_d3_12").network, WholeSpace())[0] == general_position(12, 3)
    for name in ("g_dup", "bent_line", "cones", "duplicated", "constants"):
        assert general_position_count((NAMED.get(name) or case(name)).network, WholeSpace())[0] is None
    assert general_position_count(case("z_d3_12").network, Box(-1, 1))[0] is None


def test_neighbours_differ_first_where_their_bits_do():
    table = converted("p_d4_6x6").table
    expected = [int(np.flatnonzero(a != b)[0]) for a, b in zip(table.patterns, table.patterns[1:], strict=False)]
    assert first_differing_neuron(table.bits).tolist() == expected


def test_a_real_controller_is_verified_on_the_plane_against_its_file():
    path = data_path("onnx/archcomp/Single_Pendulum_controller_single_pendulum.onnx")
    shallow = shallow_network(enumerate_regions(load_network(path), WholeSpace()))
    assert shallow.regions == 1280
    assert verify(shallow, path).ok


def test_a_point_on_every_border_shows_no_pattern():
    through_zero = from_layers([(np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    points = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 2.0]])  # the second neuron is zero everywhere
    assert surely_signed(through_zero, points).tolist() == [False, False, True, True]


def test_the_more_a_point_costs_the_fewer_are_compared_and_never_less_than_a_thousand():
    wide = [Affine(eye_array(width, format="csr"), np.zeros(width)) for width in (1 << 12, 1 << 17)]
    gates = [Gate.relu(len(layer.b)) for layer in wide]
    counts = [points_worth(Network((layer, layer), (gate,))) for layer, gate in zip(wide, gates, strict=True)]
    assert counts == [10_000, 1_000]
    assert points_worth(random_network(0, 2, 3, 1)) == 10_000


def test_points_on_borders_lie_in_a_region_and_just_beyond_it():
    table = converted("p_d4_6x6", Box(-1, 1)).table
    ends = places.crossings(table.network, table, 200, np.random.default_rng(0))
    inside, beyond = ends[:200], ends[200:]
    differ = (activation_patterns(table.network, inside) != activation_patterns(table.network, beyond)).any(axis=1)
    assert differ.all()
    assert np.abs(inside - beyond).max() < 1e-13
