"""The commands radius and counterfactual, as they are typed."""

import csv

import numpy as np
import pytest
from command_line import run, run_json, write_onnx

PLANE = [(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0.0, -1.0]))]  # class 1 where x + y > 1


@pytest.fixture
def files(tmp_path):
    """A model of a line in the plane, and three rows."""
    (tmp_path / "data.csv").write_text("x,y\n0,0\n2,0\n0.5,0.25\n")
    return write_onnx(tmp_path / "model.onnx", PLANE), tmp_path / "data.csv", tmp_path


def test_radius_writes_a_row_for_each_row(files):
    model, data, folder = files
    report = run_json("radius", model, data, "--norm", "1", "-o", folder / "radius.csv")
    assert report["exact"] == report["rows"] == 3
    assert np.allclose(report["upper"], [1.0, 1.0, 0.25], rtol=1e-6)
    with (folder / "radius.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["0", "1", "0"]
    assert [row["class_there"] for row in rows] == ["1", "0", "1"]
    assert float(rows[0]["to_x"]) + float(rows[0]["to_y"]) > 1


def test_radius_prints_a_table_and_takes_a_threshold(files):
    model, data, _ = files
    printed = run("radius", model, data, "--output", "1", "--threshold", "0.5", "--domain", "box:-5,5")
    assert printed.exit_code == 0, printed.stderr
    rows = list(csv.DictReader(printed.stdout.splitlines()))
    assert np.allclose([float(row["lower"]) for row in rows], [0.75, 0.25, 0.375], rtol=1e-6)


def test_counterfactual_says_what_changes(files):
    model, data, folder = files
    asked = ("counterfactual", model, data, "--row", 0, "--fix", "x", "--domain", "box:-5,5")
    report = run_json(*asked, "-o", folder / "after.csv")
    (row,) = report["rows"]
    assert row["status"] == "exact"
    assert row["after"][0] == 0
    assert np.isclose(row["distance"], 1.0, rtol=1e-6)
    told = run(*asked)
    assert "class 0 becomes 1 at distance 1 (proved nearest); changed: y" in told.stderr
    assert len(list(csv.DictReader(told.stdout.splitlines()))) == 2
    nothing = run("counterfactual", model, data, "--row", 0, "--only-down", "x", "--only-down", "y")
    assert "proved that the domain and the rules leave no such point" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--row", 7), "row 7 was asked for, but the data has the rows 0 to 2"),
        (("--row", 0, "--fix", "age"), "there is no feature 'age'"),
        (("--row", 0, "--target", 4), "class 4 was asked for"),
        (("--row", 0, "--one-hot", "x,y", "--one-hot", "y"), "two one-hot groups"),
        (("--row", 0, "--range", "x", 2, 1), "range of input 0 is empty"),
    ],
)
def test_a_mistake_is_one_sentence(files, arguments, said):
    model, data, _ = files
    result = run("counterfactual", model, data, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
