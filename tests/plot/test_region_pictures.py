"""What a picture shows is what the network computes: pixels, gradients, classes, ties, curves and dots."""

import io
import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from drawn import drawn, inputs_at, random_places, shallow_of
from matplotlib.path import Path as Outline
from PIL import Image

from relu_shallow.domain import Box
from relu_shallow.errors import DataError, DomainError, OutputError
from relu_shallow.network import from_layers, named
from relu_shallow.plot.colours import AREAS, area_colour, curve_colour
from relu_shallow.plot.compose import compose
from relu_shallow.plot.frame import given_view
from relu_shallow.plot.lettering import MINUS
from relu_shallow.plot.page import render_page
from relu_shallow.plot.png import draw, render_png
from relu_shallow.plot.points import Points
from relu_shallow.plot.regions import plot_regions
from relu_shallow.plot.svg import ACROSS, DOWN, render_svg
from relu_shallow.plot.ticks import ticks
from relu_shallow.precision import evaluation_error

SVG = "{http://www.w3.org/2000/svg}"
LEVELS = 3  # of 256, that a colour may be off in pixels
AROUND = 4  # pixels to the nearest line


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def quiet(scene):
    """The scene without lines and dots, which may cover any pixel."""
    return replace(scene, strokes=(), marks=())


def pixels(scene, places):
    """The colours of a picture at places of its plane, and those of the same places a few pixels on."""
    figure = draw(quiet(scene))
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())[:, :, :3].astype(int)
    columns, rows = figure.axes[0].transData.transform(places).T
    return image[image.shape[0] - 1 - rows.astype(int), columns.astype(int)], figure.axes[0]


def well_inside(scene, shallow, axes, places):
    """Which places are some pixels away from any other region and class."""
    left, right, low, high = scene.view
    step = np.array([(right - left), (high - low)]) * AROUND / 600
    inside = ((places - step > (left, low)) & (places + step < (right, high))).all(axis=1)
    region = shallow.table.region_of(inputs_at(places, shallow, axes))
    best = shallow.network(inputs_at(places, shallow, axes)).argmax(axis=1)
    for way in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
        near = inputs_at(places + step * way, shallow, axes)
        inside &= (shallow.table.region_of(near) == region) & (shallow.network(near).argmax(axis=1) == best)
    return inside


def axes_of(shallow):
    free = shallow.domain.lo < shallow.domain.hi
    return tuple(np.flatnonzero(free).tolist())


def sampled(name, color, **options):
    shallow = drawn(name)
    scene = compose(shallow, color, **options)
    places = random_places(scene, 4000)
    places = places[well_inside(scene, shallow, axes_of(shallow), places)]
    assert len(places) > 300
    return shallow, scene, places, inputs_at(places, shallow, axes_of(shallow))


# --- pixels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deep", "flat"])
def test_a_pixel_has_the_colour_of_the_class_that_the_network_predicts(name):
    shallow, scene, places, X = sampled(name, "class")
    found, _ = pixels(scene, places)
    expected = np.array([rgb(area_colour(int(k))) for k in shallow.network(X).argmax(axis=1)])
    assert len(np.unique(expected, axis=0)) > 1
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "color", "k"), [("deep", "output:1", 1), ("flat", "output:y2", 2), ("one_output", None, 0)]
)
def test_a_pixel_has_the_colour_of_the_output_on_the_scale(name, color, k):
    shallow, scene, places, X = sampled(name, color)
    found, _ = pixels(scene, places)
    left, right, low, high = scene.view
    expected = np.array([rgb(colour) for colour in scene.scale.colours(shallow.network(X)[:, k])])
    # a pixel is up to one pixel away from the place, where the value is another
    slopes = np.abs(shallow.table.alpha[shallow.table.region_of(X), k][:, list(axes_of(shallow))])
    drift = (slopes @ np.array([right - left, high - low])) / 500 / (scene.scale.high - scene.scale.low) * 256
    assert (np.abs(found - expected).max(axis=1) <= LEVELS + 2 * drift).all()
    assert np.median(np.abs(found - expected).max(axis=1)) <= LEVELS


def test_a_pixel_has_the_colour_of_the_slope():
    shallow, scene, places, X = sampled("flat", "alpha:x2", output=1)
    found, _ = pixels(scene, places)
    slopes = shallow.table.alpha[shallow.table.region_of(X), 1, 2]
    assert np.abs(found - np.array([rgb(colour) for colour in scene.scale.colours(slopes)])).max() <= 1
    assert scene.scale.colours(np.zeros(1)) == [scene.scale.stops[len(scene.scale.stops) // 2]]


def test_neighbouring_regions_differ_in_colour():
    shallow = drawn("deep")
    scene = compose(shallow, "region")
    colour = {fill.region: fill.colour for fill in scene.fills}
    for stroke in scene.strokes:
        for p, q in stroke.segments:
            across = np.array([p[1] - q[1], q[0] - p[0]])
            beside = np.array([(p + q) / 2 + way * across * 1e-7 / np.linalg.norm(across) for way in (-1, 1)])
            if np.linalg.norm(p - q) > 1e-5 and (np.abs(beside) < 3).all():
                one, other = (colour[int(region)] for region in shallow.table.region_of(beside))
                assert one != other


# --- classes and ties -------------------------------------------------------------------------------------------


def ties(scene):
    found = (stroke.segments for stroke in scene.strokes if stroke.label == "decision boundary")
    return next(found, np.zeros((0, 2, 2)))


@pytest.mark.parametrize("name", ["deep", "flat"])
def test_on_the_decision_boundary_two_classes_tie_and_none_exceeds_them(name):
    shallow = drawn(name)
    segments = ties(compose(shallow, "class"))
    assert len(segments) > 10
    places = np.concatenate([segments[:, 0], segments[:, 1], segments.mean(axis=1)])
    X = inputs_at(places, shallow, axes_of(shallow))
    best = np.sort(shallow.network(X), axis=1)
    room = 64 * evaluation_error(shallow.network, X).max(axis=1)
    assert (best[:, -1] - best[:, -2] <= room).all()


@pytest.mark.parametrize("name", ["deep", "flat"])
def test_a_way_from_one_class_to_another_crosses_the_decision_boundary(name):
    shallow = drawn(name)
    scene = compose(shallow, "class")
    segments, places = ties(scene), random_places(scene, 400, seed=4)
    best = shallow.network(inputs_at(places, shallow, axes_of(shallow))).argmax(axis=1)
    crossings = 0
    for a, b, one, other in zip(places[::2], places[1::2], best[::2], best[1::2], strict=True):
        if one != other:
            crossings += 1
            assert _crossed(a, b, segments)
    assert crossings > 20


def _crossed(a, b, segments):
    def side(p, q, r):
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])

    p, q = segments[:, 0], segments[:, 1]
    return bool(((side(a, b, p) * side(a, b, q) <= 0) & (side(p, q, a) * side(p, q, b) <= 0)).any())


def test_a_class_that_wins_only_in_the_middle_of_a_region_is_seen():
    """No neuron at all; three outputs x, -x and 1/10: the third is greatest between -0.1 and 0.1."""
    network = from_layers([(np.array([[1.0, 0], [-1, 0], [0, 0]]), np.array([0, 0, 0.1]))])
    scene = compose(shallow_of(network, Box(-1, 1)), "class")
    assert [key.label for key in scene.keys] == ["y0 (45.0%)", "y1 (45.0%)", "y2 (10.0%)"]
    assert np.abs(ties(scene)[:, :, 0]) == pytest.approx(np.full((2, 2), 0.1))


def test_of_equal_outputs_the_first_counts():
    network = from_layers([(np.array([[0.0, 1], [0, 1], [0, -1]]), np.zeros(3))])
    scene = compose(shallow_of(network, Box(-1, 1)), "class")
    assert [key.label for key in scene.keys] == ["y0 (50.0%)", "y2 (50.0%)"]


def test_a_single_output_has_the_classes_of_its_sign_where_they_are_asked_for():
    shallow, scene, places, X = sampled("one_output", "class")
    found, _ = pixels(scene, places)
    sign = (shallow.network(X)[:, 0] > 0).astype(int)
    sure = np.abs(shallow.network(X)[:, 0]) > 0.1
    assert (np.abs(found - np.array([rgb(AREAS[k]) for k in sign])).max(axis=1) <= 1)[sure].all()
    assert np.abs(shallow.network(ties(scene).reshape(-1, 2))).max() <= 1e-12
    assert not len(ties(compose(shallow)))
    assert len(ties(compose(shallow, decision=True)))


# --- SVG --------------------------------------------------------------------------------------------------------


def colour_in(path, gradients, stops, x, y):
    """The colour of a path of the SVG at a point, by the definition of a linear gradient."""
    paint = path.get("fill")
    if not paint.startswith("url"):
        return rgb(paint)
    line = gradients[paint[5:-1]]
    (x1, y1), (x2, y2) = ((float(line.get(f"x{i}")), float(line.get(f"y{i}"))) for i in (1, 2))
    t = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2)
    return np.array([np.interp(t, np.linspace(0, 1, len(stops)), channel) for channel in np.array(stops).T])


def test_the_gradients_of_an_svg_are_the_output():
    shallow, scene, places, X = sampled("deep", "output:2")
    tree = ET.fromstring(render_svg(scene))
    gradients = {g.get("id"): g for g in tree.iter(f"{SVG}linearGradient")}
    stops = [rgb(stop.get("stop-color")) for stop in gradients["scale"]]
    paths = {int(path.get("data-r")): path for path in tree.iter(f"{SVG}path") if path.get("data-r")}
    assert len(paths) == len(scene.fills) == shallow.regions
    assert len(gradients) > 20
    left, right, low, high = scene.view
    expected = [rgb(colour) for colour in scene.scale.colours(shallow.network(X)[:, 2])]
    for (u, v), region, colour in zip(places[:500], shallow.table.region_of(X[:500]), expected, strict=False):
        x, y = (u - left) / (right - left) * ACROSS, (high - v) / (high - low) * DOWN
        path = paths[int(region)]
        corners = np.array([pair.split() for pair in path.get("d")[1:-1].split("L")], dtype=float)
        assert Outline(corners).contains_point((x, y))
        assert np.abs(colour_in(path, gradients, stops, x, y) - colour).max() <= LEVELS


def test_a_picture_names_what_it_shows():
    text = render_svg(compose(drawn("deep")))
    for words in ("linear regions", "border of layer 1", "border of layer 3", "decision boundary", "x0", "x1", "y2 ("):
        assert words in text
    partial = render_svg(compose(drawn("partial")))
    assert "a partial list" in partial
    assert "hatch" in partial
    assert "hatch" not in text
    assert "fixed: x1 = 0.5, x3 = -1" in render_svg(compose(drawn("flat")))


# --- the page ---------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page holds: tags that stay open, attributes, scripts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.regions, self.scripts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        self.regions += [int(value) for name, value in attrs if name == "data-r"]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts[-1] += data


def test_a_page_is_well_formed_has_a_path_per_region_and_loads_nothing():
    shallow = drawn("deep")
    text = render_page(compose(shallow), shallow)
    page = Page(text)
    assert not page.open
    assert sorted(page.regions) == list(range(shallow.regions))
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "src", "xlink:href"))
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in re.sub(r"url\(#\w+\)", "", text)
    data, script = page.scripts
    (policy,) = (value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in script.replace("http://www.w3.org/2000/svg", "")
    assert len(json.loads(data)["region"]) == shallow.regions


def test_a_page_tells_each_regions_local_model_and_pattern():
    shallow = drawn("deep")
    data = json.loads(Page(render_page(compose(shallow), shallow)).scripts[0])
    for place, region in enumerate(data["region"]):
        assert np.allclose(data["alpha"][place], shallow.table.alpha[region], rtol=1e-4)
        assert np.allclose(data["beta"][place], shallow.table.beta[region], rtol=1e-4)
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(data["bits"][place]), np.uint8))[: shallow.network.neurons]
        assert (bits == shallow.table.patterns[region]).all()
        best = int(shallow.network(np.array([data["middle"][place]])).argmax())
        assert data["class"][place].startswith(f"y{best}")


def test_hostile_names_stay_text():
    evil = '</script><script>alert("x")</script>&$\\alpha$\x1b[31m'
    shallow = drawn("deep")
    network = named(shallow.network, [evil, "b"], [f"{evil}{k}" for k in range(3)])
    shallow = replace(shallow, network=network, tables=(replace(shallow.table, network=network),))
    scene = compose(shallow)
    text = render_page(scene, shallow)
    page = Page(text)
    assert not page.open
    assert len(page.scripts) == 2
    assert "\x1b" not in text
    assert json.loads(page.scripts[0])["features"][0].startswith("</script>")
    ET.fromstring(render_svg(scene))
    assert Image.open(io.BytesIO(render_png(scene))).size > (800, 600)


# --- one input --------------------------------------------------------------------------------------------------


def curves(scene):
    """Each output's segments by its name."""
    return {stroke.label: stroke.segments for stroke in reversed(scene.strokes) if stroke.label.startswith("y")}


@pytest.mark.parametrize("name", ["curve", "stairs", "sawtooth", "abs", "two_arms", "two_slopes"])
def test_a_curve_is_the_output_from_one_end_to_the_other(name):
    shallow = drawn(name)
    for k, (label, segments) in enumerate(curves(compose(shallow)).items()):
        assert label == f"y{k}"
        assert segments[0, 0, 0] == shallow.domain.lo[0]
        assert segments[-1, 1, 0] == shallow.domain.hi[0]
        assert (segments[1:, 0, 0] == segments[:-1, 1, 0]).all()
        x = np.linspace(shallow.domain.lo[0], shallow.domain.hi[0], 1001)
        corners = np.concatenate([segments[:, 0], segments[-1:, 1]])
        values = np.interp(x, corners[:, 0], corners[:, 1])
        assert np.abs(values - shallow.network(x[:, None])[:, k]).max() <= 1e-12 * max(np.abs(values).max(), 1)


@pytest.mark.parametrize(
    ("name", "places"),
    [("abs", [0]), ("stairs", [1]), ("two_arms", [-1, 1]), ("sawtooth", [i / 8 for i in range(1, 8)])],
)
def test_kinks_are_where_the_slope_changes(name, places):
    """Of the stairs relu(relu(x) - 1) only the second border bends the curve."""
    (kinks,) = compose(drawn(name)).marks
    first = kinks.points[np.array(kinks.colours) == curve_colour(0), 0]
    assert sorted(first.tolist()) == pytest.approx(places)


def test_the_band_below_a_curve_shows_the_classes():
    shallow = drawn("curve")
    scene = compose(shallow)
    for part in scene.parts:
        middle = part.corners.mean(axis=0)[:1]
        k = int(shallow.network(middle[None]).argmax())
        own = [p for p in scene.parts if p.region == part.region]
        if len(own) == 1:
            assert part.colour == area_colour(k)
    shown = {key.colour for key in scene.keys}
    x = np.linspace(-2, 2, 2001)[:, None]
    assert shown == {area_colour(int(k)) for k in np.unique(shallow.network(x).argmax(axis=1))}


# --- data -------------------------------------------------------------------------------------------------------


def test_points_lie_where_their_inputs_say_and_have_the_colour_of_their_class():
    shallow = drawn("flat")
    X = np.array([[-1.0, 0.5, 1.0, -1.0], [0.5, 0.5, -0.25, -1.0], [9.0, 0.5, 0.0, -1.0]])
    (marks,) = compose(shallow, points=Points(X, "kind", np.array([0.0, 2.0, 1.0]))).marks
    assert marks.points.tolist() == [[-1.0, 1.0], [0.5, -0.25]]  # the third lies beyond the view
    assert len(set(marks.colours)) == 2
    assert marks.label == "data, coloured by kind"


def test_points_of_a_network_on_a_slice_are_projected(tmp_path):
    from relu_shallow.conversion import convert
    from relu_shallow.slices import plane

    network = drawn("flat").network
    a, b, c = np.random.default_rng(0).normal(size=(3, 4))
    shallow = convert(network, plane(a, b, c), workers=1)
    away = np.linalg.svd(np.array([b - a, c - a]))[2][-1]  # at right angles to the plane
    data = np.array([a, b, c, a + 3 * away])
    scene = plot_regions(shallow, tmp_path / "p.svg", data=data)
    assert scene.marks[0].points == pytest.approx(np.array([[0, 0], [1, 0], [0, 1], [0, 0]]), abs=1e-9)
    assert (scene.x_label, scene.y_label) == ("s", "t")


# --- what cannot be drawn ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "words"), [
    ({"color": "blue"}, ["'blue'", "class", "alpha:FEATURE"]), ({"color": "output:9"}, ["output '9'", "y0, y1, y2"]),
    ({"color": "alpha:"}, ["alpha:FEATURE"]), ({"color": "alpha:weight"}, ["'weight'", "x0, x1"]),
    ({"color": "class:1"}, ["'class:1'"]), ({"color": "alpha:x0", "output": 3}, ["no output 3"]),
    ({"view": (5, 6, 5, 6)}, ["does not meet"]), ({"view": (1, 0, 0, 1)}, ["x0 < x1"]),
    ({"view": (0, 1, 2)}, ["x0 < x1"]), ({"view": (0, 1)}, ["four numbers"]),
])  # fmt: skip
def test_what_is_not_there_is_refused_in_a_sentence(tmp_path, options, words):
    with pytest.raises(OutputError) as caught:
        plot_regions(drawn("deep"), tmp_path / "p.png", **options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert not list(tmp_path.iterdir())


def test_more_than_two_free_inputs_ask_for_a_slice(tmp_path):
    shallow = shallow_of(from_layers([(np.eye(3), np.zeros(3)), (np.ones((1, 3)), np.zeros(1))]), Box(-1, 1))
    with pytest.raises(DomainError, match=r"3 vary.*--domain plane:"):
        plot_regions(shallow, tmp_path / "p.png")


def test_an_unknown_ending_and_data_that_does_not_fit_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"\.png, \.svg, \.html"):
        plot_regions(drawn("deep"), tmp_path / "p.gif")
    with pytest.raises(DataError, match="one value for each of the 2 rows"):
        plot_regions(drawn("deep"), tmp_path / "p.png", data=np.zeros((2, 2)), target=[1])
    with pytest.raises(DataError, match="takes 2 inputs"):
        plot_regions(drawn("deep"), tmp_path / "p.png", data=np.zeros((2, 3)))


@pytest.mark.parametrize("words", ["1,2,3", "a,b,c,d", "1,0,0,1", "0,1,1,1", "0,inf,0,1", ""])
def test_a_view_is_four_numbers_in_order(words):
    with pytest.raises(OutputError, match="X0,X1,Y0,Y1"):
        given_view(words)


def test_ticks_are_round_and_within():
    for low, high in ((-2.0, 2.0), (0.001, 0.0012), (-1e7, 3e7), (3.0, 3.00001)):
        marks = ticks(low, high)
        assert 3 <= len(marks) <= 8
        assert all(low - (high - low) * 1e-9 <= value <= high + (high - low) * 1e-9 for value, _ in marks)
        assert len({written for _, written in marks}) == len(marks)
    assert [written for _, written in ticks(-1.0, 1.0)] == [f"{MINUS}1.0", f"{MINUS}0.5", "0.0", "0.5", "1.0"]
