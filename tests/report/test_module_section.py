"""The page's section on modules: its numbers add up, it is read on a phone, and names are text."""

import re
from itertools import pairwise

import numpy as np
import pytest
from browser import Browser, installed
from pages import HOSTILE, NAMES, OUTPUTS, Reader, rendered

from relu_shallow.conversion import convert
from relu_shallow.domain import Box
from relu_shallow.explanation import explain_rows
from relu_shallow.network import from_layers, named
from relu_shallow.plot.lettering import number
from relu_shallow.plot.modular_cells import TALLEST, strips
from relu_shallow.report.modules import MOST, MOST_ROWS, ask_modules, modules_shown
from relu_shallow.report.page import write_page

LONG = "a_name_that_is_longer_than_any_telephone_is_wide_and_has_no_space_in_it_at_all"


def block_network(modules, own=3, inputs=6, outputs=2, seed=0):
    """A random network with so many blocks between its two hidden layers."""
    rng = np.random.default_rng(seed)
    wide = modules * own
    between = rng.normal(size=(wide, wide)) * np.kron(np.eye(modules), np.ones((own, own)))
    shapes = [rng.normal(size=(wide, inputs)), between, rng.normal(size=(outputs, wide))]
    return from_layers([(W, 0.3 * rng.normal(size=len(W))) for W in shapes])


@pytest.fixture(scope="module")
def network():
    return named(block_network(4), NAMES, OUTPUTS)


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(1).uniform(-1, 1, size=(40, len(NAMES)))


@pytest.fixture(scope="module")
def modular(network):
    return convert(network, Box(-1, 1), modular=True)


@pytest.fixture(scope="module")
def found(modular, X):
    return explain_rows(modular, X, method="exact")


@pytest.fixture(scope="module")
def page(found, modular):
    return rendered(found, modular, rows=(0,))


def section(page):
    """The section's own HTML."""
    return page.partition('<section id="modules"')[2].partition("</section>")[0]


def table(html):
    """The cells of an HTML table's body, as texts."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.S)]
            for line in re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.S)]  # fmt: skip


# --- what the section knows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exact", "integrated", "local"])
def test_modules_add_up_to_the_prediction_and_to_the_values_of_the_page(network, X, method):
    whole = explain_rows(network, X, method=method)
    known = ask_modules(whole, network)
    assert known.method == method
    np.testing.assert_allclose(known.moved.sum(axis=0), (whole.prediction - whole.base_value)[known.rows], atol=1e-12)
    np.testing.assert_allclose(known.phi.sum(axis=0), whole.phi[known.rows], atol=1e-12)
    if method != "local":
        np.testing.assert_allclose(known.phi.sum(axis=3), known.moved, atol=1e-12)


def test_groups_of_features_have_one_value_in_each_module(network, X):
    whole = explain_rows(network, X, method="exact", groups={"both": [NAMES[0], NAMES[2]]})
    known = ask_modules(whole, network)
    assert known.columns == ("both", NAMES[1], *NAMES[3:])
    np.testing.assert_allclose(known.phi.sum(axis=0)[:, :, 0], whole.phi[:, :, [0, 2]].sum(axis=2), atol=1e-12)


def test_a_joint_list_shows_the_regions_that_the_modules_have_on_their_own(network, modular, found):
    joint = convert(network, Box(-1, 1))
    assert joint.regions > modular.regions
    own = ask_modules(found, modular).regions
    assert own == tuple(part.regions for part in modular.tables)
    assert ask_modules(found, joint).regions == own
    assert ask_modules(found, network).regions == ()


def test_where_the_page_has_estimates_modules_have_integrated_gradients_and_it_says_so(network, X, found):
    from dataclasses import replace

    doubtful = replace(found, status=("estimate", *found.status[1:]), se=np.full_like(found.phi, 0.1))
    known = ask_modules(doubtful, network)
    assert known.method == "integrated"
    np.testing.assert_allclose(known.phi.sum(axis=3), known.moved, atol=1e-12)
    words = Reader(rendered(doubtful, network)).words
    assert "They are not SHAP values" in words
    assert "They are not SHAP values" not in Reader(rendered(found, network)).words


def test_a_module_that_the_data_never_wake_moves_nothing_at_all(X):
    wide = block_network(3)
    layers = [(layer.W.copy(), layer.b.copy()) for layer in wide.affine]
    layers[1][1][:3] = -1e4  # no neuron of the first module's second layer is ever active
    quiet = from_layers(layers)
    whole = explain_rows(quiet, X, method="exact")
    known = ask_modules(whole, quiet)
    assert not known.moved[0].any()
    assert known.moved[1:].any(axis=(1, 2)).all()
    line = modules_shown(known, whole, quiet)["lines"][0]
    assert (line["output"], line["leading"], line["size"]) == ("", [], 0.0)


@pytest.mark.parametrize(("modules", "shown"), [(1, False), (2, True), (MOST, True), (MOST + 1, False)])
def test_the_section_is_there_for_several_modules_but_not_for_very_many(modules, shown):
    network = block_network(modules, own=1, inputs=2, outputs=1)
    text = rendered(explain_rows(network, np.eye(2), method="local"), network)
    assert ('id="modules"' in text) == ('href="#modules"' in text) == shown


def test_of_many_rows_an_even_sample_is_taken_and_the_page_says_so(network):
    X = np.random.default_rng(0).normal(size=(3 * MOST_ROWS, len(NAMES)))
    whole = explain_rows(network, X, method="local")
    known = ask_modules(whole, network)
    assert len(known.rows) == MOST_ROWS
    assert {*np.diff(known.rows).tolist()} <= {3, 4}
    assert f"{MOST_ROWS} rows of {3 * MOST_ROWS}, evenly spaced" in Reader(rendered(whole, network)).words


# --- what it writes ---------------------------------------------------------------------------------------------


def test_the_table_of_modules_holds_each_neuron_and_each_region_once(page, network, modular, found):
    lines = table(section(page))
    known = ask_modules(found, modular)
    assert [line[0] for line in lines] == [str(k) for k in range(4)]
    layers = np.array([[int(part) for part in line[1].split(" + ")] for line in lines])
    assert tuple(layers.sum(axis=0)) == tuple(network.widths)
    assert [int(line[2]) for line in lines] == [part.regions for part in modular.tables]
    assert [line[3] for line in lines] == [number(float(size)) for size in np.abs(known.moved).mean(axis=(1, 2))]


def test_the_page_of_a_file_in_modules_says_whose_regions_it_counts(page, modular):
    words = Reader(page).words
    assert f"Linear regions {modular.regions:,}, the sum over 4 modules" in words
    assert f"{number(modular.regions)} linear regions listed, over 4 modules" in words
    assert "Numbers are those of the converted file" not in words
    assert "numbered in the order in which the data meets them" in words
    most = np.prod([part.regions for part in modular.tables])
    assert f"{number(modular.regions)} in all; a single list would hold up to {most:,}" in words


def test_the_page_of_a_joint_file_says_what_modular_conversion_would_list(network, modular, found):
    joint = convert(network, Box(-1, 1))
    words = Reader(rendered(found, joint)).words
    told = f"{number(joint.regions)} regions; on their own the modules have {number(modular.regions)} in all"
    assert told in words
    assert "Numbers are those of the converted file" in words


def test_a_partial_file_in_modules_has_a_page_too(network, X, tmp_path):
    partial = convert(network, Box(-1, 1), modular=True, max_regions=20)
    assert not partial.completeness.complete
    write_page(explain_rows(network, X[:3], method="local"), partial, tmp_path / "page.html")
    words = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).words
    assert "Regions listed" in words
    assert "a single list would hold" not in words


def heights(lane):
    """The heights of a strip's cells in the drawing, in the order of modules with something to show."""
    found = re.findall(r"M([\d.]+) 1000V([\d.]+)h[\d.]+V1000Z", "".join(mark.path for mark in lane.marks))
    return [1000 - float(top) for _, top in sorted(found, key=lambda cell: float(cell[0]))]


def test_cells_are_as_high_as_their_numbers_and_add_up_to_the_sum_at_the_end():
    values = np.random.default_rng(0).exponential(size=(5, 13))
    values[2, 4] = 0.0
    chart = strips([f"f{i}" for i in range(5)], values)
    for lane, row in zip(chart.lanes, values, strict=True):
        drawn = np.array(heights(lane)) / (1000 * TALLEST) * values.max()
        np.testing.assert_allclose(drawn, row[row > 0], atol=1e-3)
        assert lane.value == number(float(row.sum()))


def test_stronger_shades_stand_for_larger_numbers_and_nothing_is_drawn_for_zero():
    chart = strips(["a"], np.array([[0.0, 0.1, 0.35, 0.5, 0.75, 1.0]]))
    looks = {mark.look: mark.path.count("M") for mark in chart.lanes[0].marks}
    assert looks == {"h1": 1, "h2": 1, "h3": 1, "h4": 1, "h5": 1}
    assert strips(["a"], np.zeros((1, 3))).lanes[0].marks == ()


def test_the_numbers_below_a_chart_are_those_of_the_chart_and_rows_add_up(page, found, modular):
    known = ask_modules(found, modular)
    for k, part in enumerate(section(page).split('class="by-module"')[1:]):
        lines = {line[0]: line[1:] for line in table(part)}
        assert len(lines) == len(NAMES)
        size = np.abs(known.phi[:, :, k]).mean(axis=1)
        for j, name in enumerate(NAMES):
            cells = next(cells for told, cells in lines.items() if unescaped(told) == name)
            assert cells == [*(number(float(value)) for value in size[:, j]), number(float(size[:, j].sum()))]
            assert sum(map(read, cells[:-1])) == pytest.approx(read(cells[-1]), rel=2e-3)


def read(text):
    return float(text.replace("\u2212", "-"))


def unescaped(text):
    from html import unescape

    return unescape(text)


def test_names_made_of_html_stay_text_in_the_section(page):
    reader = Reader(page)
    assert HOSTILE not in page
    assert HOSTILE in reader.words
    assert {tag for tag, _ in reader.tags}.isdisjoint({"i", "iframe", "img"})
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert reader.open == []
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


# --- in a browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    path = installed()
    if not path:
        pytest.skip("no Chromium is installed here (Debian: apt-get install chromium)")
    opened = Browser(path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory):
    """Many modules, long names and several outputs."""
    names = (LONG, "<i>x</i>", *(f"{LONG}_{i}" for i in range(18)))
    network = named(block_network(MOST, own=2, inputs=20, outputs=3), names, ("no", LONG, "a" * 70))
    X = np.random.default_rng(0).normal(size=(12, 20))
    path = tmp_path_factory.mktemp("wide") / "page.html"
    path.write_text(rendered(explain_rows(network, X, method="integrated"), network), encoding="utf-8")
    return path


OPENED = "document.querySelectorAll('#modules details').forEach(e => { e.open = true })"
OUTSIDE = """Array.from(document.querySelectorAll(
  '#modules :is(h2, h3, p, figcaption, summary, .name, .value, span, th, td, caption)'))
  .filter(e => e.checkVisibility() && !e.matches('.unseen') && !e.closest('.by-module, thead'))
  .filter(e => { const r = e.getBoundingClientRect(); return r.left < -0.5 || r.right > innerWidth + 0.5 })
  .map(e => e.className + ' ' + e.textContent.slice(0, 40))"""
CLIPPED = """Array.from(document.querySelectorAll('#modules :is(.tall, .scroll):not(:has(.by-module))'))
  .filter(e => e.scrollWidth > e.clientWidth + 1).length"""
OVERLAPPING = """Array.from(document.querySelectorAll('#modules .across')).filter(a => {
  const r = Array.from(a.querySelectorAll('span')).map(e => e.getBoundingClientRect());
  return r.some((one, i) => i && one.left < r[i - 1].right) }).length"""


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_of_the_section_is_cut_off_or_lies_on_something_else(browser, wide_page, width):
    browser.errors.clear()
    browser.open(wide_page, width)
    browser.evaluate(OPENED)
    wide, room = browser.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room == width
    assert browser.evaluate(OUTSIDE) == []
    assert browser.evaluate(CLIPPED) == 0
    assert browser.evaluate(OVERLAPPING) == 0
    assert browser.errors == []




@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_stronger_shades_stand_out_more_from_the_ground(browser, wide_page, scheme):
    from test_browser import luminance

    browser.open(wide_page, 1280, scheme=scheme)
    ground = luminance(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    shades = [luminance(browser.evaluate(
        f"getComputedStyle(document.querySelector('#modules svg .h{s}')).fill")) for s in range(1, 6)]  # fmt: skip
    contrast = [(max(ground, shade) + 0.05) / (min(ground, shade) + 0.05) for shade in shades]
    assert contrast[0] >= 3.0
    assert all(after > 1.15 * before for before, after in pairwise(contrast))


def test_the_section_is_read_without_a_script_and_on_paper(browser, wide_page):
    browser.open(wide_page, 1280, script=False)
    assert browser.evaluate("document.querySelector('#modules-table').checkVisibility()") is True
    assert browser.evaluate("document.querySelectorAll('#modules-table tbody tr').length") == MOST
    browser.call("Emulation.setEmulatedMedia", media="print")
    box = "(e => [e.scrollHeight, e.clientHeight])(document.querySelector('#modules-table').parentElement)"
    inner, outer = browser.evaluate(box)
    assert inner <= outer + 1
    browser.call("Emulation.setEmulatedMedia", media="")
