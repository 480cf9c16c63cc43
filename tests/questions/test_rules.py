"""Rules say what their region is: the same points, no row too many, none lost, in the user's units."""

from fractions import Fraction

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
from relu_shallow.questions.rule_text import normalised
from relu_shallow.questions.rules import model_lines, rule_lines, rules
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


def thin_network(scale, seed):
    """Neurons nearly parallel, so that some regions are slivers, at inputs of any size."""
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(6, 2)), rng.normal(size=6) * scale
    W[3], b[3] = W[0] + 1e-4 * W[1], b[0]
    return from_layers([(W, b), (rng.normal(size=(3, 6)), rng.normal(size=3) * scale), (np.ones((2, 3)), np.ones(2))])


@pytest.mark.parametrize("units", [None, Units(np.array([10.0, -0.25]), np.array([38.7, 0.1]))], ids=["own", "units"])
@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-9])
@pytest.mark.parametrize("domain", ["box", "all"])
def test_the_text_holds_for_the_witness_and_moves_no_border_by_a_hundredth_of_the_depth(units, scale, domain):
    shallow = convert(thin_network(scale, 1), domain=Box(-scale, scale) if domain == "box" else WholeSpace())
    for rule in every_rule(shallow, units=units):
        text = [inequality(part, rule.features) for line in rule_lines(rule) for part in parts_of(line)]
        x = [Fraction(value) for value in rule.witness.tolist()]
        assert all(sum(a * v for a, v in zip(row, x, strict=True)) <= bound for row, bound in text)
        shown = np.array([[float(a) for a in row] for row, _ in text]), np.array([float(bound) for _, bound in text])
        A, b = normalised(rule.A, rule.b)
        place = [np.abs(A - row).sum(axis=1).argmin() for row in normalised(*shown)[0]]
        moved = np.abs(normalised(*shown)[0] - A[place]) @ rule.reach + np.abs(normalised(*shown)[1] - b[place])
        assert (moved <= 0.0101 * np.linalg.norm(A[place] * rule.depth, axis=1)).all()


def parts_of(line):
    """`a <= x <= b` as the two inequalities it is, and `x = a` as well."""
    words = line.split(" <= ")
    return [f"{words[0]} <= {words[1]}", f"{words[1]} <= {words[2]}"] if len(words) == 3 else [line]


def inequality(text, features):
    """(coefficients, bound) of a text as `x0 - 0.45 x1 <= 3`, as fractions."""
    turned = " >= " in text
    left, right = (side_of(side, features) for side in text.split(" >= " if turned else " <= "))
    row, bound = [a - b for a, b in zip(left[0], right[0], strict=True)], right[1] - left[1]
    return ([-a for a in row], -bound) if turned else (row, bound)


def side_of(text, features):
    row, constant, sign, factor = [Fraction(0)] * len(features), Fraction(0), 1, None
    for word in text.split():
        if word in ("+", "-"):
            constant += 0 if factor is None else sign * factor
            sign, factor = (1 if word == "+" else -1), None
        elif word.lstrip("-") in features:
            minus = -1 if word.startswith("-") else 1
            row[features.index(word.lstrip("-"))] += sign * minus * (1 if factor is None else factor)
            sign, factor = 1, None
        else:
            factor = Fraction(word)
    return row, constant + (0 if factor is None else sign * factor)


def test_the_local_model_in_words_is_the_local_model():
    """Its terms cancel in units far from the network's own; the text must not lose what is left."""
    network = from_layers([(np.array([[1.0, 1e-3]]), np.zeros(1)), (np.array([[0.01]]), np.zeros(1))])
    units = Units(np.array([1.0, 1.0]), np.array([123456.7, 0.0]))
    for rule in every_rule(convert(network, domain=Box(-1.0, 1.0)), units=units):
        (line,) = model_lines(rule)
        told = side_of(line.removeprefix("y0 = "), rule.features)
        value = told[1] + sum(a * Fraction(v) for a, v in zip(told[0], rule.witness.tolist(), strict=True))
        assert abs(float(value) - (rule.alpha @ rule.witness + rule.beta)[0]) <= 1e-3 * 0.01


def test_what_is_zero_is_said_to_be_zero_in_the_users_units():
    # x0 + 0.1 >= 0 stands at zero where x0_user = 3 x0 + 0.3; 0.1 + 0.2 - 0.3 is no feature of the second layer
    first = (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.array([0.1, 5.0, 5.0]))
    second = (np.array([[1.0, 0.1 + 0.2, -0.3]]), np.zeros(1))  # carries x1 times 5.6e-17, which floats do hold
    network = from_layers([first, second, (np.ones((1, 1)), np.zeros(1))])
    units = Units(np.array([3.0, 1.0]), np.array([0.3, 0.0]))
    lines = {line for rule in every_rule(convert(network, domain=Box(-1.0, 1.0)), units=units)
             for line in rule_lines(rule)}  # fmt: skip
    assert "x0 >= 0" in " ".join(lines) or "0 <= x0" in " ".join(lines)
    assert not any("e-1" in line for line in lines if line.startswith("x0") and "x1" not in line)


def test_cancelling_rows_are_said_as_they_are_in_exact_arithmetic():
    """1e17 x0 goes in twice and cancels: what is left is x1 - 0.3, below the error bound of floats' own sums."""
    first = (np.array([[1e17, 1.0], [1e17, 0.0]]), np.array([1e18, 1e18]))
    second = (np.array([[1.0, -1.0]]), np.array([-0.3]))
    shallow = convert(from_layers([first, second, (np.ones((1, 1)), np.zeros(1))]), domain=Box(-1.0, 1.0))
    assert {line for rule in every_rule(shallow) for line in rule_lines(rule)} == {
        "-1 <= x0 <= 1", "-1 <= x1 <= 0.3", "0.3 <= x1 <= 1"}  # fmt: skip


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
    few = run("rules", tmp_path / "s", *words, "--digits", 1)
    assert "digits, and 1 are shown" in few.stderr
    refused = run("rules", model)
    assert refused.exit_code == 2
    one_sentence(refused.stderr)
