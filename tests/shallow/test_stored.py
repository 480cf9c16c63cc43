"""A folder of regions answers as the converted file of the same network does, reading only what it needs."""

from itertools import pairwise

import numpy as np
import pytest
from command_line import one_sentence, run, run_json, write_csv
from folders import files_of, in_many_files, rewritten
from networks import NAMED

from relu_shallow.archive import read_archive
from relu_shallow.checks import places
from relu_shallow.domain import Box, Polytope, WholeSpace, contains
from relu_shallow.errors import DataError, FormatError
from relu_shallow.explanation import explain_rows
from relu_shallow.explanation.methods import opened
from relu_shallow.network import Affine, Gate, Network, from_layers
from relu_shallow.regions.folder import find, open_folder
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.stream import stream_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.descent import descend
from relu_shallow.shallow.store import save_shallow
from relu_shallow.shallow.stored import open_regions


def layers(widths, seed=0):
    r = np.random.default_rng(seed)
    return [(r.normal(size=(o, i)) / np.sqrt(i), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]


def leaky():
    maps = [Affine(W, b) for W, b in layers((3, 7, 5, 2), 4)]
    gates = (Gate(np.full(7, 0.1), np.ones(7)), Gate(np.where(np.arange(5) < 2, 1.0, -1.0), np.ones(5)))
    return Network(tuple(maps), gates)


CASES = {
    "box": (from_layers(layers((4, 12, 10, 2))), Box(-1.0, 1.0)),
    "whole space": (from_layers(layers((3, 9, 6, 1), 1)), WholeSpace()),
    "polytope": (from_layers(layers((2, 9, 6, 1), 2)), Polytope([[1.0, 1.0], [-1.0, 0.5], [0.0, -1.0]], [1.0] * 3)),
    "flat box": (from_layers(layers((3, 9, 6, 2), 3)), Box([-1.0, 0.25, -1.0], [1.0, 0.25, 1.0])),
    "no biases": (from_layers([(W, 0 * b) for W, b in layers((3, 7, 5, 1), 5)]), Box(-1.0, 1.0)),
    "two slopes": (leaky(), Box(-1.0, 1.0)),
    "one region": (NAMED["linear"].network, Box(-1.0, 1.0)),
}


@pytest.fixture(scope="module", params=CASES)
def both(request, tmp_path_factory):
    """(converted file, folder of many files) of one network."""
    network, domain = CASES[request.param]
    path = tmp_path_factory.mktemp("both")
    shallow = shallow_network(enumerate_regions(network, domain))
    save_shallow(shallow, path / "x.shallow.safetensors")
    in_many_files(network, domain, path / "x.regions")
    return shallow, path / "x.shallow.safetensors", path / "x.regions"


def points_of(shallow):
    """Points of the domain: anywhere, witnesses, on borders to the last bit and on hyperplanes, at corners, zero."""
    r = np.random.default_rng(0)
    table = shallow.table
    X = np.concatenate([
        places.anywhere(shallow.domain, table, 300, r), places.witnesses(table, 200, r),
        places.crossings(shallow.network, table, 100, r), *places.facets_and_corners(table, 60, r),
        np.zeros((2, shallow.network.inputs)), -np.zeros((1, shallow.network.inputs)),
    ])  # fmt: skip
    return X[contains(shallow.domain, X)]


def test_values_and_regions_are_the_files_to_the_last_bit(both):
    shallow, _, path = both
    stored, X = open_regions(path), points_of(both[0])
    assert (stored.regions, stored.completeness.complete) == (shallow.regions, True)
    region = stored.region_of(X)
    assert np.array_equal(stored.bits_of(region), shallow.table.bits[shallow.table.region_of(X)])
    assert np.array_equal(stored(X), shallow(X))


def test_local_models_and_attributions_are_the_files(both):
    shallow, _, path = both
    X = points_of(shallow)[::7]
    for method in ("auto", "local"):
        ours, theirs = (explain_rows(source, X, method=method) for source in (open_regions(path), shallow))
        for name in ("phi", "prediction", "alpha", "beta", "distance", "gap", "base_value", "status"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


def test_the_walk_alone_gives_the_files_region(both):
    shallow, _, path = both
    stored, X = open_regions(path), points_of(shallow)
    assert np.array_equal(stored.bits_of(descend(stored.folder, X)), shallow.table.bits[shallow.table.region_of(X)])


def test_commands_print_the_same_numbers(both, tmp_path):
    shallow, file, path = both
    write_csv(tmp_path / "data.csv", shallow.network.feature_names, points_of(shallow)[::5])
    for command in ("predict", "explain"):
        printed = [run(command, source, tmp_path / "data.csv") for source in (file, path)]
        assert [result.exit_code for result in printed] == [0, 0]
        rows = [[_without_region(line) for line in result.stdout.splitlines()] for result in printed]
        assert rows[0] == rows[1]
        assert len(rows[0]) > len(points_of(shallow)[::5])


def _without_region(line):
    """A line of the table without the region's number: files are numbered in their own order."""
    cells = line.split(",")
    return [cell for place, cell in enumerate(cells) if len(cells) < 8 or place != len(cells) - 4]


def test_inspect_reads_headers_only(both):
    _, file, path = both
    ours, theirs = run_json("inspect", path), run_json("inspect", file)
    assert ours["kind"] == "regions folder"
    same = ("regions", "domain", "bounds", "complete", "level", "neurons", "feature_names")
    assert [ours[name] for name in same] == [theirs[name] for name in same]
    assert ours["files"] == len(open_folder(path).shards)
    assert ours["bytes"] == sum(entry.stat().st_size for entry in path.iterdir())
    assert run("inspect", path).exit_code == 0


def test_python_opens_a_folder_by_its_path_and_by_its_record(both):
    shallow, _, path = both
    X = points_of(shallow)[:5]
    for model in (path, str(path), open_folder(path), open_regions(path)):
        source = opened(model)
        assert np.array_equal(source(X), shallow(X))
    assert str(shallow.regions) in repr(open_regions(path))


def test_the_page_of_a_folder_tells_of_it(tmp_path):
    network, domain = CASES["no biases"]
    folder = in_many_files(network, domain, tmp_path / "x.regions")
    write_csv(tmp_path / "data.csv", network.feature_names, np.random.default_rng(0).uniform(-1, 1, (6, 3)))
    assert run("explain", tmp_path / "x.regions", tmp_path / "data.csv", "--html", tmp_path / "p.html").exit_code == 0
    assert f"{folder.regions:,}" in (tmp_path / "p.html").read_text()


# --- partial lists, and points beyond the list ------------------------------------------------------------------


def test_a_partial_list_answers_where_it_holds_the_region_and_refuses_elsewhere(tmp_path):
    network = from_layers(layers((4, 12, 10, 2)))
    folder = stream_regions(network, Box(-1.0, 1.0), tmp_path / "p.regions", max_regions=60)
    assert not folder.complete
    stored = open_regions(tmp_path / "p.regions")
    whole = shallow_network(enumerate_regions(network, Box(-1.0, 1.0)))
    listed = find(folder, whole.table.bits) >= 0
    assert 0 < listed.sum() < whole.regions
    X = whole.table.witnesses
    assert np.array_equal(stored(X[listed]), whole(X[listed]))
    with pytest.raises(DataError, match="partial list"):
        stored(X[np.flatnonzero(~listed)[:1]])
    write_csv(tmp_path / "data.csv", network.feature_names, X[np.flatnonzero(~listed)[:1]])
    for command in ("predict", "explain"):
        result = run(command, tmp_path / "p.regions", tmp_path / "data.csv")
        assert result.exit_code == 2
        one_sentence(result.stderr, "partial list")


def test_points_outside_the_domain_and_infinite_ones_are_refused(tmp_path):
    network = from_layers(layers((2, 5, 1)))
    stream_regions(network, Box(-1.0, 1.0), tmp_path / "p.regions")
    stored = open_regions(tmp_path / "p.regions")
    for bad, words in (([[2.0, 0.0]], "outside"), ([[np.nan, 0.0]], "NaN"), ([[1.0]], "takes 2 inputs")):
        with pytest.raises(DataError, match=words):
            stored(bad)


# --- damage -----------------------------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path):
    """A folder of several files and a table of data."""
    network = from_layers(layers((3, 9, 6, 1), 1))
    assert len(in_many_files(network, Box(-1.0, 1.0), tmp_path / "x.regions", each=40).shards) >= 3
    X = np.random.default_rng(1).uniform(-1, 1, (200, 3))
    write_csv(tmp_path / "data.csv", network.feature_names, X)
    return tmp_path


def remove_a_file(job):
    files_of(job / "x.regions")[1].unlink()


def cut_a_file_short(job):
    file = files_of(job / "x.regions")[1]
    file.write_bytes(file.read_bytes()[:-200])


def break_a_header(job):
    file = files_of(job / "x.regions")[0]
    file.write_bytes(file.read_bytes()[:8] + b"[" + file.read_bytes()[9:])


def add_a_foreign_file(job):
    stream_regions(from_layers(layers((3, 9, 6, 1), 9)), Box(-1.0, 1.0), job / "y.regions")
    files_of(job / "y.regions")[0].rename(job / "x.regions" / "shard-999999.safetensors")


def swap_about(job):
    stream_regions(from_layers(layers((3, 9, 6, 1), 9)), Box(-1.0, 1.0), job / "y.regions")
    (job / "y.regions" / "about.safetensors").replace(job / "x.regions" / "about.safetensors")


def remove_about(job):
    (job / "x.regions" / "about.safetensors").unlink()


def list_a_file_twice(job):
    file = files_of(job / "x.regions")[0]
    (job / "x.regions" / "shard-999999.safetensors").write_bytes(file.read_bytes())


def promise_more_regions(job):
    file = files_of(job / "x.regions")[0]
    rewritten(file, regions=10**9)


def promise_longer_patterns(job):
    for file in files_of(job / "x.regions"):
        rewritten(file, first="00" * 40, last="ff" * 40)


def unsort_a_file(job):
    file = files_of(job / "x.regions")[0]
    bits = read_archive(file)[0]["bits"]
    bits[1:-1] = bits[-2:0:-1].copy()
    rewritten(file, {"bits": bits})


def set_bits_beyond(job):
    for file in files_of(job / "x.regions"):
        bits = read_archive(file)[0]["bits"]
        bits[::2, -1] |= 1
        rewritten(file, {"bits": bits}, first=bits[0].tobytes().hex(), last=bits[-1].tobytes().hex())


def lie_about_the_first(job):
    rewritten(files_of(job / "x.regions")[0], first="0000")


DAMAGE = [remove_a_file, cut_a_file_short, break_a_header, add_a_foreign_file, swap_about, remove_about,
          list_a_file_twice, promise_more_regions, promise_longer_patterns, lie_about_the_first]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_a_damaged_folder_is_refused_in_one_sentence_or_answers_rightly(job, damage, command):
    before = run(command, job / "x.regions", job / "data.csv")
    assert before.exit_code == 0
    damage(job)
    result = run(command, job / "x.regions", job / "data.csv")
    if damage in (remove_a_file, cut_a_file_short) and result.exit_code == 0:
        assert result.stdout == before.stdout  # a part nobody asks for
        return
    assert result.exit_code == 2, result.stdout
    one_sentence(result.stderr, "region")


@pytest.mark.parametrize("damage", [unsort_a_file, set_bits_beyond], ids=lambda damage: damage.__name__)
def test_a_walk_in_a_damaged_list_ends(job, damage):
    stored = open_regions(job / "x.regions")
    X = np.concatenate([np.zeros((1, 3)), np.random.default_rng(0).uniform(-1, 1, (50, 3))])
    expected = stored(X)
    damage(job)
    try:
        region = descend(open_folder(job / "x.regions"), X)
    except FormatError:
        return
    assert np.array_equal(open_regions(job / "x.regions").values(X, region), expected) or damage is unsort_a_file


@pytest.mark.parametrize("command", ["inspect", "predict", "explain"])
def test_a_folder_that_is_not_ours_is_refused(tmp_path, command):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme.txt").write_text("hello")
    (tmp_path / "data.csv").write_text("a,b\n0,1\n")
    data = [] if command == "inspect" else [tmp_path / "data.csv"]
    result = run(command, tmp_path / "other", *data)
    assert result.exit_code == 2
    one_sentence(result.stderr, "other")
