"""Drawings are unbiased: their mean is the number of regions, whatever the guesses say."""

from itertools import pairwise

import numpy as np
import pytest
from networks import NAMED

from relu_shallow.domain import Box, WholeSpace, fit
from relu_shallow.estimation import drawing
from relu_shallow.estimation.drawing import draw, inclusion, systematic
from relu_shallow.estimation.estimating import interval, trees_of
from relu_shallow.estimation.inside import chart_points, patterns, random_points
from relu_shallow.estimation.overlap import charts_met, counted_once
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.task import run

DRAWINGS = 150
FAR = 4.0  # standard errors


def random_network(seed, widths):
    rng = np.random.default_rng(seed)
    return from_layers([(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in pairwise(widths)])


@pytest.fixture
def small_steps(monkeypatch):
    """Listings so short that a small network already leaves most of its regions to chance."""
    monkeypatch.setattr(drawing, "GLIMPSE", 3)
    monkeypatch.setattr(drawing, "BOTTOM", 12)


def drawn(trees, population, times, rng):
    numbers = []
    for number in range(times):
        numbers.append(counted_once(trees, draw(trees, population, rng, map), rng))
        if number < 4:
            trees.learn()
    return np.array(numbers)


def distance(numbers, true):
    """How many standard errors the mean is off."""
    return abs(numbers.mean() - true) / (numbers.std(ddof=1) / np.sqrt(len(numbers)))


def test_the_mean_of_many_drawings_is_the_number_of_regions(small_steps):
    for seed, widths in ((0, [3, 10, 10, 1]), (1, [2, 12, 12, 12, 1])):
        network, domain = random_network(seed, widths), Box(-2.0, 2.0)
        true = enumerate_regions(network, domain).regions
        numbers = drawn(trees_of(network, fit(domain, network.inputs), seed), 2, DRAWINGS, np.random.default_rng(seed))
        assert numbers.std() > 0.05 * true, "nothing was left to chance: the test tests nothing"
        assert distance(numbers, true) < FAR, (numbers.mean(), true)


def test_bad_guesses_cost_precision_and_not_correctness(small_steps, monkeypatch):
    network, domain = random_network(0, [3, 10, 10, 1]), Box(-2.0, 2.0)
    monkeypatch.setattr(drawing, "guesses", lambda model, X: np.random.default_rng(5).uniform(1, 100, len(X)))
    trees = trees_of(network, fit(domain, 3), 0)
    rng = np.random.default_rng(0)
    numbers = np.array([draw(trees, 3, rng, map).regions for _ in range(2 * DRAWINGS)])
    assert distance(numbers, enumerate_regions(network, domain).regions) < FAR


@pytest.mark.parametrize("wrong", ["weight unchanged", "probabilities not the ones drawn with"])
def test_a_wrong_weight_is_seen(small_steps, monkeypatch, wrong):
    """The law above can fail: here each drawing divides by something else than its probability."""
    right = drawing._select

    def select(pool, population, rng):
        if wrong == "weight unchanged":
            old = {id(cell): weight for weight, cell in pool}
            return [(old[id(cell)], cell) for _, cell in right(pool, population, rng)]
        return [(weight * 1.1, cell) for weight, cell in right(pool, population, rng)]

    monkeypatch.setattr(drawing, "_select", select)
    network, domain = random_network(0, [3, 10, 10, 1]), Box(-2.0, 2.0)
    numbers = drawn(trees_of(network, fit(domain, 3), 0), 2, DRAWINGS, np.random.default_rng(0))
    assert distance(numbers, enumerate_regions(network, domain).regions) > FAR


def test_regions_that_several_charts_meet_count_once(small_steps):
    network = random_network(2, [2, 8, 8, 1])
    true = enumerate_regions(network, WholeSpace()).regions
    trees, rng = trees_of(network, WholeSpace(), 0), np.random.default_rng(0)
    assert len(trees.problems) == 5
    numbers = drawn(trees, 6, 25, rng)
    sums = np.array([draw(trees, 6, rng, map).regions for _ in range(40)])
    assert distance(numbers, true) < FAR, (numbers.mean(), true)
    assert sums.mean() > 1.1 * true, "the charts hardly overlap: the test tests nothing"


def test_the_charts_a_region_meets_are_those_that_list_it():
    network = random_network(2, [2, 6, 4, 1])
    trees = trees_of(network, WholeSpace(), 0)
    lists = []
    for root, problem in zip(trees.roots, trees.problems, strict=True):
        batches, rest = run(problem, (root.node,), 10_000, np.zeros(1, np.int64), np.zeros(16, np.int64))
        assert not rest
        lists.append({bytes(row) for batch in batches for row in batch.bits})
    for home, listed in enumerate(lists):
        for row in sorted(listed)[:10]:
            assert charts_met(trees, home, np.frombuffer(row, np.uint8)) == sum(row in other for other in lists)


def test_small_networks_are_counted_without_chance():
    for named in NAMED.values():
        if named.network.neurons:
            trees = trees_of(named.network, Box(*named.box), 0)
            found = draw(trees, 10, np.random.default_rng(0), map)
            assert found.exact
            assert found.regions == named.regions_in_box


def test_random_points_lie_in_their_cell_and_reach_all_about():
    network = random_network(3, [3, 8, 8, 1])
    trees = trees_of(network, fit(Box(-1.0, 1.0), 3), 0)
    problem, layers = trees.problems[0], trees.layers[0]
    batches, rest = run(problem, (trees.roots[0].node,), 5, np.zeros(1, np.int64), np.zeros(16, np.int64))
    assert np.array_equal(
        patterns(layers, chart_points(problem.source, batches)),
        np.unpackbits(np.concatenate([batch.bits for batch in batches]), axis=1, count=16).astype(bool),
    )
    node = rest[-1]
    inside, _ = run(problem, (node,), 1, np.zeros(1, np.int64), np.zeros(16, np.int64))
    points = random_points(layers, node, chart_points(problem.source, inside), np.random.default_rng(0))
    assert (np.abs(points) <= 1 + 1e-9).all()
    agree = patterns(layers, points)[:, : node.decided] == (node.flags[: node.decided] & 1)
    assert agree.all(axis=1).mean() > 0.99
    assert len({row.tobytes() for row in patterns(layers, points)}) > 5


def test_inclusion_probabilities_sum_to_the_population_and_keep_proportions():
    rng = np.random.default_rng(0)
    for size, population in ((5, 4), (40, 1), (40, 7), (1000, 999)):
        share = rng.pareto(0.7, size) + 1e-3
        pi = inclusion(share / share.sum(), population)
        assert pi.sum() == pytest.approx(population)
        assert ((pi > 0) & (pi <= 1)).all()
        below = pi < 1
        assert np.ptp(pi[below] / share[below]) < 1e-9 * (pi[below] / share[below]).max() if below.any() else True


def test_systematic_drawing_takes_each_as_often_as_its_probability_says():
    pi = inclusion(np.array([0.5, 0.02, 0.2, 0.08, 0.2]), 3)
    often = np.zeros(5)
    for u in (np.arange(2000) + 0.5) / 2000:
        taken = systematic(pi, u)
        assert len(taken) == 3
        often[taken] += 1
    assert np.allclose(often / 2000, pi, atol=1e-3)


def test_the_interval_covers_the_mean_of_skewed_numbers():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        mean, low, high = interval(rng.lognormal(sigma=0.5, size=12))
        assert low <= mean <= high
        covered += low <= np.exp(0.125) <= high
    assert covered >= 0.93 * 400
