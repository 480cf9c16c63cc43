"""Answers that looked proved and were wrong: each case as small as it was found."""

import numpy as np
import pytest

from relu_shallow import Box, Polytope, WholeSpace, convert
from relu_shallow.domain import contains
from relu_shallow.errors import DomainError
from relu_shallow.network import evaluate, from_layers
from relu_shallow.questions.extremes import extremes
from relu_shallow.questions.monotone import FALLING, monotone


def two_neurons():
    return from_layers([(np.array([[1.0, 2.0], [0.3, -1.0]]), np.array([0.1, 0.2])),
                        (np.array([[1.0, 0.7]]), np.zeros(1))])  # fmt: skip


def parallelogram(seed):
    """One that does not hold the origin, whose corners are no floats."""
    rng = np.random.default_rng(seed)
    A = np.concatenate([np.eye(2), -np.eye(2)]) @ rng.normal(size=(2, 2))
    return Polytope(A, A @ (rng.normal(size=2) * 3) + 1 / 3)


@pytest.mark.parametrize("seed", range(6))
def test_the_extremes_on_a_polytope_are_at_points_of_it(seed):
    network, domain = two_neurons(), parallelogram(seed)
    found = extremes(convert(network, domain=domain))
    for end in (found.minimum, found.maximum):
        assert contains(domain, end.point[None])[0]
        assert evaluate(network, end.point[None])[0, 0] == pytest.approx(end.value, abs=1e-9)
        assert end.status == "exact"
        assert end.bound == pytest.approx(end.value, abs=1e-7)


@pytest.mark.parametrize("domain", [parallelogram(0), WholeSpace()])
def test_a_list_that_nothing_certifies_proves_no_extreme(domain):
    hat = from_layers([(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.array([1.0, 0.0, -1.0])),
                       (np.array([[1.0, -2.0, 1.0]]), np.zeros(1))])  # fmt: skip
    with pytest.raises(DomainError, match="certified"):
        extremes(convert(hat, domain=domain, certify=False))
    assert extremes(convert(hat, domain=domain)).maximum.status == "exact"


def test_what_is_refuted_has_points_to_show_for_it_where_regions_are_too_small_for_floats():
    # |x - 2^-62| / 2: it falls only on [0, 2^-62], a region whose radius is no float beside its witness
    network = from_layers([(np.array([[1.0], [-1.0]]) * 2.0**62, np.array([-1.0, 1.0])),
                           (np.ones((1, 2)), np.zeros(1))])  # fmt: skip
    found = monotone(convert(network, domain=Box(0.0, 1.0)))
    assert found.status[FALLING, 0, 0] == "refuted"
    shown = np.isfinite(found.pairs).all(axis=(3, 4))
    assert (shown == (found.status == "refuted")).all()
