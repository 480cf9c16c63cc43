"""A search looks at its deadline inside every long step: by a clock that only the steps themselves move on."""

from itertools import pairwise

import numpy as np
import pytest

from relu_shallow import relaxation
from relu_shallow.domain import Box, WholeSpace
from relu_shallow.network import from_layers
from relu_shallow.questions import approach, compiled_cell, nearest, nearest_cell
from relu_shallow.questions.deadline import Deadline
from relu_shallow.questions.distance import NORMS
from relu_shallow.questions.goal import another_class, class_of
from relu_shallow.questions.nearest import nearest_point
from relu_shallow.questions.space import space_of

LONG = ((relaxation, "_narrow"), (nearest_cell, "relaxed"), (nearest_cell, "nearest_of"), (nearest_cell, "least_norm"),
        (approach, "least_norm"), (approach, "surely_met"), (approach, "pushed"), (nearest, "exactly_met"),
        (nearest, "surely_empty"))  # fmt: skip
BEGUN = 6  # steps that one look at a cell may take once it has begun


class Clock:
    """A clock that every long step moves on by one."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        nearest.compile_search()
        monkeypatch.setattr(nearest, "perf_counter", self)
        for module, name in LONG:
            monkeypatch.setattr(module, name, self.counting(getattr(module, name)))

    def __call__(self):
        return self.now

    def counting(self, step):
        def counted(*arguments, **options):
            self.now += 1.0
            return step(*arguments, **options)

        return counted


def network_and_goals(rng, widths=(6, 14, 10, 4)):
    network = from_layers([(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in pairwise(widths)])
    x = rng.normal(size=widths[0])
    return network, x, another_class(network, int(class_of(network, network(x[None]))[0]))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_a_search_ends_a_few_steps_after_its_time(monkeypatch, norm, compiled):
    network, x, goals = network_and_goals(np.random.default_rng(0))
    monkeypatch.setattr(relaxation, "TOGETHER", 1)
    if not compiled:
        monkeypatch.setattr(compiled_cell, "FEW_ENTRIES", 0)
    clock = Clock(monkeypatch)
    for domain in (Box(-3, 3), WholeSpace()):
        lower, ended = 0.0, []
        for limit in (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0):
            clock.now = 0.0
            found = nearest_point(network, x, goals, space_of(domain, network), norm, time_limit=limit)
            assert clock.now <= limit + BEGUN
            assert found.seconds == clock.now
            assert found.lower <= found.upper
            ended.append(found.ended)
            lower = max(lower, found.lower)
        assert ended[0] == "time"
        assert ended[3] == "time"


def test_a_deadline_passes_when_the_clock_reaches_it():
    now = [1.0]
    deadline = Deadline(3.0, lambda: now[0])
    assert deadline.left == 2.0
    assert not deadline.passed()
    now[0] = 3.0
    assert deadline.left == 0.0
    assert deadline.passed()


def test_bounds_that_had_no_time_are_wider_and_hold():
    rng = np.random.default_rng(1)
    network, _, _ = network_and_goals(rng, (6, 14, 10, 8, 4))
    lo, hi = -np.ones(6), np.ones(6)
    asked = []

    def late():
        asked.append(None)
        return len(asked) > 1  # the first layer that is looked at again has time

    some, all_ = relaxation.preactivation_bounds(network, lo, hi, late=late), relaxation.preactivation_bounds(
        network, lo, hi)  # fmt: skip
    none = relaxation.preactivation_bounds(network, lo, hi, late=lambda: True)
    for narrow, middle, wide in zip(all_.upper, some.upper, none.upper, strict=True):
        assert (narrow <= middle).all()
        assert (middle <= wide).all()
    assert (some.upper[1] < none.upper[1]).any()
    assert any((narrow < wide).any() for narrow, wide in zip(all_.upper[2:], some.upper[2:], strict=True))
