import re
from html.parser import HTMLParser

import numpy as np
import pytest

from relu_shallow.domain import Box
from relu_shallow.errors import DataError, OutputError
from relu_shallow.explanation import explain_rows
from relu_shallow.network import from_layers, named
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.report import write_page
from relu_shallow.report.page import number, render
from relu_shallow.shallow.build import shallow_network

HOSTILE = "<script>alert('1')</script>"
NAMES = (HOSTILE, '" onerror="alert(1)', "costs $5 and $6_{", "{{ 7*7 }}", "日本語", "a & b")


@pytest.fixture(scope="module")
def network():
    random = np.random.default_rng(0)
    layers = [(random.normal(size=(5, 6)), random.normal(size=5)), (random.normal(size=(2, 5)), np.zeros(2))]
    return named(from_layers(layers, head="softmax"), NAMES, ("<b>no</b>", "yes"))


@pytest.fixture(scope="module")
def attribution(network):
    return explain_rows(network, np.random.default_rng(1).normal(size=(30, 6)), method="local")


@pytest.fixture(scope="module")
def page(attribution, network):
    return render(attribution, network, rows=(3,))


class Reader(HTMLParser):
    """The tags, their attributes and the text of a page, without what styles it."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def test_the_page_is_well_formed_and_its_tags_are_closed(page):
    reader = Reader(page)
    assert reader.open == []
    assert sum(tag == "h1" for tag, _ in reader.tags) == 1


def test_names_made_of_html_are_text_and_nothing_else(page):
    reader = Reader(page)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "iframe", "link", "object"})
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    for name in NAMES:
        assert name in reader.text
    assert "<b>no</b> = " in reader.text


def test_the_page_loads_nothing(page):
    reader = Reader(page)
    for tag, attributes in reader.tags:
        assert "href" not in attributes, tag
        assert attributes.get("src", "data:").startswith("data:image/png;base64,") or "src" not in attributes
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r"url\(|@import|https?://", page)


def test_every_picture_says_in_words_what_it_shows(page):
    pictures = [attributes for tag, attributes in Reader(page).tags if tag == "img"]
    assert len(pictures) == 2 * 2 + 1
    assert all(len(picture["alt"]) > 40 for picture in pictures)


def test_the_page_names_status_gap_region_distance_and_local_model_of_a_chosen_row(page, attribution):
    text = " ".join(Reader(page).text.split())
    k = int(np.abs(attribution.prediction[3] - attribution.base_value).argmax())
    assert f"Row 3: {attribution.output_names[k]} = {number(attribution.prediction[3, k])}" in text
    assert f"Gap {number(attribution.gap[3, k])}" in text
    assert f"Region {attribution.region[3]} Distance" in text
    assert f"boundary {number(attribution.distance[3])}" in text
    for i, name in enumerate(NAMES):
        assert f"{number(abs(attribution.alpha[3, k, i]))} · {name}" in text
        assert number(attribution.phi[3, k, i]) in text
    assert "before the final softmax" in text


def test_rows_that_stand_out_are_chosen_where_none_are_given(attribution, network):
    text = Reader(render(attribution, network)).text
    first = attribution.prediction[:, 0]
    for row in (first.argmax(), first.argmin(), np.abs(attribution.gap).max(axis=1).argmax()):
        assert f"Row {row}: " in text


def test_a_row_that_is_not_in_the_data_is_refused(attribution, network):
    with pytest.raises(DataError, match="no row 30 to show: the data has 30"):
        render(attribution, network, rows=(30,))


def test_the_page_of_a_converted_network_says_its_regions_and_level(network, tmp_path):
    shallow = shallow_network(enumerate_regions(network, Box(-1, 1)))
    found = explain_rows(shallow, np.random.default_rng(1).uniform(-1, 1, size=(5, 6)), output=1)
    write_page(found, shallow, tmp_path / "page.html", rows=(0,))
    text = " ".join(Reader((tmp_path / "page.html").read_text(encoding="utf-8")).text.split())
    assert f"Linear regions {shallow.regions:,} Half-spaces" in text
    assert f"Level of proof {shallow.completeness.level}" in text
    assert "Converted on the box [-1, 1]^6" in text
    assert "5 exact: the network" in text


def test_a_folder_that_is_not_there_is_one_clear_error(attribution, network, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_page(attribution, network, tmp_path / "nowhere" / "page.html")


def test_the_same_explanation_gives_the_same_page(attribution, network, page):
    assert render(attribution, network, rows=(3,)) == page


@pytest.mark.parametrize(
    ("value", "text"), [(-0.5, "\u22120.5"), (123456.0, "123,456"), (0.000012345, "1.234e\u221205"), (3, "3")]
)
def test_numbers_are_short_and_have_a_true_minus(value, text):
    assert number(value) == text


def test_pictures_shrink_to_the_page_and_are_never_cut(page):
    style = page.partition("<style>")[2].partition("</style>")[0]
    rules = re.findall(r"figure img \{([^{}]*)\}", style)
    assert [sorted(rule.strip() for rule in body.split(";") if rule.strip()) for body in rules] == [
        ["display: block", "height: auto", "max-width: 100%"]
    ]
