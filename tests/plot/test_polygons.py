"""The polygons of a picture are the regions: they tile the domain, and their borders are the neurons' zeros."""

from fractions import Fraction

import numpy as np
import pytest
from drawn import DEEP, FLAT, PLANE, drawn, inputs_at, shallow_of

from relu_shallow.checks.maps import maps_of
from relu_shallow.domain import Box, WholeSpace
from relu_shallow.network import activation_patterns, from_layers, preactivations, switching
from relu_shallow.plot.frame import on_axes
from relu_shallow.plot.points import no_points
from relu_shallow.plot.subdivision import exact_polygon, subdivide
from relu_shallow.plot.view import frame_of
from relu_shallow.polygons import clip, keep, polygon_area, values_of
from relu_shallow.precision import UNIT, preactivation_errors

EVERY = (*FLAT, *PLANE, *DEEP, "curve")
ROUNDINGS = 64  # of one corner: it is cut off an edge, whose ends were cut off others


def subdivided(shallow):
    frame = frame_of(shallow, None, no_points(shallow.network).X)
    return frame, subdivide(shallow.table, frame, complete=shallow.completeness.complete)


def area_of(pieces):
    return sum(float(polygon_area([(x, y) for x, y in piece.corners.tolist()])) for piece in pieces)


@pytest.mark.parametrize("name", EVERY)
def test_the_polygons_of_a_complete_list_add_up_to_the_domain(name):
    frame, found = subdivided(drawn(name))
    whole = float(polygon_area(frame.outline))
    assert abs(area_of(found.pieces) - whole) <= ROUNDINGS * len(found.pieces) * UNIT * whole


@pytest.mark.parametrize("name", [*PLANE, "deep", "flat", "curve"])
def test_in_rational_arithmetic_they_are_the_same_number(name):
    """From every row of each pattern, where the drawn ones come from the tree: two ways to the same polygons."""
    shallow = drawn(name)
    frame, found = subdivided(shallow)
    exact = {r: polygon_area(exact_polygon(shallow.table, frame, r)) for r in range(shallow.regions)}
    if name != "flat":  # where inputs are fixed, exact rows are of other rounded weights than drawn ones
        assert sum(exact.values()) == polygon_area([(Fraction(x), Fraction(y)) for x, y in frame.outline])
    whole = float(polygon_area(frame.outline))
    for piece in found.pieces:
        assert abs(area_of([piece]) - float(exact[piece.region])) <= ROUNDINGS * 64 * UNIT * whole, piece.region


def test_a_region_that_is_left_out_would_be_missed():
    shallow = drawn("triangle")
    frame, found = subdivided(shallow)
    assert area_of(found.pieces[1:]) < float(polygon_area(frame.outline)) * (1 - ROUNDINGS * UNIT)


@pytest.mark.parametrize("name", EVERY)
def test_every_region_has_one_polygon_and_every_border_is_drawn_once(name):
    shallow = drawn(name)
    _, found = subdivided(shallow)
    regions = [piece.region for piece in found.pieces]
    assert len(set(regions)) == len(regions)
    if name not in ("everywhere", "half_plane"):  # there a few lie beyond the view
        assert regions == list(range(shallow.regions))
        assert len(found.borders) == shallow.regions - 1
    assert len(found.layer) == len(found.borders)
    assert not len(found.layer) or found.layer.max() < len(shallow.network.widths)


@pytest.mark.parametrize("name", EVERY)
def test_no_corner_breaks_a_row_of_its_region(name):
    shallow = drawn(name)
    frame, found = subdivided(shallow)
    reach = np.abs(frame.view).max() + np.abs(frame.fixed).max(initial=0.0)
    switch = switching(shallow.network)
    for piece in found.pieces:
        pattern = shallow.table.patterns[[piece.region]]
        rows, errors = (array[:, 0] for array in (maps_of(shallow.network, pattern).rows,
                                                  maps_of(shallow.network, pattern).row_error))  # fmt: skip
        flat = on_axes(frame.axes, frame.fixed, rows[:, :-1], rows[:, -1])
        values = (piece.corners @ flat[:, :2].T + flat[:, 2]) * np.where(pattern[0], 1, -1)
        size = np.abs(rows) @ np.append(np.full(rows.shape[1] - 1, reach), 1.0)
        room = ROUNDINGS * (UNIT * size + errors @ np.append(np.full(rows.shape[1] - 1, reach), 1.0))
        assert (values >= -room)[:, switch].all(), piece.region


@pytest.mark.parametrize("name", [*PLANE, *DEEP, *FLAT])
def test_on_a_border_a_neuron_of_the_layer_it_is_drawn_as_is_zero(name):
    shallow = drawn(name)
    frame, found = subdivided(shallow)
    ends = inputs_at(found.borders.reshape(-1, 2), shallow, frame.axes)
    if not len(ends):
        return
    z, errors = preactivations(shallow.network, ends), preactivation_errors(shallow.network, ends)
    for layer in range(len(shallow.network.widths)):
        own = np.repeat(found.layer == layer, 2)
        zero = np.abs(z[layer]) <= ROUNDINGS * errors[layer] * (1 + np.abs(ends).max())
        assert zero[own].any(axis=1).all()


@pytest.mark.parametrize("name", [*PLANE, *DEEP])
def test_the_middle_of_a_polygon_has_its_regions_pattern(name):
    shallow = drawn(name)
    frame, found = subdivided(shallow)
    middles = np.array([piece.corners.mean(axis=0) for piece in found.pieces])
    own = activation_patterns(shallow.network, inputs_at(middles, shallow, frame.axes))
    assert (own == shallow.table.patterns[[piece.region for piece in found.pieces]]).all()


def test_a_partial_list_covers_its_own_regions_and_nothing_else():
    shallow, whole = drawn("partial"), drawn("deep")
    assert not shallow.completeness.complete
    frame, found = subdivided(shallow)
    _, all_of_them = subdivided(whole)
    listed = {row.tobytes() for row in shallow.table.bits}
    same = [piece for piece in all_of_them.pieces if whole.table.bits[piece.region].tobytes() in listed]
    assert len(same) == shallow.regions == len(found.pieces)
    assert area_of(found.pieces) == pytest.approx(area_of(same), rel=1e-12)
    assert area_of(subdivide(shallow.table, frame).pieces) > area_of(same) * 1.01  # the tree alone gives away too much


def test_regions_thinner_than_rounding_are_drawn_all_the_same():
    swallowed = 0
    for k in range(3, 40, 2):
        a, b = float(k), 1 / k
        layers = [(np.array([[a, 0.0], [1.0, 0.0]]), np.array([-1.0, -b])), (np.ones((1, 2)), np.zeros(1))]
        shallow = shallow_of(from_layers(layers), Box(-1, 1))
        _, found = subdivided(shallow)
        assert len(found.pieces) == shallow.regions
        swallowed += shallow.regions == 3 and bool(shallow.table.exact_witnesses)
    assert swallowed  # some are too thin for any float


def test_both_parts_of_a_polygon_meet_in_the_same_corners():
    polygon, edges = [(0.1, 0.3), (2.7, -0.4), (3.3, 1.9), (0.7, 2.2)], [0, 1, 2, 3]
    values = values_of((0.31, -0.77, 0.123), polygon)
    above, up = keep(polygon, edges, values, 9)
    below, down = keep(polygon, edges, [-value for value in values], 9)
    assert len(set(above) & set(below)) == 2
    assert up.count(9) == down.count(9) == 1
    first = up.index(9)
    assert {above[first], above[(first + 1) % len(above)]} == set(above) & set(below)
    assert polygon_area(above) + polygon_area(below) == pytest.approx(polygon_area(polygon))


def test_clipping_at_a_corner_and_along_an_edge_leaves_the_rest_as_it_is():
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    assert clip(square, (1, 1, 0)) == square
    assert clip(square, (1, 0, 0)) == square
    assert len(clip(square, (-1, 0, 0))) == 2
    assert len(clip(square, (-1, -1, 0))) == 1
    assert clip(square, (0, 1, -2)) == []
    assert clip(square, (1, -1, 0)) == [(0, 0), (1, 0), (1, 1)]


def test_a_view_of_the_whole_plane_holds_all_corners():
    """Three lines round the triangle (0, 0), (1, 0), (0, 1)."""
    frame, found = subdivided(shallow_of(drawn("triangle").network, WholeSpace()))
    left, right, low, high = frame.view
    assert left < 0 < 1 < right
    assert low < 0 < 1 < high
    assert right - left < 2
    assert len(found.pieces) == 7
