"""Values of modules: they are those of the modules' own games, and add up to the network's."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from enumeration import values_by_enumeration
from networks import planted

import relu_shallow as rs
from relu_shallow.conversion import convert
from relu_shallow.domain import Box
from relu_shallow.explanation import explain_by_module, explain_rows, module_table
from relu_shallow.explanation.attribution import BOUNDS, ESTIMATE, EXACT, LOCAL
from relu_shallow.explanation.by_module import summed
from relu_shallow.modules import addend, modules_of

METHODS = ("auto", "exact", "bounds", "estimate", "local", "integrated")


@pytest.fixture(scope="module")
def network():
    return planted(3, modules=3, widths=(4, 3), inputs=6)[0]


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).uniform(-1, 1, (12, 6))


def test_each_modules_values_are_those_of_its_own_game(network, X):
    total, parts = explain_by_module(network, X, background=X[:5], method="exact")
    assert len(parts) == 3
    for module, part in zip(modules_of(network), parts, strict=True):
        expected = values_by_enumeration(addend(network, module), X, X[:5], np.ones(5))
        np.testing.assert_allclose(part.phi, expected, atol=1e-12)
    np.testing.assert_allclose(total.phi, values_by_enumeration(network, X, X[:5], np.ones(5)), atol=1e-12)
    assert set(total.status) == {EXACT}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["network", "one list", "a list each"])
def test_they_sum_exactly_to_the_networks_and_these_to_the_prediction(network, X, method, how):
    source = network if how == "network" else convert(network, Box(-1, 1), modular=how == "a list each")
    total, parts = explain_by_module(source, X, method=method)
    np.testing.assert_array_equal(np.sum([part.phi for part in parts], axis=0), total.phi)
    ordinary = explain_rows(source, X, method=method)
    np.testing.assert_allclose(total.prediction, ordinary.prediction, atol=1e-12)
    if method != LOCAL:
        assert np.abs(total.gap).max() < 1e-12
    if method != ESTIMATE:
        np.testing.assert_allclose(total.phi, ordinary.phi, atol=1e-9)


def test_the_table_has_a_line_for_each_module(network, X):
    total, parts = explain_by_module(network, X, output=1, groups={"both": ["x0", "x4"]})
    names, columns = module_table(parts)
    table = dict(zip(names, columns, strict=True))
    assert names[:5] == ["row", "output", "module", "prediction", "base_value"]
    assert names[5:] == ["shap_both", "shap_x1", "shap_x2", "shap_x3", "shap_x5", "status"]
    assert len(table["row"]) == 12 * 3
    assert set(table["output"]) == {1}
    own = table["row"] == 7
    assert table["module"][own].tolist() == [0, 1, 2]
    assert table["shap_x3"][own].sum() == pytest.approx(total.phi[7, 0, 3], abs=1e-14)
    assert table["shap_both"][own].sum() == pytest.approx(total.phi[7, 0, [0, 4]].sum(), abs=1e-14)
    assert table["prediction"][own].sum() == pytest.approx(network(X)[7, 1])


def test_a_row_is_as_well_known_as_its_least_known_module(network, X):
    _, (one, two, three) = explain_by_module(network, X, method="exact", groups={"both": ["x0", "x4"]})
    shape = one.phi.shape
    bounded = replace(two, status=(BOUNDS,) * 12, lo=two.phi - 1, hi=two.phi + 2, se=np.full(shape, np.nan),
                      group_se=np.full((*shape[:2], 1), np.nan))  # fmt: skip
    guessed = replace(three, status=(ESTIMATE,) * 12, lo=np.full(shape, -np.inf), hi=np.full(shape, np.inf),
                      se=np.full(shape, 2.0), group_se=np.full((*shape[:2], 1), 4.0))  # fmt: skip
    none = [np.zeros(shape[:2])] * 3
    found = summed((one, bounded, three), none)
    assert set(found.status) == {BOUNDS}
    for place in np.ndindex(shape):  # in rational numbers, the sum's rounding included
        others = Fraction(one.phi[place]) + Fraction(three.phi[place])
        assert Fraction(found.lo[place]) <= Fraction(bounded.lo[place]) + others
        assert Fraction(found.hi[place]) >= Fraction(bounded.hi[place]) + others
    np.testing.assert_allclose(found.hi - found.lo, 3)
    wider = summed((one, bounded, three), [np.full(shape[:2], 0.5)] * 3)
    np.testing.assert_allclose(wider.hi - wider.lo, 3 + 2 * 1.5)  # what the modules' exact values may be off
    found = summed((one, bounded, guessed), none)
    assert set(found.status) == {ESTIMATE}
    np.testing.assert_allclose(found.se, 2.5)  # half the width of the bounds, and 2
    np.testing.assert_allclose(found.group_se, 5)
    assert set(summed((replace(one, status=(LOCAL,) * 12), bounded), none[:2]).status) == {LOCAL}


def test_bounds_of_modules_hold_for_the_network():
    network, _ = planted(1, modules=3, widths=(12, 8), inputs=12, outputs=1)
    X = np.random.default_rng(1).normal(size=(3, 12))
    total, _ = explain_by_module(network, X, method="bounds", time_limit=0.5)
    exact = explain_rows(network, X, method="exact").phi
    assert (total.lo <= exact + 1e-12).all()
    assert (total.hi >= exact - 1e-12).all()


def test_the_explanation_of_shap_carries_one_for_each_module(network, X):
    explanation = rs.explain(network, X, method="exact", output=0, modules=True)
    assert [part.shape for part in explanation.by_module] == [(12, 6)] * 3
    np.testing.assert_array_equal(sum(part.values for part in explanation.by_module), explanation.values)
