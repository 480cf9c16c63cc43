"""Extremes are reached, and nothing is beyond them: hand-worked networks, vertices of all regions, exact arithmetic."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_onnx
from conftest import data_path
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED

from relu_shallow import Box, WholeSpace, convert, load_network
from relu_shallow.data import read_table
from relu_shallow.domain import Polytope
from relu_shallow.errors import DomainError, UsageError
from relu_shallow.network import Affine, Gate, Network, evaluate, from_layers
from relu_shallow.questions.extremes import extremes, region_extremes
from relu_shallow.questions.relaxed_program import program_of, solve
from relu_shallow.relaxation import preactivation_bounds


def exact(layers, x, slopes=None):
    """The outputs at a float point, in fractions; slopes are (inactive, active) of each hidden layer."""
    h = [Fraction(float(v)) for v in x]
    for depth, (W, b) in enumerate(layers):
        z = [sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(c)))
             for row, c in zip(W, b, strict=True)]  # fmt: skip
        if depth == len(layers) - 1:
            return z
        pairs = slopes[depth] if slopes else [(0.0, 1.0)] * len(z)
        h = [v * Fraction(float(q if v > 0 else p)) for v, (p, q) in zip(z, pairs, strict=True)]
    return h


def leaky(layers, seed):
    rng = np.random.default_rng(seed)
    gates = tuple(Gate(rng.normal(size=len(b)), rng.normal(size=len(b))) for _, b in layers[:-1])
    return Network(tuple(Affine(W, b) for W, b in layers), gates)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("linear", 0.0, 6.0), ("abs", 0.0, 1.0), ("stairs", 0.0, 1.0), ("sawtooth", 0.0, 1.0), ("triangle", 0.5, 15.5),
     ("two_slopes", 0.0, 1.0), ("constants", 2.0, 2.0), ("beyond_the_box", 0.0, 0.0)],
)  # fmt: skip
def test_hand_worked_extremes(name, low, high):
    case = NAMED[name]
    found = extremes(case.network, domain=Box(*case.box))
    for end, expected in ((found.minimum, low), (found.maximum, high)):
        assert end.status == "exact"
        assert end.value == pytest.approx(expected, abs=1e-12)
        assert end.bound == pytest.approx(expected, abs=1e-8)
    assert found.minimum.bound <= Fraction(low)  # rounding counted: the figures themselves are exact here
    assert Fraction(high) <= found.maximum.bound


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), slopes=st.booleans(), inputs=st.sampled_from([2, 7]))
def test_the_point_has_the_value_and_no_point_is_beyond_the_bound(seed, slopes, inputs):
    layers = random_layers(inputs, 5, 4, 1, seed=seed)
    network = leaky(layers, seed) if slopes else from_layers(layers)
    found = extremes(network, domain=Box(-1.0, 1.0))
    pairs = [list(zip(gate.inactive, gate.active, strict=True)) for gate in network.gates]
    for sign, end in ((-1, found.minimum), (1, found.maximum)):
        value = exact(layers, end.point, pairs)[0]
        assert sign * Fraction(end.value) <= sign * value <= sign * Fraction(end.bound)
        assert end.status == "exact"
        assert (np.abs(end.point) <= 1).all()
    Y = evaluate(network, np.random.default_rng(seed).uniform(-1, 1, (4000, inputs)))[:, 0]
    assert found.minimum.bound <= Y.min()
    assert found.maximum.bound >= Y.max()


def test_a_tree_over_the_network_and_its_regions_agree():
    network = from_layers(random_layers(3, 6, 5, 2, seed=5))
    shallow = convert(network, domain=Box(-1.0, 1.0))
    for minus in (None, 1):
        each = region_extremes(shallow, 0, minus=minus)
        whole = extremes(network, 0, minus=minus, domain=Box(-1.0, 1.0))
        assert each.largest.max() == pytest.approx(whole.maximum.value, abs=1e-8)
        assert each.least.min() == pytest.approx(whole.minimum.value, abs=1e-8)
        assert (each.largest_bound >= each.largest - 1e-12).all()
        assert (each.least_bound <= each.least + 1e-12).all()
        Y = evaluate(network, each.largest_at)
        assert Y[:, 0] - (Y[:, 1] if minus else 0) == pytest.approx(each.largest, abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_a_linear_program_proves_holds_with_any_signs(seed):
    """On a part of the box with some neurons' signs, no point of the part is above the bound."""
    rng = np.random.default_rng(seed)
    layers = random_layers(2, 4, 4, 1, seed=seed)
    network = leaky(layers, seed)
    lo, hi = -np.ones(2), np.ones(2)
    signs = rng.integers(-1, 2, network.neurons).astype(np.int8)
    bounds = preactivation_bounds(network, lo, hi, signs)
    if bounds.empty:
        return
    found = solve(network, program_of(network, bounds, signs), np.ones(1))
    X = rng.uniform(lo, hi, (5000, 2))
    z = np.concatenate(hidden(network, X), axis=1)
    own = ((signs == 0) | (signs * z >= 0)).all(axis=1)
    if found is not None and own.any():
        assert evaluate(network, X[own]).max() <= found.bound


def hidden(network, X):
    from relu_shallow.network import preactivations

    return preactivations(network, X)[:-1]


def test_an_unbounded_output_has_a_ray():
    found = extremes(convert(NAMED["abs"].network, domain=WholeSpace()))
    assert found.maximum.status == "unbounded"
    ray = found.maximum.point
    Y = evaluate(NAMED["abs"].network, np.array([10.0, 1e3, 1e5])[:, None] * ray)[:, 0]
    assert (np.diff(Y) > 0).all()
    assert found.minimum.status == "exact"
    assert -1e-300 <= found.minimum.bound <= 0.0
    assert found.minimum.value == pytest.approx(0.0, abs=1e-12)


def test_a_bounded_output_on_the_whole_space_is_bounded_exactly():
    # relu(x) - 2 relu(x - 1) + relu(x - 2): a hat of height one, zero far away
    network = from_layers([(np.ones((3, 1)), np.array([0.0, -1.0, -2.0])), (np.array([[1.0, -2.0, 1.0]]), np.zeros(1))])
    found = extremes(convert(network, domain=WholeSpace()))
    assert (found.maximum.status, found.minimum.status) == ("exact", "exact")
    assert found.maximum.value == pytest.approx(1.0, abs=1e-12)
    assert found.maximum.point == pytest.approx([1.0])
    assert 1.0 <= found.maximum.bound <= 1.0 + 1e-12
    with pytest.raises(DomainError, match="no ray"):
        extremes(network, domain=WholeSpace())


def exact_cell(layers, pattern):
    """(rows a.x + b >= 0, map) of a pattern, in fractions, from the layers alone."""
    value = [[Fraction(int(i == j)) for j in range(len(layers[0][0][0]) + 1)] for i in range(len(layers[0][0][0]))]
    rows, bits = [], iter(pattern)
    for depth, (W, b) in enumerate(layers):
        columns = list(zip(*value, strict=True))
        z = [[sum(Fraction(float(w)) * v for w, v in zip(row, column, strict=True)) for column in columns] for row in W]
        z = [[*row[:-1], row[-1] + Fraction(float(c))] for row, c in zip(z, b, strict=True)]
        if depth == len(layers) - 1:
            break
        on = [next(bits) for _ in z]
        rows += [row if bit else [-v for v in row] for row, bit in zip(z, on, strict=True)]
        value = [[v * int(bit) for v in row] for row, bit in zip(z, on, strict=True)]
    return rows, z


def largest_at_a_corner(rows, h):
    """The largest h.(x, 1) over the corners of {a.x + b >= 0} in the plane, in fractions; None where there is none."""
    best = None
    for (a, b, e), (c, d, f) in combinations(rows, 2):
        if a * d - b * c:
            x, y = (b * f - d * e) / (a * d - b * c), (c * e - a * f) / (a * d - b * c)
            if all(p * x + q * y + r >= 0 for p, q, r in rows):
                value = h[0] * x + h[1] * y + h[2]
                best = value if best is None else max(best, value)
    return best


@pytest.mark.parametrize("size", [1.0, 1e4, 1e-5])
def test_extremes_of_unbounded_regions_are_those_of_an_exact_linear_program(size):
    layers = random_layers(2, 5, 4, 1, seed=3)
    layers = [(layers[0][0], layers[0][1] * size), (layers[1][0], layers[1][1] * size), layers[2]]
    shallow = convert(from_layers(layers), domain=WholeSpace())
    found = region_extremes(shallow)
    met = 0
    for region, pattern in enumerate(shallow.table.patterns):
        rows, (h,) = exact_cell(layers, pattern)
        for sign, value, bound in ((1, found.largest, found.largest_bound), (-1, found.least, found.least_bound)):
            if np.isfinite(bound[region]):
                told = sign * float(largest_at_a_corner(rows, [sign * v for v in h]))
                assert value[region] == pytest.approx(told, rel=1e-13, abs=1e-14 * size)
                assert bound[region] == pytest.approx(told, rel=1e-15, abs=1e-300)
                met += 1
    assert met > 20


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_extremes_on_the_regions_of_a_box_are_taken_at_its_corners_to_the_last_digits(seed):
    layers = random_layers(2, 5, 4, 1, seed=seed)
    shallow = convert(from_layers(layers), domain=Box(-1.0, 1.0))
    walls = [[Fraction(v) for v in row] for row in ((1, 0, 1), (-1, 0, 1), (0, 1, 1), (0, -1, 1))]
    found = region_extremes(shallow)
    for region, pattern in enumerate(shallow.table.patterns):
        rows, (h,) = exact_cell(layers, pattern)
        told = float(largest_at_a_corner(rows + walls, h))
        assert found.largest[region] == pytest.approx(told, rel=1e-13, abs=1e-13)
        assert told <= found.largest_bound[region] <= told + 1e-8


def test_a_polytope_is_gone_through_region_by_region():
    half = Polytope([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], [1.5, 1.0, 1.0])
    found = extremes(convert(NAMED["crossing_lines"].network, domain=half))
    assert found.maximum.value == pytest.approx(2.5, abs=1e-9)  # relu(x) + relu(y) at (2.5, -1)
    assert found.maximum.bound >= 2.5
    assert found.minimum.value == pytest.approx(0.0, abs=1e-12)


def test_bounds_are_certified_when_the_time_is_up():
    network = from_layers(random_layers(8, 30, 30, 1))
    found = extremes(network, domain=Box(-1.0, 1.0), time_limit=0.2)
    Y = evaluate(network, np.random.default_rng(0).uniform(-1, 1, (5000, 8)))[:, 0]
    assert found.maximum.status == "bounds"
    assert found.maximum.value < found.maximum.bound
    assert Y.max() <= found.maximum.bound
    assert found.minimum.bound <= Y.min()
    assert found.seconds < 10


def test_a_real_controller_by_tree_and_by_regions():
    path = data_path("onnx/archcomp/Double_Pendulum_controller_double_pendulum_less_robust.onnx")
    network = load_network(path)
    found = extremes(network, 1, domain=Box(-1.0, 1.0))
    assert (found.minimum.status, found.maximum.status) == ("exact", "exact")
    corners = np.random.default_rng(0).uniform(-1, 1, (20000, 4))
    Y = evaluate(network, np.concatenate([corners, np.sign(corners)]))[:, 1]
    assert found.minimum.bound <= Y.min()
    assert found.maximum.bound >= Y.max()


def test_bad_questions_are_refused():
    network = NAMED["two_arms"].network
    with pytest.raises(UsageError, match="no output 2"):
        extremes(network, 2, domain=Box(-1.0, 1.0))
    with pytest.raises(UsageError, match="zero everywhere"):
        extremes(network, 1, minus=1, domain=Box(-1.0, 1.0))
    with pytest.raises(DomainError, match="over which domain"):
        extremes(network)


def test_the_command_takes_models_files_and_folders(tmp_path):
    model = write_onnx(tmp_path / "m.onnx", random_layers(2, 4, 3, 2))
    for target in ("s", "s.regions"):
        assert run("convert", model, "--domain", "box:-1,1", "-o", tmp_path / target).exit_code == 0
    one = run_json("extremes", model, "--domain", "box:-1,1", "--minus", 1)
    two = run_json("extremes", tmp_path / "s", "--minus", 1, "--per-region", tmp_path / "r.csv")
    three = run_json("extremes", tmp_path / "s.regions", "--minus", 1, "--per-region", tmp_path / "f.csv")
    assert one["maximum"] == two["maximum"] == three["maximum"]
    assert one["output"] == "y0 - y1"
    table = read_table(tmp_path / "r.csv")
    assert table.X.tolist() == read_table(tmp_path / "f.csv").X.tolist()
    assert table.values[:, table.names.index("largest")].max() == pytest.approx(one["maximum"]["value"], abs=1e-8)
    assert "proved" in run("extremes", tmp_path / "s").stdout
    for words, told in (((model,), "needs a domain"), ((tmp_path / "s", "--until", "a"), "--until"),
                        ((model, "--domain", "box:-1,1", "--per-region", tmp_path / "x.csv"), "--per-region"),
                        ((tmp_path / "s", "--output", 5), "no output 5")):  # fmt: skip
        refused = run("extremes", *words)
        assert refused.exit_code == 2
        one_sentence(refused.stderr, told)
