"""Rules say what their region is: the same points, no row too many, none lost, in the user's units."""

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_csv, write_onnx
from conftest import data_path
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED
from scipy.optimize import linprog

from relu_shallow import Box, WholeSpace, convert, load_network
from relu_shallow.data import read_table
from relu_shallow.domain import Polytope
from relu_shallow.errors import DataError, UsageError
from relu_shallow.network import from_layers
from relu_shallow.questions.halfspaces import exact_multipliers
from relu_shallow.questions.rules import rule_lines, rules
from relu_shallow.questions.units import Units, read_units


def inside(rule, X, slack=0.0):
    return (rule.b + slack * (1 + np.abs(rule.b)) >= X @ rule.A.T).all(axis=1)


def every_rule(shallow, **options):
    return [rules(shallow, region, **options)[0] for region in range(shallow.regions)]


def test_the_triangle_is_three_lines():
    shallow = convert(NAMED["triangle"].network, domain=Box(-1.0, 2.0))
    by_lines = {tuple(rule_lines(rule)) for rule in every_rule(shallow)}
    assert ("x0 >= 0", "x1 >= 0", "x0 + x1 <= 1") in by_lines
    assert ("-1 <= x0 <= 0", "-1 <= x1 <= 0") in by_lines  # x0 + x1 <= 1 follows
    assert len(by_lines) == 7


def test_a_doubled_neuron_is_said_once():
    # x, x again and -2x: rows that follow from each other exactly, which floats alone cannot prove
    for domain in (Box(-1.0, 1.0), WholeSpace()):
        for rule in every_rule(convert(NAMED["duplicated"].network, domain=domain)):
            assert len(rule_lines(rule)) == 1
            assert rule.proved_needless >= 2
            assert len(rule.b) == (2 if isinstance(domain, Box) else 1)


def test_multipliers_of_a_proof_are_exact_and_not_negative():
    rows = [[1, 0, 0], [0, 1, 0], [1, 1, 0]]  # x >= 0, y >= 0, x + y >= 0
    assert exact_multipliers(rows, [-1, -1], [0, 1]) == {0: 1, 1: 1}
    assert exact_multipliers(rows, [-1, 1], [0, 1]) is None  # would need -1 times y >= 0
    assert exact_multipliers(rows, [-1, 0], [1, 2]) is None
    assert exact_multipliers(rows, [-1, -2], [2]) is None  # no multiple of it
    assert exact_multipliers(rows, [0, 0], []) == {}


def test_without_a_hidden_layer_the_rule_is_the_domain():
    (rule,) = rules(convert(NAMED["linear"].network, domain=Box(-1.0, 1.0)))
    assert rule_lines(rule) == ["-1 <= x0 <= 1", "-1 <= x1 <= 1"]


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rules_hold_the_points_of_their_region_and_no_others(seed):
    network = from_layers(random_layers(2, 5, 4, 1, seed=seed))
    shallow = convert(network, domain=Box(-1.0, 1.0))
    X = np.random.default_rng(seed).uniform(-1, 1, (200, 2))
    owner = shallow.table.region_of(X)
    for region in np.unique(owner).tolist()[:6]:
        (rule,) = rules(shallow, region)
        assert inside(rule, X[owner == region], 1e-9).all()
        assert not inside(rule, X[owner != region], -1e-9).any()
        assert inside(rule, rule.witness[None])[0]


@pytest.mark.parametrize("name", ["bent_line", "triangle", "xor"])
def test_no_row_can_be_left_out(name):
    case = NAMED[name]
    for rule in every_rule(convert(case.network, domain=Box(*case.box))):
        for row in range(len(rule.b)):
            others = np.arange(len(rule.b)) != row
            found = linprog(-rule.A[row], A_ub=np.vstack([rule.A[others], rule.A[row]]),
                            b_ub=np.append(rule.b[others], rule.b[row] + 1.0), bounds=(None, None))  # fmt: skip
            assert -found.fun > rule.b[row] + 1e-9


def test_units_change_the_numbers_and_not_the_region():
    shallow = convert(NAMED["triangle"].network, domain=Box(-1.0, 2.0))
    units = Units(np.array([10.0, -2.0]), np.array([40.0, 1.0]))
    X = np.random.default_rng(0).uniform(-1, 2, (500, 2))
    raw = X * units.scale + units.offset
    for region in range(shallow.regions):
        own, theirs = rules(shallow, region)[0], rules(shallow, region, units=units)[0]
        assert (inside(own, X) == inside(theirs, raw)).all()
        assert raw @ theirs.alpha.T + theirs.beta == pytest.approx(X @ own.alpha.T + own.beta, abs=1e-12)
        assert theirs.witness == pytest.approx(own.witness * units.scale + units.offset)


def test_text_with_its_digits_still_describes_the_region():
    network = load_network(data_path("onnx/archcomp/Single_Pendulum_controller_single_pendulum.onnx"))
    shallow = convert(network, domain=Box(-2.0, 2.0))
    found = rules(shallow, top=3)
    assert found[0].radius >= found[1].radius >= found[2].radius
    for rule in found:
        turn = np.linspace(0, 2 * np.pi, 64)
        ball = rule.witness + 0.95 * rule.radius * np.column_stack([np.cos(turn), np.sin(turn)])
        for line in rule_lines(rule):  # the text, read again, holds all round the inscribed ball
            assert said(line, rule.features, ball).all()


def said(line, features, X):
    """Which rows of X an inequality written for people holds for."""
    parts = line.replace(">=", "<=").split(" <= ")
    places = [index for index, part in enumerate(parts) if any(name in part for name in features)]
    value, turned = linear(parts[places[0]], features, X), ">=" in line
    low = float(parts[0]) if len(parts) == 3 else float(parts[1]) if turned else -np.inf
    high = float(parts[2]) if len(parts) == 3 else np.inf if turned else float(parts[1])
    return (low <= value) & (value <= high)


def linear(text, features, X):
    """The value of a text as `x0 - 0.45 x1`."""
    total, sign, factor = np.zeros(len(X)), 1.0, 1.0
    for word in text.split():
        if word in ("+", "-"):
            sign, factor = (1.0 if word == "+" else -1.0), 1.0
        elif word in features:
            total = total + sign * factor * X[:, features.index(word)]
        else:
            factor = float(word)
    return total


def test_data_choose_the_regions_and_give_their_share():
    shallow = convert(NAMED["crossing_lines"].network, domain=Box(-1.0, 1.0))
    X = np.array([[0.5, 0.5], [0.2, 0.7], [0.1, 0.1], [-0.5, -0.5]])
    found = rules(shallow, data=X, top=3)
    assert [rule.share for rule in found] == [0.75, 0.25]
    assert rule_lines(found[0]) == ["0 <= x0 <= 1", "0 <= x1 <= 1"]


def test_the_whole_space_and_polytopes_have_rules_too():
    rule = every_rule(convert(NAMED["xor"].network, domain=WholeSpace()))[1]
    assert rule_lines(rule) == ["x0 + x1 >= 0", "x0 + x1 <= 1"] or rule_lines(rule) == ["x0 + x1 <= 1", "x0 + x1 >= 0"]
    half = Polytope([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], [0.5, 1.0, 1.0])
    for rule in every_rule(convert(NAMED["xor"].network, domain=half)):
        assert "x0 + x1 <= 1" not in rule_lines(rule)


def test_bad_questions_are_refused(tmp_path):
    shallow = convert(NAMED["xor"].network, domain=Box(-1.0, 2.0))
    with pytest.raises(UsageError, match="no region 3"):
        rules(shallow, 3)
    with pytest.raises(DataError, match="not zero"):
        Units(np.array([1.0, 0.0]), np.zeros(2))
    (tmp_path / "u.csv").write_text("feature,scale,offset\nage,1,2\n")
    with pytest.raises(DataError, match="does not name one feature"):
        read_units(tmp_path / "u.csv", shallow.network)
    (tmp_path / "u.csv").write_text("feature,scale,offset\nX1,3,2\n")
    assert read_units(tmp_path / "u.csv", shallow.network).scale.tolist() == [1.0, 3.0]


def test_the_command_speaks_of_files_and_folders_alike(tmp_path):
    model = write_onnx(tmp_path / "m.onnx", random_layers(2, 4, 3, 1))
    write_csv(tmp_path / "d.csv", ("a", "b"), np.random.default_rng(0).uniform(-1, 1, (30, 2)))
    for target in ("s", "s.regions"):
        done = run("convert", model, "--domain", "box:-1,1", "-o", tmp_path / target)
        assert done.exit_code == 0, done.stderr
    words = ("--data", tmp_path / "d.csv", "--top", 2)
    one = run_json("rules", tmp_path / "s", *words, "-o", tmp_path / "r.csv")
    two = run_json("rules", tmp_path / "s.regions", *words)
    assert one["rules"] == two["rules"]
    assert one["rules"][0]["features"] == ["a", "b"]
    rows = sum(len(rule["b"]) for rule in one["rules"])
    assert len(read_table(tmp_path / "r.csv").values) == rows
    text = run("rules", tmp_path / "s", *words)
    assert "% of the data" in text.stdout
    assert "digits shown" in text.stdout
    refused = run("rules", model)
    assert refused.exit_code == 2
    one_sentence(refused.stderr)
