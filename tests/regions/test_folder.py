"""Regions in the files of a folder are those of the list in memory, however the search was stopped or shared out."""

import shutil
import signal
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from command_line import start
from hard import layers
from networks import NAMED

from relu_shallow.archive import read_archive, write_archive
from relu_shallow.atomic import locked
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import FormatError, OutputError, UsageError
from relu_shallow.network import from_layers, named
from relu_shallow.regions import gathering
from relu_shallow.regions.folder import ABOUT, FINISHED, find, open_folder
from relu_shallow.regions.gathering import merge_folders
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.shard import load_regions, map_regions
from relu_shallow.regions.stream import stream_regions

DOMAINS = {
    "box": Box(-1.0, 1.0),
    "flat box": Box([-1, 0.25, -1], [1, 0.25, 1]),
    "whole space": WholeSpace(),
    "polytope": Polytope([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [1.0, 1.0, 1.0]], [0.5, 0.0, 1.0]),
}
domains = pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)


def random_network(widths, seed=0):
    r = np.random.default_rng(seed)
    return from_layers(
        [(r.normal(size=(o, i)) / np.sqrt(i), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]
    )


NETWORK = random_network((3, 12, 8, 1))
WIDE = random_network((4, 16, 16, 1))  # 6,778 regions in the box


def gathered(folder):
    """(bits, witnesses, radii, exact witnesses by pattern) of all files, and that maps see what loading reads."""
    found = [load_regions(shard, folder.network) for shard in folder.shards]
    if not found:
        return np.zeros((0, 1), np.uint8), np.zeros((0, folder.network.inputs)), np.zeros(0), {}
    for shard, batch in zip(folder.shards, found, strict=True):
        for mapped, loaded in zip(map_regions(shard, folder.network), (batch.bits, batch.witnesses, batch.radii),
                                  strict=True):  # fmt: skip
            assert np.array_equal(mapped, loaded)
    bits = np.concatenate([batch.bits for batch in found])
    exact = {pattern: point for batch in found for pattern, point in batch.exact.items()}
    return bits, np.concatenate([b.witnesses for b in found]), np.concatenate([b.radii for b in found]), exact


def same_regions(folder, listed):
    """Whether a folder holds the regions of a list, each once."""
    patterns = list(map(bytes, gathered(folder)[0]))
    return sorted(patterns) == list(map(bytes, listed.bits))


def resumed(network, domain, path, **extra):
    """A search stopped again and again, gone on with until it is complete; how often it was."""
    for number in range(20):
        folder = stream_regions(network, domain, path, time_limit=0.005 * 1.5**number, resume=number > 0, **extra)
        if folder.complete:
            return folder, number
    raise AssertionError("it makes no progress")


@domains
@pytest.mark.parametrize("workers", [1, 3])
def test_a_folder_holds_the_regions_witnesses_and_radii_of_the_list_in_memory(tmp_path, domain, workers):
    listed = enumerate_regions(NETWORK, domain)
    folder = stream_regions(NETWORK, domain, tmp_path / "a.regions", workers=workers)
    bits, witnesses, radii, _ = gathered(folder)
    assert np.array_equal(bits, listed.bits)
    assert (folder.complete, folder.level, folder.regions) == (True, "certified", listed.regions)
    assert folder.certificate.witness + folder.certificate.exact >= folder.regions
    np.testing.assert_allclose(radii, listed.radii, rtol=1e-9)
    assert np.array_equal(find(folder, listed.bits), np.arange(listed.regions))
    if workers == 1:
        assert np.array_equal(witnesses, listed.witnesses)


@pytest.mark.parametrize("name", NAMED)
def test_tiny_networks_have_folders_too(tmp_path, name):
    given = NAMED[name]
    folder = stream_regions(given.network, Box(*given.box), tmp_path / "a.regions")
    assert (folder.regions, folder.complete) == (given.regions_in_box, True)
    everywhere = stream_regions(given.network, WholeSpace(), tmp_path / "b.regions")
    assert same_regions(everywhere, enumerate_regions(given.network, WholeSpace()))
    again = stream_regions(given.network, WholeSpace(), tmp_path / "b.regions", resume=True)
    assert same_regions(again, enumerate_regions(given.network, WholeSpace()))


@pytest.mark.parametrize("kind", ["an ulp apart", "zero biases", "integers"])
def test_regions_too_thin_for_floats_keep_their_rational_witnesses(tmp_path, kind):
    points = 0
    for seed in range(4):
        network = from_layers(layers(kind, seed))
        listed = enumerate_regions(network, Box(-1.0, 1.0))
        folder, _ = resumed(network, Box(-1.0, 1.0), tmp_path / f"{seed}.regions")
        assert same_regions(folder, listed)
        assert folder.level == "certified"
        expected = {bytes(listed.bits[region]): point for region, point in listed.exact_witnesses.items()}
        assert gathered(folder)[3] == expected
        points += len(expected)
    assert points > 0 or kind != "an ulp apart"


@domains
def test_a_search_stopped_again_and_again_finds_the_same(tmp_path, domain):
    network = WIDE if isinstance(domain, Box) and len(np.unique(domain.lo)) == 1 else NETWORK
    listed = enumerate_regions(network, domain)
    folder, times = resumed(network, domain, tmp_path / "a.regions", workers=2)
    assert same_regions(folder, listed)
    assert times > 0 or listed.regions < 2_000
    assert folder.effort.lps > 0


def test_a_limit_on_regions_leaves_what_a_later_run_goes_on_with(tmp_path):
    first = stream_regions(WIDE, Box(-1.0, 1.0), tmp_path / "a.regions", max_regions=500)
    assert not first.complete
    assert first.level == "witnessed"
    assert 500 <= first.regions < 6_778
    assert first.unfinished > 0
    opened = open_folder(tmp_path / "a.regions")
    assert (opened.regions, opened.unfinished, opened.level) == (first.regions, first.unfinished, "witnessed")
    last = stream_regions(WIDE, Box(-1.0, 1.0), tmp_path / "a.regions", resume=True)
    assert same_regions(last, enumerate_regions(WIDE, Box(-1.0, 1.0)))


RUN = """
import sys
import numpy as np
from pathlib import Path
from relu_shallow.domain import Box
from relu_shallow.regions import journal
journal.FULL = 200  # small files, so that there are many moments to be killed at
sys.path.insert(0, sys.argv[2])
from test_folder import WIDE
from relu_shallow.regions.stream import stream_regions
print("begun", flush=True)
while True:
    if stream_regions(WIDE, Box(-1.0, 1.0), Path(sys.argv[1]), workers=2, max_regions=300, resume=True).complete:
        break
"""


def test_a_search_that_is_killed_loses_and_repeats_nothing(tmp_path):
    """SIGKILL at moments all over the run, each time gone on with by another process."""
    path, killed = tmp_path / "a.regions", 0
    listed = enumerate_regions(WIDE, Box(-1.0, 1.0))
    here = __import__("pathlib").Path(__file__).parents[1]
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = start(str(path), str(here / "regions"), code=RUN, cwd=here)
        assert process.stdout.readline() == "begun\n", process.communicate()[1]
        time.sleep(rng.uniform(0.0, 0.4))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        if (path / ABOUT).is_file() and open_folder(path).shards:
            assert set(map(bytes, gathered(open_folder(path))[0])) <= set(map(bytes, listed.bits))
    assert killed
    folder = stream_regions(WIDE, Box(-1.0, 1.0), path, resume=True)
    assert same_regions(folder, listed)
    assert not [file for file in path.iterdir() if file.name.startswith(".")]


def test_a_merge_of_charts_that_is_killed_is_done_anew(tmp_path, monkeypatch):
    listed = enumerate_regions(NETWORK, WholeSpace())

    def killed(*words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gathering, "_close", killed)
        with pytest.raises(KeyboardInterrupt):
            stream_regions(NETWORK, WholeSpace(), tmp_path / "a.regions")
    assert list((tmp_path / "a.regions").glob("region-*"))
    begun = open_folder(tmp_path / "a.regions")  # every subtree is searched, but regions stand there more than once
    assert (begun.unfinished, begun.complete, begun.level) == (0, False, "witnessed")
    assert begun.regions > listed.regions
    folder = stream_regions(NETWORK, WholeSpace(), tmp_path / "a.regions", resume=True)
    assert same_regions(folder, listed)
    assert not list((tmp_path / "a.regions").glob("shard-*"))


def test_a_folder_of_one_region_is_complete_only_when_that_is_there(tmp_path, monkeypatch):
    def killed(*words):
        raise KeyboardInterrupt

    path, network = tmp_path / "a.regions", NAMED["linear"].network
    for name in ("_close", "write_shard"):
        with monkeypatch.context() as patch:
            patch.setattr(gathering, name, killed)
            with pytest.raises(KeyboardInterrupt):
                stream_regions(network, Box(-1.0, 1.0), path, resume=True)
        assert not path.exists() or not open_folder(path).complete
    folder = stream_regions(network, Box(-1.0, 1.0), path, resume=True)
    assert (folder.regions, folder.complete, folder.level) == (1, True, "certified")


def test_a_file_altered_before_charts_are_merged_is_noticed_then(tmp_path, monkeypatch):
    """All is searched, so that nothing but the merge reads the file again."""

    def killed(*words):
        raise KeyboardInterrupt

    path = tmp_path / "a.regions"
    with monkeypatch.context() as patch:
        patch.setattr(gathering, "_close", killed)
        with pytest.raises(KeyboardInterrupt):
            stream_regions(NETWORK, WholeSpace(), path)
    shard = next(shard for shard in open_folder(path).shards if shard.regions and not shard.rest)
    content = bytearray(shard.path.read_bytes())
    content[-3] ^= 1
    shard.path.write_bytes(content)
    with pytest.raises(FormatError, match="does not match its hash"):
        stream_regions(NETWORK, WholeSpace(), path, resume=True)
    assert not open_folder(path).complete


# --- parts ---


@domains
@pytest.mark.parametrize("parts", [2, 5])
def test_the_parts_of_a_search_are_disjoint_and_together_the_whole(tmp_path, domain, parts):
    network = WIDE if domain is DOMAINS["box"] else NETWORK
    listed = enumerate_regions(network, domain)
    paths = [tmp_path / f"{part}.regions" for part in range(1, parts + 1)]
    found = [stream_regions(network, domain, path, share=(part, parts)) for part, path in enumerate(paths, 1)]
    assert not any(part.complete for part in found)
    if isinstance(domain, Box):
        assert sum(part.regions for part in found) == listed.regions
    assert network is NETWORK or min(part.regions for part in found) > 0
    whole = merge_folders(paths[::-1], tmp_path / "all.regions")
    assert same_regions(whole, listed)
    assert (whole.complete, whole.level) == (True, "certified")
    assert [open_folder(path).regions for path in paths] == [part.regions for part in found]  # as they were


def test_parts_that_were_stopped_are_gone_on_with_and_refused_before(tmp_path):
    listed = enumerate_regions(WIDE, Box(-1.0, 1.0))
    paths = [tmp_path / "1.regions", tmp_path / "2.regions"]
    stream_regions(WIDE, Box(-1.0, 1.0), paths[0], share=(1, 2), max_regions=50)
    stream_regions(WIDE, Box(-1.0, 1.0), paths[1], share=(2, 2))
    with pytest.raises(UsageError, match=r"1\.regions is not finished"):
        merge_folders(paths, tmp_path / "all.regions")
    stream_regions(WIDE, Box(-1.0, 1.0), paths[0], share=(1, 2), resume=True)
    assert same_regions(merge_folders(paths, tmp_path / "all.regions"), listed)


def test_parts_of_different_searches_or_not_all_are_refused(tmp_path):
    one, two, other = (tmp_path / f"{name}.regions" for name in ("one", "two", "other"))
    for path, share, domain in ((one, (1, 2), 1.0), (two, (2, 2), 1.0), (other, (2, 2), 2.0)):
        stream_regions(NETWORK, Box(-domain, domain), path, share=share)
    with pytest.raises(UsageError, match="another network or domain"):
        merge_folders([one, other], tmp_path / "a.regions")
    for given in ([one], [one, one], [one, two, two], []):
        with pytest.raises(UsageError, match="part"):
            merge_folders(given, tmp_path / "a.regions")
    assert not (tmp_path / "a.regions").exists()
    with pytest.raises(UsageError, match="no parts"):
        stream_regions(NAMED["linear"].network, Box(-1.0, 1.0), tmp_path / "b.regions", share=(1, 2))


# --- folders that are not what they should be ---


@pytest.fixture
def made(tmp_path):
    """A folder of several files over a box, begun twice and finished."""
    for number in range(3):
        limit = None if number == 2 else 2_000
        stream_regions(WIDE, Box(-1.0, 1.0), tmp_path / "a.regions", max_regions=limit, resume=number > 0)
    assert len(open_folder(tmp_path / "a.regions").shards) >= 3
    return tmp_path / "a.regions"


def test_a_file_that_was_lost_is_noticed_or_searched_again(made):
    listed = enumerate_regions(WIDE, Box(-1.0, 1.0))
    for shard in open_folder(made).shards:
        content = shard.path.read_bytes()
        shard.path.unlink()
        if shard.rest:  # others went on from what it left
            with pytest.raises(FormatError, match="do not belong together"):
                open_folder(made)
            shard.path.write_bytes(content)
        else:
            assert open_folder(made).unfinished == len(shard.tasks)
            assert same_regions(stream_regions(WIDE, Box(-1.0, 1.0), made, resume=True), listed)


def test_a_file_twice_or_of_another_search_is_noticed(made, tmp_path):
    first = open_folder(made).shards[0].path
    shutil.copy(first, made / "shard-000099.safetensors")
    with pytest.raises(FormatError, match="do not belong together"):
        open_folder(made)
    other = stream_regions(WIDE, Box(-2.0, 2.0), tmp_path / "b.regions")
    shutil.copy(other.shards[0].path, made / "shard-000099.safetensors")
    with pytest.raises(FormatError, match="another network or domain"):
        open_folder(made)
    (made / "shard-000099.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(FormatError, match="not a file of a list"):
        open_folder(made)


def test_a_file_that_was_altered_is_noticed_when_it_is_read(made):
    shard = open_folder(made).shards[0]
    arrays, about = read_archive(shard.path)
    content = bytearray(shard.path.read_bytes())
    content[-3] ^= 1
    shard.path.write_bytes(content)
    with pytest.raises(FormatError, match="damaged"):
        load_regions(shard, WIDE)
    write_archive(shard.path, {**arrays, "bits": arrays["bits"][:-1]}, about)
    with pytest.raises(FormatError, match="damaged"):
        load_regions(shard, WIDE)
    with pytest.raises(FormatError, match="damaged"):
        map_regions(shard, WIDE)


def test_a_folder_is_gone_on_with_only_as_what_it_is(made, tmp_path):
    before = sorted(path.name for path in made.iterdir())
    other = from_layers([(layer.W * 2, layer.b) for layer in WIDE.affine])
    for network, domain, extra in (
        (other, Box(-1.0, 1.0), {}),
        (WIDE, Box(-1.0, 2.0), {}),
        (WIDE, WholeSpace(), {}),
        (WIDE, Box(-1.0, 1.0), {"certify": False}),
    ):
        with pytest.raises(UsageError, match="another network or domain"):
            stream_regions(network, domain, made, resume=True, **extra)
    with pytest.raises(UsageError, match="begun as the whole"):
        stream_regions(WIDE, Box(-1.0, 1.0), made, resume=True, share=(1, 2))
    with pytest.raises(UsageError, match="there already: go on with it by --resume"):
        stream_regions(WIDE, Box(-1.0, 1.0), made)
    assert sorted(path.name for path in made.iterdir()) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for resume in (False, True):
        with pytest.raises(UsageError, match="name another folder"):
            stream_regions(WIDE, Box(-1.0, 1.0), tmp_path / "mine", resume=resume)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_folder_names_the_charts_the_head_and_the_features_it_was_begun_with(tmp_path, monkeypatch):
    path = tmp_path / "a.regions"
    stream_regions(NETWORK, WholeSpace(), path, max_regions=100)
    with monkeypatch.context() as patch:
        patch.setattr("relu_shallow.regions.charts.natural_radius", lambda network: 0.5)
        with pytest.raises(UsageError, match="another network or domain"):
            stream_regions(NETWORK, WholeSpace(), path, resume=True)
    for other in (named(NETWORK, ("a", "b", "c")), replace(NETWORK, head="sigmoid")):
        with pytest.raises(UsageError, match="feature names"):
            stream_regions(other, WholeSpace(), path, resume=True)
    assert stream_regions(NETWORK, WholeSpace(), path, resume=True).complete


def test_equal_domains_are_equal_however_their_zeros_are_signed(tmp_path):
    stream_regions(WIDE, Box(-0.0, 1.0), tmp_path / "a.regions", max_regions=10)
    assert stream_regions(WIDE, Box(0.0, 1.0), tmp_path / "a.regions", resume=True).complete


def test_a_file_cut_short_is_noticed_on_opening(made):
    shard = open_folder(made).shards[1]
    content = shard.path.read_bytes()
    for size in (len(content) - 1, len(content) // 2, 100, 0):
        shard.path.write_bytes(content[:size])
        with pytest.raises(FormatError):
            open_folder(made)


def test_what_is_not_ours_stays_in_the_folder(made):
    strangers = {".backup.safetensors": b"mine", "notes.txt": b"dear"}
    for name, content in strangers.items():
        (made / name).write_bytes(content)
    (made / ".shard-000001.abcd.safetensors").write_bytes(b"begun and given up")
    assert stream_regions(WIDE, Box(-1.0, 1.0), made, resume=True).complete
    assert {name: (made / name).read_bytes() for name in strangers} == strangers
    assert not (made / ".shard-000001.abcd.safetensors").exists()


def test_two_searches_do_not_write_into_one_folder(made):
    with locked(made / ABOUT), pytest.raises(OutputError, match="another process"):
        stream_regions(WIDE, Box(-1.0, 1.0), made, resume=True)


def test_a_finished_folder_that_lacks_regions_is_damaged(tmp_path):
    folder = stream_regions(NETWORK, WholeSpace(), tmp_path / "a.regions")
    assert (tmp_path / "a.regions" / FINISHED).is_file()
    folder.shards[-1].path.unlink()
    with pytest.raises(FormatError, match="hold others"):
        open_folder(tmp_path / "a.regions")


@pytest.mark.parametrize("name", [ABOUT, FINISHED])
def test_a_journal_that_was_altered_is_refused(tmp_path, name):
    stream_regions(NETWORK, WholeSpace(), tmp_path / "a.regions")
    file = tmp_path / "a.regions" / name
    content = file.read_bytes()
    file.write_bytes(content.replace(b'\\"kind\\": \\"', b'\\"kind\\": \\"x'))
    with pytest.raises(FormatError):
        open_folder(tmp_path / "a.regions")
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError):
        open_folder(tmp_path / "a.regions")


def test_patterns_that_are_not_listed_are_not_found(tmp_path):
    folder = stream_regions(WIDE, Box(-1.0, 1.0), tmp_path / "a.regions", max_regions=3_000)
    listed = {bytes(row) for row in gathered(folder)[0]}
    asked = np.random.default_rng(0).integers(0, 256, (5_000, 4), dtype=np.uint8)
    asked = np.concatenate([asked, enumerate_regions(WIDE, Box(-1.0, 1.0)).bits])
    assert [bytes(row) in listed for row in asked] == (find(folder, asked) >= 0).tolist()
