"""ONNX files that are not read: one sentence each, with the layer's name and what can be done."""

import numpy as np
import onnx
import pytest
from conftest import data_path
from onnx import TensorProto, helper
from onnx_models import Case, agrees, node, weights

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network

W = {"W": weights(0, 3, 4), "c": weights(1, 4)}
HIDDEN = node("MatMul", "x W", "h")


def after_a_layer(op, *inputs, **options):
    return Case([HIDDEN, node(op, " ".join(["h", *inputs]), name="last", **options)], (1, 3), W, 18)


CURVED = ("Elu", "Selu", "Celu", "Gelu", "Softplus", "Mish", "HardSwish", "Erf", "Exp", "Sqrt", "Reciprocal",
          "Softsign")  # fmt: skip
JUMPS = ("Sign", "Floor", "Ceil", "Round", "Hardmax", "ArgMax")


OTHERS = ("LpNormalization", "ReduceL2", "ReduceLogSumExp", "Det", "RandomNormalLike")


@pytest.mark.parametrize("op", [*CURVED, *JUMPS, *OTHERS])
def test_an_operator_without_linear_pieces_is_refused_by_its_name(op, tmp_path):
    kind = "curved" if op in CURVED else "jumps" if op in JUMPS else ""
    with pytest.raises(ModelError, match=rf"layer last is {op}.*{kind}.*--until last"):
        load_network(after_a_layer(op).save(tmp_path))


@pytest.mark.parametrize(("op", "inputs", "options", "message"), [
    ("ThresholdedRelu", (), {"alpha": 0.5}, "a threshold of 0.5, where it jumps"),
    ("Shrink", (), {"lambd": 0.5, "bias": 0.25}, "jumps"),
    ("Pow", ("two",), {}, "a power"),
    ("Mul", ("h",), {}, "a product of two values"),
    ("Div", ("h",), {}, "a division by a value"),
    ("PRelu", ("h",), {}, "a product"),
    ("Greater", ("c",), {}, "jumps"),
    ("LayerNormalization", ("c",), {}, "by each row's own values"),
    ("InstanceNormalization", ("c", "c"), {}, "by each row's own values"),
    ("GroupNormalization", ("c", "c"), {"num_groups": 2}, "by each row's own values"),
    ("LpPool", (), {"kernel_shape": [2]}, "LpPool"),
    ("Resize", ("_", "s"), {"mode": "cubic"}, "cubic"),
    ("Resize", ("_", "nearly"), {"mode": "linear"}, "leaves . values . and is to move them"),
    ("Resize", ("_", "s"), {"mode": "linear", "antialias": 1}, "antialias"),
    ("Resize", ("_", "s"), {"coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize"),
    ("QuantizeLinear", ("one", "zero"), {}, "quantised to whole numbers.*--until last"),
    ("MatMulInteger", ("c",), {}, "quantised to whole numbers"),
    ("QLinearConv", ("c",), {}, "quantised to whole numbers"),
    ("DynamicQuantizeLinear", (), {}, "quantised to whole numbers"),
    ("TreeEnsembleRegressor", (), {"domain": "ai.onnx.ml"}, r"ai.onnx.ml.TreeEnsembleRegressor \(.*trees"),
    ("FusedConv", (), {"domain": "com.microsoft"}, r"com.microsoft.FusedConv \(.*onnxruntime"),
    ("Mine", (), {"domain": "acme"}, r"acme.Mine \(an operator of a domain of its own"),
    ("SequenceConstruct", (), {}, "sequences or optional values"),
    ("SplitToSequence", (), {}, "sequences or optional values"),
    ("Optional", (), {}, "sequences or optional values"),
    ("Loop", (), {"body": helper.make_graph([], "g", [], [])}, "control flow"),
    ("Scan", (), {"body": helper.make_graph([], "g", [], []), "num_scan_inputs": 1}, "control flow"),
    ("Where", ("c", "c"), {}, "a choice by a value that depends on the input"),
    ("Reshape", ("h",), {}, "takes its shape from a value that depends on the input"),
    ("Slice", ("h", "h"), {}, "from a value that depends on the input"),
    ("Gather", ("h",), {}, "takes its indices from a value"),
    ("Expand", ("h",), {}, "takes its shape from a value"),
    ("Conv", ("h",), {}, "a product"),
    ("Einsum", ("c",), {"equation": "...a,a->..."}, "read are those that name every axis"),
    ("Cast", (), {"to": TensorProto.INT32}, "to another type"),
    ("Pad", ("pads",), {"mode": "reflect"}, "reflected"),
])  # fmt: skip
def test_a_layer_that_is_not_read_says_why(op, inputs, options, message, tmp_path):
    case = after_a_layer(op, *inputs, **options)
    case.tensors = {**W, "two": np.float32(2), "one": np.float32(1), "zero": np.uint8(0), "s": np.float32([1, 2]),
                    "nearly": np.float32([1, 1.2]), "pads": np.array([0, 4, 0, 0])}  # fmt: skip
    if op == "Where":
        case.nodes[1].input[:] = ["h", "c", "c"]
    with pytest.raises(ModelError, match=rf"layer last .*{message}"):
        load_network(case.save(tmp_path))


@pytest.mark.parametrize("options", [{"dilations": [2]}, {"strides": [3]}])
@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER"])
def test_an_average_padded_to_the_same_size_is_refused_where_runtimes_differ(options, kind, tmp_path):
    pool = node("AveragePool", "x", name="last", kernel_shape=[2], auto_pad=kind, **options)
    with pytest.raises(ModelError, match=r"layer last is AveragePool padded to the same size .*give pads"):
        load_network(Case([pool], (1, 2, 7), {}, 19).save(tmp_path))


def test_the_part_before_a_refused_layer_can_be_read(tmp_path):
    path = after_a_layer("Elu").save(tmp_path)
    assert load_network(path, until="last").outputs == 4


def test_a_layer_can_be_called_by_the_name_of_its_output(tmp_path):
    case = Case([HIDDEN, node("Relu", "h", "r"), node("MatMul", "r V")], (1, 3), {**W, "V": weights(2, 4, 2)})
    path = case.save(tmp_path)
    assert load_network(path, until="r").widths == ()
    assert load_network(path, until="Relu 1").widths == ()
    assert load_network(path, until="y").widths == (4,)


def test_a_node_goes_before_a_tensor_of_the_same_name(tmp_path):
    nodes = [HIDDEN, node("Relu", "h", "last"), node("MatMul", "last V", "y", name="last")]
    path = Case(nodes, (1, 3), {**W, "V": weights(2, 4, 2)}).save(tmp_path)
    assert load_network(path, until="last").widths == (4,)


TWO = Case([HIDDEN, node("Relu", "h", "y"), node("Abs", "h", "z")], (1, 3), W, outputs=("y", "z"))


def test_of_several_outputs_one_must_be_chosen(tmp_path):
    path = TWO.save(tmp_path)
    with pytest.raises(ModelError, match=r"has 2 outputs \(y, z\); choose one with --output-name"):
        load_network(path)
    with pytest.raises(ModelError, match="has no output 'w'; its outputs are y, z"):
        load_network(path, output_name="w")
    x = weights(3, 5, 3).astype(np.float64)
    h = x @ W["W"].astype(np.float64)
    assert np.allclose(load_network(path, output_name="y")(x), np.maximum(h, 0))
    assert np.allclose(load_network(path, output_name="z")(x), np.abs(h))


def test_what_an_unwanted_output_needs_is_not_read(tmp_path):
    nodes = [HIDDEN, node("Relu", "h", "y"), node("Elu", "h", "z")]
    assert load_network(Case(nodes, (1, 3), W, outputs=("y", "z")).save(tmp_path), output_name="y").widths == (4,)


def changed(tmp_path, change, case=TWO):
    model = onnx.load(case.save(tmp_path))
    change(model)
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_operators_from_the_future_are_refused(tmp_path):
    newest = onnx.defs.onnx_opset_version()
    path = changed(tmp_path, lambda model: setattr(model.opset_import[0], "version", newest + 1))
    with pytest.raises(ModelError, match=f"version {newest + 1} of the ONNX operators.* up to {newest}. Upgrade onnx"):
        load_network(path, output_name="y")


def test_several_inputs_are_refused(tmp_path):
    more = helper.make_tensor_value_info("more", TensorProto.FLOAT, (1, 3))
    path = changed(tmp_path, lambda model: model.graph.input.append(more))
    with pytest.raises(ModelError, match=r"has 2 inputs \(x, more\); a network with one was expected"):
        load_network(path, output_name="y")


@pytest.mark.parametrize("kind", ["sequence", "optional"])
def test_an_input_that_is_no_tensor_is_refused(kind, tmp_path):
    one = helper.make_tensor_type_proto(TensorProto.FLOAT, (1, 3))
    typed = {"sequence": helper.make_sequence_type_proto, "optional": helper.make_optional_type_proto}[kind](one)
    path = changed(tmp_path, lambda model: model.graph.input[0].type.CopyFrom(typed))
    with pytest.raises(ModelError, match=f"is a {kind}; one tensor was expected"):
        load_network(path, output_name="y")


def test_whole_numbers_that_are_not_cast_first_are_refused(tmp_path):
    def whole(model):
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64

    with pytest.raises(ModelError, match=r"type INT64, and layer MatMul 0 \(MatMul\) takes it as it is"):
        load_network(changed(tmp_path, whole), output_name="y")
    cast = Case([node("Cast", "x", "f", to=1), node("Abs", "f")], (1, 3))
    assert load_network(changed(tmp_path, whole, cast)).widths == (3,)


def test_sparse_weights_are_refused(tmp_path):
    path = changed(tmp_path, lambda model: model.graph.sparse_initializer.add())
    with pytest.raises(ModelError, match="sparse tensors, which are not read; save them dense"):
        load_network(path, output_name="y")


def test_the_places_of_a_max_pool_are_not_read(tmp_path):
    nodes = [node("MaxPool", "x", "p i", kernel_shape=[2]), node("Cast", "i", "f", to=1), node("Add", "p f")]
    with pytest.raises(ModelError, match="uses the value i, a second output"):
        load_network(Case(nodes, (1, 1, 4)).save(tmp_path))


FREE = ("N", 2, 3)
MIXED = {
    "concat": [node("Concat", "x x", axis=0)],
    "split": [node("Split", "x", "y z", axis=0)],
    "slice": [node("Slice", "x zero one zero")],
    "gather": [node("Gather", "x zero", axis=0)],
    "tile": [node("Tile", "x times")],
    "mean of everything": [node("ReduceMean", "x")],
    "max of the rows": [node("ReduceMax", "x zero", keepdims=0)],
    "sizes calculated with": [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Mul", "n n", "m"),
                              node("Reshape", "x m")],
    "the size of all": [node("Size", "x", "s"), node("Cast", "s", "f", to=1), node("Div", "x f")],
    "einsum over the rows": [node("Einsum", "x W", equation="abc,ad->dbc")],
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_what_mixes_the_rows_of_a_batch_is_refused(name, tmp_path):
    tensors = {"zero": np.array([0]), "one": np.array([1]), "times": np.array([2, 1, 1]), "W": weights(0, 1, 2)}
    with pytest.raises(ModelError, match=r"mixes the rows of a batch|treats the rows"):
        load_network(Case(MIXED[name], FREE, tensors).save(tmp_path))


APART = {
    "all rows are sliced": [node("Slice", "x starts ends axes")],
    "sizes with the rows": [node("Shape", "x", "s"), node("Slice", "s zero one", "n"),
                            node("Concat", "n six", "t", axis=0),
                            node("Reshape", "x t", "r"), node("Abs", "r")],
    "spread to the rows": [node("Shape", "x", "s"), node("ReduceMax", "x two", "m"), node("Expand", "m s")],
    "picked before the rows": [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Gather", "t four", "g"),
                               node("Transpose", "g", "p", perm=[2, 0, 1, 3]), node("Flatten", "p")],
    "along other axes": [node("Split", "x", "a b", axis=1, num_outputs=2), node("Max", "a b", "m"),
                         node("Concat", "m a", axis=2)],
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_what_keeps_rows_apart_is_read(name, tmp_path):
    tensors = {"zero": np.array([0]), "one": np.array([1]), "six": np.array([6]), "two": np.array([2]),
               "four": np.array([[0, 1], [1, 0]]),
               "starts": np.array([0, 1]), "ends": np.array([2**63 - 1, 2]), "axes": np.array([0, 1])}  # fmt: skip
    agrees(Case(APART[name], FREE, tensors), tmp_path)


BOMBS = {
    "expand": ([node("Expand", "c s", "e"), node("ReduceMax", "e", "m", keepdims=0), node("Add", "x m")],
               {"c": np.float32([1]), "s": np.array([10**6, 10**6])}),
    "tile of constants": ([node("Tile", "c s", "e"), node("ReduceMax", "e", "m"), node("Add", "x m")],
                          {"c": np.float32([1]), "s": np.array([10**12])}),
    "constant of a shape": ([node("ConstantOfShape", "s", "e"), node("ReduceMax", "e", "m"), node("Add", "x m")],
                            {"s": np.array([10**12])}),
    "range": ([node("Range", "a b d", "e"), node("ReduceMax", "e", "m"), node("Add", "x m")],
              {"a": np.float32(0), "b": np.float32(1e12), "d": np.float32(1)}),
    "tile": ([node("Tile", "x s")], {"s": np.array([1, 10**12])}),
    "pad": ([node("Pad", "x s")], {"s": np.array([0, 10**12, 0, 0])}),
    "resize": ([node("Resize", "x _ s")], {"s": np.float32([1, 1e12])}),
    "gather": ([node("Expand", "z s", "i"), node("Gather", "x i", axis=1)],
               {"z": np.array([0]), "s": np.array([10**9])}),
    "outer product": ([node("Expand", "c s", "a"), node("Expand", "c t", "b"), node("MatMul", "a b", "m"),
                       node("ReduceMax", "m", "n", keepdims=0), node("Add", "x n")],
                      {"c": np.float32([1]), "s": np.array([10**6, 1]), "t": np.array([1, 10**6])}),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_would_fill_the_memory_is_refused(name, tmp_path):
    with pytest.raises(ModelError, match=r"which a file of this size does not call for|does not fit|at most"):
        load_network(Case(BOMBS[name][0], (1, 3), BOMBS[name][1], 13).save(tmp_path))


def with_functions(tmp_path, functions, nodes):
    case = Case(nodes, (1, 3))

    def add(model):
        for name, inner in functions.items():
            opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
            model.functions.append(helper.make_function("own", name, ["a"], ["b"], inner, opsets))

    return changed(tmp_path, add, case)


def test_functions_of_the_file_are_written_out(tmp_path):
    functions = {"Twice": [node("Once", "a", "m", domain="own"), node("Once", "m", "b", domain="own")],
                 "Once": [node("LeakyRelu", "a", "b", alpha=0.5)]}  # fmt: skip
    path = with_functions(tmp_path, functions, [node("Twice", "x", "y", domain="own")])
    x = weights(0, 4, 3).astype(np.float64)
    assert np.allclose(load_network(path)(x), np.where(x > 0, x, x / 4))


@pytest.mark.parametrize("depth", [1, 40])
def test_functions_that_are_written_out_without_end_are_refused(depth, tmp_path):
    functions = {f"F{place}": [node(f"F{(place + 1) % depth}", "a", "m", domain="own"),
                               node(f"F{(place + 1) % depth}", "m", "b", domain="own")]
                 for place in range(depth)}  # fmt: skip
    if depth > 1:  # no circle, but 2^40 nodes
        functions[f"F{depth - 1}"] = [node("Abs", "a", "b")]
    with pytest.raises(ModelError, match="call themselves, or one another far too often"):
        load_network(with_functions(tmp_path, functions, [node("F0", "x", "y", domain="own")]))


ZOO = {
    "archcomp/CartPole_model": "tanh in the middle",
    "archcomp/QUAD_quad_controller_3_64_torch": "sigmoid in the middle",
    "layer-zoo/constant": "does not depend on its input", "layer-zoo/dropout_training_mode_true": "training mode",
    "omlt/keras_linear_131_sigmoid": "sigmoid in the middle", "omlt/maxpool_2d": "windows over 3 axes",
}  # fmt: skip


def test_every_real_file_is_read_or_refused_for_a_stated_reason():
    files = sorted(data_path("onnx").glob("*/*.onnx"))
    assert len(files) > 40
    for path in files:
        name = f"{path.parent.name}/{path.stem}"
        if name in ZOO:
            with pytest.raises(ModelError, match=ZOO[name]):
                load_network(path)
        elif path.stat().st_size < 10**5:
            assert load_network(path).outputs > 0
