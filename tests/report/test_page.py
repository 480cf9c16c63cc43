import base64
import hashlib
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from pages import HOSTILE, NAMES, Reader, explained, random_network, rendered

from relu_shallow.domain import Box
from relu_shallow.errors import DataError, OutputError
from relu_shallow.explanation import explain_rows
from relu_shallow.explanation.attribution import BOUNDS, ESTIMATE
from relu_shallow.plot.attribution import brief, signed
from relu_shallow.plot.lettering import number
from relu_shallow.questions.rules import rule_lines, rules
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.report import write_page
from relu_shallow.report.answers import Wishes, ask
from relu_shallow.report.rows import MOST_ROWS
from relu_shallow.shallow.build import shallow_network

FULL = Wishes(nearest=5.0, check=True)


@pytest.fixture(scope="module")
def network():
    return random_network()


@pytest.fixture(scope="module")
def attribution(network):
    return explained(network)


@pytest.fixture(scope="module")
def page(attribution, network):
    return rendered(attribution, network, rows=(3,))


@pytest.fixture(scope="module")
def shallow(network):
    return shallow_network(enumerate_regions(network, Box(-4, 4)))


@pytest.fixture(scope="module")
def full(shallow):
    """The page of a converted network with everything on it, and its explanation."""
    found = explain_rows(shallow, np.random.default_rng(1).uniform(-1, 1, size=(25, 6)), method="exact")
    return found, rendered(found, shallow, rows=(0, 4), wishes=FULL)


# --- form -------------------------------------------------------------------------------------------------------


def test_the_page_is_well_formed_and_its_tags_are_closed(page, full):
    for text in (page, full[1]):
        reader = Reader(text)
        assert reader.open == []
        assert len(reader.all("h1")) == len(reader.all("main")) == len(reader.all("nav")) == 1


def test_headings_go_down_one_level_at_a_time(page, full):
    for text in (page, full[1]):
        levels = [int(tag[1]) for tag, _ in Reader(text).tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_link_and_label_leads_to_an_element_of_its_own(full):
    reader = Reader(full[1])
    names = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in reader.tags:
        for word in ("aria-labelledby", "aria-controls", "for"):
            assert attributes.get(word, names[0]) in names
        assert attributes.get("href", "#main").removeprefix("#") in names


def test_names_made_of_html_are_text_and_nothing_else(page, full):
    for text in (page, full[1]):
        reader = Reader(text)
        assert {tag for tag, _ in reader.tags}.isdisjoint({"iframe", "link", "object", "img"})
        assert len(reader.all("script")) == 1
        assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
        for name in NAMES:
            assert name in reader.words
        assert "<b>no</b> = " in reader.words
        assert HOSTILE not in text


def test_the_page_loads_nothing_and_allows_only_its_own_script(page):
    reader = Reader(page)
    assert not [attributes for _, attributes in reader.tags if "src" in attributes]
    assert all(attributes["href"].startswith("#") for _, attributes in reader.tags if "href" in attributes)
    policy = next(a["content"] for a in reader.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    script = page.partition("<script>")[2].partition("</script>")[0]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert not re.search(r"url\(|@import|https?://", page)


def test_every_chart_says_in_words_what_it_shows(page):
    charts = [a for _, a in Reader(page).tags if a.get("role") == "img" and "lanes" in a.get("class", "")]
    plots = [a for _, a in Reader(page).tags if a.get("class") == "plot"]
    assert len(charts) == 2 * 2 + 2 + 3 + 1  # bars, swarm and local models of two outputs, their modules, one row
    assert len(plots) == 2 * 6
    assert all(len(chart["aria-label"]) > 40 for chart in charts + plots)


def test_control_characters_of_names_do_not_reach_the_page():
    network = random_network(names=("a\x00b", "c\x1bd"))
    text = rendered(explained(network), network)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text)


def test_the_same_explanation_gives_the_same_page(attribution, network, page):
    assert rendered(attribution, network, rows=(3,)) == page


# --- what is said -----------------------------------------------------------------------------------------------


def test_the_page_names_status_gap_region_distance_and_local_model_of_a_chosen_row(page, attribution):
    words = Reader(page).words
    k = int(np.abs(attribution.prediction[3] - attribution.base_value).argmax())
    assert f"Row 3: {attribution.output_names[k]} = {number(attribution.prediction[3, k])}" in words
    assert f"Gap {number(attribution.gap[3, k])}" in words
    assert f"Region {attribution.region[3]} Distance" in words
    assert f"boundary {number(attribution.distance[3])}" in words
    for i, name in enumerate(NAMES):
        assert f"{number(abs(attribution.alpha[3, k, i]))} · {name}" in words
        assert number(attribution.phi[3, k, i]) in words
    assert "before the final softmax" in words
    assert "not counted: the model was explained as it is, without converting it" in words


def test_rows_that_stand_out_are_chosen_where_none_are_given(attribution, network):
    words = Reader(rendered(attribution, network)).words
    first = attribution.prediction[:, 0]
    inexact = [row for row, status in enumerate(attribution.status) if status != "exact"]
    worst = inexact[np.abs(attribution.gap[inexact]).max(axis=1).argmax()]
    for row in (first.argmax(), first.argmin(), worst):
        assert f"Row {row}: " in words


def test_a_row_that_is_not_in_the_data_is_refused(attribution, network):
    with pytest.raises(DataError, match="no row 30 to show: the data has 30"):
        rendered(attribution, network, rows=(30,))


def test_the_page_of_a_converted_network_says_its_regions_level_and_checks(full, shallow):
    words = Reader(full[1]).words
    assert f"Linear regions {shallow.regions:,} Half-spaces" in words
    assert f"Level of proof {shallow.completeness.level}" in words
    assert "Converted on the box [-4, 4]^6" in words
    assert "25 exact" in words
    assert re.search(r"all \d+ checks hold", words)


def test_the_regions_with_most_rows_stand_there_with_their_inequalities(full, shallow):
    found, text = full
    words = Reader(text).words
    for rule in rules(shallow, data=found.X, top=4):
        rows = int((found.region == rule.region).sum())
        assert f"Region {rule.region}: {rows} row" in words
        own = rule.neuron >= 0
        for line in rule_lines(replace(rule, A=rule.A[own], b=rule.b[own], neuron=rule.neuron[own]), rule.digits):
            assert line in words


def test_radius_and_counterfactual_of_a_chosen_row_stand_there_as_found(attribution, network, tmp_path):
    answers = write_page(attribution, network, tmp_path / "page.html", rows=(5, 1), wishes=Wishes(nearest=2.0))
    words = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).words
    assert [*answers.near] == [5, 1]
    for near in answers.near.values():
        assert near.radius.status == ("exact",)
        assert near.counterfactual.nearest.status == "exact"
        assert f"Certified radius: {number(near.radius.lower[0])} exact" in words
        assert f"at distance {number(near.counterfactual.nearest.upper)}, proved nearest" in words
        change = near.counterfactual.nearest.point - near.counterfactual.row
        for i in np.flatnonzero(change):
            assert f"{number(near.counterfactual.nearest.point[i])} {signed(float(change[i]))}" in words


def test_without_wishes_nothing_is_searched_for(attribution, network, tmp_path):
    answers = write_page(attribution, network, tmp_path / "page.html")
    assert answers.near == {}
    assert answers.monotone is None
    assert "Certified radius" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_bounds_and_errors_of_a_row_stand_beside_its_values(attribution, network):
    phi = attribution.phi
    some = {"lo": phi - 0.125, "hi": phi + 0.25, "se": np.full_like(phi, 0.0625)}
    for status, heads in ((BOUNDS, "At least At most"), (ESTIMATE, "Standard error")):
        found = replace(attribution, **some, status=(status,) * len(attribution.X))
        reader = Reader(rendered(found, network, rows=(3,)))
        assert heads in reader.words
        assert f"30 {status}" in reader.words
        k = int(np.abs(found.prediction[3] - found.base_value).argmax())
        reach = (0.125, 0.25) if status == BOUNDS else (1.96 * 0.0625,) * 2
        for phi in found.phi[3, k]:
            known = (phi - 0.125, phi + 0.25) if status == BOUNDS else (0.0625,)
            assert " ".join(number(value) for value in (phi, *known)) in reader.words
            assert f"{signed(phi)} ({brief(phi - reach[0])} to {brief(phi + reach[1])})" in reader.words
        assert sum("whisker" in a.get("class", "") for a in reader.all("path")) == len(NAMES)


def test_the_table_lists_rows_up_to_a_limit_and_says_so(network):
    few, many = explained(network, rows=3), explained(network, rows=MOST_ROWS + 5)
    assert "data-status" in rendered(few, network)
    text = rendered(many, network)
    assert len(re.findall(r"<tr data-status", text)) == MOST_ROWS
    assert f"The first {number(MOST_ROWS)} of {number(MOST_ROWS + 5)} rows." in Reader(text).words


def test_a_folder_that_is_not_there_is_one_clear_error(attribution, network, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_page(attribution, network, tmp_path / "nowhere" / "page.html")


def test_a_network_without_classes_is_asked_about_its_mean_prediction(tmp_path):
    network = random_network(outputs=("dose",), head="identity")
    found = explained(network)
    answers = write_page(found, network, tmp_path / "page.html", rows=(0,), wishes=Wishes(nearest=0.5))
    assert answers.goal.output == 0
    assert answers.goal.threshold == found.base_value[0]
    words = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).words
    assert f"before dose can cross {number(found.base_value[0])}" in words


def test_whole_numbers_of_the_data_stay_whole_in_a_counterfactual():
    network = random_network(names=("children", "income"), outputs=("no", "yes"))
    random = np.random.default_rng(0)
    X = np.column_stack([random.integers(0, 4, 40), random.normal(size=40)]).astype(float)
    found = explain_rows(network, X, method="exact")
    answers = ask(found, network, (0, 1, 2), Wishes(nearest=5.0))
    assert answers.whole == (0,)
    known = [near.counterfactual.nearest.point for near in answers.near.values()]
    assert known
    assert all(np.isnan(point).all() or point[0] == round(point[0]) for point in known)


@pytest.mark.parametrize(
    ("value", "text"), [(-0.5, "\u22120.5"), (123456.0, "123,456"), (0.000012345, "1.234e\u221205"), (3, "3")]
)
def test_numbers_are_short_and_have_a_true_minus(value, text):
    assert number(value) == text
