"""Files that are missing, cut short, damaged or of another kind: one clear error each."""

import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch import nn

from relu_shallow.errors import ModelError
from relu_shallow.load import READERS, load_network
from relu_shallow.network import Network


def write_onnx(path):
    W = numpy_helper.from_array(np.ones((3, 2), np.float32), "W")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "W"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])], [W])  # fmt: skip
    onnx.save(helper.make_model(graph), path)


def write_nnet(path):
    path.write_text("1,2,1,2,\n2,1,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n3.5,2.25,\n1.75,\n")


WRITERS = {
    "m.onnx": write_onnx,
    "m.nnet": write_nnet,
    "m.safetensors": lambda path: save_file({"a.weight": np.ones((2, 3))}, path),
    "zip.pt": lambda path: torch.save(nn.Sequential(nn.Linear(3, 2)), path),
    "legacy.pth": lambda path: torch.save(nn.Sequential(nn.Linear(3, 2)), path, _use_new_zipfile_serialization=False),
    "state.pt": lambda path: torch.save(nn.Sequential(nn.Linear(3, 2)).state_dict(), path),
    "script.pt": lambda path: torch.jit.script(nn.Linear(3, 2)).save(path),
    "m.pt2": lambda path: torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.zeros(1, 3),)), path),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    for name, write in WRITERS.items():
        write(folder / name)
    return folder


@pytest.mark.parametrize("name", WRITERS)
def test_a_whole_file_is_read(name, written):
    assert isinstance(load_network(written / name), Network)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_cut_short_anywhere_is_refused(name, written, tmp_path):
    data = (written / name).read_bytes()
    for length in sorted({1, 4, 9, *np.linspace(10, len(data) - 4, 12).astype(int)}):
        (tmp_path / name).write_bytes(data[:length])
        with pytest.raises(ModelError) as refusal:
            load_network(tmp_path / name)
        assert "\n" not in str(refusal.value)
        assert name in str(refusal.value)


@pytest.mark.parametrize("name", WRITERS)
def test_bytes_that_are_not_a_model_are_refused(name, tmp_path):
    for seed in range(5):
        (tmp_path / name).write_bytes(np.random.default_rng(seed).bytes(300))
        with pytest.raises(ModelError, match="not a readable"):
            load_network(tmp_path / name)


@pytest.mark.parametrize("name", WRITERS)
def test_a_few_flipped_bytes_never_end_in_a_traceback(name, written, tmp_path):
    data = bytearray((written / name).read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), size=3):
            damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / name).write_bytes(damaged)
        try:
            assert isinstance(load_network(tmp_path / name), Network)
        except ModelError as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017


@pytest.mark.parametrize("ending", [*READERS, ".unknown"])
def test_a_missing_file_an_empty_file_and_a_folder_are_said_so(ending, tmp_path):
    path = tmp_path / f"m{ending}"
    with pytest.raises(ModelError, match="does not exist"):
        load_network(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        load_network(str(path))
    with pytest.raises(ModelError, match="is a folder"):
        load_network(tmp_path)


@pytest.mark.parametrize(("ending", "instead"), [(".pb", "tf2onnx"), (".pkl", "runs code"), (".txt", ".onnx, .nnet"),
                                                 ("", "(none)")])  # fmt: skip
def test_an_ending_that_is_not_read_is_refused_with_what_is(ending, instead, tmp_path):
    (tmp_path / f"m{ending}").write_bytes(b"some bytes")
    with pytest.raises(ModelError, match=instead.replace("(", r"\(").replace(")", r"\)")):
        load_network(tmp_path / f"m{ending}")


@pytest.mark.parametrize(("name", "ending"), [("zip.pt", ".pt2"), ("m.pt2", ".pt"), ("script.pt", ".onnx"),
                                              ("m.safetensors", ".pt"), ("legacy.pth", ".nnet")])  # fmt: skip
def test_a_file_with_the_ending_of_another_format_is_read_by_its_content(name, ending, written, tmp_path):
    shutil.copy(written / name, tmp_path / f"m{ending}")
    assert load_network(tmp_path / f"m{ending}").inputs == 3


@pytest.mark.parametrize(("name", "ending"), [("m.onnx", ".pt"), ("m.nnet", ".onnx"), ("m.onnx", ".nnet")])
def test_a_file_with_a_wrong_ending_that_its_content_does_not_tell_is_refused(name, ending, written, tmp_path):
    shutil.copy(written / name, tmp_path / f"m{ending}")
    with pytest.raises(ModelError, match="not a readable"):
        load_network(tmp_path / f"m{ending}")
