import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED, case

from relu_shallow.domain import Box, WholeSpace, contains
from relu_shallow.network import activation_patterns, from_layers, local_maps
from relu_shallow.regions.partition import pack, sort_order
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import build_table
from relu_shallow.shallow.trie import cartesian_tree, cell_starts, first_differences, path, paths, walk


def table_of(name, domain=None):
    named = NAMED[name] if name in NAMED else case(name)
    return build_table(enumerate_regions(named.network, domain or Box(*named.box)))


pattern_lists = st.integers(1, 20).flatmap(
    lambda neurons: st.sets(st.integers(0, 2**neurons - 1), min_size=1, max_size=40).map(
        lambda codes: np.array([[code >> (neurons - 1 - j) & 1 for j in range(neurons)] for code in codes], dtype=bool)
    )
)


@given(pattern_lists)
def test_neighbours_first_differ_where_their_patterns_do(patterns):
    bits = pack(patterns)
    bits = bits[sort_order(bits)]
    rows = np.unpackbits(bits, axis=1, count=patterns.shape[1])
    expected = [int(np.flatnonzero(a != b)[0]) for a, b in itertools.pairwise(rows)]
    assert first_differences(bits).tolist() == expected


@given(pattern_lists)
def test_following_a_pattern_down_the_tree_ends_at_its_own_region(patterns):
    bits = pack(patterns)
    bits = bits[sort_order(bits)]
    rows = np.unpackbits(bits, axis=1, count=patterns.shape[1])
    split = first_differences(bits)
    trie = cartesian_tree(split, np.arange(len(split)))
    for region, pattern in enumerate(rows):
        node = trie.root
        while node >= 0:
            node = int(trie.child[node, pattern[split[node]]])
        assert -node - 1 == region


@given(pattern_lists)
def test_all_paths_at_once_are_the_paths_one_by_one(patterns):
    bits = pack(patterns)
    bits = bits[sort_order(bits)]
    split = first_differences(bits)
    trie = cartesian_tree(split, split)
    start, rows, signs = paths(trie)
    for region in range(len(bits)):
        one_rows, one_signs = path(trie, region)
        here = slice(start[region], start[region + 1])
        assert rows[here].tolist() == one_rows.tolist()
        assert signs[here].tolist() == one_signs.tolist()


def test_cells_start_where_an_earlier_layer_changes():
    network = from_layers([(np.eye(1), np.zeros(1)), (np.ones((2, 1)), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    #  0 00 | 0 01 | 1 00 | 1 10 | 1 11     splits: 2, 0, 1, 2
    split = np.array([2, 0, 1, 2])
    assert cell_starts(split, network).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize("name", sorted(NAMED))
def test_one_node_stands_between_neighbours_and_every_row_is_a_cut_neurons(name):
    table = table_of(name, WholeSpace())
    assert len(table.trie.row) == table.regions - 1
    assert len(table.c) == len(np.unique(table.trie.row))
    split = first_differences(table.bits)
    for node, row in enumerate(table.trie.row):
        maps = local_maps(table.network, table.patterns[node])[:-1]
        own = np.concatenate([np.column_stack([G, g]) for G, g in maps])[split[node]]
        np.testing.assert_allclose(np.append(table.H[row], table.c[row]), own, rtol=1e-12, atol=1e-12)
        assert own[:-1].any()


@pytest.mark.parametrize("name", [*sorted(NAMED), "g_dup", "g_thin", "g_nobias"])
def test_a_point_inside_a_region_walks_to_it(name):
    table = table_of(name)
    assert (table.region_of(table.witnesses) == np.arange(table.regions)).all()
    named = NAMED[name] if name in NAMED else case(name)
    X = np.random.default_rng(0).uniform(*named.box, (500, table.network.inputs))
    assert (table.patterns[table.region_of(X)] == activation_patterns(table.network, X)).all()


@pytest.mark.parametrize("name", ["crossing_lines", "triangle", "bent_line", "cones"])
def test_a_border_point_walks_to_a_region_whose_closure_holds_it(name):
    table = table_of(name, WholeSpace())
    X = np.concatenate([np.zeros((1, 2)), [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.0, -2.0]]])
    for x, region in zip(X, table.region_of(X), strict=True):
        rows, signs = table.rows(int(region))
        assert (signs * (table.H[rows] @ x + table.c[rows]) >= -1e-12).all()


def test_the_rows_of_a_region_describe_it_within_the_domain():
    table = table_of("triangle")
    box = Box(*NAMED["triangle"].box)
    X = np.random.default_rng(1).uniform(-1, 2, (2000, 2))
    assert contains(box, X).all()
    inside = np.array([
        [(signs * (table.H[rows] @ x + table.c[rows]) >= 0).all() for rows, signs in map(table.rows, range(7))]
        for x in X
    ])  # fmt: skip
    assert (inside.sum(axis=1) == 1).all()
    assert (inside.argmax(axis=1) == table.region_of(X)).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_walk_agrees_with_the_pattern_everywhere(seed):
    rng = np.random.default_rng(seed)
    sizes = [3, 5, 4, 2]
    network = from_layers([(rng.normal(size=(o, i)), rng.normal(size=o)) for i, o in itertools.pairwise(sizes)])
    table = build_table(enumerate_regions(network, WholeSpace()))
    X = rng.normal(size=(300, 3)) * rng.choice([0.1, 1.0, 1e3], (300, 1))
    found = walk(table.trie, table.H, table.c, X)
    assert (table.patterns[found] == activation_patterns(network, X)).all()
