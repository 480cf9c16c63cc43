"""Effects are the network's own curves: dense grids, scikit-learn, and kinks worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_csv, write_onnx
from conftest import data_path
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED

from relu_shallow.data import match_columns, read_table
from relu_shallow.errors import DataError, UsageError
from relu_shallow.load import load_network
from relu_shallow.network import Affine, Gate, Network, evaluate, from_layers
from relu_shallow.questions.effects import effects


def mean_at(network, X, j, t, weights=None):
    rows = np.array(X, dtype=float)
    rows[:, j] = t
    return np.average(evaluate(network, rows), axis=0, weights=weights)


def test_stairs_have_their_two_kinks():
    found = effects(NAMED["stairs"].network, [[0.0]], 0, bounds=(-2.0, 2.0))
    assert found.at.tolist() == [-2.0, 1.0, 2.0]  # at 0 only the first layer bends: relu(relu(x) - 1) does not
    assert found.mean[:, 0].tolist() == [0.0, 0.0, 1.0]
    assert found.jump[:, 0].tolist() == [0.0, 1.0, 0.0]
    assert found.ice.at.tolist() == [-2.0, 1.0, 2.0]
    assert found.ice.slope[:, 0].tolist() == [0.0, 1.0, 1.0]


def test_sawtooth_has_all_its_teeth():
    found = effects(NAMED["sawtooth"].network, [[0.5]], "x0", bounds=(0.0, 1.0))
    assert found.at == pytest.approx(np.arange(9) / 8, abs=1e-15)
    assert np.abs(found.mean[:, 0] - (np.arange(9) % 2)).max() < 1e-13


def test_the_mean_of_two_rows_has_the_kinks_of_both():
    # relu(x0 + x1): row x1 = 1 bends at -1, row x1 = 0 at 0
    network = from_layers([(np.array([[1.0, 1.0]]), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))])
    found = effects(network, [[0.0, 1.0], [0.0, 0.0]], 0, bounds=(-2.0, 2.0), weights=[3.0, 1.0])
    assert found.at.tolist() == [-2.0, -1.0, 0.0, 2.0]
    assert found.mean[:, 0].tolist() == [0.0, 0.0, 0.75, 2.75]
    assert found.slope[:, 0].tolist() == [0.0, 0.75, 1.0]


def random_network(seed, leaky):
    rng = np.random.default_rng(seed)
    layers = random_layers(3, 6, 5, 2, seed=seed)
    if not leaky:
        return from_layers(layers)
    gates = tuple(Gate(rng.normal(size=len(b)), rng.normal(size=len(b))) for _, b in layers[:-1])
    return Network(tuple(Affine(W, b) for W, b in layers), gates)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), leaky=st.booleans())
def test_curves_agree_with_a_dense_grid(seed, leaky):
    network = random_network(seed, leaky)
    X = np.random.default_rng(seed).normal(size=(4, 3))
    j = seed % 3
    found = effects(network, X, j, bounds=(-3.0, 3.0))
    grid = np.linspace(-3, 3, 301)
    direct = np.array([mean_at(network, X, j, t) for t in grid])
    assert np.abs(found(grid) - direct).max() <= 1e-12 * (1 + np.abs(direct).max())
    ice = found.ice
    for row in range(4):
        own = slice(ice.start[row], ice.start[row + 1])
        moved = np.repeat(X[row : row + 1], len(grid), axis=0)
        moved[:, j] = grid
        for k in range(2):
            curve = np.interp(grid, ice.at[own], ice.value[own, k])
            assert np.abs(curve - evaluate(network, moved)[:, k]).max() <= 1e-12 * (1 + np.abs(curve).max())


def test_every_kink_bends_the_mean():
    """No point is listed that could be left out: slopes differ on its two sides."""
    network = random_network(7, leaky=False)
    X = np.random.default_rng(0).normal(size=(5, 3))
    found = effects(network, X, 1, bounds=(-3.0, 3.0))
    assert len(found.at) > 5
    assert (np.abs(np.diff(found.slope, axis=0)).max(axis=1) > 1e-12).all()


def with_cancelling_terms(layers, size):
    """The same function in exact arithmetic: size relu(s + 100.5) - size relu(s + 100) - size / 2 goes in everywhere.

    s is a sum of all inputs, far above -100, so that these two neurons never switch.
    """
    (W, b), (V, c), *rest = layers
    W = np.concatenate([W, np.ones((2, W.shape[1]))])
    V = np.column_stack([V, np.full(len(V), -size), np.full(len(V), size)])
    return from_layers([(W, np.concatenate([b, [100.0, 100.5]])), (V, c - size / 2), *rest])


def exact(layers, x):
    """The outputs at a float point, in fractions."""
    h = [Fraction(float(v)) for v in x]
    for depth, (W, b) in enumerate(layers):
        h = [sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(c)))
             for row, c in zip(W, b, strict=True)]  # fmt: skip
        h = h if depth == len(layers) - 1 else [max(v, Fraction(0)) for v in h]
    return h


def quarters(layers):
    """Weights that are whole 1024ths, so that adding a large one loses nothing."""
    return [tuple(np.round(part * 1024) / 1024 for part in layer) for layer in layers]


@pytest.mark.parametrize("size", [2.0**20, 2.0**34, 2.0**42])
@pytest.mark.parametrize("seed", range(3))
def test_where_terms_cancel_kinks_and_values_are_those_of_exact_arithmetic(size, seed):
    layers = quarters(random_layers(3, 6, 5, 2, seed=seed))
    network = with_cancelling_terms(layers, size)
    X = np.random.default_rng(seed).uniform(-2, 2, (3, 3))
    found = effects(network, X, 1, bounds=(-3.0, 3.0))
    plain = effects(from_layers(layers), X, 1, bounds=(-3.0, 3.0))
    assert len(found.ice.at) == len(plain.ice.at)
    assert found.ice.at == pytest.approx(plain.ice.at, rel=1e-12, abs=1e-14)
    own = [(layer.W, layer.b) for layer in network.affine]
    scale = np.abs(found.ice.value).max()
    for row, t, value in zip(found.ice.row, found.ice.at, found.ice.value, strict=True):
        x = X[row].copy()
        x[1] = t
        told = [float(v) for v in exact(own, x)]
        assert value == pytest.approx(told, rel=1e-13, abs=1e-13 * scale)
    for t in np.concatenate([found.at, (found.at[1:] + found.at[:-1]) / 2]):
        rows = [np.where(np.arange(3) == 1, t, x) for x in X]
        mean = [float(sum(values) / 3) for values in zip(*(exact(own, x) for x in rows), strict=True)]
        assert found(np.array([t]))[0] == pytest.approx(mean, rel=1e-12, abs=1e-12 * scale)


def test_a_kink_is_found_to_the_last_digit_in_a_wide_range():
    network = from_layers([(np.array([[3.0]]), np.array([-0.003])), (np.ones((1, 1)), np.zeros(1))])
    found = effects(network, [[0.0]], 0, bounds=(-1e7, 1e9))
    assert found.at[1] == pytest.approx(0.001, rel=4e-16)


def test_a_long_sum_of_pieces_ends_where_the_network_does():
    """Sixty-four teeth of slope 1e9: adding up pieces would lose a digit at each."""
    teeth = np.arange(129) / 128.0
    turns = np.concatenate([[1.0], 2.0 * (-1.0) ** np.arange(1, 129)]) * 1e9 / 3
    network = from_layers([(np.ones((129, 1)), -teeth), (turns[None, :], np.zeros(1))])
    found = effects(network, [[0.0]], 0, bounds=(-0.5, 1.0))
    top = 1e9 / 3 / 128
    assert found.at[1:] == pytest.approx(teeth, abs=1e-16)
    assert found.mean[2::2, 0] == pytest.approx(top, rel=1e-13)
    assert np.abs(found.mean[1::2, 0]).max() <= 1e-13 * top


def test_a_steep_step_leaves_the_slope_after_it_as_it_is():
    """From 0 to 1 in 3e-12, then a slope of 1/3: taken as the change from 1e12, digits of it would be gone."""
    W, b = np.array([[1e12 / 3], [1e12 / 3]]), np.array([0.0, -1.0])
    network = from_layers([(np.vstack([W, [[1.0]]]), np.append(b, 0.0)), (np.array([[1.0, -1.0, 1.0]]), np.zeros(1))])
    found = effects(network, [[0.0], [0.0], [0.0]], 0, bounds=(-1.0, 1000.0), weights=[1.0, 1.0, 5.0])
    assert found.mean[-1, 0] == pytest.approx(1001.0, rel=1e-14)
    assert found.slope[-1, 0] == pytest.approx(1.0, rel=1e-6)


def test_scikit_learn_has_the_same_partial_dependence():
    from sklearn.inspection import partial_dependence
    from sklearn.neural_network import MLPRegressor

    X = np.random.default_rng(0).normal(size=(80, 4))
    model = MLPRegressor(hidden_layer_sizes=(8, 8), max_iter=60, tol=10.0, random_state=0)
    model.fit(X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2])
    weights = [(W.T, b) for W, b in zip(model.coefs_, model.intercepts_, strict=True)]
    theirs = partial_dependence(model, X, [2], grid_resolution=40, percentiles=(0, 1), kind="average")
    ours = effects(from_layers(weights), X, 2)
    assert np.abs(ours(theirs["grid_values"][0])[:, 0] - theirs["average"][0]).max() < 1e-12


def test_a_thousand_rows_take_well_below_a_second():
    from time import perf_counter

    network, X = from_layers(random_layers(10, 16, 16, 1)), np.random.default_rng(0).normal(size=(1000, 10))
    effects(network, X, 0)
    began = perf_counter()
    found = effects(network, X, 0)
    assert perf_counter() - began < 1.5  # 0.1 s on a free machine
    assert np.abs(found(found.at[::500]) - [mean_at(network, X, 0, t) for t in found.at[::500]]).max() < 1e-11


def test_a_real_credit_network_agrees_with_itself():
    network = load_network(data_path("pt/carla_heloc_ann.pt"))
    table = read_table(data_path("tabular/carla_heloc.csv"), drop=["RiskPerformance"])
    X = match_columns(table, network.feature_names)[:300]
    for j in (0, 15):
        found = effects(network, X, j)
        places = np.linspace(found.at[0], found.at[-1], 50)
        assert found(places) == pytest.approx(np.array([mean_at(network, X, j, t) for t in places]), abs=1e-12)


def test_bad_questions_are_refused():
    network = NAMED["xor"].network
    with pytest.raises(UsageError, match="no feature 'age'"):
        effects(network, [[0.0, 0.0]], "age")
    with pytest.raises(UsageError, match="constant in the data"):
        effects(network, [[0.0, 0.0], [0.0, 1.0]], 0)
    with pytest.raises(DataError, match="weights"):
        effects(network, [[0.0, 0.0], [1.0, 1.0]], 0, weights=[1.0, -1.0])
    with pytest.raises(UsageError, match="two finite numbers"):
        effects(network, [[0.0, 0.0]], 0, bounds=(1.0, 0.0))


def test_the_command_writes_both_tables(tmp_path):
    model = write_onnx(tmp_path / "m.onnx", random_layers(2, 4, 2))
    write_csv(tmp_path / "d.csv", ("a", "b", "w"), [(0, 1, 2), (1, 0, 1), (2, 2, 1)])
    words = ["effects", model, tmp_path / "d.csv", "--feature", "b", "--weights", "w"]
    report = run_json(*words, "-o", tmp_path / "pd.csv", "--ice", tmp_path / "ice.csv")
    assert (report["feature"], report["range"], report["rows"]) == ("b", [0.0, 2.0], 3)
    assert [entry["output"] for entry in report["effects"]] == ["y0", "y1"]
    lines = read_table(tmp_path / "pd.csv")
    assert lines.names == ("value", "mean_y0", "mean_y1")
    assert len(lines.values) == report["kinks"] + 2
    assert read_table(tmp_path / "ice.csv").names == ("row", "value", "y0", "y1")
    one = run(*words, "--output", "1")
    assert one.stdout.splitlines()[0] == "value,mean"
    refused = run(*words, "--output", "2")
    assert refused.exit_code == 2
    one_sentence(refused.stderr, "no output 2")
    assert run(*words, "--range", "3").exit_code == 2
