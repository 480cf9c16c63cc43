import re
from itertools import pairwise

import numpy as np
import pytest
from pages import explained, random_network

from relu_shallow.explanation import explain_rows
from relu_shallow.explanation.attribution import LOCAL
from relu_shallow.plot.attribution import SHOWN, SWARM_ROWS, bars, beeswarm, waterfall
from relu_shallow.plot.dependence import dependence, parallel
from relu_shallow.plot.fluid import SIDE, Axis, axis_over, block, curve, dots
from relu_shallow.plot.lettering import LINE, LINES, MINUS, label
from relu_shallow.questions.effects import effects

DOT = re.compile(r"M([-\d.]+) ([-\d.]+)h0")
POINT = re.compile(r"[ML]([-\d.]+) ([-\d.]+)")
BLOCK = re.compile(r"M([-\d.]+) \d+H([-\d.]+)V")


def attribution(inputs=4, rows=40, **options):
    return explained(random_network([f"f{i}" for i in range(inputs)], ("y",), "identity"), rows, **options)


def numbers(axis, places):
    """What the places on an axis stand for."""
    return axis.low + np.asarray(places, dtype=float) / SIDE * (axis.high - axis.low)


def of_marks(lane, pattern):
    return np.array([pair for mark in lane.marks for pair in pattern.findall(mark.path)], dtype=float)


def test_an_axis_holds_all_its_values_with_round_ticks_in_order():
    axis = axis_over(np.array([-3.0, 12.0]))
    assert axis.low < -3.0
    assert axis.high > 12.0
    assert [tick.text for tick in axis.ticks] == ["0", "5", "10"]
    assert [tick.place for tick in axis.ticks] == sorted(tick.place for tick in axis.ticks)
    assert axis_over(np.zeros(3)).low < 0 < axis_over(np.zeros(3)).high
    assert axis_over(np.full(3, 7.0)).low < 7 < axis_over(np.full(3, 7.0)).high


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_passes_all_its_points_within_half_a_unit(seed):
    random = np.random.default_rng(seed)
    x = np.sort(random.uniform(0, SIDE, 400))
    y = SIDE / 2 + 300 * np.sin(x / 100) + random.normal(size=400) * random.choice([0.0, 0.1])
    kept = np.array(POINT.findall(curve(x, y)), dtype=float)
    assert np.abs(np.interp(x, kept[:, 0], kept[:, 1]) - y).max() < 0.6  # a quarter, and what a tenth rounds
    assert len(POINT.findall(curve(x, 2 * x))) == 2


def test_bars_are_the_mean_sizes_in_order_and_the_rest_is_summed():
    found = attribution(inputs=SHOWN + 3)
    chart = bars(found)
    size = np.sort(np.abs(found.phi[:, 0]).mean(axis=0))[::-1]
    ends = np.array([of_marks(lane, BLOCK)[0, 1] for lane in chart.lanes])
    drawn = numbers(chart.axis, ends)
    np.testing.assert_allclose(drawn[:SHOWN], size[:SHOWN], atol=chart.axis.high / 200)
    assert chart.lanes[-1].name == "3 others, summed"


def test_a_swarm_has_a_dot_at_each_value_and_draws_an_even_sample_of_many():
    found = attribution()
    chart = beeswarm(found)
    for lane in chart.lanes:
        place = np.sort(numbers(chart.axis, of_marks(lane, DOT)[:, 0]))
        j = found.feature_names.index(lane.name)
        np.testing.assert_allclose(place, np.sort(found.phi[:, 0, j]), atol=(chart.axis.high - chart.axis.low) / SIDE)
    many = beeswarm(attribution(rows=2 * SWARM_ROWS))
    assert all(len(of_marks(lane, DOT)) == SWARM_ROWS for lane in many.lanes)


def test_dots_of_a_swarm_are_red_where_the_feature_is_high():
    found = attribution()
    for lane in beeswarm(found).lanes:
        j = found.feature_names.index(lane.name)
        high = found.phi[found.X[:, j] >= np.quantile(found.X[:, j], 0.95), 0, j]
        red = next(mark for mark in lane.marks if mark.look == "v6")
        axis = beeswarm(found).axis
        reds = numbers(axis, [x for x, _ in DOT.findall(red.path)])
        assert all(np.abs(reds - value).min() < (axis.high - axis.low) / 500 for value in high)


def test_the_steps_of_a_waterfall_lead_from_the_mean_to_the_prediction():
    for method in ("exact", "local"):
        found = attribution(inputs=SHOWN + 3 if method == "local" else 4, rows=5, method=method)
        for row in range(5):
            chart = waterfall(found, row)
            blocks = np.array([of_marks(lane, BLOCK)[0] for lane in chart.lanes[1:-1]])
            ends = numbers(chart.axis, blocks)
            down = np.array([MINUS in lane.value for lane in chart.lanes[1:-1]])
            start, stop = np.where(down, ends[:, 1], ends[:, 0]), np.where(down, ends[:, 0], ends[:, 1])
            near = (chart.axis.high - chart.axis.low) / 200
            np.testing.assert_allclose(start[0], found.base_value[0], atol=near)
            np.testing.assert_allclose(start[1:], stop[:-1], atol=near)
            np.testing.assert_allclose(stop[-1], found.prediction[row, 0], atol=near)
            assert ("not explained (gap)" in [lane.name for lane in chart.lanes]) == (found.status[row] == LOCAL)


def test_the_chart_of_an_effect_is_the_effect():
    network = random_network(("a", "b"), ("y", "z"))
    X = np.random.default_rng(3).normal(size=(20, 2))
    found = effects(network, X, "a")
    chart = dependence(found, 1, X[:, 0], found(X[:, 0])[:, 1])
    line = next(mark for mark in chart.marks if mark.look == "effect")
    drawn = np.array(POINT.findall(line.path), dtype=float)
    t = numbers(chart.across, drawn[:, 0])
    up = numbers(chart.up, SIDE - drawn[:, 1])
    near = (chart.up.high - chart.up.low) / 300
    np.testing.assert_allclose(up, found(np.clip(t, found.at[0], found.at[-1]))[:, 1], atol=near)
    assert chart.kinks == int((np.abs(found.jump[1:-1, 1]) > 0).sum())
    assert next(mark for mark in chart.marks if mark.look == "kinks").path
    assert sum(mark.path.count("M") for mark in chart.rug) == len(np.unique(np.floor(chart.across.at(X[:, 0]) / 5)))


def test_a_line_of_parallel_coordinates_passes_every_slope_and_has_no_gap():
    slopes = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    chart = parallel(("a", "b", "c"), slopes)
    assert [lane.name for lane in chart.lanes] == ["a", "b", "c"]
    assert chart.lanes[1].value == f"{MINUS}2 to 3"
    for model in range(2):
        pieces = [np.array(POINT.findall(lane.marks[model].path), dtype=float) for lane in chart.lanes]
        np.testing.assert_allclose(
            numbers(chart.axis, [piece[1, 0] for piece in pieces]), slopes[model], atol=0.01
        )
        for above, below in pairwise(pieces):
            assert above[-1, 0] == pytest.approx(below[0, 0], abs=0.11)


def test_what_does_not_change_can_be_drawn():
    still = Axis(0.0, 1.0)
    assert block(still, 0.5, 0.5)
    assert dots(np.zeros(0), np.zeros(0)) == ""
    found = attribution(inputs=1, rows=1)
    assert bars(found).lanes
    assert beeswarm(found).lanes
    assert waterfall(found, 0).lanes


def test_groups_are_drawn_as_one_line_named_by_the_member_that_holds():
    network = random_network(("job_a", "job_b", "age"), ("y",), "identity")
    X = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, -0.2], [1.0, 0.0, 1.5]])
    found = explain_rows(network, X, method="exact", groups="job=job_*")
    assert {lane.name for lane in bars(found).lanes} == {"job", "age"}
    assert {lane.name for lane in beeswarm(found).lanes} == {"job", "age"}
    assert next(lane.detail for lane in waterfall(found, 1).lanes if lane.name == "job") == "job_b"
    mixed = explain_rows(network, X, method="exact", groups="two=job_a,age")
    assert next(lane.detail for lane in waterfall(mixed, 1).lanes if lane.name == "two") == ""


def test_labels_hold_the_whole_name_in_short_lines():
    name = "pressure_in_the_left_atrium_of_the_heart_mean_over_24h"
    assert label(name).replace("\n", "") == name
    assert max(map(len, label(name).split("\n"))) <= LINE
    assert label("word " * 200).endswith("…")
    assert label("word " * 200).count("\n") == LINES


def test_a_name_with_dollars_is_drawn_as_it_is_written():
    from matplotlib.cbook import is_math_text

    assert is_math_text("$x$")
    assert not is_math_text(label("costs $5 or $6"))
