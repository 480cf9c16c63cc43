"""A stored shallow network is the same one when it is read back, or it is refused."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.sparse import csr_array

from relu_shallow import archive
from relu_shallow.archive import KEY, content_hash
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import FormatError, OutputError
from relu_shallow.network import Affine, from_layers, named
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.layout import check_tree
from relu_shallow.shallow.store import is_shallow_file, load_shallow, save_shallow
from relu_shallow.shallow.trie import Trie


def network(sparse: bool = False):
    rng = np.random.default_rng(7)
    layers = [(rng.normal(size=(5, 2)), rng.normal(size=5)), (rng.normal(size=(3, 5)), rng.normal(size=3)),
              (rng.normal(size=(2, 3)), rng.normal(size=2))]  # fmt: skip
    net = named(from_layers(layers, "softmax"), ("age", "blood, pressure"), ("no", "yes"))
    if sparse:
        net = replace(net, affine=tuple(Affine(csr_array(layer.W), layer.b) for layer in net.affine))
    return net


def convert(domain, sparse: bool = False, **limits):
    return shallow_network(enumerate_regions(network(sparse), domain, **limits))


DOMAINS = {
    "the whole space": WholeSpace(),
    "a box": Box([-1, -2], [1, 2]),
    "a box given by two numbers": Box(-1, 1),
    "a triangle": Polytope(np.array([[1.0, 1], [-1, 0], [0, -1]]), np.ones(3)),
}


@pytest.fixture(scope="module")
def shallow():
    return convert(Box(-2, 2))


@pytest.fixture
def stored(shallow, tmp_path):
    path = tmp_path / "a.shallow.safetensors"
    save_shallow(shallow, path)
    return path


def rewrite(path, change, rehash=True):
    """The file with its arrays and fields changed, by default with a hash that fits them."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()[KEY])
    claimed = about.pop("sha256")
    change(arrays, about)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    about["sha256"] = content_hash(arrays, about) if rehash else claimed
    save_file(arrays, path, metadata={KEY: json.dumps(about)})


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_what_is_read_back_is_what_was_stored(domain, sparse, tmp_path):
    before = convert(domain, sparse)
    save_shallow(before, tmp_path / "a")
    after = load_shallow(tmp_path / "a")
    for name in ("bits", "witnesses", "radii", "H", "c", "alpha", "beta"):
        np.testing.assert_array_equal(getattr(after.table, name), getattr(before.table, name))
    np.testing.assert_array_equal(after.table.trie.child, before.table.trie.child)
    np.testing.assert_array_equal(after.table.trie.row, before.table.trie.row)
    assert after.table.trie.root == before.table.trie.root
    assert after.completeness == before.completeness
    assert type(after.domain) is type(domain)
    for old, new in zip(before.network.affine, after.network.affine, strict=True):
        assert type(old.W) is type(new.W)
        np.testing.assert_array_equal(np.asarray((old.W - new.W).sum()), 0.0)
        np.testing.assert_array_equal(old.b, new.b)
    assert after.network.source == before.network.source
    assert after.network.head == "softmax"
    assert after.network.feature_names == ("age", "blood, pressure")
    assert after.network.output_names == ("no", "yes")
    X = before.table.witnesses
    np.testing.assert_array_equal(after(X), before(X))
    np.testing.assert_array_equal(after.network(X), before.network(X))


def test_a_partial_list_is_read_back_as_partial(tmp_path):
    save_shallow(convert(Box(-2, 2), max_regions=3), tmp_path / "a")
    assert not load_shallow(tmp_path / "a").completeness.complete


def test_a_single_region_has_a_tree_without_nodes(tmp_path):
    save_shallow(convert(Box([0, 0], [1e-6, 1e-6])), tmp_path / "a")
    assert load_shallow(tmp_path / "a").regions == 1


def test_the_same_network_is_stored_as_the_same_bytes(shallow, stored, tmp_path):
    save_shallow(shallow, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == stored.read_bytes()


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(stored, part):
    whole = stored.read_bytes()
    stored.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(FormatError):
        load_shallow(stored)


def test_a_changed_byte_anywhere_is_refused(stored):
    whole = stored.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= 4
        stored.write_bytes(changed)
        with pytest.raises(FormatError):
            load_shallow(stored)


def _drop(name):
    return lambda arrays, about: arrays.pop(name)


def _set(name, value):
    return lambda arrays, about: arrays.update({name: value(arrays[name])})


def _about(name, value):
    return lambda arrays, about: about.update({name: value})


def _poison(array, value=np.nan):
    array = array.copy()
    array.flat[0] = value
    return array


def _swap(arrays, about):
    arrays["table.0.alpha"], arrays["table.0.beta"] = arrays["table.0.beta"], arrays["table.0.alpha"]


def _surplus(arrays, about):
    arrays["surplus"] = np.zeros(3)


DAMAGE = {
    "an array is missing": _drop("table.0.H"),
    "a weight is missing": _drop("network.affine.1.W"),
    "arrays are swapped": _swap,
    "an array too many": _surplus,
    "a slope is NaN": _set("table.0.alpha", _poison),
    "a witness is infinite": _set("table.0.witnesses", lambda array: _poison(array, np.inf)),
    "a radius is NaN": _set("table.0.radii", _poison),
    "a radius is negative": _set("table.0.radii", lambda array: _poison(array, -1.0)),
    "a weight is NaN": _set("network.affine.0.W", _poison),
    "a region fewer": _set("table.0.bits", lambda array: array[1:]),
    "numbers of another precision": _set("table.0.H", lambda array: array.astype(np.float32)),
    "a row index beyond the rows": _set("table.0.trie.row", lambda array: _poison(array, 10**6)),
    "a child beyond the nodes": _set("table.0.trie.child", lambda array: _poison(array, 10**6)),
    "a child that is a region twice": _set("table.0.trie.child", lambda array: np.full_like(array, -1)),
    "a node that is its own child": _set("table.0.trie.child", lambda array: _poison(array, 0)),
    "an empty box": _set("domain.lo", lambda array: array + 100),
    "a box of another dimension": _set("domain.lo", lambda array: array[:1]),
    "an unknown domain": _about("domain", "sphere"),
    "an unknown level": _about("level", "gospel"),
    "completeness that is no truth value": _about("complete", "yes"),
    "no tables": _about("tables", []),
    "a record of effort with a hole": _about("effort", {"lps": 1}),
    "another format version": _about("version", 1),
    "no version": lambda arrays, about: about.pop("version"),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_does_not_fit_together_is_refused_even_with_a_fitting_hash(stored, change):
    rewrite(stored, change)
    with pytest.raises(FormatError) as refusal:
        load_shallow(stored)
    assert str(stored) in str(refusal.value)


def test_a_file_rewritten_without_change_is_read(shallow, stored):
    rewrite(stored, lambda arrays, about: None)
    assert load_shallow(stored).regions == shallow.regions


@pytest.mark.parametrize("change", [_set("table.0.beta", lambda array: array + 1), _about("complete", False)])
def test_content_that_does_not_match_its_hash_is_refused(stored, change):
    rewrite(stored, change, rehash=False)
    with pytest.raises(FormatError, match="hash"):
        load_shallow(stored)


def test_a_header_that_promises_more_than_the_file_is_refused(stored):
    whole = stored.read_bytes()
    stored.write_bytes(struct.pack("<Q", 1 << 60) + whole[8:])
    with pytest.raises(FormatError):
        load_shallow(stored)


def test_an_infinite_radius_is_allowed(tmp_path):
    whole = convert(WholeSpace())
    assert np.isinf(whole.table.radii).any()
    save_shallow(whole, tmp_path / "a")
    np.testing.assert_array_equal(load_shallow(tmp_path / "a").table.radii, whole.table.radii)


def test_a_converted_file_is_known_by_its_content(stored, tmp_path):
    other = tmp_path / "other.shallow.safetensors"
    save_file({"W": np.zeros(3)}, other)
    renamed = stored.rename(tmp_path / "renamed.bin")
    assert is_shallow_file(renamed)
    assert not is_shallow_file(other)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(FormatError, match=r"nowhere.*No such file"):
        load_shallow(tmp_path / "nowhere")


def test_a_full_disk_leaves_the_old_file(shallow, stored, monkeypatch):
    before = stored.read_bytes()

    def full(path, content):
        path.open("wb").write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        save_shallow(shallow, stored)
    assert stored.read_bytes() == before
    assert [entry.name for entry in stored.parent.iterdir()] == [stored.name]


def test_a_tree_is_one_that_leads_to_every_region_once():
    good = Trie(np.zeros(2, np.int64), np.array([[-1, 1], [-2, -3]]), 0)
    check_tree(good, 3)
    check_tree(Trie(np.zeros(0, np.int64), np.zeros((0, 2), np.int64), -1), 1)
    for child, root in (
        ([[-1, 1], [-2, -2]], 0),  # region 3 is lost
        ([[-1, -2], [-2, -3]], 0),  # node 1 is cut off
        ([[-1, 1], [1, -3]], 0),  # a cycle
        ([[1, -3], [-1, -2]], 0),  # the order of regions is not that of the tree
        ([[-1, 1], [-2, -3]], -1),  # the root is a region
    ):
        with pytest.raises(FormatError):
            check_tree(Trie(np.zeros(2, np.int64), np.array(child), root), 3)


def test_the_key_and_version_are_in_the_metadata(stored):
    about = archive.read_metadata(stored)
    assert about["version"] == archive.VERSION
    assert about["network"]["feature_names"] == ["age", "blood, pressure"]


def test_bits_beyond_the_neurons_are_refused(tmp_path):
    net = from_layers([(np.array([[1.0, 2.0], [0.5, -1.0], [1.0, 0.0]]), np.zeros(3)), (np.ones((1, 3)), np.zeros(1))])
    save_shallow(shallow_network(enumerate_regions(net, Box(np.full(2, -1.0), np.full(2, 1.0)))), tmp_path / "a")

    def pad(arrays, about):
        arrays["table.0.bits"][-1] |= 1

    rewrite(tmp_path / "a", pad)
    with pytest.raises(FormatError, match="beyond those of its 3 neurons"):
        load_shallow(tmp_path / "a")


@pytest.mark.parametrize("claim", ["partial", "open"])
def test_a_file_that_contradicts_its_own_certificate_is_refused(stored, claim):
    def alter(arrays, about):
        about["level"] = "certified"
        about["complete"] = claim != "partial"
        about["certificate"]["open"] = int(claim == "open")

    rewrite(stored, alter)
    with pytest.raises(FormatError, match="claims to be certified"):
        load_shallow(stored)


def test_a_rational_witness_of_any_length_is_kept(tmp_path):
    """More digits than Python writes in tens."""
    from dataclasses import replace
    from fractions import Fraction

    net = from_layers([(np.array([[1.0]]), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))])
    shallow = shallow_network(enumerate_regions(net, Box(-1.0, 1.0)))
    x = (Fraction(-(3**10_000), 7**9_000),)
    table = replace(shallow.table, exact_witnesses={1: x})
    save_shallow(replace(shallow, tables=(table,)), tmp_path / "a")
    assert load_shallow(tmp_path / "a").table.exact_witnesses == {1: x}
    for text in ("1/0", "1", "x/2", 3):
        given = {"1": [text]}
        rewrite(tmp_path / "a", lambda arrays, about, given=given: about["tables"][0].update(exact_witnesses=given))
        with pytest.raises(FormatError, match="exact witness"):
            load_shallow(tmp_path / "a")
