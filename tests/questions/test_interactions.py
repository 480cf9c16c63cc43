"""Pairs proved never to interact have no second difference, and no region's map tells them apart."""

import numpy as np
import pytest
from command_line import one_sentence, run, run_json, write_onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED

from relu_shallow import Box, WholeSpace, convert
from relu_shallow.domain import Polytope
from relu_shallow.errors import DomainError
from relu_shallow.network import evaluate, from_layers
from relu_shallow.questions.interactions import carried_by_regions, interactions


def second_difference(network, X, Y, i, j):
    """The largest |f(x) - f(x, y_i) - f(x, y_j) + f(x, y_i, y_j)|."""
    corners = [X.copy() for _ in range(4)]
    for corner, moves in zip(corners, ((), (i,), (j,), (i, j)), strict=True):
        for axis in moves:
            corner[:, axis] = Y[:, axis]
    a, b, c, d = (evaluate(network, corner) for corner in corners)
    return np.abs(a - b - c + d).max()


def additive():
    """relu(x0) + relu(x1 - 1/2), and x1 and x2 together in relu(x1 + x2): x0 stands alone."""
    return from_layers([(np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 1]]), np.array([0.0, -0.5, 0.0])),
                        (np.ones((1, 3)), np.zeros(1))])  # fmt: skip


def late():
    """relu(relu(x0) + relu(x1 - 1/2) + relu(x1 + x2) / 2 - 3) joins x0 to the others, but only far out."""
    return from_layers([(np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 1]]), np.array([0.0, -0.5, 0.0])),
                        (np.array([[1.0, 1.0, 0.5], [1.0, 0.0, 1.0]]), np.array([-3.0, 0.0])),
                        (np.ones((1, 2)), np.zeros(1))])  # fmt: skip


def test_hand_worked_pairs():
    for domain in (Box(-1.0, 1.0), WholeSpace()):
        for found in (interactions(additive(), domain=domain), interactions(convert(additive(), domain=domain))):
            assert found.pairs == {"never": [("x0", "x1"), ("x0", "x2")], "interact": [("x1", "x2")], "may": []}
    assert interactions(NAMED["crossing_lines"].network, domain=Box(-1.0, 1.0)).pairs["never"] == [("x0", "x1")]
    assert interactions(NAMED["bent_line"].network, domain=Box(-2.0, 2.0)).pairs["interact"] == [("x0", "x1")]
    assert interactions(NAMED["linear"].network, domain=WholeSpace()).pairs["never"] == [("x0", "x1")]


def test_a_neuron_that_is_stable_on_the_domain_joins_nothing():
    # relu(x0 + x1 + 3) is affine on the box and relu(x0 - x1 - 3) zero; outside of it both bend
    first = np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([3.0, -3.0])
    network = from_layers([first, (np.ones((1, 2)), np.zeros(1))])
    assert interactions(network, domain=Box(-1.0, 1.0)).pairs["never"] == [("x0", "x1")]
    assert interactions(network, domain=Box(-9.0, 9.0)).pairs["interact"] == [("x0", "x1")]
    assert interactions(network, domain=WholeSpace()).pairs["interact"] == [("x0", "x1")]


def test_regions_prove_what_weights_cannot():
    small, large = Box(-1.0, 1.0), Box(-4.0, 4.0)
    assert interactions(late(), domain=small).pairs["may"] == [("x0", "x1"), ("x0", "x2")]
    by_regions = interactions(convert(late(), domain=small))
    assert by_regions.proved_by == "regions"
    assert by_regions.pairs["never"] == [("x0", "x1"), ("x0", "x2")]
    assert interactions(convert(late(), domain=large)).pairs["never"] == []


def test_facets_that_carry_a_pair_are_seen_without_second_differences():
    every = ~np.eye(3, dtype=bool)
    free = np.ones(3, dtype=bool)
    assert carried_by_regions(convert(late(), domain=Box(-4.0, 4.0)), every, free).tolist() == every.tolist()
    near = carried_by_regions(convert(late(), domain=Box(-1.0, 1.0)), every, free)
    assert np.argwhere(near).tolist() == [[1, 2], [2, 1]]


def test_weights_that_lead_nowhere_join_nothing():
    network = from_layers([(np.ones((1, 2)), np.zeros(1)), (np.zeros((1, 1)), np.ones(1))])
    assert interactions(network, domain=Box(-1.0, 1.0)).pairs["never"] == [("x0", "x1")]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_is_proved_has_no_second_difference(seed):
    """Random networks with most weights zero, over a box and over its regions."""
    rng = np.random.default_rng(seed)
    layers = [(rng.integers(-2, 3, (b, a)) * (rng.random((b, a)) < 0.4), rng.integers(-1, 2, b))
              for a, b in ((3, 5), (5, 4), (4, 1))]  # fmt: skip
    network = from_layers([(W.astype(float), b.astype(float)) for W, b in layers])
    domain = Box(-np.ones(3), np.ones(3))
    X, Y = rng.uniform(-1, 1, (2, 2000, 3))
    weights, regions = interactions(network, domain=domain), interactions(convert(network, domain=domain))
    for found in (weights, regions):
        for i in range(3):
            for j in range(i + 1, 3):
                size = second_difference(network, X, Y, i, j)
                if found.status[i, j] == "never":
                    assert size < 1e-12
                if size > 1e-9:
                    assert found.status[i, j] in ("interact", "may")
    assert (regions.status[weights.status == "never"] == "never").all()
    assert set(regions.pairs["interact"]) == set(weights.pairs["interact"])


def test_a_partial_list_proves_by_weights_alone_and_a_polytope_is_refused():
    partial = convert(late(), domain=Box(-1.0, 1.0), max_regions=2)
    assert interactions(partial).proved_by == "weights"
    with pytest.raises(DomainError, match="polytope"):
        interactions(additive(), domain=Polytope([[1.0, 1.0, 1.0]], [1.0]))


def test_the_command_says_it(tmp_path):
    W = np.array([[1.0, 0], [0, 1]])
    model = write_onnx(tmp_path / "m.onnx", [(W, np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    for target in ("s", "s.regions"):
        assert run("convert", model, "--domain", "box:-1,1", "-o", tmp_path / target).exit_code == 0
    for words in ((model, "--domain", "box:-1,1"), (model, "--domain", "all"), (tmp_path / "s",),
                  (tmp_path / "s.regions",)):  # fmt: skip
        assert run_json("interactions", *words)["never"] == [["x0", "x1"]]
        assert "never interact (proved)  1: x0 and x1" in run("interactions", *words).stdout
    refused = run("interactions", model)
    assert refused.exit_code == 2
    one_sentence(refused.stderr, "--domain")
