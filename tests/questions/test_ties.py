"""Ties of outputs, on borders and on whole regions: whose class they are is exact, and no search ends at them."""

from fractions import Fraction

import numpy as np
import pytest

from relu_shallow.domain import Box, WholeSpace
from relu_shallow.network import Affine, Gate, Network, from_layers
from relu_shallow.questions import nearest as search
from relu_shallow.questions import ties
from relu_shallow.questions.distance import NORMS
from relu_shallow.questions.goal import another_class, class_of, past
from relu_shallow.questions.nearest import nearest_point
from relu_shallow.questions.radius import robust_radii
from relu_shallow.questions.space import space_of

# outputs 0 and relu(x_0): they tie wherever x_0 <= 0, and a tie is of the class that comes first
HINGE = from_layers([(np.array([[1.0, 0.0]]), np.zeros(1)), (np.array([[0.0], [1.0]]), np.zeros(2))])
# relu(x) - relu(x - 1): 0, then x, then 1
CLIPPED = from_layers([(np.ones((2, 1)), np.array([0.0, -1.0])), (np.array([[1.0, -1.0]]), np.zeros(1))])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("domain", [Box(-4, 4), WholeSpace()])
def test_a_tie_is_of_the_class_that_comes_first(norm, domain):
    found = robust_radii(HINGE, [[1.5, 0.5], [-2.0, 0.0]], norm, domain=domain)
    assert found.status == ("exact", "exact")
    assert found.ended == ("settled", "settled")
    assert np.allclose(found.upper, [1.5, 2.0], rtol=3e-7)
    assert found.classes.tolist() == [1, 0]
    assert found.classes_there.tolist() == [0, 1]


@pytest.mark.parametrize("norm", NORMS)
def test_that_a_class_only_ever_ties_is_proved(norm):
    turned = Network((HINGE.affine[0], Affine(-HINGE.affine[1].W, np.zeros(2))), HINGE.gates)  # 0 and -relu(x_0)
    found = robust_radii(turned, [[1.0, 0.0], [-1.0, 0.0]], norm, domain=Box(-3, 3))
    assert found.status == ("none", "none")
    assert (found.lower == np.inf).all()


@pytest.mark.parametrize(
    ("x", "threshold", "distance"), [(0.5, 0.0, 0.5), (0.5, 1.0, np.inf), (2.0, 1.0, np.inf), (2.0, 0.25, 1.75)]
)
def test_a_threshold_is_passed_only_above_it(x, threshold, distance):
    found = robust_radii(CLIPPED, [[x]], domain=Box(-3, 3), output=0, threshold=threshold)
    assert found.status == (("none",) if distance == np.inf else ("exact",))
    assert np.isclose(found.upper[0], distance, rtol=3e-7)


def test_where_the_nearest_point_only_touches_the_goal_it_is_looked_for_farther():
    # -|x| above 0 nowhere, though it touches 0; relu(x - 2) is above 0 from 2 on
    touching = from_layers([(np.array([[1.0], [-1.0], [1.0]]), np.array([0.0, 0.0, -2.0])),
                            (np.array([[-1.0, -1.0, 3.0]]), np.zeros(1))])  # fmt: skip
    found = robust_radii(touching, [[-1.0]], domain=Box(-4, 4), output=0)
    assert found.status == ("exact",)
    assert np.isclose(found.upper[0], 4.0, rtol=3e-7)  # -x + 3 (x - 2) > 0 from x = 3 on
    assert robust_radii(touching, [[-1.0]], domain=Box(-2, 2), output=0).status == ("none",)


@pytest.mark.parametrize("norm", NORMS)
def test_every_row_of_a_network_without_output_biases_is_settled(norm):
    rng = np.random.default_rng(0)  # where all its neurons are inactive its outputs are equal
    layers = [(rng.normal(size=(5, 6)), rng.normal(size=5)), (rng.normal(size=(2, 5)), np.zeros(2))]
    network, X = from_layers(layers, head="softmax"), np.random.default_rng(1).normal(size=(30, 6))
    found = robust_radii(network, X[[3, 4, 7, 15, 22, 27]], norm, weights=1 / X.std(axis=0), time_limit=20.0)
    assert set(found.ended) == {"settled"}
    assert set(found.status) == {"exact"}
    assert (found.classes_there != found.classes).all()


def test_why_a_search_ended_is_said():
    space = space_of(WholeSpace(), CLIPPED)
    far = nearest_point(CLIPPED, np.zeros(1), (past(CLIPPED, 0, 2.0, "above"),), space)
    assert (far.status, far.ended) == ("bounds", "far")
    soon = nearest_point(CLIPPED, np.zeros(1), (past(CLIPPED, 0, 0.5, "above"),), space, time_limit=0.0)
    assert (soon.status, soon.ended) == ("bounds", "time")


def test_what_exact_arithmetic_leaves_open_is_left_open(monkeypatch):
    monkeypatch.setattr(search, "exactly_met", lambda *_: None)
    monkeypatch.setattr(search, "surely_empty", lambda *_: False)
    found = robust_radii(HINGE, [[1.5, 0.5]], domain=Box(-4, 4))
    assert found.ended == ("rounding",)
    assert found.status == ("bounds",)
    assert found.lower[0] <= 1.5


def test_a_tie_that_counts_is_never_excluded(monkeypatch):
    monkeypatch.setattr(search, "exactly_met", lambda *_: None)
    found = robust_radii(HINGE, [[1.5, 0.5]], domain=Box(-4, 4))  # where x_0 <= 0 the class is 0, by a tie
    assert found.status == ("bounds",)
    assert found.lower[0] <= 1.5


def test_exact_outputs_are_those_of_fractions():
    rng = np.random.default_rng(4)
    network = Network(
        (Affine(rng.normal(size=(4, 3)), rng.normal(size=4)), Affine(rng.normal(size=(2, 4)), rng.normal(size=2))),
        (Gate(np.full(4, -0.3), np.full(4, 1.1)),),
    )
    x = rng.normal(size=3)
    values = [Fraction(v) for v in x.tolist()]
    for index, layer in enumerate(network.affine):
        values = [sum((Fraction(w) * v for w, v in zip(row, values, strict=True)), Fraction(b))
                  for row, b in zip(layer.W.tolist(), layer.b.tolist(), strict=True)]  # fmt: skip
        if index == 0:
            values = [v * Fraction(1.1 if v > 0 else -0.3) for v in values]
    assert ties.exact_outputs(network, x) == values


def test_a_point_meets_a_goal_only_if_it_does_so_exactly():
    # 0.1 + 0.2 - 0.3 is positive, as the floats are; their sum in floats says so too, but its bound does not
    network = from_layers([(np.array([[1.0, 1.0, -1.0]]), np.zeros(1))])
    x = np.array([0.1, 0.2, 0.3])
    assert ties.meets(past(network, 0, 0.0, "above"), network, x) == (Fraction(0.1) + Fraction(0.2) > Fraction(0.3))
    assert not ties.meets(past(network, 0, 0.0, "below"), network, x)
    zero = np.zeros(3)
    assert ties.meets(past(network, 0, 0.0, "below"), network, zero)
    assert not ties.meets(past(network, 0, 0.0, "above"), network, zero)
    assert [goal.strict.tolist() for goal in another_class(HINGE, 0)] == [[True]]
    assert [goal.strict.tolist() for goal in another_class(HINGE, 1)] == [[False]]
    assert int(class_of(HINGE, HINGE(np.zeros((1, 2))))[0]) == 0
