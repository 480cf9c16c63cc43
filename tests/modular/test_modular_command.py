"""relu-shallow modular: what is written opens as modules, what is printed is true, bad input is one sentence."""

import json

import numpy as np
import pytest
import torch
from command_line import one_sentence, random_layers, run, run_json, write_csv, write_onnx
from torch import nn

from relu_shallow.cli import modular as commands
from relu_shallow.data import DataTable
from relu_shallow.errors import DataError, UsageError
from relu_shallow.load import load_network
from relu_shallow.modular import circuits, fitting, making
from relu_shallow.modular.tables import Examples, examples, split
from relu_shallow.modules import modules_of

NAMES = ("age", "dose", "ill")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows of two classes, and a network 2-8-8-2 trained on them, as ONNX and as .pt; and others that do not fit."""
    path = tmp_path_factory.mktemp("modular")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    y = (np.abs(X).sum(axis=1) > 1.2).astype(int)
    write_csv(path / "data.csv", NAMES, [(*row, c) for row, c in zip(X, y, strict=True)])
    write_csv(path / "one.csv", NAMES, [(*row, 1) for row in X])
    write_csv(path / "numbered.csv", NAMES, [(*row, c + 1) for row, c in zip(X, y, strict=True)])
    write_csv(path / "values.csv", NAMES, [(*row, 50 + 10 * abs(row[0])) for row in X])
    write_csv(path / "holes.csv", NAMES, [(*row, "" if i == 3 else 1) for i, row in enumerate(X)])
    result = run("modular", "train", path / "data.csv", "--target", "ill", "--modules", 1, "--hidden", "8,8",
                 "--epochs", 30, "--step", 0.01, "--how", "mask", "-o", path / "dense.pt")  # fmt: skip
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    network = load_network(path / "dense.pt")
    write_onnx(path / "dense.onnx", [(layer.W, layer.b) for layer in network.affine], last="Softmax")
    write_onnx(path / "shallow.onnx", random_layers(2, 5, 2))
    torch.save(mlp(1), path / "single.pt")
    zeros = mlp(2)
    nn.init.zeros_(zeros[2].weight)
    torch.save(zeros, path / "zeros.pt")
    return path


def mlp(outputs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, outputs))


def make(folder, *arguments, model="dense.onnx", data="data.csv", target="ill", modules=2, out="out.pt"):
    return ("modular", "make", folder / model, folder / data, "--target", target, "--modules", modules,
            "-o", folder / out, *arguments)  # fmt: skip


def test_make_writes_a_network_of_so_many_modules_that_every_command_opens(folder):
    report = run_json(*make(folder, "--epochs", 5))
    network = load_network(folder / "out.pt")
    assert len(modules_of(network)) == report["modules"] == 2
    assert network.head == "softmax"
    assert report["sizes"] == [[4, 4], [4, 4]]
    assert [stage["name"] for stage in report["stages"]] == ["given", "removed", "tuned"]
    assert report["stages"][0]["clusterability"] < 1 == report["stages"][1]["clusterability"]
    assert (report["rows"], report["held_out"], report["measure"]) == (160, 40, "accuracy")
    assert run("inspect", folder / "out.pt").exit_code == 0


def test_what_make_tells_of_its_removal_is_so(folder):
    report = run_json(*make(folder, "--epochs", 0, "--held-out", 0))
    rows = np.loadtxt(folder / "data.csv", delimiter=",", skiprows=1)
    before, after = load_network(folder / "dense.onnx"), load_network(folder / "out.pt")
    one, other = before(rows[:, :2]), after(rows[:, :2])
    told = report["removal"]
    assert told["changed"] == report["changed_in_all"] == np.mean(one.argmax(axis=1) != other.argmax(axis=1))
    assert told["largest_change"] == np.abs(one - other).max() <= told["largest_bound"] * (1 + 1e-9)
    assert told["proved"] <= 1 - told["changed"]
    assert (np.array(told["box"][0]) <= (other - one).min(axis=0)).all()
    assert (np.array(told["box"][1]) >= (other - one).max(axis=0)).all()
    accuracy = np.mean(other.argmax(axis=1) == rows[:, 2])
    assert report["stages"][-1]["score"] == pytest.approx(accuracy)


def test_a_removal_beyond_the_tolerance_exits_1_and_writes_nothing(folder):
    result = run(*make(folder, "--tolerance", 0, out="refused.pt"))
    assert result.exit_code == 1
    assert result.stdout == ""
    one_sentence(result.stderr, "tolerance")
    assert not (folder / "refused.pt").exists()
    assert run(*make(folder, "--tolerance", 1, "--epochs", 0)).exit_code == 0


def test_a_modular_network_made_modular_again_loses_nothing_and_says_so(folder):
    run_json(*make(folder, "--epochs", 1))
    result = run(*make(folder, "--epochs", 0, "--json", model="out.pt", out="again.pt"))
    assert "modular already" in result.stderr
    assert json.loads(result.stdout)["removal"]["largest_bound"] == 0
    network, again = load_network(folder / "out.pt"), load_network(folder / "again.pt")
    assert all((a.W == b.W).all() for a, b in zip(network.affine, again.affine, strict=True))


@pytest.mark.parametrize("how", commands.HOWS)
def test_train_writes_modules_and_the_same_ones_for_the_same_seed(folder, how):
    arguments = ("modular", "train", folder / "data.csv", "--target", "ill", "--modules", 3, "--hidden", "6,9",
                 "--how", how, "--epochs", 4, "--tune", 1)  # fmt: skip
    report = run_json(*arguments, "-o", folder / "a.pt")
    assert run_json(*arguments, "-o", folder / "b.pt")["stages"] == report["stages"]
    one, other = load_network(folder / "a.pt"), load_network(folder / "b.pt")
    assert all((a.W == b.W).all() for a, b in zip(one.affine, other.affine, strict=True))
    assert len(modules_of(one)) == 3
    assert report["sizes"] == [[2, 2, 2], [3, 3, 3]]
    assert report["classes"] == [0, 1]


def test_classes_may_have_any_numbers_where_a_network_is_new_and_values_are_told_from_classes(folder):
    short = ("--modules", 2, "--hidden", "4,4", "--epochs", 1, "--tune", 0, "-o", folder / "c.pt")
    assert run_json("modular", "train", folder / "numbered.csv", "--target", "ill", *short)["classes"] == [1, 2]
    report = run_json("modular", "train", folder / "values.csv", "--target", "ill", *short)
    assert (report["task"], report["measure"]) == ("values", "explained_variance")
    assert report["removal"]["proved"] is None
    assert run_json(*make(folder, "--epochs", 1, model="c.pt", data="values.csv"))["task"] == "values"


def test_one_output_is_values_or_two_classes_by_its_sign(folder):
    assert run_json(*make(folder, model="single.pt", data="values.csv"))["task"] == "values"
    report = run_json(*make(folder, "--task", "classes", "--held-out", 0, "--step", 0.03, model="single.pt"))
    rows = np.loadtxt(folder / "data.csv", delimiter=",", skiprows=1)
    right = (load_network(folder / "out.pt")(rows[:, :2])[:, 0] > 0) == rows[:, 2]
    assert report["stages"][-1]["score"] == pytest.approx(right.mean())
    assert right.mean() > 0.5


def test_make_prints_lines_a_person_reads(folder):
    result = run(*make(folder, "--epochs", 1, "--published"))
    assert result.exit_code == 0
    for words in ("given ", "removed ", "tuned ", "published C", "proved to keep their class", "in their box"):
        assert words in result.stdout


def test_measure_tells_repaired_and_published_numbers(folder):
    run_json(*make(folder, "--epochs", 5))
    arguments = ("modular", "measure", folder / "out.pt", folder / "data.csv", "--target", "ill", "--modules", 2)
    report = run_json(*arguments, "--circuits", "blocks")
    assert report["clusterability"] == [1]
    assert np.array(report["accuracy"]["off"]).shape == (2, 2)
    assert [one["class"] for one in report["circuits"]] == [0, 1]
    assert "circuit of 1" in run(*arguments, "--circuits", "single").stdout


BAD = {
    "k larger than a layer": ({"modules": 9}, ("9 modules", "8 neurons")),
    "a layer of zeros": ({"model": "zeros.pt"}, ("all zeros",)),
    "one class": ({"data": "one.csv"}, ("one class 1",)),
    "labels missing": ({"data": "holes.csv"}, ("row 3", "'ill'", "empty")),
    "no such column": ({"target": "sick"}, ("'sick'", "'age'")),
    "labels of another network": ({"data": "numbered.csv"}, ("classes 1 to 2", "0 to 1")),
    "values for classes": ({"data": "values.csv"}, ("whole numbers",)),
    "no hidden-to-hidden layer": ({"model": "shallow.onnx"}, ("modular already",)),
    "no model": ({"model": "nowhere.onnx"}, ("nowhere.onnx",)),
    "an output of another kind": ({"out": "out.onnx"}, (".pt",)),
    "the model itself": ({"model": "dense.pt", "out": "dense.pt"}, ("model itself",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_status_2(folder, case):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    given, words = BAD[case]
    result = run(*make(folder, "--epochs", 1, **given))
    assert result.exit_code == 2, result.stdout
    assert result.stdout == ""
    one_sentence(result.stderr, *words)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_data_without_the_networks_columns_are_refused(folder):
    result = run(*make(folder, "--columns", "age,ill"))
    assert result.exit_code == 2
    one_sentence(result.stderr, "1 columns")


@pytest.mark.parametrize(("arguments", "words"), [
    (["--hidden", "8"], "modular already"), (["--hidden", "8,x"], "32,32"), (["--hidden", "8,0"], "32,32"),
    (["--held-out", "0.001"], "--held-out"), (["--held-out", "1"], "--held-out"), (["--strength", "-1"], "--strength"),
])  # fmt: skip
def test_trainings_that_cannot_be_are_refused(folder, arguments, words):
    result = run("modular", "train", folder / "data.csv", "--target", "ill", "--modules", 2, "--epochs", 1, "-o",
                 folder / "never.pt", *arguments)  # fmt: skip
    assert result.exit_code == 2
    one_sentence(result.stderr, words)
    assert not (folder / "never.pt").exists()


def test_choices_are_the_librarys_own():
    assert commands.HOWS == making.HOWS
    assert commands.SEARCHES == circuits.SEARCHES
    assert set(commands.TASKS) == {"auto", *fitting.TASKS}


# --- tables -----------------------------------------------------------------------------------------------------


def table(y, rows=6):
    return DataTable(("a", "b", "y"), np.column_stack([np.arange(rows), np.ones(rows), y]).astype(float))


def test_a_target_of_few_whole_numbers_is_classes_and_others_are_values():
    assert examples(table([3, 5, 5, 3, 9, 9]), "y").classes == (3, 5, 9)
    assert examples(table([3, 5, 5, 3, 9, 9]), "y").y.tolist() == [0, 1, 1, 0, 2, 2]
    assert examples(table([0.5, 1, 2, 3, 4, 5]), "y").task == "values"
    assert examples(table(np.arange(30), 30), "y").task == "values"
    assert examples(table(np.arange(30), 30), "y", task="classes").classes == tuple(range(30))
    assert examples(table([3, 5, 5, 3, 9, 9]), "y", task="values").y.shape == (6, 1)
    with pytest.raises(DataError, match="0 to 1"):
        examples(table([1, 2, 1, 2, 1, 2]), "y", outputs=1)
    with pytest.raises(DataError, match="beside the target"):
        examples(DataTable(("y",), np.ones((3, 1))), "y")


def test_held_out_rows_are_not_trained_on_and_all_rows_are_used():
    rows = Examples(np.arange(50.0)[:, None], np.arange(50) % 2, "classes", (0.0, 1.0))
    train, test = split(rows, 0.2, 3)
    assert len(test) == 10
    assert sorted([*train.X[:, 0], *test.X[:, 0]]) == list(range(50))
    assert (train.y == train.X[:, 0] % 2).all()
    assert split(rows, 0.2, 3)[1].X.tolist() == test.X.tolist()
    assert split(rows, 0.2, 4)[1].X.tolist() != test.X.tolist()
    assert split(rows, 0.0, 3) == (rows, rows)
    with pytest.raises(UsageError, match="--held-out"):
        split(rows, 0.001, 0)
    with pytest.raises(DataError, match="one class"):
        split(Examples(np.ones((4, 1)), np.array([0, 0, 0, 1]), "classes", (0.0, 1.0)), 0.75, 0)
