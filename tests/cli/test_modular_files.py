"""A network in modules through every command: a sum of tables says what one list of all regions says."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import one_sentence, run, run_json, write_csv, write_onnx
from networks import planted

from relu_shallow.shallow.store import load_shallow

NAMES = ("a", "b", "c")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with model.onnx of three modules, data.csv, and the model converted both ways."""
    path = tmp_path_factory.mktemp("job")
    network, _ = planted(4, modules=3, widths=(4, 3))
    write_onnx(path / "model.onnx", [(layer.W, layer.b) for layer in network.affine])
    write_csv(path / "data.csv", NAMES, np.random.default_rng(0).uniform(-1, 1, size=(20, 3)))
    for name, options in (("joint", ()), ("sum", ("--modular",))):
        result = run("convert", path / "model.onnx", "--domain", "box:-1,1", *options, "-o", path / name)
        assert result.exit_code == 0, result.stderr or repr(result.exception)
        (path / f"{name}.txt").write_text(result.stdout)
    return path


def test_convert_says_what_modules_there_are_and_what_they_would_save(folder, tmp_path):
    box = ("--domain", "box:-1,1")
    apart = run_json("convert", folder / "model.onnx", *box, "--modular", "-o", tmp_path / "a")
    joint = run_json("convert", folder / "model.onnx", *box, "-o", tmp_path / "b")
    assert apart["regions"] == sum(apart["modules"])
    assert len(apart["modules"]) == 3
    assert apart["by_module"] == joint["by_module"] == apart["modules"]
    assert joint["modules"] == [joint["regions"]]
    assert apart["level"] == "certified"
    assert f"--modular would list {apart['regions']} regions" in (folder / "joint.txt").read_text()
    assert "the sum of 3 modules" in (folder / "sum.txt").read_text()


def test_inspect_shows_modules_of_models_and_of_files(folder):
    assert run_json("inspect", folder / "model.onnx")["module_neurons"] == [7, 7, 7]
    assert "3 modules" in run("inspect", folder / "model.onnx").stdout
    assert len(run_json("inspect", folder / "sum")["modules"]) == 3


@pytest.mark.parametrize("exact", [False, True])
def test_verify_proves_the_sum(folder, exact):
    found = run_json("verify", folder / "sum", "--model", folder / "model.onnx", "--data", folder / "data.csv",
                     *(["--exact"] if exact else []))  # fmt: skip
    assert found["ok"]
    assert {"modules add up", "affine maps", "equal on the data"} <= {check["name"] for check in found["checks"]}


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_both_ways_say_the_same_of_rows(folder, tmp_path, command):
    tables = []
    for name in ("joint", "sum"):
        result = run(command, folder / name, folder / "data.csv", "-o", tmp_path / f"{name}.csv")
        assert result.exit_code == 0, result.stderr or repr(result.exception)
        tables.append(pd.read_csv(tmp_path / f"{name}.csv").drop(columns="region", errors="ignore"))
    pd.testing.assert_frame_equal(*tables, atol=1e-10, rtol=1e-10)


def test_explain_writes_the_values_of_modules(folder, tmp_path):
    given = folder / "data.csv"
    found = run_json("explain", folder / "sum", given, "-o", tmp_path / "a.csv", "--modules", tmp_path / "m.csv")
    assert found["modules"] == str(tmp_path / "m.csv")
    whole, parts = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "m.csv")
    added = parts.groupby(["row", "output"])[[f"shap_{name}" for name in NAMES]].sum().reset_index()
    for name in NAMES:
        np.testing.assert_allclose(added[f"shap_{name}"], whole[f"shap_{name}"], atol=1e-12)
    assert set(parts["module"]) == {0, 1, 2}


def test_export_holds_the_regions_of_every_module(folder, tmp_path):
    stored = load_shallow(folder / "sum")
    for ending in ("csv", "json", "npz", "parquet"):
        result = run("export", folder / "sum", "-o", tmp_path / f"t.{ending}")
        assert result.exit_code == 0, result.stderr or repr(result.exception)
    with (tmp_path / "t.csv").open() as file:
        lines = list(csv.DictReader(file))
    frame = pd.read_parquet(tmp_path / "t.parquet")
    document = json.loads((tmp_path / "t.json").read_text())
    assert frame["module"].tolist() == [int(line["module"]) for line in lines]
    with np.load(tmp_path / "t.npz", allow_pickle=False) as arrays:
        for number, table in enumerate(stored.tables):
            own = [line for line in lines if int(line["module"]) == number]
            digits = ["".join(map(str, row)) for row in table.patterns.astype(int)]
            assert [line["pattern"] for line in own] == digits
            assert frame["pattern"][frame["module"] == number].tolist() == digits
            entry = document["modules"][number]
            assert [region["pattern"] for region in entry["regions"]] == digits
            assert entry["neurons"] == table.module.neurons.tolist() == arrays[f"{number}_neurons"].tolist()
            np.testing.assert_array_equal(arrays[f"{number}_alpha"], table.alpha)
            np.testing.assert_array_equal(entry["H"], table.H)


def test_the_literal_network_of_a_sum_predicts(folder, tmp_path):
    import torch

    result = run("export", folder / "sum", "-o", tmp_path / "t.pt2")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    X = np.random.default_rng(1).uniform(-1, 1, (50, 3))
    literal = torch.export.load(tmp_path / "t.pt2").module()
    np.testing.assert_allclose(literal(torch.from_numpy(X)).numpy(), load_shallow(folder / "sum")(X), atol=1e-12)


def test_a_partial_sum_says_how_much_it_covers(folder, tmp_path):
    found = run_json("convert", folder / "model.onnx", "--domain", "box:-1,1", "--modular", "--max-regions", "8", "-o",
                     tmp_path / "a")  # fmt: skip
    assert found["complete"] is False
    assert 0 <= found["coverage"]["low"] <= found["coverage"]["fraction"] < 1


@pytest.mark.parametrize(
    ("options", "word"),
    [(("--modular", "-o", "x.regions"), "one file"), (("--modular", "--proof"), "--proof"),
     (("--modular", "--max-regions", "2"), "each of the 3 modules")],
)  # fmt: skip
def test_what_does_not_go_with_modules_is_one_clear_error(folder, options, word):
    result = run("convert", folder / "model.onnx", "--domain", "box:-1,1", *options)
    assert result.exit_code == 2
    one_sentence(result.stderr, word)


def test_the_example_is_converted_completely_and_knows_its_digits(tmp_path):
    from sklearn.datasets import load_digits

    given = ROOT / "examples" / "digits-modular.pt"
    found = run_json("convert", given, "--domain", "box:0,1", "--modular", "-o", tmp_path / "digits")
    assert found["level"] == "certified"
    assert len(found["modules"]) == 16
    assert np.prod([float(count) for count in found["modules"]]) > 1e13
    digits = load_digits()
    assert np.mean(load_shallow(tmp_path / "digits")(digits.data / 16).argmax(axis=1) == digits.target) > 0.95


def test_the_picture_of_a_sum_is_that_of_all_regions(tmp_path):
    network, _ = planted(5, modules=2, widths=(3, 2), inputs=2)
    write_onnx(tmp_path / "model.onnx", [(layer.W, layer.b) for layer in network.affine])
    drawn = []
    for options in ((), ("--modular",)):
        run("convert", tmp_path / "model.onnx", "--domain", "box:-1,1", *options, "-o", tmp_path / "converted")
        drawn.append(run_json("plot", tmp_path / "converted", "-o", tmp_path / "a.svg")["drawn"])
    assert drawn[0] == drawn[1] > 5


def test_rules_of_a_sum_are_refused_with_the_way_out(folder):
    result = run("rules", folder / "sum")
    assert result.exit_code == 2
    one_sentence(result.stderr, "--modular")
