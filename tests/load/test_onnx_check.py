"""A file run by onnxruntime and held to the network that was read from it."""

import sys

import numpy as np
import onnx
import pytest
from conftest import data_path
from onnx_models import Case, node, weights

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network, onnx_ops

W = {"W": weights(0, 3, 4), "V": weights(1, 4, 2)}
NODES = [node("MatMul", "x W", "h"), node("Relu", "h", "r"), node("MatMul", "r V", "z"), node("Softmax", "z", "y")]


@pytest.mark.parametrize("name", ["acasxu/vnncomp_ACASXU_run2a_1_1_batch_2000", "omlt/convx1_gemmx1", "omlt/gemm",
                                  "layer-zoo/maxpool", "layer-zoo/gemm", "archcomp/NAV_nn-nav-point"])  # fmt: skip
def test_a_real_file_agrees_with_onnxruntime(name):
    source = load_network(data_path(f"onnx/{name}.onnx"), check_source=True).source
    assert source.checked.startswith("onnxruntime ")
    assert "96 rows agree, largest relative difference" in source.checked


ASKED = ({}, {"until": "Relu 1"}, {"until": "r"}, {"until": "Softmax 3"}, {"output_name": "r"})


@pytest.mark.parametrize("asked", ASKED)
def test_the_part_that_is_asked_for_is_the_part_that_is_run(asked, tmp_path):
    path = Case(NODES, (1, 3), W, outputs=("y", "r")).save(tmp_path)
    asked = {"output_name": "y"} | asked
    assert "rows agree" in load_network(path, check_source=True, **asked).source.checked


def test_a_file_that_is_read_wrongly_is_refused(tmp_path, monkeypatch):
    path = Case(NODES[:-1], (1, 3), W, outputs=("z",)).save(tmp_path)
    monkeypatch.setitem(onnx_ops.SYMBOLIC, "Relu", onnx_ops.SYMBOLIC["Abs"])
    assert load_network(path).source.checked == ""
    with pytest.raises(ModelError, match=r"by onnxruntime .* differ by up to .*more than rounding explains"):
        load_network(path, check_source=True)


def test_one_weight_a_thousandth_off_is_seen(tmp_path, monkeypatch):
    path = Case(NODES[:-1], (1, 3), W, outputs=("z",)).save(tmp_path)
    right = onnx_ops.SYMBOLIC["MatMul"]

    def wrong(walk, node, a, b):
        b = np.array(b)
        b[0, 0] *= 1.001
        return right(walk, node, a, b)

    monkeypatch.setitem(onnx_ops.SYMBOLIC, "MatMul", wrong)
    with pytest.raises(ModelError, match="more than rounding explains"):
        load_network(path, check_source=True)


def test_a_file_that_cannot_be_run_is_read_and_the_reason_told(tmp_path, monkeypatch, capsys):
    path = data_path("onnx/archcomp/ACC_controller_5_20.onnx")  # a Gemm of a tensor of four axes
    assert load_network(path, check_source=True).source.checked == ""
    assert "the source was not run: onnxruntime" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = Case(NODES, (1, 3), W).save(tmp_path)
    assert load_network(path, check_source=True).source.checked == ""
    assert "the source was not run: onnxruntime is not installed" in capsys.readouterr().err


def test_nothing_is_run_or_opened_that_was_not_read(tmp_path, monkeypatch):
    """A node off the path, with a tensor in another file: both stay out of what onnxruntime is given."""
    handed = []
    import onnxruntime

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model, *rest, **options):
            handed.append(onnx.load_model_from_string(model))
            super().__init__(model, *rest, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    nodes = [*NODES, node("Gather", "big c", "unused")]
    case = Case(nodes, (1, 3), {**W, "big": weights(2, 5), "c": np.array(0)})
    model = onnx.load(case.save(tmp_path))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "V")
    (tmp_path / "v.bin").write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, "v.bin", 0, len(tensor.raw_data))
    tensor.ClearField("raw_data")
    path = tmp_path / "beside.onnx"
    path.write_bytes(model.SerializeToString())
    assert "rows agree" in load_network(path, check_source=True).source.checked
    (model,) = handed
    assert {made.op_type for made in model.graph.node} == {"MatMul", "Relu", "Softmax"}
    assert {tensor.name for tensor in model.graph.initializer} == {"W", "V"}
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


def test_double_precision_is_held_to_double_precision(tmp_path):
    case = Case(NODES[:-1], (1, 3), {key: value.astype(np.float64) for key, value in W.items()}, outputs=("z",))
    model = onnx.load(case.save(tmp_path))
    for entry in (*model.graph.input, *model.graph.output):
        entry.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    path = tmp_path / "double.onnx"
    path.write_bytes(model.SerializeToString())
    checked = load_network(path, check_source=True).source.checked
    assert float(checked.split()[-1]) < 1e-13


