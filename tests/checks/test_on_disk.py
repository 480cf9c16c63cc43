"""A list on the disk is verified file by file, and every way in which it can be wrong has been seen to be found."""

from itertools import pairwise

import numpy as np
import pytest
from command_line import one_sentence, run, run_json
from folders import files_of, in_many_files, rewritten
from networks import NAMED

from relu_shallow.archive import read_archive
from relu_shallow.certify import verify
from relu_shallow.checks.files import neighbours_listed
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import FormatError
from relu_shallow.network import from_layers, switching
from relu_shallow.regions.folder import as_keys, open_folder
from relu_shallow.regions.partition import pack, unpack
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.shard import load_regions
from relu_shallow.regions.stream import stream_regions
from relu_shallow.shallow.stored import StoredNetwork, open_regions


def layers(widths, seed=0):
    r = np.random.default_rng(seed)
    return [(r.normal(size=(o, i)) / np.sqrt(i), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]


def twins():
    """The first two neurons share a hyperplane: whoever crosses it flips both."""
    pairs = layers((2, 8, 5, 1), 1)
    pairs[0][0][1], pairs[0][1][1] = 2 * pairs[0][0][0], 2 * pairs[0][1][0]
    return from_layers(pairs)


CASES = {
    "box": (from_layers(layers((3, 9, 6, 1), 1)), Box(-1.0, 1.0)),
    "whole space": (from_layers(layers((2, 8, 5, 1), 1)), WholeSpace()),
    "polytope": (from_layers(layers((2, 9, 6, 1), 2)), Polytope([[1.0, 1.0], [-1.0, 0.5], [0.0, -1.0]], [1.0] * 3)),
    "flat box": (from_layers(layers((3, 9, 6, 2), 3)), Box([-1.0, 0.25, -1.0], [1.0, 0.25, 1.0])),
    "no biases": (from_layers([(W, 0 * b) for W, b in layers((2, 6, 4, 1), 5)]), Box(-1.0, 1.0)),
    "twins": (twins(), Box(-3.0, 3.0)),
    "one layer": (from_layers(layers((2, 9, 1), 7)), WholeSpace()),
    "two slopes": (NAMED["two_slopes"].network, Box(-3.0, 3.0)),
    "one region": (NAMED["linear"].network, Box(-1.0, 1.0)),
}
NEEDED = ("files whole", "patterns unique", "level", "each region is real, proved", "equal at random points",
          "equal at witnesses", "equal on region boundaries", "sampled points in listed regions")  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_right_list_passes_every_check(tmp_path, name):
    network, domain = CASES[name]
    folder = in_many_files(network, domain, tmp_path / "x.regions", each=20)
    for options in ({}, {"exact": True}, {"exact": True, "sample": max(1, folder.regions // 3)}):
        result = verify(tmp_path / "x.regions", points=100, workers=1, **options)
        assert result.ok, [check for check in result.checks if not check.ok]
        found = [check.name for check in result.checks]
        assert set(NEEDED) <= set(found)
        assert ("none is missing, proved" in found) == bool(options)
        assert any("in general position" in entry for entry in (*found, *result.left_out))
    if name == "one layer":
        assert "count of regions in general position" in found


def test_a_partial_list_is_proved_real_and_nothing_is_said_of_what_it_lacks(tmp_path):
    network, domain = CASES["box"]
    stream_regions(network, domain, tmp_path / "x.regions", max_regions=50)
    report = run_json("verify", tmp_path / "x.regions", "--exact")
    assert (report["ok"], report["complete"]) == (True, False)
    assert "each region is real, proved" in [check["name"] for check in report["checks"]]
    assert "none is missing, proved: the list is partial" in report["left_out"]


def test_the_record_of_a_folder_is_verified_as_its_path_is(tmp_path):
    folder = in_many_files(*CASES["box"], tmp_path / "x.regions")
    for given in (folder, open_regions(tmp_path / "x.regions"), str(tmp_path / "x.regions")):
        assert verify(given, points=50, workers=1).ok


# --- what is wrong is found -------------------------------------------------------------------------------------


def arrays_of(file):
    return {name: read_archive(file)[0][name] for name in ("bits", "witnesses", "radii")}


def written(file, arrays):
    """The regions of a file replaced, its header and its hash made right again."""
    bits = arrays["bits"]
    rewritten(file, arrays, regions=len(bits), first=bits[:1].tobytes().hex(), last=bits[-1:].tobytes().hex())


def remove_a_region(path):
    file = files_of(path)[1]
    written(file, {name: np.delete(array, 7, axis=0) for name, array in arrays_of(file).items()})


def remove_the_last_region(path):
    file = files_of(path)[-1]
    written(file, {name: array[:-1] for name, array in arrays_of(file).items()})


def move_a_witness(path):
    file = files_of(path)[1]
    arrays = arrays_of(file)
    arrays["witnesses"][3] = arrays["witnesses"][4]
    written(file, arrays)


def move_a_witness_out_of_the_domain(path):
    file = files_of(path)[1]
    arrays = arrays_of(file)
    arrays["witnesses"][3] *= 1e3
    written(file, arrays)


def list_twice_in_a_file(path):
    file = files_of(path)[0]
    written(file, {name: np.insert(array, 5, array[5], axis=0) for name, array in arrays_of(file).items()})


def list_twice_in_two_files(path):
    source, target = files_of(path)[0], files_of(path)[2]
    one = {name: array[:1] for name, array in arrays_of(source).items()}
    both = {name: np.concatenate([array, one[name]]) for name, array in arrays_of(target).items()}
    order = np.argsort(as_keys(both["bits"]), kind="stable")
    written(target, {name: array[order] for name, array in both.items()})


def put_out_of_order(path):
    file = files_of(path)[0]
    arrays = arrays_of(file)
    order = np.arange(len(arrays["bits"]))
    order[[2, 3]] = order[[3, 2]]
    written(file, {name: array[order] for name, array in arrays.items()})


def set_a_bit_beyond(path):
    file = files_of(path)[1]
    arrays = arrays_of(file)
    arrays["bits"][4, -1] |= 1
    written(file, arrays)


def invent_a_region(path):
    """A pattern beside a listed one that is no region, with that one's witness."""
    folder = open_folder(path)
    listed = {bytes(row) for shard in folder.shards for row in load_regions(shard, folder.network).bits}
    file = files_of(path)[0]
    arrays = arrays_of(file)
    for q in range(folder.network.neurons):
        flipped = unpack(arrays["bits"][:1], folder.network.neurons)
        flipped[0, q] ^= True
        if pack(flipped)[0].tobytes() not in listed:
            break
    arrays["bits"] = np.concatenate([arrays["bits"], pack(flipped)])
    arrays["witnesses"], arrays["radii"] = (np.concatenate([a, a[:1]]) for a in (arrays["witnesses"], arrays["radii"]))
    order = np.argsort(as_keys(arrays["bits"]), kind="stable")
    written(file, {name: array[order] for name, array in arrays.items()})


def change_a_radius(path):
    file = files_of(path)[1]
    arrays = arrays_of(file)
    arrays["radii"][3] *= 1.5
    written(file, arrays)


WRONG = {
    remove_a_region: ("none is missing, proved", "no unlisted neighbour"),
    remove_the_last_region: ("none is missing, proved", "no unlisted neighbour"),
    move_a_witness: ("each region is real, proved",) * 2,
    move_a_witness_out_of_the_domain: ("each region is real, proved",) * 2,
    list_twice_in_a_file: ("patterns unique",) * 2,
    list_twice_in_two_files: ("patterns unique",) * 2,
    put_out_of_order: ("patterns unique",) * 2,
    set_a_bit_beyond: ("patterns unique",) * 2,
    invent_a_region: ("each region is real, proved",) * 2,
    change_a_radius: ("inscribed radii",) * 2,
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_what_is_wrong_is_found(tmp_path, wrong):
    path = tmp_path / "x.regions"
    folder = in_many_files(*CASES["box"], path, each=30)
    assert len(folder.shards) >= 3
    wrong(path)
    for exact, name in zip((True, False), WRONG[wrong], strict=True):
        failed = [check.name for check in verify(path, points=100, workers=1, exact=exact).checks if not check.ok]
        assert name in failed
        if len(set(WRONG[wrong])) == 1:
            break  # with and without the proof
    if wrong is remove_a_region:
        result = run("verify", path, "--exact")
        assert result.exit_code == 1
        assert "NOT the same" in result.stdout


def test_a_sample_beside_a_removed_region_finds_it(tmp_path):
    folder = in_many_files(*CASES["box"], tmp_path / "x.regions", each=30)
    remove_a_region(tmp_path / "x.regions")
    result = verify(tmp_path / "x.regions", points=50, workers=1, exact=True, sample=folder.regions - 2)
    assert "none is missing, proved" in [check.name for check in result.checks if not check.ok]


def test_an_altered_byte_and_a_file_that_others_need_are_refused(tmp_path):
    path = tmp_path / "x.regions"
    in_many_files(*CASES["box"], path, each=30)
    kept = {file: file.read_bytes() for file in files_of(path)}
    file = files_of(path)[1]
    for at in (-1, -500):
        content = bytearray(kept[file])
        content[at] ^= 1
        file.write_bytes(content)
        with pytest.raises(FormatError, match=r"hash|header"):
            verify(path, points=50, workers=1)
        result = run("verify", path)
        assert result.exit_code == 2
        one_sentence(result.stderr, file.name)
    file.write_bytes(kept[file])
    refused = 0
    for file in files_of(path):
        file.unlink()
        result = run("verify", path, "--json")
        refused += result.exit_code == 2
        assert result.exit_code == 2 or '"complete": false' in result.stdout  # it may be a run that was stopped
        file.write_bytes(kept[file])
    assert refused


# --- neighbours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["box", "whole space"])
def test_neighbours_in_all_files_are_those_of_the_list_in_memory(tmp_path, name):
    """Files of several charts overlap; those of one do not."""
    network, domain = CASES[name]
    folder = stream_regions(network, domain, tmp_path / "x.regions", max_regions=25)
    for _ in range(3):
        folder = stream_regions(network, domain, tmp_path / "x.regions", max_regions=25, resume=True)
    listed = {bytes(row) for shard in folder.shards for row in load_regions(shard, network).bits}
    chosen = enumerate_regions(network, domain).bits[::5]
    one_each = np.eye(network.neurons, dtype=bool)[switching(network)]
    flipped = (unpack(chosen, network.neurons)[:, None] ^ one_each).reshape(-1, network.neurons)
    expected = {bytes(row) for row in pack(flipped)}
    found = neighbours_listed(StoredNetwork(network, folder), chosen)
    assert {bytes(row) for row in found} == expected & listed
    assert len(found) > 0
