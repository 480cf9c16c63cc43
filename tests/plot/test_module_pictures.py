"""Pictures of modules: what is drawn is what the network holds, numbers add up, and nothing lies outside."""

import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from relu_shallow.errors import DataError, ModelError, OutputError
from relu_shallow.network import from_layers
from relu_shallow.plot import modular_blocks, modular_classes
from relu_shallow.plot.modular_blocks import draw_blocks, module_labels
from relu_shallow.plot.modular_classes import HeatMap, class_contributions, draw_classes, written

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert('1')</script> costs $5 and $6_{"
SVG = "{http://www.w3.org/2000/svg}"


def block_network(*sizes, between=2, seed=0, inputs=3, outputs=4):
    """A random network with blocks of these sizes in shuffled places of its matrices between hidden layers."""
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(np.repeat(np.arange(len(sizes)), sizes)) for _ in range(between + 1)]
    wide = len(labels[0])
    middle = [rng.normal(size=(wide, wide)) * (b[:, None] == a) for a, b in pairwise(labels)]
    weights = [rng.normal(size=(wide, inputs)), *middle, rng.normal(size=(outputs, wide))]
    return from_layers([(W, rng.normal(size=len(W))) for W in weights]), labels


def with_noise(network, seed=1):
    """The same network with weights between its modules too."""
    rng = np.random.default_rng(seed)
    return from_layers([(layer.W + 0.1 * rng.normal(size=layer.W.shape), layer.b) for layer in network.affine])


@pytest.fixture
def drawn(monkeypatch):
    """Every figure that is drawn while a test runs."""
    seen = []
    for module in (modular_blocks, modular_classes):
        monkeypatch.setattr(module, "write_figure", lambda draw, path: seen.append(draw()))
    return seen


def panels(figure):
    """The axes that hold an image, without the bars of colours."""
    return [axes for axes in figure.axes if axes.images]


def inside(axes):
    """Which cells of an image lie within an outline, and how often."""
    times = np.zeros(axes.images[0].get_array().shape, dtype=int)
    for patch in axes.patches:
        left, top = round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)
        times[top : top + round(patch.get_height()), left : left + round(patch.get_width())] += 1
    return times


# --- block matrices ---------------------------------------------------------------------------------------------


def test_after_all_weights_lie_within_outlines_and_none_beyond(drawn):
    network, _ = block_network(3, 5, 2)
    draw_blocks(with_noise(network), network, "x.png")
    before, after = panels(drawn[0])[::2], panels(drawn[0])[1::2]
    assert len(before) == len(after) == 2
    for axes in (*before, *after):
        assert {*np.unique(inside(axes))} == {0, 1}
        assert inside(axes).sum() == 3 * 3 + 5 * 5 + 2 * 2
    for axes in after:
        assert np.array_equal(axes.images[0].get_array() > 0, inside(axes) == 1)
    for axes in before:
        assert (axes.images[0].get_array() > 0).all()


def test_each_weight_is_drawn_once_by_its_size(drawn):
    network, _ = block_network(2, 2)
    before = with_noise(network)
    draw_blocks(before, network, "x.png")
    for place, axes in enumerate(panels(drawn[0])):
        W = (before, network)[place % 2].affine[1 + place // 2].W
        assert Counter(np.abs(W).ravel().tolist()) == Counter(axes.images[0].get_array().ravel().tolist())


def test_c_above_a_matrix_is_the_share_of_squares_within_its_outlines(drawn):
    network, _ = block_network(4, 4, 4)
    draw_blocks(with_noise(network), network, "x.png")
    for axes in panels(drawn[0]):
        squares = np.square(axes.images[0].get_array())
        share = squares[inside(axes) == 1].sum() / squares.sum()
        assert axes.get_title().endswith(f"C = {share:.4f}")


def test_blocks_need_not_be_square(drawn):
    rng = np.random.default_rng(0)
    first, second = np.array([0, 1, 0, 0]), np.array([1, 0, 1, 1, 1])
    between = rng.normal(size=(5, 4)) * (second[:, None] == first)
    layers = [rng.normal(size=(4, 2)), between, rng.normal(size=(3, 5))]
    network = from_layers([(W, rng.normal(size=len(W))) for W in layers])
    draw_blocks(network, network, "x.png")
    for axes in panels(drawn[0]):
        assert np.array_equal(axes.images[0].get_array() > 0, inside(axes) == 1)
        assert inside(axes).sum() == 3 * 1 + 1 * 4


def test_labels_found_are_the_blocks_that_were_made_in_some_order():
    network, labels = block_network(3, 1, 4)
    pairs = {(int(a), int(b)) for one, other in zip(module_labels(network), labels, strict=True)
             for a, b in zip(one, other, strict=True)}  # fmt: skip
    assert len(pairs) == 3


def test_networks_that_have_no_such_picture_are_refused_in_one_sentence(tmp_path):
    flat, deep, other = block_network(4, between=0)[0], block_network(4)[0], block_network(5)[0]
    with pytest.raises(ModelError, match="one hidden layer"):
        draw_blocks(flat, flat, tmp_path / "x.png")
    with pytest.raises(ModelError, match="the same"):
        draw_blocks(deep, other, tmp_path / "x.png")
    with pytest.raises(DataError, match="labels are a module's number"):
        draw_blocks(deep, deep, tmp_path / "x.png", labels=[np.zeros(3, int)] * 3)
    with pytest.raises(OutputError, match=r"written as \.png or \.svg"):
        draw_blocks(deep, deep, tmp_path / "x.gif")
    assert not [*tmp_path.iterdir()]


def test_a_matrix_of_zeros_is_drawn_too(tmp_path):
    network, labels = block_network(2, 2, between=1)
    layers = [(layer.W.copy(), layer.b) for layer in network.affine]
    layers[1][0][:] = 0
    empty = from_layers(layers)
    draw_blocks(network, empty, tmp_path / "x.svg", labels=labels)
    assert "no weight at all" in (tmp_path / "x.svg").read_text(encoding="utf-8")


# --- classes ----------------------------------------------------------------------------------------------------


def test_contributions_worked_by_hand():
    """Outputs relu(x), relu(-x) of two modules: on x = 2 of class 0 and x = -1, -3 of class 1."""
    layers = [([[1], [-1]], [0, 0]), ([[1, 0], [0, 1]], [0, 0]), ([[1, 0], [0, 1]], [5, 7])]
    network = from_layers([(np.array(W, dtype=float), np.array(b, dtype=float)) for W, b in layers])
    found = class_contributions(network, np.array([[2.0], [-1.0], [-3.0]]), np.array([0, 1, 1]))
    assert found.tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_contributions_sum_to_how_far_the_network_tells_a_class_from_the_rest():
    network, _ = block_network(3, 2, 4)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 3)), rng.integers(0, 3, 90)  # class 3 has no rows
    found = class_contributions(network, X, y)
    out = network(X)
    for c in range(3):
        told = out[y == c, c].mean() - out[y != c, c].mean()
        assert found[:, c].sum() == pytest.approx(told, abs=1e-12)
    assert np.isnan(found[:, 3]).all()
    with pytest.raises(DataError, match="one class each, from 0 to 3"):
        class_contributions(network, X, y + 2)


def heat(values, **changes):
    given = {"title": "t", "values": values, "foot": np.nansum(values, axis=0), "foot_name": "sum", "scale": "units",
             "signed": True, "decimals": 1}  # fmt: skip
    return HeatMap(**{**given, **changes})


def numbers_in(path):
    """The texts of an SVG that are numbers of cells: those written with one decimal."""
    texts = ["".join(e.itertext()).strip() for e in ET.parse(path).iter(f"{SVG}text")]
    return [float(text.replace("\u2212", "-")) for text in texts if re.fullmatch(r"\u2212?\d+\.\d", text)]


def test_numbers_in_the_cells_add_up_to_those_below_them(tmp_path):
    values = np.random.default_rng(0).normal(size=(7, 5)) * 20
    draw_classes([heat(values, scale="")], list("abcde"), tmp_path / "x.svg", title="t")
    table = np.array(numbers_in(tmp_path / "x.svg")[-8 * 5 :]).reshape(8, 5)
    np.testing.assert_allclose(table[:-1], values, atol=0.0501)
    np.testing.assert_allclose(table[:-1].sum(axis=0), table[-1], atol=0.05 * 8 + 1e-9)


def test_numbers_that_do_not_fit_are_left_out_and_unknown_ones_are_a_dash(drawn):
    many = np.ones((8, 90))
    few = np.array([[1.0, np.nan], [2.0, np.nan]])
    for values in (many, few):
        draw_classes([heat(values)], [str(k) for k in range(values.shape[1])], "x.png", title="t")
    assert not list(panels(drawn[0])[0].texts)
    assert [text.get_text() for text in panels(drawn[1])[0].texts] == ["1.0", "\u2013", "2.0", "\u2013", "3.0", "0.0"]


@pytest.mark.parametrize(("value", "text"), [(-0.04, "0.0"), (-0.06, "\u22120.1"), (0.0, "0.0"), (12.34, "12.3")])
def test_numbers_have_a_true_minus_and_zero_has_no_sign(value, text):
    assert written(value, 1) == text


def test_heat_maps_that_do_not_fit_the_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match="a heat map of 3 classes"):
        draw_classes([heat(np.ones((2, 2)))], ["a", "b", "c"], tmp_path / "x.png", title="t")
    assert not [*tmp_path.iterdir()]


# --- files ------------------------------------------------------------------------------------------------------


def draw_all(folder, ending):
    """Both kinds of picture, with names that are no names."""
    network, labels = block_network(6, 7, between=3)
    draw_blocks(with_noise(network), network, folder / f"blocks{ending}", labels=labels, names=(HOSTILE, "$x$ & y"))
    values = np.random.default_rng(0).normal(size=(12, 6))
    maps = [heat(values, title=HOSTILE, scale=HOSTILE, foot_name=HOSTILE), heat(values, decimals=3)]
    draw_classes(maps, [HOSTILE, "a" * 60, "日本", "d", "e & f", "\x07"], folder / f"classes{ending}", title=HOSTILE)
    return [folder / f"blocks{ending}", folder / f"classes{ending}"]


def test_names_are_text_in_an_svg_and_the_same_picture_gives_the_same_bytes(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
    for ending in (".svg", ".png"):
        for one, other in zip(draw_all(first, ending), draw_all(second, ending), strict=True):
            assert one.read_bytes() == other.read_bytes()
            if ending == ".png":
                assert one.read_bytes().startswith(b"\x89PNG")
                continue
            tree = ET.parse(one)
            assert not [*tree.iter(f"{SVG}script")]
            said = "".join("".join(e.itertext()) for e in tree.iter(f"{SVG}text"))
            assert "<script>alert" in said
            assert "$x$ & y" in said or "$5" in said


BOXES = """(() => { const v = document.documentElement.getBoundingClientRect();
  return Array.from(document.querySelectorAll('text')).map(e => [e.getBoundingClientRect(), e.textContent])
    .filter(([r]) => r.left < v.left - 1 || r.right > v.right + 1 || r.top < v.top - 1 || r.bottom > v.bottom + 1)
    .map(([r, text]) => text) })()"""


def test_no_text_lies_outside_a_picture(tmp_path):
    sys.path.insert(0, str(ROOT / "tests" / "report"))
    from browser import Browser, installed

    if not installed():
        pytest.skip("no Chromium is installed here (Debian: apt-get install chromium)")
    browser = Browser(installed())
    try:
        for path in draw_all(tmp_path, ".svg"):
            browser.open(path, 1600, height=1400)
            assert browser.evaluate(BOXES) == []
    finally:
        browser.close()
