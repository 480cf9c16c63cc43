"""Every kind of bad input: one sentence on stderr, exit status 2, stdout empty, and nothing left behind."""

import os
import pickle

import numpy as np
import pytest
import torch
from command_line import one_sentence, random_layers, run, start, write_csv, write_onnx

NAMES = ("age", "height")
DATA = "age,height\n0.5,0.25\n-0.5,0.75\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    write_onnx(path / "model.onnx", random_layers(2, 4, 1))
    (path / "data.csv").write_text(DATA)
    result = run("convert", path / "model.onnx", "--domain", f"data:{path / 'data.csv'}", "-o", path / "good")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    return path


def refused(result, *words):
    assert result.exit_code == 2, repr(result.exception)
    assert result.stdout == ""
    one_sentence(result.stderr, *words)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- model files ------------------------------------------------------------------------------------------------


class Runs:
    """A pickle that makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def missing(path):
    return path / "nowhere.onnx"


def empty(path):
    (path / "m.onnx").write_bytes(b"")
    return path / "m.onnx"


def truncated_onnx(path):
    model = write_onnx(path / "m.onnx", random_layers(2, 4, 1))
    model.write_bytes(model.read_bytes()[:100])
    return model


def truncated_pt(path):
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)), path / "m.pt")
    (path / "m.pt").write_bytes((path / "m.pt").read_bytes()[:700])
    return path / "m.pt"


def truncated_nnet(path):
    (path / "m.nnet").write_text("// a network\n2,2,1,3,\n2,3,1,\n0,\n-1,-1,\n")
    return path / "m.nnet"


def malicious_zip(path):
    torch.save({"weight": torch.zeros(2), "x": Runs(path / "owned")}, path / "m.pt")
    return path / "m.pt"


def malicious_pickle(path):
    (path / "m.pt").write_bytes(pickle.dumps(Runs(path / "owned"), protocol=2))
    return path / "m.pt"


def smooth_onnx(path):
    return write_onnx(path / "m.onnx", random_layers(2, 4, 1), operator="Erf")


def smooth_pt(path):
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.GELU(), torch.nn.Linear(3, 1)), path / "m.pt")
    return path / "m.pt"


def nan_weights(path):
    layers = random_layers(2, 4, 1)
    layers[0][0][1, 1] = np.nan
    return write_onnx(path / "m.onnx", layers)


def infinite_bias(path):
    layers = random_layers(2, 4, 1)
    layers[1][1][0] = np.inf
    return write_onnx(path / "m.onnx", layers)


def not_a_model(path):
    (path / "m.txt").write_text("hello")
    return path / "m.txt"


def a_folder(path):
    (path / "m.onnx").mkdir()
    return path / "m.onnx"


MODELS = {
    missing: "nowhere.onnx",
    empty: "m.onnx",
    truncated_onnx: "m.onnx",
    truncated_pt: "m.pt",
    truncated_nnet: "m.nnet",
    malicious_zip: "mkdir",
    malicious_pickle: "mkdir",
    smooth_onnx: "Erf",
    smooth_pt: "GELU",
    nan_weights: "NaN",
    infinite_bias: "infinite",
    not_a_model: ".txt",
    a_folder: "m.onnx",
}


@pytest.mark.parametrize(("make", "word"), MODELS.items(), ids=[make.__name__ for make in MODELS])
@pytest.mark.parametrize("command", ["convert", "inspect"])
def test_a_model_that_cannot_be_read(make, word, command, tmp_path):
    model = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    refused(run(command, model, "--json"), word)
    assert sorted(tmp_path.iterdir()) == before  # no output, and no folder that a pickle made


@pytest.mark.parametrize("make", [missing, truncated_onnx, malicious_pickle, smooth_pt], ids=lambda make: make.__name__)
def test_a_model_that_cannot_be_read_cannot_be_explained_or_compared_with(make, folder, tmp_path):
    model = make(tmp_path)
    refused(run("explain", model, folder / "data.csv"))
    refused(run("verify", folder / "good", "--model", model))


# --- converted files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["verify", "predict", "explain", "export", "inspect"])
@pytest.mark.parametrize("part", [0.5, 0.999], ids=["half", "all but the end"])
def test_a_converted_file_cut_short(command, part, folder, tmp_path):
    whole = (folder / "good").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(part * len(whole))])
    more = {"predict": [folder / "data.csv"], "explain": [folder / "data.csv"], "export": ["-o", tmp_path / "o.csv"]}
    refused(run(command, tmp_path / "cut", *more.get(command, [])), "cut")
    assert [path.name for path in tmp_path.iterdir()] == ["cut"]


def test_a_converted_file_that_is_a_model_or_missing(folder):
    refused(run("verify", folder / "model.onnx"), "relu-shallow convert")
    refused(run("predict", folder / "nowhere", folder / "data.csv"), "No such file")


def test_a_converted_file_is_not_converted_again(folder, tmp_path):
    copy = tmp_path / "m.safetensors"
    copy.write_bytes((folder / "good").read_bytes())
    refused(run("convert", copy), "already")


# --- domains ----------------------------------------------------------------------------------------------------

DOMAINS = {
    "nonsense": "not understood",
    "box:1,-1": "empty",
    "box:0,nan": "finite",
    "box:{}/three.csv": "3 dimensions",
    "box:{}/nowhere.csv": "nowhere.csv",
    "vnnlib:{}/half.vnnlib": "X_1",
    "vnnlib:{}/empty.vnnlib": "empty",
    "ball:-1@{}/data.csv:0": "radius",
    "ball:1@{}/data.csv:7": "row 7",
    "data:{}/more.csv": "3 columns",
    "data:{}/text.csv": "tall",
}


@pytest.mark.parametrize(("spec", "word"), DOMAINS.items(), ids=DOMAINS)
def test_a_domain_that_is_none(spec, word, folder, tmp_path):
    write_csv(folder / "three.csv", ("lo", "hi"), [(0, 1)] * 3)
    (folder / "half.vnnlib").write_text("(declare-const X_0 Real)(declare-const X_1 Real)(assert (= X_0 1))")
    (folder / "empty.vnnlib").write_text("(assert (= X_0 1)) (assert (= X_1 1)) (assert (= X_1 2))")
    write_csv(folder / "more.csv", ("a", "b", "c"), [(1, 2, 3)])
    write_csv(folder / "text.csv", NAMES, [(1, "tall")])
    result = run("convert", folder / "model.onnx", "-o", tmp_path / "a", "--domain", spec.format(folder))
    refused(result, word)
    assert not list(tmp_path.iterdir())


# --- data -------------------------------------------------------------------------------------------------------

TABLES = {
    "a column is missing": ("age,weight,shoe\n1,2,3\n", "height"),
    "text": ("age,height\n0.5,tall\n", "tall"),
    "NaN": ("age,height\n0.5,nan\n", "height"),
    "an empty cell": ("age,height\n0.5,\n", "height"),
    "no header": ("1,2\n3,4\n", "--no-header"),
    "no rows": ("age,height\n", "no rows"),
    "nothing": ("", "empty"),
    "a ragged line": ("age,height\n1\n", "cells"),
    "a column twice": ("age,age\n1,2\n", "more than one"),
    "a row outside the domain": ("age,height\n0,0.5\n9,9\n", "outside"),
}


@pytest.mark.parametrize(("text", "word"), TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("command", ["explain", "predict", "verify"])
def test_data_that_cannot_be_used(command, text, word, folder, tmp_path):
    (tmp_path / "d.csv").write_text(text)
    arguments = {
        "explain": [
            "explain",
            folder / "good",
            tmp_path / "d.csv",
            "-o",
            tmp_path / "o.csv",
            "--html",
            tmp_path / "o.html",
        ],
        "predict": ["predict", folder / "good", tmp_path / "d.csv", "-o", tmp_path / "o.csv"],
        "verify": ["verify", folder / "good", "--data", tmp_path / "d.csv"],
    }[command]
    result = run(*arguments)
    if command == "verify" and word == "outside" and result.exit_code != 2:
        assert "outside" in result.stdout  # rows outside the domain may be left out of the comparison, if it says so
        return
    refused(result, word)
    assert [path.name for path in tmp_path.iterdir()] == ["d.csv"]


def test_data_or_background_that_is_missing(folder, tmp_path):
    refused(run("explain", folder / "good", folder / "nowhere.csv"), "nowhere.csv")
    refused(run("explain", folder / "good", folder / "data.csv", "--background", folder / "nowhere.csv"), "nowhere.csv")
    refused(run("predict", folder / "good", folder / "data.csv", "--drop", "dose"), "dose")
    refused(run("explain", folder / "good", folder / "data.csv", "--output", "1"), "no output 1")


# --- outputs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ["convert", "model.onnx", "-o", "nowhere/out"],
    ["explain", "good", "data.csv", "-o", "nowhere/out.csv"],
    ["explain", "good", "data.csv", "--html", "nowhere/out.html"],
    ["predict", "good", "data.csv", "-o", "nowhere/out.csv"],
    ["export", "good", "-o", "nowhere/out.csv"],
], ids=" ".join)  # fmt: skip
def test_an_output_folder_that_does_not_exist(arguments, folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = contents(folder)
    refused(run(*arguments), "nowhere", "does not exist")
    assert contents(folder) == before


def test_an_output_folder_is_missed_before_the_work(folder, monkeypatch):
    from relu_shallow import conversion

    monkeypatch.setattr(conversion, "convert_timed", lambda *_, **__: pytest.fail("the work was begun"))
    refused(run("convert", folder / "model.onnx", "-o", folder / "nowhere" / "out"), "does not exist")


def test_an_output_that_would_overwrite_the_model(folder):
    before = contents(folder)
    refused(run("convert", folder / "model.onnx", "-o", folder / "model.onnx"), "the model itself")
    assert contents(folder) == before


@pytest.mark.parametrize(
    "words",
    [
        ("convert", "model.onnx", "--domain", "data:data.csv", "-o", "data.csv"),
        ("convert", "model.onnx", "--domain", "ball:0.1@data.csv:0", "-o", "data.csv"),
        ("explain", "good", "data.csv", "-o", "data.csv"),
        ("explain", "good", "data.csv", "--background", "more.csv", "-o", "more.csv"),
        ("explain", "good", "data.csv", "-o", "new.csv", "--html", "new.csv"),
        ("explain", "page.html", "data.csv", "--html", "page.html"),
        ("explain", "good", "data.csv", "--html", "link.html"),
        ("explain", "good", "data.csv", "-o", "out.csv", "--html", "page"),
        ("predict", "good", "data.csv", "-o", "data.csv"),
        ("export", "table.npz", "-o", "table.npz"),
    ],
    ids=" ".join,
)
def test_no_output_replaces_an_input_or_another_output(folder, tmp_path, monkeypatch, words):
    for name in ("model.onnx", "data.csv", "good"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    for copy in ("page.html", "table.npz"):
        (tmp_path / copy).write_bytes((folder / "good").read_bytes())
    (tmp_path / "more.csv").write_text(DATA)
    (tmp_path / "link.html").symlink_to(tmp_path / "good")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    refused(run(*words), ".html" if "new.csv" in words or words[-1] == "page" else "itself")
    assert contents(tmp_path) == before


def test_a_table_and_its_page_are_both_written_or_neither(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    out, page = tmp_path / "out.csv", tmp_path / "page.html"
    out.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr("relu_shallow.report.page.render", full)
        result = run("explain", folder / "good", folder / "data.csv", "-o", out, "--html", page)
    refused(result, "page.html", "No space")
    assert contents(tmp_path) == {"out.csv": b"before"}
    assert run("explain", folder / "good", folder / "data.csv", "-o", out, "--html", page).exit_code == 0
    assert out.read_text() != "before"
    assert page.read_text().startswith("<!doctype html>")
    assert len(contents(tmp_path)) == 2


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("box:1,-1", "lower bound 1 above its upper bound -1"),
        ("box:nowhere.csv", "no such file"),
        ("vnnlib:nowhere", "no such file"),
    ],
)
def test_messages_about_domains_are_plain(folder, domain, words):
    result = run("convert", folder / "model.onnx", "--domain", domain)
    refused(result, words)
    assert "Errno" not in result.stderr


def test_the_literal_network_given_as_a_model_is_one_plain_sentence(folder, tmp_path):
    assert run("export", folder / "good", "-o", tmp_path / "literal.pt2").exit_code == 0
    result = run("inspect", tmp_path / "literal.pt2")
    refused(result, "is the operation", "is not supported")
    assert "Error(" not in result.stderr


@pytest.mark.parametrize("name", ["x" * 300, "/dev/null"], ids=["too long", "a device"])
def test_an_output_that_cannot_be_made_is_refused_before_the_search(folder, name, monkeypatch):
    monkeypatch.setattr("relu_shallow.load.load_network", None)
    refused(run("convert", folder / "model.onnx", "-o", name), name)


@pytest.mark.parametrize("out", ["out.xlsx", "out", "."])
def test_a_table_format_that_is_not_known(out, folder, tmp_path):
    refused(run("predict", folder / "good", folder / "data.csv", "-o", tmp_path / out))
    refused(run("explain", folder / "good", folder / "data.csv", "-o", tmp_path / out))


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as if the disk were full after 1,000 bytes
from relu_shallow.cli import main
main()
"""


@pytest.mark.parametrize("arguments", [["convert", "model.onnx", "-o", "good", "--domain", "box:-1,1"],
                                       ["export", "good", "-o", "old.npz"],
                                       ["explain", "good", "data.csv", "--html", "old.html", "-o", "old.csv"]],
                         ids=["convert", "export", "explain"])  # fmt: skip
def test_a_full_disk_leaves_the_old_file_and_says_so(arguments, folder, tmp_path):
    for path in ("model.onnx", "data.csv", "good"):
        (tmp_path / path).write_bytes((folder / path).read_bytes())
    for path in ("old.npz", "old.html"):
        (tmp_path / path).write_text("old")
    before = contents(tmp_path)
    process = start(*arguments, code=LIMITED, cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert out == ""
    one_sentence(err, "could not be written", "File too large")
    assert {name: content for name, content in contents(tmp_path).items() if name != "old.csv"} == before


def test_a_full_disk_behind_stdout_is_noticed(folder):
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    code = "import sys; sys.stdout = open('/dev/full', 'w'); from relu_shallow.cli import main; main()"
    process = start("predict", folder / "good", folder / "data.csv", code=code)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    one_sentence(err, "No space left")


def test_a_reader_that_leaves_early_is_no_error(folder, tmp_path):
    write_csv(tmp_path / "many.csv", NAMES, [(0, 0.5)] * 50_000)
    process = start("predict", folder / "good", tmp_path / "many.csv")
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=120) == 0
    assert err == ""


def test_too_little_memory_is_said_in_words(folder, monkeypatch):
    from relu_shallow import conversion

    def exhaust(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(conversion, "convert_timed", exhaust)
    refused(run("convert", folder / "model.onnx", "-o", folder / "never"), "memory", "--max-regions")


def test_a_defect_exits_2_so_that_it_is_not_read_as_an_answer(folder):
    code = ("import relu_shallow.shallow.store as s\ndef broken(path): raise ZeroDivisionError\n"
            "s.load_shallow = broken\nfrom relu_shallow.cli import main\nmain()")  # fmt: skip
    process = start("inspect", folder / "good", code=code)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "ZeroDivisionError" in err
    assert "report it" in err


def test_columns_of_other_names_are_taken_by_position_with_a_word_about_it(folder, tmp_path):
    (tmp_path / "named.csv").write_text("alter,groesse\n0,0.5\n")
    commands = {
        "predict": ["predict", folder / "good", tmp_path / "named.csv"],
        "explain": ["explain", folder / "good", tmp_path / "named.csv"],
        "verify": ["verify", folder / "good", "--data", tmp_path / "named.csv"],
    }
    for arguments in commands.values():
        result = run(*arguments)
        assert result.exit_code == 0, result.stderr
        said = [line for line in result.stderr.splitlines() if "by position" in line]
        assert said == [
            "relu-shallow: no column has the name of a feature, so columns are taken by position: "
            "'alter', 'groesse' as 'age', 'height'"
        ]
    (tmp_path / "named.csv").write_text("HEIGHT,Age\n0.5,0\n")
    (tmp_path / "plain.csv").write_text("age,height\n0,0.5\n")
    swapped, plain = (run("predict", folder / "good", tmp_path / name) for name in ("named.csv", "plain.csv"))
    assert (swapped.stdout, swapped.stderr) == (plain.stdout, "")
