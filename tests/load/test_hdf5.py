"""HDF5 files read in plain Python: as h5py reads them, and whatever Keras never writes refused by name."""

import h5py
import numpy as np
import pytest
from conftest import data_path
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras_writer import layer, sequential, write_h5

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.load.hdf5 import open_hdf5
from relu_shallow.load.reading import read_model_file
from relu_shallow.network import Network


def text(value):
    """An attribute with its bytes as text."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(value, list):
        return [text(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


def assert_same(node, group):
    """How many arrays a node holds, all of them and all attributes as h5py reads them."""
    assert set(node.links) == set(group)
    assert set(node.attributes) == set(group.attrs)
    for name, value in group.attrs.items():
        assert text(node.attribute(name)) == text(value)
    count = 0
    for name, member in group.items():
        if isinstance(member, h5py.Group):
            count += assert_same(node.child(name), member)
        else:
            array = node.child(name).array()
            assert (array.dtype, array.shape) == (member.dtype, member.shape)
            assert np.array_equal(array, member[()])
            count += 1
    return count


def compare(path):
    with h5py.File(path) as file:
        return assert_same(open_hdf5(read_model_file(path)), file["/"])


@pytest.mark.parametrize("name", ["AC-3", "BM-5", "GC-1"])
def test_a_file_of_keras_is_read_as_h5py_reads_it(name):
    assert compare(data_path(f"keras/{name}.h5")) >= 10


TYPES = st.sampled_from(["<f4", "<f8", ">f4", "<f2", "<i4", "<u2", ">i8", "u1"])


@pytest.mark.parametrize("library", ["earliest", "latest"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_groups_attributes_and_arrays_are_read_as_h5py_reads_them(library, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("h") / "f.h5"
    many = 300 if library == "earliest" and data.draw(st.booleans()) else 4  # a tree of several nodes
    with h5py.File(path, "w", libver=library) as file:
        for number in range(many):
            group = file.create_group(f"g/{number}{'' if many > 4 else ' é'}")
            if number < 4:
                shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=3)))
                values = np.random.default_rng(number).integers(0, 99, shape)
                group["a"] = np.asarray(values, data.draw(TYPES))
                group.attrs["text"] = data.draw(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
                group.attrs["bytes"] = np.bytes_(b"x" * data.draw(st.integers(1, 70)))
                group.attrs["names"] = [b"ab", b"c"]
                group.attrs["texts"] = ["ab", "é", ""]
                group.attrs["number"], group.attrs["numbers"] = 3.5, np.arange(4)
    assert compare(path) == min(many, 4)


def test_a_dense_group_is_refused_by_name(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w", libver="latest") as file:
        for number in range(30):
            file.create_group(str(number))
    with pytest.raises(ModelError, match="fractal heap"):
        _ = open_hdf5(read_model_file(tmp_path / "f.h5")).links


ELSEWHERE = {
    "an external link": lambda file: file.__setitem__("k", h5py.ExternalLink("other.h5", "k")),
    "a soft link": lambda file: file.__setitem__("k", h5py.SoftLink("/other")),
    "in another file": lambda file: file.create_dataset("k", (2,), "f4", external=[("other", 0, 8)]),
    "in chunked form": lambda file: file.create_dataset("k", (2,), "f4", chunks=(1,)),
    "compressed": lambda file: file.create_dataset("k", (2,), "f4", compression="gzip"),
}


@pytest.mark.parametrize("library", ["earliest", "latest"])
@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_keras_never_writes_is_refused_by_name(what, library, tmp_path):
    with h5py.File(tmp_path / "f.h5", "w", libver=library) as file:
        ELSEWHERE[what](file)
    with pytest.raises(ModelError, match=f"{what}.*Keras never writes"):
        open_hdf5(read_model_file(tmp_path / "f.h5")).child("k").array()


def test_groups_that_keep_their_order_are_read(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w", track_order=True) as file:
        for name in "cab":
            file.create_group(name, track_order=True).attrs["n"] = name
    compare(tmp_path / "f.h5")


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    whole = write_h5(tmp_path / "m.h5", small()).read_bytes()
    for length in range(8, len(whole), 211):
        (tmp_path / "m.h5").write_bytes(whole[:length])
        with pytest.raises(ModelError, match="not a readable"):
            load_network(tmp_path / "m.h5")


def small():
    weights = {"kernel": np.eye(3), "bias": np.ones(3)}
    return sequential((3,), layer("Dense", weights=weights, activation="relu"), layer("Dense", weights=weights))


@pytest.mark.parametrize("library", ["earliest", "latest"])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(library, tmp_path):
    """The C library ended with a signal, or did not end, on three of 2,700 files made like these."""
    whole = write_h5(tmp_path / "m.h5", small(), libver=library).read_bytes()
    rng, refused = np.random.default_rng(7), 0
    for _ in range(120):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 7)):
            damaged[place] = rng.choice([0, 1, 255, rng.integers(256)])
        (tmp_path / "m.h5").write_bytes(damaged)
        try:
            assert isinstance(load_network(tmp_path / "m.h5"), Network)
        except ModelError as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017
            refused += 1
    assert 10 < refused < 120
