"""Folders of regions on the command line: convert into them, stop, go on, share out, merge, and what is refused."""

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_onnx

import relu_shallow as rs
from relu_shallow.covering import coverage
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_onnx(tmp_path_factory.mktemp("model") / "model.onnx", random_layers(3, 10, 8, 2))


def test_a_folder_has_the_regions_of_the_file_and_the_same_report(model, tmp_path):
    file = run_json("convert", model, "--domain", "box:-1,1", "-o", tmp_path / "a.safetensors")
    folder = run_json("convert", model, "--domain", "box:-1,1", "-o", tmp_path / "a.regions", "--resume")
    assert set(file) | {"files", "unfinished", "shard"} == set(folder)
    same = ("regions", "complete", "level", "certified", "neurons", "inputs", "outputs", "modules", "coverage")
    assert [file[key] for key in same] == [folder[key] for key in same]
    assert (folder["half_spaces"], folder["unfinished"], folder["shard"]) == (None, 0, [1, 1])
    assert set(folder["seconds"]) == set(file["seconds"])


def test_a_stopped_search_says_what_it_covers_and_goes_on(model, tmp_path):
    out = tmp_path / "a.regions"
    part = run_json("convert", model, "--domain", "box:-1,1", "-o", out, "--max-regions", 40)
    assert part["complete"] is False
    assert part["unfinished"] > 0
    assert part["coverage"]["low"] < part["coverage"]["fraction"] < part["coverage"]["high"] < 1
    told = run("convert", model, "--domain", "box:-1,1", "-o", tmp_path / "b.regions", "--max-regions", 40)
    assert "go on with --resume" in told.stdout
    assert "of the domain's volume" in told.stdout
    assert run("convert", model, "--domain", "box:-1,1", "-o", out, "--resume", "--require", "certified").exit_code == 0
    assert run("convert", model, "--domain", "box:-1,1", "-o", out, "--resume", "--max-regions", 1).exit_code == 0


def test_a_partial_folder_is_below_what_is_required(model, tmp_path):
    words = ("--max-regions", 40, "--require", "complete")
    result = run("convert", model, "--domain", "box:-1,1", "-o", tmp_path / "a.regions", *words)
    assert result.exit_code == 1
    assert "below the required level" in result.stderr


def test_parts_are_merged(model, tmp_path):
    whole = run_json("convert", model, "-o", tmp_path / "a.safetensors")
    parts = [tmp_path / f"{part}.regions" for part in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        assert run_json("convert", model, "-o", part, "--shard", f"{number}/3")["shard"] == [number, 3]
    merged = run_json("merge", *parts, "-o", tmp_path / "all.regions")
    assert (merged["regions"], merged["certified"]) == (whole["regions"], True)
    assert f"{whole['regions']:,} regions of 3 parts" in run("merge", *parts, "-o", tmp_path / "b.regions").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "{}/a.safetensors", "--resume"], "DIR.regions"),
        (["-o", "{}/a.safetensors", "--shard", "1/2"], "DIR.regions"),
        (["-o", "{}/a.regions", "--shard", "3/2"], "part I/K"),
        (["-o", "{}/a.regions", "--shard", "0/2"], "part I/K"),
        (["-o", "{}/a.regions", "--shard", "half"], "part I/K"),
        (["-o", "{}/a.regions", "--proof"], "--proof"),
        (["-o", "{}/a.regions", "--lp", "highs"], "--lp"),
        (["-o", "{}/a.regions", "--max-memory", "much"], "as 500MB"),
        (["-o", "{}/a.regions", "--max-memory", "0GB"], "as 500MB"),
        (["-o", "{}/a.regions", "--max-memory", "1MB"], "the program itself holds"),
        (["-o", "{}/a.safetensors", "--max-memory", "1MB"], "the program itself holds"),
        (["-o", "{}/nowhere/a.regions"], "cannot be made"),
        (["-o", "{}/a.regions", "--engine", "dask:foo"], ""),
    ],
)
def test_what_does_not_go_together_is_refused_and_leaves_nothing(model, tmp_path, words, told):
    result = run("convert", model, "--domain", "box:-1,1", *(word.format(tmp_path) for word in words))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    one_sentence(result.stderr.replace("relu-shallow: compiling", "compiling"), told)
    assert not list(tmp_path.iterdir())


def test_what_is_no_part_is_refused(model, tmp_path):
    run_json("convert", model, "--domain", "box:-1,1", "-o", tmp_path / "whole.regions")
    (tmp_path / "empty.regions").mkdir()
    for words, told in (
        ([tmp_path / "whole.regions"], "two or more"),
        ([tmp_path / "whole.regions", tmp_path / "whole.regions"], "each part of one search once"),
        ([tmp_path / "empty.regions", tmp_path / "whole.regions"], "not a folder of regions"),
        ([model, model], "not a folder of regions"),
        ([tmp_path / "no", tmp_path / "no"], "not a folder of regions"),
    ):
        result = run("merge", *words, "-o", tmp_path / "a.regions")
        assert (result.exit_code, result.stdout) == (2, "")
        one_sentence(result.stderr, told)
    result = run("merge", tmp_path / "whole.regions", tmp_path / "whole.regions", "-o", tmp_path / "a.file")
    one_sentence(result.stderr, "ends in .regions")
    result = run("convert", tmp_path / "whole.regions")
    one_sentence(result.stderr, "already a converted network")


# --- how much of the domain a list covers ---


def half():
    """relu(x - 1/2) on [0, 1] beside an input that does nothing: each region is half of the box."""
    return from_layers([(np.array([[1.0, 0.0]]), np.array([-0.5])), (np.eye(1), np.zeros(1))])


def test_coverage_is_the_volume_that_listed_regions_fill(tmp_path):
    part = shallow_network(enumerate_regions(half(), Box(0.0, 1.0), max_regions=1))
    found = coverage(part, points=40_000)
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.011
    whole = coverage(shallow_network(enumerate_regions(half(), Box(0.0, 1.0))), points=1_000)
    assert (whole.fraction, whole.high) == (1.0, 1.0)
    assert 0.99 < whole.low < 1.0
    stored = rs.convert_to_folder(half(), tmp_path / "a.regions", Box(0.0, 1.0), max_regions=1)
    assert coverage(rs.open_regions(stored.path), points=1_000) == coverage(stored, points=1_000)
    triangle = Polytope([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [0.0, 0.0, 1.0])  # x, y >= 0, x + y <= 1
    found = coverage(shallow_network(enumerate_regions(half(), triangle, max_regions=1)), points=40_000)
    assert found.low < 0.75 < found.high  # where x <= 1/2


def test_an_interval_of_coverage_covers_as_often_as_it_says():
    part = shallow_network(enumerate_regions(half(), Box(0.0, 1.0), max_regions=1))
    hits = [found.low <= 0.5 <= found.high for found in (coverage(part, points=300, seed=s) for s in range(300))]
    assert 0.92 < sum(hits) / 300 <= 0.995


@pytest.mark.parametrize("domain", [WholeSpace(), Polytope([[1.0, 0.0]], [1.0])], ids=["all", "half-space"])
def test_what_has_no_volume_has_no_coverage(domain):
    assert coverage(shallow_network(enumerate_regions(half(), domain, max_regions=1))) is None


def test_coverage_decides_exactly_what_rounding_leaves_open():
    """A sum of terms that cancel: floats find another sign than is there for many points of the box."""
    W = np.array([[1e16, 1.0]])
    network = from_layers([(np.eye(2), np.zeros(2)), (W, np.array([-5e15 - 0.5])), (np.eye(1), np.zeros(1))])
    domain = Box([0.5, 0.0], [0.5 + 2.0**-52, 1.0])
    whole = shallow_network(enumerate_regions(network, domain))
    assert whole.completeness.complete
    assert coverage(whole, points=2_000).fraction == 1.0


@pytest.mark.parametrize("share", [(1.0, 2.0), "12", (1,), 5, None])
def test_what_is_no_pair_of_numbers_is_no_part(share):
    from relu_shallow.conversion import _checked_share
    from relu_shallow.errors import UsageError

    with pytest.raises(UsageError, match="two whole numbers"):
        _checked_share(share)


@pytest.mark.parametrize("share", [(0, 2), (3, 2)])
def test_a_part_that_is_none_is_refused_from_python(model, tmp_path, share):
    with pytest.raises(rs.ReluShallowError, match="part"):
        rs.convert_to_folder(model, tmp_path / "a.regions", Box(-1.0, 1.0), share=share)
    assert not list(tmp_path.iterdir())


def test_a_limit_beyond_all_numbers_is_refused(model):
    with pytest.raises(rs.ReluShallowError, match="max_regions"):
        rs.convert(model, Box(-1.0, 1.0), max_regions=10**400)
