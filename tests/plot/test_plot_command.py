"""relu-shallow plot, as a user runs it."""

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_csv, write_onnx
from PIL import Image


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models of two, one and five inputs, converted files and data."""
    place = tmp_path_factory.mktemp("plot")
    write_onnx(place / "two.onnx", random_layers(2, 6, 4, 3))
    write_onnx(place / "one.onnx", random_layers(1, 5, 2))
    write_onnx(place / "five.onnx", random_layers(5, 6, 3))
    rng = np.random.default_rng(0)
    rows = [[*row, i % 3] for i, row in enumerate(rng.normal(size=(30, 2)).round(3))]
    write_csv(place / "two.csv", ["height", "weight", "kind"], rows)
    write_csv(place / "five.csv", list("abcde"), rng.normal(size=(6, 5)).round(3))
    assert run("convert", place / "two.onnx", "--domain", "box:-2,2").exit_code == 0
    assert run("convert", place / "two.onnx", "--domain", "box:-2,2", "-o", place / "two.regions").exit_code == 0
    return place


@pytest.mark.parametrize("ending", [".png", ".svg", ".html"])
def test_a_converted_file_becomes_a_picture(folder, tmp_path, ending):
    out = tmp_path / f"p{ending}"
    known = ["--data", folder / "two.csv", "--target", "kind"]
    done = run_json("plot", folder / "two.shallow.safetensors", "-o", out, *known)
    assert done["regions"] == done["drawn"] > 10
    assert done["view"] == [-2, 2, -2, 2]
    assert done["points"] == 30
    assert out.stat().st_size > 5_000
    if ending == ".png":
        assert Image.open(out).size == (1290, 960)
    else:
        text = out.read_text(encoding="utf-8")
        for words in ("height", "weight", "data, coloured by kind"):
            assert words in text


def test_a_folder_of_regions_is_drawn_as_the_file_is(folder, tmp_path):
    one, other = tmp_path / "file.svg", tmp_path / "folder.svg"
    run_json("plot", folder / "two.shallow.safetensors", "-o", one)
    run_json("plot", folder / "two.regions", "-o", other)
    assert one.read_text() == other.read_text()


def test_a_model_is_converted_on_the_fly(folder, tmp_path):
    done = run_json("plot", folder / "two.onnx", "-o", tmp_path / "p.svg", "--domain", "box:-2,2")
    assert done["regions"] == run_json("plot", folder / "two.shallow.safetensors", "-o", tmp_path / "q.svg")["regions"]
    assert run_json("plot", folder / "one.onnx", "-o", tmp_path / "r.svg")["regions"] == 6


def test_a_slice_of_many_inputs_is_drawn_with_its_data(folder, tmp_path):
    spec = f"plane:{folder / 'five.csv'}:0,1,2"
    out = tmp_path / "p.html"
    done = run_json("plot", folder / "five.onnx", "-o", out, "--domain", spec, "--data", folder / "five.csv")
    assert done["points"] == 6
    assert "data, projected" in out.read_text(encoding="utf-8")


def test_names_come_from_the_data_where_the_model_has_none(folder, tmp_path):
    out = tmp_path / "p.svg"
    arguments = ["--data", folder / "two.csv", "--drop", "kind", "--color", "alpha:weight", "--output", 1]
    run_json("plot", folder / "two.shallow.safetensors", "-o", out, *arguments)
    assert "slope of y1 in weight" in out.read_text(encoding="utf-8")


def test_a_closer_view_has_fewer_regions(folder, tmp_path):
    done = run_json("plot", folder / "two.shallow.safetensors", "-o", tmp_path / "p.svg", "--view=-0.1,0,0,0.1")
    assert 0 < done["drawn"] < done["regions"]
    assert "regions lie in this view" in (tmp_path / "p.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(("arguments", "words"), [
    (["five.onnx", "-o", "p.png"], ["5 vary", "plane:FILE:ROW,ROW,ROW"]),
    (["two.shallow.safetensors", "-o", "p.jpg"], [".png", ".svg", ".html"]),
    (["two.shallow.safetensors", "-o", "p.png", "--color", "mauve"], ["'mauve'", "output:K"]),
    (["two.shallow.safetensors", "-o", "p.png", "--view", "1,0,0,1"], ["X0,X1,Y0,Y1"]),
    (["two.shallow.safetensors", "-o", "p.png", "--target", "kind"], ["--data"]),
    (["two.shallow.safetensors", "-o", "p.png", "--domain", "all"], ["converted already"]),
    (["two.shallow.safetensors", "-o", "p.png", "--data", "five.csv"], ["5 columns"]),
    (["two.shallow.safetensors", "-o", "p.png", "--data", "two.csv", "--target", "sort"], ["'sort'"]),
    (["two.shallow.safetensors", "-o", "two.shallow.safetensors"], [".png"]),
    (["nowhere.onnx", "-o", "p.png"], ["nowhere.onnx"]),
])  # fmt: skip
def test_bad_input_is_one_sentence(folder, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    done = run("plot", *arguments)
    assert done.exit_code == 2
    assert not done.stdout
    one_sentence(done.stderr, *words)
    assert not (folder / "p.png").exists()
