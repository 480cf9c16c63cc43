"""ONNX operators on constants alone, folded while reading: what onnxruntime computes of the same graph."""

import numpy as np
import pytest
from onnx_models import Case, agrees, node, weights

from relu_shallow.load.onnx_ops import CONSTANT

A, B = weights(0, 2, 3), weights(1, 3)
P, I = np.abs(A) + np.float32(0.5), np.array([[4, -7, 2], [3, 5, -1]])  # noqa: E741
OF_ONE = {
    "Identity": A, "Neg": A, "Abs": A, "Sqrt": P, "Reciprocal": P, "Exp": A, "Log": P, "Floor": 3 * A, "Ceil": 3 * A,
    "Round": 3 * A, "Sign": A, "Tanh": A, "Sigmoid": A, "Relu": A,
}  # fmt: skip
OF_TWO = {
    "Add": (A, B), "Sub": (A, B), "Mul": (A, B), "Div": (A, P), "Pow": (P, B), "Sum": (A, B), "Mean": (A, B),
    "Max": (A, B), "Min": (A, B),
}  # fmt: skip
CAST, CAST_N = node("Cast", "m", "k", to=1), node("Cast", "n", "k", to=1)
COMPARED = ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
# name -> the nodes that make k from constants, and these
FOLDED = {
    **{op: ([node(op, "a", "k")], {"a": value}) for op, value in OF_ONE.items()},
    **{op: ([node(op, "a b", "k")], {"a": a, "b": b}) for op, (a, b) in OF_TWO.items()},
    **{op: ([node(op, "a b", "m"), CAST], {"a": I, "b": I[:1]}) for op in COMPARED},
    "Div of whole numbers": ([node("Div", "a b", "m"), CAST], {"a": I, "b": np.array([2, 3, -2])}),
    "Mod": ([node("Mod", "a b", "m"), CAST], {"a": I, "b": np.array([2, 3, -2])}),
    "Mod as C": ([node("Mod", "a b", "k", fmod=1)], {"a": A, "b": B}),
    "Not": ([node("Greater", "a z", "g"), node("Not", "g", "n"), CAST_N],
            {"a": A, "z": np.float32(0)}),
    "And": ([node("Greater", "a z", "g"), node("Less", "a o", "l"), node("And", "g l", "n"),
             CAST_N], {"a": A, "z": np.float32(0), "o": np.float32(0.5)}),
    "Or": ([node("Greater", "a o", "g"), node("Less", "a z", "l"), node("Or", "g l", "n"), CAST_N],
           {"a": A, "z": np.float32(0), "o": np.float32(0.5)}),
    "Where": ([node("Greater", "a z", "g"), node("Where", "g a b", "k")], {"a": A, "z": np.float32(0), "b": B}),
    "Constant": ([node("Constant", "", "k", value_floats=[1.0, 2.0, 3.0])], {}),
    "Cast": ([node("Cast", "a", "i", to=7), node("Cast", "i", "k", to=1)], {"a": 3 * A}),
    "CastLike": ([node("CastLike", "i a", "k")], {"a": A, "i": I}),
    "Reshape": ([node("Reshape", "a s", "m"), node("Reshape", "m t", "k")],
                {"a": A, "s": np.array([0, 1, -1]), "t": np.array([2, 3])}),
    "Unsqueeze": ([node("Unsqueeze", "b s", "m"), node("Squeeze", "m t", "k")],
                  {"b": B, "s": np.array([0, 2]), "t": np.array([-1])}),
    "Squeeze": ([node("Squeeze", "a", "k")], {"a": B.reshape(1, 3, 1)}),
    "Flatten": ([node("Flatten", "a", "m", axis=2), node("Transpose", "m", "k")], {"a": B.reshape(1, 3, 1)}),
    "Transpose": ([node("Transpose", "a", "k", perm=[0, 2, 1])], {"a": A.reshape(1, 3, 2)}),
    "Gather": ([node("Gather", "a i", "k", axis=1)], {"a": A, "i": np.array([2, 0, -1])}),
    "GatherND": ([node("GatherND", "a i", "k")], {"a": A, "i": np.array([[1], [0]])}),
    "Concat": ([node("Concat", "b c", "m", axis=0), node("Reshape", "m s", "k")],
               {"b": B, "c": weights(5, 3), "s": np.array([2, 3])}),
    "Slice": ([node("Slice", "a s e x_ t", "k")],
              {"a": weights(4, 4, 3), "s": np.array([-1]), "e": np.array([-9]), "x_": np.array([0]),
               "t": np.array([-2])}),
    "Split": ([node("Split", "a s", "m k", axis=0)], {"a": weights(4, 5, 3), "s": np.array([3, 2])}),
    "Expand": ([node("Expand", "b s", "k")], {"b": B, "s": np.array([2, 1])}),
    "Tile": ([node("Tile", "b s", "m"), node("Reshape", "m t", "k")],
             {"b": B, "s": np.array([2]), "t": np.array([2, 3])}),
    "Shape": ([node("Shape", "a", "s", start=1), node("ConstantOfShape", "s", "o"), node("Add", "o c", "k")],
              {"a": weights(0, 2, 3), "c": np.float32(1.5)}),
    "Size": ([node("Size", "a", "s"), node("Cast", "s", "k", to=1)], {"a": A}),
    "ConstantOfShape": ([node("ConstantOfShape", "s", "k")], {"s": np.array([2, 3])}),
    "Range": ([node("Range", "a b c", "k")], {"a": np.float32(5), "b": np.float32(0.5), "c": np.float32(-1.5)}),
    "MatMul": ([node("MatMul", "a b", "m"), node("Reshape", "m s", "k")], {"a": A, "b": B, "s": np.array([2, 1])}),
    "Gemm": ([node("Gemm", "a b c", "k", transA=1, transB=1, alpha=0.5, beta=2.0)],
             {"a": weights(1, 4, 2), "b": weights(2, 3, 4), "c": B}),
    "Clip": ([node("Clip", "a b c", "k")], {"a": A, "b": np.float32(-0.25), "c": np.float32(0.5)}),
    **{op: ([node(op, "a", "k", axes=[1])], {"a": P}) for op in ("ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin")},
    "ReduceSum": ([node("ReduceSum", "a s", "k")], {"a": A, "s": np.array([-1])}),
    "ReduceSum of nothing": (
        [node("ReduceSum", "a s", "k", noop_with_empty_axes=1)], {"a": A, "s": np.zeros(0, np.int64)}),
    "DequantizeLinear": ([node("DequantizeLinear", "a s z", "k", axis=1)],
                         {"a": I.astype(np.int8), "s": np.abs(B), "z": np.array([1, -2, 0], np.int8)}),
    "DequantizeLinear of all": ([node("DequantizeLinear", "a s", "k")], {"a": I.astype(np.int8), "s": np.float32(0.5)}),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_constants_are_folded_as_onnxruntime_does(name, tmp_path):
    nodes, tensors = FOLDED[name]
    case = Case([*nodes, node("Abs", "x", "h"), node("Add", "h k")], (2, 3), tensors, 17)
    agrees(case, tmp_path, rows=4)


def test_every_operator_on_constants_is_tested():
    assert set(CONSTANT) == {name.split()[0] for name in FOLDED}


def test_weights_kept_as_whole_numbers_are_read_as_the_real_ones_they_stand_for(tmp_path):
    nodes = [node("DequantizeLinear", "q s z", "W", axis=1), node("MatMul", "x W", "h"), node("Relu", "h")]
    tensors = {"q": np.random.default_rng(0).integers(-128, 127, (3, 4)).astype(np.int8),
               "s": np.abs(weights(0, 4)) / 64, "z": np.array([0, 3, -5, 1], np.int8)}  # fmt: skip
    assert agrees(Case(nodes, (1, 3), tensors, 13), tmp_path).widths == (4,)


def branches(then, other):
    from onnx import TensorProto, helper

    def graph(op, name):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([node(op, "h", name)], name, [], [value])

    return {"then_branch": graph(then, "t"), "else_branch": graph(other, "e")}


@pytest.mark.parametrize("size", [1, 2])
def test_an_if_on_sizes_takes_its_branch_and_an_if_on_values_is_refused(size, tmp_path):
    from relu_shallow.errors import ModelError
    from relu_shallow.load import load_network

    nodes = [node("Neg", "x", "h"), node("Shape", "h", "s"), node("Gather", "s one", "n"), node("Equal", "n one", "c")]
    nodes += [node("If", "c", "y", name="choice", **branches("Relu", "Abs"))]
    case = Case(nodes, (1, size), {"one": np.array(1)})
    agrees(case, tmp_path)
    case.nodes[-2:] = [node("Cast", "h", "c", to=9), node("If", "c", "y", name="choice", **branches("Relu", "Abs"))]
    with pytest.raises(ModelError, match=r"Cast 3 is a Cast to another type"):
        load_network(case.save(tmp_path))
    case.nodes[-2:] = [node("If", "h", "y", name="choice", **branches("Relu", "Abs"))]
    with pytest.raises(ModelError, match=r"choice is If \(control flow on values"):
        load_network(case.save(tmp_path))
