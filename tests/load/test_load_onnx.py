import subprocess
import sys

import numpy as np
import onnx
import pytest
from conftest import data_path
from framework_agreement import Loaded
from onnx import TensorProto, helper, numpy_helper

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.precision import UNIT

REAL = {
    "acasxu/ACASXU_run2a_1_1_batch_2000": (5, (50,) * 6, 5),
    "acasxu/ACASXU_run2a_1_9_batch_2000": (5, (50,) * 6, 5),
    "acasxu/vnncomp_ACASXU_run2a_1_1_batch_2000": (5, (50,) * 6, 5),
    "archcomp/Double_Pendulum_controller_double_pendulum_less_robust": (4, (25, 25), 2),
    "archcomp/NAV_nn-nav-point": (4, (64, 32), 2),
    "archcomp/NAV_nn-nav-set": (4, (64, 32), 2),
    "archcomp/Single_Pendulum_controller_single_pendulum": (2, (25, 25), 1),
    "archcomp/VCAS_VertCAS_noResp_pra01_v9_20HU_200": (3, (20,) * 5, 9),
    "conv/NN_rul_small_window_20": (400, (1600, 2400, 800, 600, 100), 1),
    "conv/cifar_deep_kw": (3072, (2048, 2048, 2048, 512, 100), 10),
    "mnist_fc/mnist-net_256x2": (784, (256, 256), 10),
    "omlt/convx1_gemmx1": (49, (1,), 1),
    "omlt/gemm": (784, (75, 75), 10),
    "omlt/gemm_not_transB": (2, (2,), 1),
    "omlt/gemm_transB": (2, (2,), 1),
    "omlt/keras_conv_7x7_relu": (49, (36,), 36),
    "omlt/keras_linear_131_relu": (1, (3,), 1),
    "reach_prob_density/robot": (5, (64, 64, 64), 5),
    "rl/cartpole": (4, (64, 64), 2),
    "tiny/test_nano": (1, (1,), 1),
    "tiny/test_small": (1, (2, 2), 1),
    "tiny/test_tiny": (1, (1,), 1),
    "tll/tllBench_n2_NM8_m1_instance_0_0": (2, (128, 64, 32, 16, 8, 4), 1),
}
WHOLE_TENSOR = ("add", "batchnorm", "conv", "flatten", "gemm", "identity", "leakyRelu", "matmul", "relu", "reshape",
                "reshape_with_dimension_inference", "sigmoid", "squeeze", "squeeze_with_axes", "sub", "tanh",
                "transpose", "unsqueeze", "dropout", "dropout_training_mode_false")  # fmt: skip


def onnxruntime_of(model):
    """The model's outputs by onnxruntime, one row at a time in the shape it declares."""
    import onnxruntime

    data = model if isinstance(model, bytes) else model.read_bytes()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]

    def run(X):
        return np.stack([session.run(None, {entry.name: x.reshape(shape)})[0].ravel() for x in X])

    return run, shape


def in_double_precision(model):
    """The model run by the onnx package's own reference, every single-precision tensor widened exactly."""
    from onnx.reference import ReferenceEvaluator

    proto = onnx.load_model_from_string(model if isinstance(model, bytes) else model.read_bytes())
    constants = [a.t for node in proto.graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    for tensor in (*proto.graph.initializer, *constants):
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    known = {tensor.name for tensor in proto.graph.initializer}
    entry = next(entry for entry in proto.graph.input if entry.name not in known)
    shape = [size.dim_value or 1 for size in entry.type.tensor_type.shape.dim]
    reference = ReferenceEvaluator(proto)
    return lambda X: np.stack([reference.run(None, {entry.name: x.reshape(shape)})[0].ravel() for x in X])


@pytest.mark.parametrize("name", REAL)
def test_a_real_network_has_the_outputs_of_onnxruntime(name, monkeypatch):
    path = data_path(f"onnx/{name}.onnx")
    loaded = Loaded(monkeypatch, "onnx_file", path)
    inputs, widths, outputs = REAL[name]
    assert (loaded.network.inputs, loaded.network.widths, loaded.network.outputs) == (inputs, widths, outputs)
    loaded.assert_same(onnxruntime_of(path)[0], rows=20)
    loaded.assert_same(in_double_precision(path), UNIT, rows=5)


@pytest.mark.parametrize("name", WHOLE_TENSOR)
def test_each_operator_of_the_zoo_has_the_outputs_of_onnxruntime(name, monkeypatch):
    path = data_path(f"onnx/layer-zoo/{name}.onnx")
    loaded = Loaded(monkeypatch, "onnx_file", path)
    run, shape = onnxruntime_of(path)
    rows = int(np.prod(shape)) // loaded.network.inputs  # a fixed batch is read as rows
    loaded.assert_same(lambda X: np.concatenate([run(part.reshape(1, -1)).reshape(rows, -1)
                                                 for part in X.reshape(-1, rows * X.shape[1])]))  # fmt: skip


def test_a_network_that_onnxruntime_refuses_is_read_all_the_same():
    network = load_network(data_path("onnx/archcomp/ACC_controller_5_20.onnx"))
    assert (network.inputs, network.widths, network.outputs) == (5, (20,) * 5, 1)
    model = onnx.load(data_path("onnx/archcomp/ACC_controller_5_20.onnx"))
    tensors = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer}
    x = np.random.default_rng(0).normal(size=5)
    h = x - tensors["input_AvgImg"].ravel()
    for layer in range(1, 6):
        h = np.maximum(tensors[f"Operation_{layer}_W"] @ h + tensors[f"Operation_{layer}_B"], 0)
    assert np.allclose(network(x[None])[0], tensors["linear_6_W"] @ h + tensors["linear_6_B"])


def test_single_precision_weights_are_taken_exactly():
    path = data_path("onnx/acasxu/vnncomp_ACASXU_run2a_1_1_batch_2000.onnx")
    network = load_network(path)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    assert (network.affine[0].W == tensors["Operation_1_MatMul_W"].T).all()
    assert (network.affine[0].b == tensors["Operation_1_Add_B"]).all()
    assert network.source.dtype == "float32"
    assert network.source.format == "onnx"
    assert network.source.name == path.name


@pytest.mark.parametrize(("name", "layer"), [
    ("archcomp/CartPole_model", "/layers/layers.1/Tanh"), ("archcomp/QUAD_quad_controller_3_64_torch", "Sigmoid_1"),
    ("omlt/keras_linear_131_sigmoid", "dense_2/Sigmoid"), ("omlt/maxpool_2d", r"node1 \(MaxPool\) .* 3 axes"),
    ("layer-zoo/dropout_training_mode_true", "training mode"), ("layer-zoo/constant", "does not depend"),
])  # fmt: skip
def test_a_network_that_is_not_piecewise_linear_is_refused_by_the_name_of_its_layer(name, layer):
    with pytest.raises(ModelError, match=layer):
        load_network(data_path(f"onnx/{name}.onnx"))


def test_a_final_tanh_is_kept_apart():
    assert load_network(data_path("onnx/archcomp/NAV_nn-nav-point.onnx")).head == "tanh"
    assert load_network(data_path("onnx/omlt/gemm.onnx")).head == "log_softmax"


def made(tmp_path, nodes, tensors, shape=(1, 3), opset=15, name="made.onnx", external=None):
    """A small model file from nodes and constants."""
    made_tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in tensors.items()]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], made_tensors,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    for tensor in model.graph.initializer:
        if external is not None:
            raw = tensor.raw_data
            onnx.external_data_helper.set_external_data(tensor, external, 0, len(raw))
            tensor.ClearField("raw_data")
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    return path


def normal(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


CHAINS = {
    "gemm with every option": (
        [helper.make_node("Gemm", ["x", "W", "b"], ["y"], transB=1, alpha=0.5, beta=2.0)],
        {"W": normal(4, 3), "b": normal(4)}, (1, 3)),
    "gemm of a transposed column": (
        [helper.make_node("Gemm", ["x", "W"], ["y"], transA=1)], {"W": normal(3, 4)}, (3, 1)),
    "gemm with the weights on the left": (
        [helper.make_node("Gemm", ["W", "x"], ["y"], transA=1, transB=1)], {"W": normal(3, 4)}, (1, 3)),
    "constant minus input, then division": (
        [helper.make_node("Sub", ["c", "x"], ["a"]), helper.make_node("Div", ["a", "d"], ["h"]),
         helper.make_node("MatMul", ["h", "W"], ["y"])],
        {"c": normal(3), "d": normal(3) ** 2 + 1, "W": normal(3, 2)}, (1, 3)),
    "prelu, leaky relu and negation": (
        [helper.make_node("MatMul", ["x", "W"], ["a"]), helper.make_node("PRelu", ["a", "s"], ["h"]),
         helper.make_node("Neg", ["h"], ["i"]), helper.make_node("LeakyRelu", ["i"], ["y"])],
        {"W": normal(3, 4), "s": np.abs(normal(4))}, (1, 3)),
    "batch normalisation of channels": (
        [helper.make_node("BatchNormalization", ["x", "w", "b", "m", "v"], ["h"]),
         helper.make_node("Relu", ["h"], ["y"])],
        {"w": normal(2), "b": normal(2, seed=2), "m": normal(2, seed=3), "v": normal(2) ** 2 + 1}, (1, 2, 3)),
    "transposed weights and a reshape from the shape": (
        [helper.make_node("Transpose", ["W"], ["T"], perm=[1, 0]), helper.make_node("MatMul", ["x", "T"], ["h"]),
         helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "zero"], ["n"]),
         helper.make_node("Unsqueeze", ["n", "first"], ["u"]),
         helper.make_node("Concat", ["u", "rest"], ["t"], axis=0), helper.make_node("Reshape", ["h", "t"], ["r"]),
         helper.make_node("Transpose", ["r"], ["p"], perm=[0, 2, 1]), helper.make_node("Flatten", ["p"], ["y"])],
        {"W": normal(4, 3), "zero": np.array(0), "first": np.array([0]), "rest": np.array([2, 2])}, (1, 3)),
    "the same weights for several rows": (
        [helper.make_node("MatMul", ["x", "W"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
         helper.make_node("MatMul", ["V", "r"], ["y"])], {"W": normal(3, 2), "V": normal(5, 4)}, (1, 4, 3)),
    "a convolution with every option": (
        [helper.make_node("Conv", ["x", "K", "b"], ["h"], strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2], group=2),
         helper.make_node("Relu", ["h"], ["y"])], {"K": normal(4, 1, 3, 2), "b": normal(4)}, (1, 2, 6, 5)),
    "a convolution padded to the same size": (
        [helper.make_node("Conv", ["x", "K"], ["y"], auto_pad="SAME_UPPER", strides=[2])],
        {"K": normal(2, 1, 4)}, (1, 1, 7)),
    "an input spread over several constants": (
        [helper.make_node("Add", ["x", "c"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], {"c": normal(4)}, (1, 1)),
    "relu before any layer": ([helper.make_node("Relu", ["x"], ["y"])], {}, (1, 3)),
    "softmax of everything": (
        [helper.make_node("MatMul", ["x", "W"], ["h"]), helper.make_node("Softmax", ["h"], ["y"], axis=-1)],
        {"W": normal(3, 4)}, (1, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_a_made_chain_has_the_outputs_of_onnxruntime(name, tmp_path, monkeypatch):
    path = made(tmp_path, *CHAINS[name])
    loaded = Loaded(monkeypatch, "onnx_file", path)
    loaded.assert_same(onnxruntime_of(path)[0])
    loaded.assert_same(in_double_precision(path), UNIT)


def test_nodes_in_any_order_are_sorted(tmp_path, monkeypatch):
    nodes, tensors, shape = CHAINS["prelu, leaky relu and negation"]
    straight = load_network(made(tmp_path, nodes, tensors, shape))
    turned = load_network(made(tmp_path, nodes[::-1], tensors, shape, name="turned.onnx"))
    X = normal(10, 3).astype(np.float64)
    assert (straight(X) == turned(X)).all()


def test_a_layer_that_the_output_does_not_need_is_not_read(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"]), helper.make_node("Erf", ["y"], ["unused"])]
    assert load_network(made(tmp_path, nodes, {"W": normal(3, 2)})).outputs == 2


THREE = {"W": normal(3, 4), "V": normal(3, 2)}
BAD = {
    "layer Erf 1 is Erf": (
        [helper.make_node("MatMul", ["x", "W"], ["h"]), helper.make_node("Erf", ["h"], ["y"])], THREE),
    "of two tensors along an axis": (
        [helper.make_node("Neg", ["x"], ["h"]), helper.make_node("Add", ["x", "h"], ["y"], broadcast=1, axis=0)], {},
        [1, 3], 6),
    "needs its own output": ([helper.make_node("Add", ["x", "z"], ["y"]), helper.make_node("Neg", ["y"], ["z"])], {}),
    "nothing makes the value 'lost'": ([helper.make_node("Add", ["x", "lost"], ["y"])], {}),
    "takes 3 values, but 4 come in": (
        [helper.make_node("MatMul", ["x", "W"], ["h"]), helper.make_node("MatMul", ["h", "V"], ["y"])], THREE),
    "acme.Relu": ([helper.make_node("Relu", ["x"], ["y"], domain="acme")], {}),
    "softmax over axis": (
        [helper.make_node("Reshape", ["x", "s"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["i"]),
         helper.make_node("Softmax", ["i"], ["y"], axis=1)], {"s": np.array([1, 3, 1]), "w": normal(1, 2)}),
    "to another type": ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64)], {}),
    "divides by zero": ([helper.make_node("Div", ["x", "c"], ["y"])], {"c": np.zeros(3, np.float32)}),
    "layer poisoned holds NaN": (
        [helper.make_node("Add", ["x", "c"], ["y"], name="poisoned")], {"c": np.full(3, np.nan, np.float32)}),
    "control flow": ([helper.make_node("If", ["x"], ["y"], then_branch=helper.make_graph([], "g", [], []))], {}),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_a_graph_that_is_no_chain_of_known_layers_is_refused(message, tmp_path):
    with pytest.raises(ModelError, match=message):
        load_network(made(tmp_path, *BAD[message]))


def test_control_characters_in_a_name_do_not_reach_the_terminal(tmp_path):
    nodes = [helper.make_node("Erf", ["x"], ["y"], name="a\n\x1b[31mred")]
    with pytest.raises(ModelError, match=r"layer a \?\[31mred is Erf"):
        load_network(made(tmp_path, nodes, {}))


def test_weights_in_a_file_beside_the_model_are_read(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"])]
    (tmp_path / "weights.bin").write_bytes(normal(3, 2).tobytes())
    network = load_network(made(tmp_path, nodes, {"W": normal(3, 2)}, external="weights.bin"))
    assert (network.affine[0].W == normal(3, 2).T).all()


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "link.bin"])
def test_weights_outside_the_folder_of_the_model_are_not_opened(place, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(normal(3, 2).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = made(folder, [helper.make_node("MatMul", ["x", "W"], ["y"])], {"W": normal(3, 2)}, external=place)
    with pytest.raises(ModelError, match="outside its own folder"):
        load_network(path)


def test_missing_and_short_weight_files_are_said_so(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"])]
    path = made(tmp_path, nodes, {"W": normal(3, 2)}, external="weights.bin")
    with pytest.raises(ModelError, match=r"weights\.bin.*missing"):
        load_network(path)
    (tmp_path / "weights.bin").write_bytes(b"1234")
    with pytest.raises(ModelError, match="tensor W"):
        load_network(path)


def test_a_fixed_batch_is_read_as_rows_and_said_so(tmp_path, capsys):
    nodes = [helper.make_node("MatMul", ["x", "W"], ["h"]), helper.make_node("Reshape", ["h", "s"], ["y"])]
    network = load_network(made(tmp_path, nodes, {"W": normal(3, 2), "s": np.array([32, 2])}, shape=(32, 3)))
    assert (network.inputs, network.outputs) == (3, 2)
    assert "first axis of its input, 32, is read as the batch" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [("N", "M"), None])
def test_an_input_without_a_size_is_refused(shape, tmp_path):
    with pytest.raises(ModelError, match="no fixed size"):
        load_network(made(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], {}, shape=shape))


def test_reading_onnx_does_not_import_torch(tmp_path):
    path = made(tmp_path, [helper.make_node("MatMul", ["x", "W"], ["y"])], {"W": normal(3, 2)})
    code = f"import sys, relu_shallow.load as l; l.load_network({str(path)!r}); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
