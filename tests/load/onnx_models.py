"""Small ONNX models made in memory, and their outputs by onnxruntime."""

import os
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
import onnxruntime
from framework_agreement import Loaded
from hypothesis import HealthCheck, settings
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, RuntimeException

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.load.agreement import predicted, rounding
from relu_shallow.precision import UNIT32

FAILURES = (Fail, InvalidArgument, InvalidGraph, RuntimeException)
MANY = int(os.environ.get("MANY", "0"))  # examples of each operator; without, a few, and the same each time
FEW = settings(max_examples=MANY or 8, derandomize=not MANY, deadline=None, database=None,
               suppress_health_check=list(HealthCheck))  # fmt: skip


@dataclass
class Case:
    """Nodes from the input x to the output y, with their constants; x has the given shape."""

    nodes: list
    shape: tuple
    tensors: dict = field(default_factory=dict)
    opset: int = 18
    outputs: tuple = ("y",)

    def save(self, folder, name="made.onnx"):
        tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in self.tensors.items()]
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.outputs], tensors,
        )  # fmt: skip
        domains = sorted({node.domain for node in self.nodes} - {""})
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = max(8, helper.find_min_ir_version_for(opsets, ignore_unknown=True))
        path = folder / name
        path.write_bytes(model.SerializeToString())
        return path


def node(op, inputs="x", outputs="y", **options):
    """A node whose inputs and outputs are named in one string, _ for one that is left out."""
    names = [["" if name == "_" else name for name in part.split()] for part in (inputs, outputs)]
    return helper.make_node(op, *names, **{key: value for key, value in options.items() if value is not None})


def onnxruntime_of(path, output=None):
    """The model's outputs by onnxruntime, in runs of the shape that it declares; a fixed batch holds several rows."""
    session = session_of(path)
    entry = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    names = None if output is None else [output]

    def run(X):
        runs = X.reshape(-1, *shape)
        return np.concatenate([session.run(names, {entry.name: x})[0].ravel() for x in runs]).reshape(len(X), -1)

    return run


def session_of(path):
    """onnxruntime as the file has it: nothing optimised."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def agrees(case, folder, rows=12):
    """Loads a case and holds its outputs to onnxruntime's, within the rounding of single precision."""
    import pytest

    path = case.save(folder)
    with pytest.MonkeyPatch().context() as patch:
        loaded = Loaded(patch, "onnx_file", path)
        X = np.random.default_rng(0).normal(size=(rows, loaded.network.inputs)).astype(np.float32)
        theirs = onnxruntime_of(path)(X)
        allowed = rounding(loaded.graph, X, UNIT32)
        assert allowed.max() <= 1e-3 * (1 + np.abs(theirs).max()), "the bound is too loose to mean anything"
        loaded.assert_same(onnxruntime_of(path), rows=rows)
    return loaded.network


def keeps_rows_apart(case, folder):
    """Whether a case is read with its first axis as rows; then two rows at once have the outputs of each, in any order.

    Where it is not read so, or onnxruntime does not take two rows, there is nothing to compare.
    """
    if len(case.shape) < 2 or case.shape[0] != 1:
        return False
    path = replace(case, shape=("N", *case.shape[1:])).save(folder, "free.onnx")
    try:
        network = load_network(path)
        two = np.random.default_rng(1).normal(size=(2, network.inputs)).astype(np.float32)
        theirs = session_of(path).run(None, {"x": two.reshape(2, *case.shape[1:])})[0]
    except (ModelError, *FAILURES):
        return False
    ours = predicted(network, two.astype(np.float64))
    if theirs.size == network.outputs:  # the file itself says that there is one row: a 1 among the sizes that it gives
        return False
    assert theirs.size == ours.size
    assert np.allclose(np.sort(ours.ravel()), np.sort(theirs.ravel()), rtol=1e-4, atol=1e-5), "rows are mixed"
    return True


def weights(seed, *shape):
    """Random numbers of single precision."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


__all__ = ["FEW", "Case", "agrees", "keeps_rows_apart", "node", "onnx", "onnxruntime_of", "weights"]
