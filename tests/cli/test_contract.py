"""What users and scripts rely on: options, exit statuses, the keys of --json, the columns of tables."""

import csv
import io
import json

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, strict, write_csv, write_onnx

from relu_shallow.cli import options
from relu_shallow.cli.program import COMMANDS, command_line
from relu_shallow.explanation import METHODS
from relu_shallow.export import FORMS
from relu_shallow.load import load_network
from relu_shallow.lp import BACKENDS
from relu_shallow.shallow.store import load_shallow, save_shallow

NAMES = ("age", "height", "dose")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with model.onnx, data.csv, more.csv (in another order, with a column more), and the model converted."""
    path = tmp_path_factory.mktemp("job")
    write_onnx(path / "model.onnx", random_layers(3, 5, 4, 2), last="Softmax")
    rows = np.random.default_rng(0).uniform(-1, 1, size=(20, 3))
    write_csv(path / "data.csv", NAMES, rows)
    write_csv(path / "more.csv", ("ill", *reversed(NAMES)), [(1, *row[::-1]) for row in rows])
    result = run("convert", path / "model.onnx", "--domain", f"data:{path / 'data.csv'}")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    return path


@pytest.fixture(scope="module")
def converted(folder):
    return folder / "model.shallow.safetensors"


# --- convert ----------------------------------------------------------------------------------------------------


def test_convert_writes_beside_the_model_unless_told_otherwise(folder, converted, tmp_path):
    assert converted.exists()
    run_json("convert", folder / "model.onnx", "-o", tmp_path / "elsewhere", "--domain", "box:-1,1")
    assert (tmp_path / "elsewhere").exists()


def test_convert_reports_what_the_contract_lists(folder, tmp_path):
    report = run_json("convert", folder / "model.onnx", "-o", tmp_path / "a", "--domain", "box:-1,1")
    assert {"regions", "complete", "level", "certified", "neurons", "inputs", "outputs", "half_spaces", "lps",
            "seconds", "modules", "output"} <= set(report)  # fmt: skip
    assert report["certified"] is True
    assert report["certificate"]["open"] == 0
    assert sum(report["certificate"].values()) >= 2 * report["regions"] - 1  # regions, and the cuts between them
    assert set(report["seconds"]) == {"load", "compile", "enumerate", "store", "total"}
    assert report["modules"] == [report["regions"]]
    assert report["complete"] is True
    assert report["certified"] is (report["level"] == "certified")
    assert (report["neurons"], report["inputs"], report["outputs"]) == (9, 3, 2)
    assert report["output"] == str(tmp_path / "a")
    stored = load_shallow(tmp_path / "a")
    assert (stored.regions, stored.half_spaces) == (report["regions"], report["half_spaces"])
    parts = [seconds for step, seconds in report["seconds"].items() if step != "total"]
    assert min(parts) >= 0
    assert sum(parts) <= report["seconds"]["total"] * (1 + 1e-9)


def test_the_default_domain_is_the_whole_space(folder, tmp_path):
    everywhere = run_json("convert", folder / "model.onnx", "-o", tmp_path / "a")
    named = run_json("convert", folder / "model.onnx", "-o", tmp_path / "b", "--domain", "all")
    boxed = run_json("convert", folder / "model.onnx", "-o", tmp_path / "c", "--domain", "box:-0.1,0.1")
    assert everywhere["regions"] == named["regions"] > boxed["regions"]


def test_names_come_from_the_header_of_the_domains_data(converted):
    assert load_shallow(converted).network.feature_names == NAMES


def test_columns_of_the_domains_data_are_chosen_and_dropped(folder, tmp_path):
    data = f"data:{folder / 'more.csv'}"
    run_json("convert", folder / "model.onnx", "--domain", data, "--drop", "ill", "-o", tmp_path / "a")
    run_json("convert", folder / "model.onnx", "--domain", data, "--columns", "age,dose,height", "-o", tmp_path / "b")
    assert load_shallow(tmp_path / "a").network.feature_names == NAMES[::-1]
    assert load_shallow(tmp_path / "b").network.feature_names == ("age", "dose", "height")


def test_a_partial_list_exits_0_and_says_so(folder, tmp_path):
    report = run_json("convert", folder / "model.onnx", "-o", tmp_path / "a", "--max-regions", "2")
    assert report["complete"] is False
    assert report["regions"] >= 1


@pytest.mark.parametrize("level", ["complete", "witnessed", "certified"])
def test_a_partial_list_exits_1_where_more_is_required(folder, tmp_path, level):
    result = run(
        "convert", folder / "model.onnx", "-o", tmp_path / "a", "--max-regions", "2", "--require", level, "--json"
    )
    assert result.exit_code == 1
    assert strict(result.stdout)["complete"] is False
    one_sentence(result.stderr, level)
    assert load_shallow(tmp_path / "a").regions >= 1


def test_what_is_required_and_reached_exits_0(folder, tmp_path):
    report = run_json("convert", folder / "model.onnx", "-o", tmp_path / "a", "--require", "complete")
    reached = ("uncertified", "witnessed", "certified").index(report["level"])
    for rank, level in ((1, "witnessed"), (2, "certified")):
        result = run("convert", folder / "model.onnx", "-o", tmp_path / "a", "--require", level)
        assert result.exit_code == (0 if reached >= rank else 1)


def test_without_certification_nothing_is_claimed(folder, tmp_path):
    report = run_json("convert", folder / "model.onnx", "-o", tmp_path / "a", "--no-certify")
    proved = run_json("convert", folder / "model.onnx", "-o", tmp_path / "b")
    assert (report["level"], report["certified"]) == ("uncertified", False)
    assert (proved["level"], proved["certified"]) == ("certified", True)
    assert report["regions"] == proved["regions"]  # nothing here is near to being degenerate
    arguments = ("convert", folder / "model.onnx", "-o", tmp_path / "c", "--no-certify", "--require")
    assert [run(*arguments, level).exit_code for level in ("complete", "witnessed")] == [0, 1]


@pytest.mark.parametrize("lp", ["highs", "cvxpy"])
def test_the_reference_backends_find_the_same_regions(folder, tmp_path, lp):
    counts = [
        run_json("convert", folder / "model.onnx", "-o", tmp_path / "a", "--domain", "box:-1,1", "--lp", name)[
            "regions"
        ]
        for name in ("kernel", lp)
    ]
    assert counts[0] == counts[1]


def test_threads_change_nothing(folder, tmp_path):
    for workers in (1, 2):
        run_json(
            "convert", folder / "model.onnx", "-o", tmp_path / str(workers), "--workers", workers, "--engine", "threads"
        )
    one, two = load_shallow(tmp_path / "1"), load_shallow(tmp_path / "2")
    np.testing.assert_array_equal(one.table.bits, two.table.bits)


# --- verify, explain, predict, inspect, export ------------------------------------------------------------------


def test_verify_says_yes_with_0_and_no_with_1(folder, converted, tmp_path):
    report = run_json("verify", converted, "--model", folder / "model.onnx", "--data", folder / "more.csv")
    assert report["ok"] is True
    assert report["checks"]
    assert all(set(check) >= {"name", "ok", "detail"} and check["ok"] is True for check in report["checks"])
    exact = run_json("verify", converted, "--exact", "--workers", "1")
    assert {"each region is real, proved", "none is missing, proved"} <= {check["name"] for check in exact["checks"]}
    assert "every region is real and none is missing, both proved" in run("verify", converted, "--exact").stdout
    assert "sampled" in run("verify", converted, "--exact", "--sample", "3").stdout
    assert "--exact" in run("verify", converted).stdout
    assert run("verify", converted, "--sample", "3").exit_code == 2
    other = write_onnx(tmp_path / "other.onnx", random_layers(3, 5, 4, 2, seed=4))
    result = run("verify", converted, "--model", other, "--json")
    assert result.exit_code == 1
    assert strict(result.stdout)["ok"] is False
    assert run("verify", converted).exit_code == 0


def test_a_stored_proof_is_checked_with_the_exact_check(folder, tmp_path):
    run_json("convert", folder / "model.onnx", "-o", tmp_path / "a", "--domain", "box:-1,1", "--proof")
    checks = {check["name"]: check for check in run_json("verify", tmp_path / "a", "--exact")["checks"]}
    assert checks["stored proof"]["ok"] is True
    assert "none is missing" in checks["stored proof"]["detail"]
    assert "stored proof" not in {check["name"] for check in run_json("verify", tmp_path / "a")["checks"]}


def test_explain_writes_a_line_per_row_and_output(folder, converted, tmp_path):
    report = run_json("explain", converted, folder / "more.csv", "-o", tmp_path / "shap.csv")
    assert {"rows", "method", "status", "max_additivity_gap", "seconds", "output"} <= set(report)
    assert (report["rows"], report["method"], sum(report["status"].values())) == (20, "auto", 20)
    with (tmp_path / "shap.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert set(lines[0]) >= {"row", "output", "prediction", "base_value", *(f"shap_{name}" for name in NAMES), "region",
                             "status", "gap"}  # fmt: skip
    assert len(lines) == 40
    for line in lines:
        total = sum(float(line[f"shap_{name}"]) for name in NAMES)
        assert total - float(line["prediction"]) + float(line["base_value"]) == pytest.approx(
            float(line["gap"]), abs=1e-9
        )


def test_explain_of_one_output_is_that_output(folder, converted):
    result = run("explain", converted, folder / "data.csv", "--output", "1", "--method", "local")
    lines = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [line["output"] for line in lines] == ["1"] * 20


def test_explain_takes_a_model_file_and_the_datas_names(folder):
    result = run("explain", folder / "model.onnx", folder / "data.csv")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    assert "shap_height" in result.stdout.splitlines()[0]


def test_a_converted_file_is_known_by_its_content_not_its_name(folder, converted, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(converted.read_bytes())
    assert run_json("inspect", copy)["kind"] == "converted"
    assert run("explain", copy, folder / "data.csv", "--method", "local").exit_code == 0


def test_explain_leaves_a_page(folder, converted, tmp_path):
    result = run("explain", converted, folder / "data.csv", "-o", tmp_path / "a.csv", "--html", tmp_path / "a.html")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    assert "<html" in (tmp_path / "a.html").read_text()


def test_predict_applies_the_head(folder, converted, tmp_path):
    result = run("predict", converted, folder / "more.csv")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    lines = list(csv.reader(io.StringIO(result.stdout)))
    shares = np.array(lines[1:], dtype=float)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert lines[0] == list(load_shallow(converted).network.output_names)
    X = np.genfromtxt(folder / "data.csv", delimiter=",", skip_header=1)
    raw = load_network(folder / "model.onnx")(X)
    np.testing.assert_allclose(np.log(shares[:, 0] / shares[:, 1]), raw[:, 0] - raw[:, 1], atol=1e-9)
    report = run_json("predict", converted, folder / "data.csv", "-o", tmp_path / "p.json")
    assert report["rows"] == len(json.loads((tmp_path / "p.json").read_text())) == 20


@pytest.mark.parametrize("command", ["explain", "predict"])
def test_json_and_a_table_cannot_share_stdout(folder, converted, command):
    result = run(command, converted, folder / "data.csv", "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    one_sentence(result.stderr, "-o")


def test_inspect_describes_a_model_and_a_converted_file(folder, converted):
    model, shallow = run_json("inspect", folder / "model.onnx"), run_json("inspect", converted)
    for report in (model, shallow):
        assert (report["inputs"], report["outputs"], report["layers"], report["neurons"]) == (3, 2, [5, 4], 9)
        assert (report["format"], report["dtype"], report["head"]) == ("onnx", "float32", "softmax")
        assert report["gates"] == ["relu"]
    assert shallow["complete"] is True
    assert shallow["domain"]
    radii = [entry["radius"] for entry in shallow["largest_regions"]]
    assert radii == sorted(radii, reverse=True)
    assert run("inspect", converted).stdout.count("\n") >= 10


def test_inspect_lists_the_bounds_of_few_inputs_and_no_module_of_one(folder, tmp_path):
    (tmp_path / "box.csv").write_text("lo,hi\n-1,2\n0,0.5\n0,1\n")
    domain = f"box:{tmp_path / 'box.csv'}"
    assert run("convert", folder / "model.onnx", "-o", tmp_path / "a", "--domain", domain).exit_code == 0
    shown = run("inspect", tmp_path / "a").stdout
    assert "in [-1, 2]" in shown
    assert "in [0, 0.5]" in shown
    assert "modules" not in shown
    report = run_json("inspect", tmp_path / "a")
    assert report["bounds"] == [[-1, 2], [0, 0.5], [0, 1]]
    assert report["modules"] == [report["regions"]]


def test_an_exported_table_says_its_domain_and_whether_it_is_complete(folder, tmp_path):
    assert run("convert", folder / "model.onnx", "-o", tmp_path / "a", "--domain", "box:-1,1").exit_code == 0
    assert run("export", tmp_path / "a", "-o", tmp_path / "a.json").exit_code == 0
    table = json.loads((tmp_path / "a.json").read_text())
    assert table["domain"] == {"kind": "box", "lo": [-1, -1, -1], "hi": [1, 1, 1]}
    assert table["complete"] is True


def test_inspect_of_an_unbounded_region_is_strict_json(folder, tmp_path):
    run_json("convert", folder / "model.onnx", "-o", tmp_path / "a")
    assert run_json("inspect", tmp_path / "a")["largest_regions"][0]["radius"] is None


def test_export_of_a_table_holds_every_region(folder, converted, tmp_path):
    stored = load_shallow(converted)
    for ending in ("csv", "json", "npz"):
        result = run("export", converted, "-o", tmp_path / f"t.{ending}", "--form", "table")
        assert result.exit_code == 0, result.stderr or repr(result.exception)
    with (tmp_path / "t.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == stored.regions
    table = json.loads((tmp_path / "t.json").read_text())
    with np.load(tmp_path / "t.npz", allow_pickle=False) as arrays:
        for region in range(stored.regions):
            own = slice(arrays["start"][region], arrays["start"][region + 1])
            rows, signs = stored.rows(region)
            np.testing.assert_array_equal(arrays["rows"][own], rows)
            np.testing.assert_array_equal(arrays["signs"][own], signs)
            assert table["regions"][region]["rows"] == rows.tolist()
            assert table["regions"][region]["alpha"] == stored.alpha[region].tolist()
            assert lines[region]["pattern"] == table["regions"][region]["pattern"]
            assert float(lines[region]["witness_age"]) == stored.table.witnesses[region, 0]
            assert float(lines[region]["radius"]) == stored.table.radii[region]
        np.testing.assert_array_equal(arrays["H"], stored.H)
        np.testing.assert_array_equal(arrays["c"], stored.c)


def test_export_of_the_literal_network_is_a_program_that_predicts(folder, converted, tmp_path):
    import torch

    result = run("export", converted, "-o", tmp_path / "literal.pt2")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    program = torch.export.load(tmp_path / "literal.pt2").module()  # a file of our own making
    stored = load_shallow(converted)
    X = stored.table.witnesses
    np.testing.assert_allclose(program(torch.from_numpy(X)).numpy(), stored(X), atol=1e-9)


@pytest.mark.parametrize(("form", "ending"), [("literal", "csv"), ("table", "pt2"), (None, "onnx"), (None, "")])
def test_a_form_and_an_ending_that_do_not_go_together_are_refused(converted, tmp_path, form, ending):
    result = run("export", converted, "-o", tmp_path / f"out.{ending}", *(["--form", form] if form else []))
    assert result.exit_code == 2
    one_sentence(result.stderr, "literal as .pt2")
    assert not list(tmp_path.iterdir())


# --- the whole --------------------------------------------------------------------------------------------------


def test_choices_are_the_librarys_own():
    assert set(options.LP_BACKENDS) == {"kernel", *BACKENDS}
    assert set(options.METHODS) == set(METHODS)
    assert set(options.EXPORT_FORMS) == set(FORMS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    relu-shallow {name} " in result.stdout


def test_no_command_shows_the_help_and_the_version_is_told():
    assert "Commands:" in run().stdout
    assert "0." in run("--version").stdout


@pytest.mark.parametrize(
    "arguments",
    [["conver"], ["convert"], ["convert", "--nonsense", "m"], ["convert", "m", "--max-regions", "0"],
     ["convert", "m", "--time-limit", "nan"], ["convert", "m", "--time-limit", "0"], ["convert", "m", "--lp", "guess"],
     ["convert", "m", "--engine", "cluster"], ["explain", "m"],
     ["explain", "m", "d", "--method", "kernel"], ["export", "m"], ["export", "m", "-o", "x", "--form", "max"]],
    ids=" ".join,
)  # fmt: skip
def test_bad_usage_is_one_sentence_and_status_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    one_sentence(result.stderr, "--help")


def test_the_network_and_names_survive_a_second_storing(converted, tmp_path):
    save_shallow(load_shallow(converted), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == converted.read_bytes()


def test_every_option_of_the_contract_is_there():
    offered = {
        name: {text for option in command_line.get_command(None, name).params for text in option.opts}
        for name in COMMANDS
    }
    assert offered["convert"] >= {"model", "-o", "--domain", "--max-regions", "--time-limit", "--workers", "--engine",
                                  "--lp", "--trust", "--require", "--json"}  # fmt: skip
    assert offered["verify"] >= {"shallow", "--model", "--data", "--json"}
    assert offered["explain"] >= {"shallow_or_model", "data", "-o", "--background", "--method", "--time-limit",
                                  "--output", "--html", "--json"}  # fmt: skip
    assert offered["inspect"] >= {"file", "--json"}
    assert offered["predict"] >= {"shallow", "data", "-o"}
    assert offered["export"] >= {"shallow", "-o", "--form"}
