"""The page in a real browser; skipped where none is installed."""

import re

import numpy as np
import pytest
from browser import Browser, installed
from pages import Reader, random_network, rendered

from relu_shallow.domain import Box
from relu_shallow.explanation import explain_rows
from relu_shallow.explanation.attribution import BOUNDS, EXACT
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.report.answers import Wishes
from relu_shallow.shallow.build import shallow_network

LONG = "a_name_that_is_longer_than_any_telephone_is_wide_and_has_no_space_in_it_at_all"
NAMES = ("age", LONG, "日本語", "a & b", "<i>x</i>")
TAB = ("Tab", 9)


@pytest.fixture(scope="module")
def browser():
    path = installed()
    if not path:
        pytest.skip("no Chromium is installed here (Debian: apt-get install chromium)")
    opened = Browser(path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with every part on it: two statuses, regions, rules, radius, counterfactual."""
    from dataclasses import replace

    shallow = shallow_network(enumerate_regions(random_network(NAMES, ("no", "yes")), Box(-4, 4)))
    X = np.random.default_rng(1).uniform(-1, 1, size=(60, 5))
    found = explain_rows(shallow, X, method="exact")
    some = {"lo": found.phi - 0.1, "hi": found.phi + 0.2}
    found = replace(found, **some, status=(BOUNDS,) * 20 + (EXACT,) * 40)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(rendered(found, shallow, (3, 30), Wishes(nearest=5.0, check=True)), encoding="utf-8")
    return path


SIZES = [(360, "light"), (360, "dark"), (768, "light"), (1280, "light"), (1280, "dark")]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_nothing_is_wider_than_the_window_and_the_console_is_empty(browser, page, width, scheme):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page, width, scheme=scheme)
    wide, room = browser.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room == width
    assert browser.errors == []
    assert browser.requests == [page.as_uri()]


OUTSIDE = """Array.from(document.querySelectorAll(
  'h1, h2, h3, h4, p, li, dt, dd, figcaption, summary, .name, .value, .across span, .up span, th, td, input, select'))
  .filter(e => e.offsetParent && !e.closest('.scroll') && !e.closest('thead') && !e.matches('.skip'))
  .filter(e => { const r = e.getBoundingClientRect(); return r.left < -0.5 || r.right > innerWidth + 0.5 })
  .map(e => e.textContent.slice(0, 40))"""


@pytest.mark.parametrize("width", [360, 1280])
def test_no_text_is_cut_off_at_the_sides(browser, page, width):
    browser.open(page, width)
    assert browser.evaluate(OUTSIDE) == []


SMALL = """Array.from(document.querySelectorAll('figure svg')).map(e => e.getBoundingClientRect())
  .filter(r => r.width < 120 || r.height < 8).length"""
BEYOND = """Array.from(document.querySelectorAll('figure svg path[d]')).filter(p => p.getAttribute('d'))
  .map(p => p.getBBox())
  .filter(b => b.x < -1 || b.x + b.width > 1001 || b.y < -1 || b.y + b.height > 1001).length"""


def test_charts_have_a_size_and_their_marks_lie_inside(browser, page):
    for width in (360, 1280):
        browser.open(page, width)
        assert browser.evaluate(SMALL) == 0
        assert browser.evaluate(BEYOND) == 0


LINES = "Array.from(document.querySelectorAll('#rows-table tbody tr'))"


def shown(browser):
    return browser.evaluate(f"{LINES}.filter(line => !line.hidden).length")


def test_rows_are_searched_and_chosen_by_status(browser, page):
    browser.open(page, 1280)
    assert shown(browser) == 60
    browser.evaluate("document.getElementById('search').focus()")
    browser.write("bounds")
    assert shown(browser) == 20
    assert browser.evaluate("document.getElementById('told').textContent") == "20 of 60 rows"
    browser.evaluate("document.getElementById('search').select()")
    browser.write("no such word")
    assert shown(browser) == 0
    choose = "const s = document.getElementById('status'); s.value = '{}'; s.dispatchEvent(new Event('change'))"
    browser.evaluate("const q = document.getElementById('search'); q.value = ''; q.dispatchEvent(new Event('input'))")
    browser.evaluate(choose.format("exact"))
    assert shown(browser) == 40


def test_rows_are_sorted_by_a_click_on_a_head(browser, page):
    browser.open(page, 1280)
    cells = f"{LINES}.map(line => Number(line.cells[1].dataset.sort))"
    head = "document.querySelectorAll('#rows-table thead button')[1].click()"
    browser.evaluate(head)
    falling = browser.evaluate(cells)
    assert falling == sorted(falling, reverse=True)
    assert browser.evaluate("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"
    browser.evaluate(head)
    assert browser.evaluate(cells) == falling[::-1]


REACHED = """Array.from(document.querySelectorAll(
  'a[href], summary, input, select, button, [tabindex="0"]')).filter(e => e.checkVisibility()).length"""


def test_the_keyboard_reaches_every_control_in_order_and_the_place_is_seen(browser, page):
    browser.open(page, 1280)
    focused = """(e => e === document.body ? '' : (e.id || e.getAttribute('href') || e.className || e.tagName))
        (document.activeElement)"""
    outlined = "getComputedStyle(document.activeElement).outlineStyle"
    seen = []
    for _ in range(200):
        browser.press(*TAB)
        place = browser.evaluate(focused)
        if not place or (seen and place == seen[0] and len(seen) > 3):
            break
        assert browser.evaluate(outlined) != "none", place
        seen.append(place)
    assert seen[:2] == ["#main", "#model"]
    assert seen.index("search") < seen.index("status") < seen.index("tall")
    assert len(seen) == browser.evaluate(REACHED)


def test_the_skip_link_is_seen_when_it_has_the_focus(browser, page):
    browser.open(page, 360)
    place = "(r => [r.left, r.right])(document.querySelector('.skip').getBoundingClientRect())"
    assert browser.evaluate(place)[1] < 0
    browser.press(*TAB)
    left, right = browser.evaluate(place)
    assert 0 <= left < right <= 360


def test_without_its_script_the_page_reads_whole(browser, page):
    browser.open(page, 1280, script=False)
    assert browser.evaluate("document.getElementById('tools').checkVisibility()") is False
    assert shown(browser) == 60
    browser.open(page, 1280)
    assert browser.evaluate("document.getElementById('tools').checkVisibility()") is True


def luminance(colour):
    channels = np.array([float(c) for c in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


TEXTS = """Array.from(document.querySelectorAll('body *')).filter(e => e.checkVisibility() && !e.closest('svg') &&
    Array.from(e.childNodes).some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
  const clear = x => getComputedStyle(x).backgroundColor === 'rgba(0, 0, 0, 0)';
  let ground = e; while (ground.parentElement && clear(ground)) ground = ground.parentElement;
  return [getComputedStyle(e).color, getComputedStyle(ground).backgroundColor, e.tagName + '.' + e.className]})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_as_wcag_asks(browser, page, scheme):
    browser.open(page, 1280, scheme=scheme)
    pairs = {tuple(pair) for pair in browser.evaluate(TEXTS)}
    assert len(pairs) > 10
    for ink, ground, name in pairs:
        light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ink, ground)


MARKS = """Array.from(document.querySelectorAll('figure svg path'))
  .filter(p => p.getAttribute('d') && !p.matches('.zero, .grid, .casing, .rug1, .rug2'))
  .map(p => { const s = getComputedStyle(p); return [s.fill === 'none' ? s.stroke : s.fill, p.className.baseVal] })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_drawn_stands_out_from_its_ground(browser, page, scheme):
    browser.open(page, 1280, scheme=scheme)
    ground = luminance(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    looks = {tuple(pair) for pair in browser.evaluate(MARKS)}
    assert {"plain", "up", "down", "whisker", "effect", "kinks", "v0", "v6"} <= {look for _, look in looks}
    for colour, look in looks:
        light, dark = sorted((luminance(colour), ground), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.0, (look, colour)


def test_the_page_prints(browser, page):
    browser.open(page, 1280, scheme="dark")
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 40
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("document.querySelector('nav').checkVisibility()") is False
    browser.call("Emulation.setEmulatedMedia", media="")


def test_the_reader_sees_the_whole_page(page):
    assert "Chosen rows" in Reader(page.read_text(encoding="utf-8")).words
