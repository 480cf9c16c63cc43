"""Questions put to a network converted in modules: what is proved of the sum is true of the one list of all regions."""

from dataclasses import replace

import numpy as np
import pytest
from networks import planted

import relu_shallow as rs
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import OutputError
from relu_shallow.network import Affine, from_layers
from relu_shallow.questions.interactions import Interactions, _of_modules

POLYTOPE = Polytope(np.concatenate([np.eye(3), -np.eye(3)]), np.array([1.0, 1, 1, 1, 1, 0.5]))
DOMAINS = {"box": Box(-1, 1), "everywhere": WholeSpace(), "polytope": POLYTOPE}


def both_ways(network, domain):
    return rs.convert(network, domain), rs.convert(network, domain, modular=True)


def rising(network, feature=0):
    """The network with weights that make it rise with a feature: none is negative on any way from it."""
    first, *rest = network.affine
    W = first.W.copy()
    W[:, feature] = np.abs(W[:, feature])
    return replace(network, affine=(Affine(W, first.b), *(Affine(np.abs(layer.W), layer.b) for layer in rest)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_what_is_monotone_in_modules_is_monotone(seed, domain):
    network, _ = planted(seed)
    for given in (network, rising(network)):
        joint, apart = (rs.monotone(source) for source in both_ways(given, domain))
        assert (joint.status[apart.status == "proved"] == "proved").all()
        assert (joint.status[apart.status == "refuted"] == "refuted").all()
        rounding = 1e-12 * np.abs(joint.slopes).max()
        assert (apart.slopes[0] <= joint.slopes[0] + rounding).all()
        assert (apart.slopes[1] >= joint.slopes[1] - rounding).all()
        assert (apart.lipschitz >= joint.lipschitz * (1 - 1e-12)).all()
    assert (apart.status[0, :, 0] == "proved").all()  # rising in the first feature
    assert apart.exact_lipschitz is False


def test_slopes_of_modules_with_inputs_of_their_own_are_those_of_the_sum():
    network, _ = planted(5, widths=(4, 3), own_inputs=True)
    joint, apart = (rs.monotone(source) for source in both_ways(network, WholeSpace()))
    np.testing.assert_allclose(apart.slopes, joint.slopes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("own_inputs", [False, True])
def test_pairs_never_interact_where_they_do_in_no_module(seed, own_inputs):
    network, _ = planted(seed, modules=2, widths=(3, 2), inputs=4, own_inputs=own_inputs)
    joint, apart = (rs.interactions(source) for source in both_ways(network, Box(-1, 1)))
    assert apart.proved_by == "regions"
    np.testing.assert_array_equal(apart.status, joint.status)
    assert (("never" in apart.status) is True) == own_inputs


def test_what_weights_leave_open_is_settled_by_each_modules_regions():
    """relu(relu(x1) + relu(x0) - relu(x0) + 0.5) is never cut, which only regions show; beside it |x2| as a module."""
    first = [[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, -1]]
    second = [[1, 1, -1, 0, 0], [0, 0, 0, 1, 1]]
    layers = [(first, np.zeros(5)), (second, [0.5, 0]), ([[1, 1]], [0])]
    network = from_layers([(np.array(W, float), np.array(b, float)) for W, b in layers])
    assert rs.interactions(network, domain=Box(-1, 1)).pairs["may"] == [("x0", "x1")]
    for source in both_ways(network, Box(-1, 1)):
        assert rs.interactions(source).pairs == {"never": [("x0", "x1"), ("x0", "x2"), ("x1", "x2")], "interact": [],
                                                 "may": []}  # fmt: skip


@pytest.mark.parametrize("others", [("never", "may"), ("may", "never"), ("interact", "never")])
def test_a_pair_that_may_interact_in_one_module_may_in_the_sum(others):
    def found(status):
        return Interactions(("a", "b"), np.array([["", status], [status, ""]], dtype="<U8"), "regions")

    assert _of_modules(found("may"), [found(status) for status in others]).status[0, 1] == "may"


@pytest.mark.parametrize("norm", ["1", "2", "inf"])
def test_radii_and_extremes_of_a_sum_are_those_of_all_regions(norm):
    network, _ = planted(2)
    X = np.random.default_rng(0).uniform(-1, 1, (4, 3))
    joint, apart = both_ways(network, Box(-2, 2))
    one, other = (rs.robust_radii(source, X, norm=norm) for source in (joint, apart))
    np.testing.assert_allclose(one.lower, other.lower, rtol=1e-6)
    one, other = (rs.extremes(source, 1) for source in (joint, apart))
    assert one.maximum.value == pytest.approx(other.maximum.value)
    assert one.minimum.value == pytest.approx(other.minimum.value)


def test_rules_need_one_list():
    with pytest.raises(OutputError, match="--modular"):
        rs.rules(rs.convert(planted(0)[0], Box(-1, 1), modular=True))
