"""A search that is stopped on its way to a region, not only after one: nothing is lost, and it does stop."""

from itertools import pairwise
from threading import Timer

import numpy as np
import pytest

from relu_shallow.domain import Box, fit
from relu_shallow.errors import DomainError
from relu_shallow.network import from_layers
from relu_shallow.regions import task
from relu_shallow.regions.kernel import HALT
from relu_shallow.regions.partition import sort_order
from relu_shallow.regions.search import enumerate_regions, prepare
from relu_shallow.regions.task import Allowance, Live, Task, search_task


def random_network(*widths):
    r = np.random.default_rng(0)
    layers = [(r.normal(size=(o, i)) / np.sqrt(i), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]
    return from_layers(layers)


def test_a_search_halted_again_and_again_on_its_way_finds_the_same_regions():
    """HALT stops it before a linear program, in the middle of a path; what it leaves is gone on with from there."""
    network = random_network(4, 20, 20, 1)
    box = fit(Box(-1.0, 1.0), 4)
    whole = enumerate_regions(network, box)
    search = prepare(network, box, certify=True)
    found, halted, midway = [], 0, 0
    nodes = search.roots[0].nodes
    while nodes:
        live = Live()
        clock = Timer(0.001, live.control.__setitem__, (0, HALT))
        clock.start()
        result = search_task(search.problems[0], Task(0, nodes), Allowance(1 << 20, float("inf")), live)
        clock.cancel()
        found.append(result.found.bits)
        nodes = result.rest
        halted += bool(nodes)
        midway += bool(nodes) and nodes[0].flags[nodes[0].decided - 1] != 3
    assert halted > 5
    assert midway > 0
    bits = np.concatenate(found)
    np.testing.assert_array_equal(bits[sort_order(bits)], whole.bits)


def test_a_search_that_does_not_fit_into_memory_says_what_would(monkeypatch):
    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(task, "search", full)
    with pytest.raises(DomainError, match=r"40 neurons over 4 inputs may take .* GB .*search a slice"):
        enumerate_regions(random_network(4, 20, 20, 1), Box(-1.0, 1.0))


def test_a_time_limit_ends_a_search_that_is_long_on_its_way_to_the_first_region():
    """Four hundred inputs: the linear programs of one region take many times the limit."""
    network = random_network(400, 300, 1)
    found = enumerate_regions(network, Box(-1.0, 1.0), time_limit=0.5)
    assert not found.complete
    assert found.regions == 0
