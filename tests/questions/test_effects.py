"""Effects are the network's own curves: dense grids, scikit-learn, and kinks worked out by hand."""

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
