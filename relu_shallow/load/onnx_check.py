"""An ONNX file run by onnxruntime, and its outputs held to those of the network that was read from it.

What is run is written anew: only the nodes that the output needs, with the constants that were read, so that nothing is
opened, and no node is run, that was not read here. On the CPU, in one thread, as the file has it: nothing optimised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import ModelError
from relu_shallow.load.agreement import difference, predicted, rows_to_compare
from relu_shallow.load.graph import Graph as Steps
from relu_shallow.load.onnx_graph import Graph, read_graph
from relu_shallow.load.onnx_node import Node
from relu_shallow.load.reading import ModelFile, say
from relu_shallow.load.walk import Wanted
from relu_shallow.network import Network

LARGEST = 1 << 30  # bytes of weights; protobuf holds no message of two gigabytes
NEWEST_FORM = 8  # of the file itself (its "IR version"), which every onnxruntime of the last years reads
KINDS: dict[int, Any] = {1: np.float32, 10: np.float16, 11: np.float64}  # number types of an input that are run


def check_source(file: ModelFile, network: Network, graph: Steps, wanted: Wanted) -> str:
    """What ran the file and how well it agreed, in a few words; "" where it could not be run, and the reason on stderr.

    `graph` is what the network was assembled from. Raises ModelError where outputs differ beyond rounding.
    """
    source = read_graph(file, wanted)
    X = rows_to_compare(network.inputs)
    try:
        version, own = _outputs(source, X, wanted.until)
    except _CannotRun as reason:
        say(f"{file.name}: the source was not run: {reason}")
        return ""
    differs = difference(network, graph, X, own, _round_off(source))
    if differs:
        raise ModelError(f"the outputs of {file.name} by onnxruntime {version} and of the network read from it differ "
                         f"{differs}, more than rounding explains; please report this file")  # fmt: skip
    relative = np.abs(own - predicted(network, X)).max(initial=0.0) / max(np.abs(own).max(initial=0.0), 1.0)
    return f"onnxruntime {version}: {len(X)} rows agree, largest relative difference {relative:.1e}"


def _round_off(source: Graph) -> float:
    """The unit round-off of the coarsest arithmetic in a graph."""
    kinds = [array.dtype for array in source.constants.values() if array.dtype.kind == "f"]
    return max(float(np.finfo(kind).eps) / 2 for kind in (KINDS[source.kind], *kinds))


class _CannotRun(Exception):  # noqa: N818
    """Why the source cannot be run here."""


def _outputs(source: Graph, X: Float[np.ndarray, "rows inputs"], until: str) -> tuple[str, np.ndarray]:
    """(onnxruntime's version, its outputs), one row of outputs for each row of inputs."""
    try:
        import onnxruntime
    except ImportError:
        raise _CannotRun("onnxruntime is not installed") from None
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    failures: tuple[type[Exception], ...] = (ValueError, *kinds)
    if source.kind not in KINDS:
        raise _CannotRun("its input is not of the type float or double")
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4  # what is wrong is raised, and told once
        session = onnxruntime.InferenceSession(_rewritten(source, until), options, providers=["CPUExecutionProvider"])
        per_run = int(np.prod(source.shape)) // X.shape[1]  # a batch that the file fixes is read as rows
        padded = np.concatenate([X, X[: -len(X) % per_run]])
        runs = padded.astype(KINDS[source.kind]).reshape(-1, *source.shape)
        own = [np.asarray(session.run(None, {source.input: x})[0], dtype=np.float64).reshape(per_run, -1) for x in runs]
    except failures as error:
        raise _CannotRun(f"onnxruntime {onnxruntime.__version__}: {str(error).splitlines()[0]:.200}") from None
    return onnxruntime.__version__, np.concatenate(own)[: len(X)]


def _rewritten(source: Graph, until: str) -> bytes:
    """A model of the nodes that the output needs, or that the layer `until` does, and the constants that were read."""
    from onnx import helper, numpy_helper

    if sum(array.nbytes for array in source.constants.values()) > LARGEST:
        raise _CannotRun("its weights are too large to be handed to onnxruntime")
    nodes, output = _part(source, until)
    if any(node.branches for node in nodes):
        raise _CannotRun("it holds control flow")
    used = {name for node in nodes for name in node.inputs} | {output}
    tensors = [numpy_helper.from_array(array, name) for name, array in source.constants.items() if name in used]
    graph = helper.make_graph(
        [_written(node) for node in nodes], "graph",
        [helper.make_tensor_value_info(source.input, source.kind, source.shape)], [helper.ValueInfoProto(name=output)],
        tensors,
    )  # fmt: skip
    opset = [helper.make_opsetid("", source.opset)]
    model = helper.make_model(graph, opset_imports=opset)
    model.ir_version = max(NEWEST_FORM, helper.find_min_ir_version_for(opset, ignore_unknown=True))
    return bytes(model.SerializeToString())


def _written(node: Node) -> Any:
    """A node as protobuf again."""
    from onnx import helper, numpy_helper

    options = {key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
               for key, value in node.options.items()}  # fmt: skip
    return helper.make_node(node.op, node.inputs, node.outputs, name=node.name, **options)


def _part(source: Graph, until: str) -> tuple[list[Node], str]:
    """(the nodes to run, the value they are run for)."""
    names = {node.name for node in source.nodes}
    depends, output = {source.input}, source.output
    for node in source.nodes:
        taken = [name for name in node.inputs if name in depends]
        if until and taken and (node.name == until or until in set(node.outputs) - names):
            output = taken[0]
            break
        if taken and node.op not in ("Shape", "Size"):
            depends.update(node.outputs)
    needed, nodes = {output}, []
    for node in reversed(source.nodes):
        if needed & set(node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    return nodes[::-1], output
