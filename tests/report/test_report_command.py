import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_csv, write_onnx
from pages import Reader

NAMES = ("age", "height", "dose")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """model.onnx with three inputs and two classes, and data.csv."""
    path = tmp_path_factory.mktemp("job")
    write_onnx(path / "model.onnx", random_layers(3, 4, 2), last="Softmax")
    write_csv(path / "data.csv", NAMES, np.random.default_rng(0).uniform(-1, 1, size=(12, 3)))
    return path


def test_report_writes_the_page_of_a_converted_network_and_says_what_it_found(folder):
    converted = folder / "m.shallow.safetensors"
    done = run("convert", folder / "model.onnx", "--domain", f"data:{folder / 'data.csv'}", "-o", converted)
    assert done.exit_code == 0
    report = run_json("report", converted, folder / "data.csv", "-o", folder / "page.html", "--rows", "3,7",
                      "--fix", "age")  # fmt: skip
    assert report["rows"] == 12
    assert report["checks_hold"] is True
    assert [near["row"] for near in report["nearest"]] == [3, 7]
    assert report["left_out"] == {}
    words = Reader((folder / "page.html").read_text(encoding="utf-8")).words
    assert "without a change of age" in words
    assert "Row 3: " in words
    assert "Row 7: " in words
    for near in report["nearest"]:
        assert near["status"] in ("exact", "bounds", "none")
        if near["counterfactual"][0] is not None:
            line = (folder / "data.csv").read_text().splitlines()[1 + near["row"]]
            assert near["counterfactual"][0] == pytest.approx(float(line.split(",")[0]))


def test_a_model_is_reported_without_converting_it_and_without_the_slow_parts_when_asked(folder):
    report = run_json("report", folder / "model.onnx", folder / "data.csv", "-o", folder / "m.html", "--no-nearest")
    assert report["checks_hold"] is None
    assert report["nearest"] == []
    assert set(report["left_out"]) == {"rules", "monotone"}


WRONG = {
    "a row that is not there": (["--rows", "12"], "no row 12 to show: the data has 12"),
    "a row that is no number": (["--rows", "3,x"], "are not rows, counted from 0"),
    "a feature that is none": (["--fix", "weight"], "there is no feature 'weight'"),
    "an output that is none": (["--output", "2"], "there is no output 2"),
    "more regions than can be told apart": (["--regions", "7"], "not in the range"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_one_sentence_and_no_page(folder, tmp_path, case):
    arguments, sentence = WRONG[case]
    result = run("report", folder / "model.onnx", folder / "data.csv", "-o", tmp_path / "no.html", *arguments)
    assert result.exit_code == 2
    one_sentence(result.stderr, sentence)
    assert not (tmp_path / "no.html").exists()


def test_the_page_must_end_as_a_page_and_may_not_replace_the_data(folder):
    for out in (folder / "page.pdf", folder / "data.csv"):
        assert run("report", folder / "model.onnx", folder / "data.csv", "-o", out).exit_code == 2
    assert (folder / "data.csv").read_text().startswith("age")
