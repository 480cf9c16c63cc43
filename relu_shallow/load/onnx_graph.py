"""The graph of an ONNX file: the `onnx` package parses the protobuf, nodes are sorted and tensors read here.

Read leniently, since none of it changes the function: the checker is not run; nodes are sorted here; initialisers may
be listed as inputs; shapes of anything but the input may be missing; the input may lack a batch axis; old operator
versions keep their old meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.onnx_external import External
from relu_shallow.load.onnx_node import Branch, Node
from relu_shallow.load.reading import ModelFile, damaged
from relu_shallow.load.walk import MOST_INPUTS, Wanted, choose_output

MOST_NODES = 1 << 20  # of a graph in which the functions that a file defines are written out
REAL = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "UNDEFINED")  # types that stand for real numbers; or none is given


@dataclass(frozen=True, eq=False)
class Graph:
    """An ONNX graph from its one input to its one output: nodes in an order in which they can be applied."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    input: str
    kind: int  # the input's number type
    shape: tuple[int, ...]
    free: bool  # whether the first axis may be of any size: a batch
    output: str
    opset: int
    beside: int  # bytes of the tensors kept in other files


def read_graph(file: ModelFile, wanted: Wanted) -> Graph:
    """The parsed graph, only what the output needs."""
    model = _parsed(file)
    graph = model.graph
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 1))
    if not graph.output or (not versions and model.ir_version >= 3):
        raise damaged(file, "ONNX", "it holds no whole graph")
    _check_version(file, opset)
    _check_text(file, *(entry.name for entry in (*graph.initializer, *graph.input, *graph.output)))
    beside = External(file)
    constants = {tensor.name: _tensor(file, tensor, beside) for tensor in graph.initializer}
    entry = _one_input(file, graph, constants)
    output = choose_output(file.name, [value.name for value in graph.output], wanted)
    nodes = [_node(file, place, proto, opset, beside) for place, proto in enumerate(graph.node)]
    order = _sorted(file, nodes, {*constants, entry.name}, output)
    _check_real(file, entry, order)
    sizes = entry.type.tensor_type.shape.dim
    free = len(sizes) > 1 and sizes[0].dim_value < 1
    return Graph(order, constants, entry.name, entry.type.tensor_type.elem_type, _input_shape(file, entry, wanted),
                 free, output, opset, beside.taken)  # fmt: skip


def _parsed(file: ModelFile) -> Any:
    """The protobuf, functions that the file defines written out."""
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(file.data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise damaged(file, "ONNX", error) from error
    if not model.functions:
        return model
    _check_functions(file, model)
    from onnx.inliner import inline_local_functions

    try:
        return inline_local_functions(model)
    except (RuntimeError, ValueError, TypeError) as error:
        raise damaged(file, "ONNX", f"the functions that it defines: {error}") from error


def _check_functions(file: ModelFile, model: Any) -> None:
    """Raises ModelError where functions that call one another would be written out without end, or nearly so."""
    functions = {(function.domain, function.name): function for function in model.functions}
    size: dict[tuple[str, str], int] = {}
    for _ in range(len(functions) + 1):
        for key, function in functions.items():
            callees = [(node.domain, node.op_type) for node in function.node]
            if key not in size and all(callee not in functions or callee in size for callee in callees):
                size[key] = sum(size.get(callee, 1) for callee in callees)
    whole = sum(size.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if len(size) < len(functions) or whole > MOST_NODES:
        raise damaged(file, "ONNX", "the functions that it defines call themselves, or one another far too often")


def _check_version(file: ModelFile, opset: int) -> None:
    """Raises ModelError for operators of a version that is not known yet."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise ModelError(f"{file.name} uses version {opset} of the ONNX operators; the installed onnx "
                         f"{onnx.__version__} knows those up to {newest}. Upgrade onnx, or export the model with an "
                         "older opset_version")  # fmt: skip


def _check_text(file: ModelFile, *names: object) -> None:
    """Raises ModelError where a name is not UTF-8, which protobuf then hands over as bytes."""
    if not all(isinstance(name, str) for name in names):
        raise damaged(file, "ONNX", "a name in it is not text")


def _one_input(file: ModelFile, graph: Any, constants: Mapping[str, np.ndarray]) -> Any:
    """The one input that is a tensor."""
    if graph.sparse_initializer:
        raise ModelError(f"{file.name} keeps weights as sparse tensors, which are not read; save them dense")
    inputs = [entry for entry in graph.input if entry.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(entry.name for entry in inputs) or "none"
        raise ModelError(f"{file.name} has {len(inputs)} inputs ({names}); a network with one was expected")
    kind = inputs[0].type.WhichOneof("value")
    if kind not in ("tensor_type", None):
        raise ModelError(f"the input {inputs[0].name} of {file.name} is a {kind.removesuffix('_type')}; one tensor was "
                         "expected")  # fmt: skip
    return inputs[0]


def _check_real(file: ModelFile, entry: Any, order: tuple[Node, ...]) -> None:
    """Raises ModelError where the model calculates with whole numbers or text as they come in."""
    import onnx

    number = entry.type.tensor_type.elem_type
    kind = onnx.TensorProto.DataType.Name(number) if number in onnx.TensorProto.DataType.values() else str(number)
    users = [node for node in order if entry.name in node.inputs]
    if kind not in REAL and any(node.op != "Cast" for node in users):
        raise ModelError(f"the input {entry.name} of {file.name} is a tensor of type {kind}, and layer {users[0].name} "
                         f"({users[0].op}) takes it as it is; a network takes real numbers (float)")  # fmt: skip


def _input_shape(file: ModelFile, entry: Any, wanted: Wanted) -> tuple[int, ...]:
    """The input's shape, 1 for a free first axis; the user's, where the file leaves sizes open."""
    tensor = entry.type.tensor_type
    if wanted.shape is not None:
        return _as_wanted(file, tensor, wanted.shape)
    sizes = [size.dim_value for size in tensor.shape.dim]
    if not tensor.HasField("shape") or any(size < 1 for size in sizes[1:]) or (len(sizes) == 1 and sizes[0] < 1):
        raise ModelError(f"the input {entry.name} of {file.name} has no fixed size; give the shape of one row with "
                         "--input-shape, such as 3,32,32, or export the model with only the batch axis "
                         "dynamic")  # fmt: skip
    return tuple(max(size, 1) for size in sizes) or (1,)


def _as_wanted(file: ModelFile, tensor: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The user's shape of one row behind an axis of rows; raises ModelError where the file says otherwise."""
    sizes = [size.dim_value for size in tensor.shape.dim]
    whole = (1, *shape)
    fits = len(sizes) == len(whole) and all(size in (0, want) for size, want in zip(sizes[1:], shape, strict=True))
    if sizes and not fits:
        raise ModelError(f"the input of {file.name} has the shape {tuple(sizes)}, its first axis being the rows, "
                         f"which a row of shape {shape} does not fit")  # fmt: skip
    return whole


def _node(file: ModelFile, place: int, proto: Any, opset: int, beside: External) -> Node:
    import onnx

    options: dict[str, Any] = {}
    branches: dict[str, Branch] = {}
    for attribute in proto.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            options[attribute.name] = _tensor(file, attribute.t, beside)
        elif attribute.type == onnx.AttributeProto.GRAPH:
            branches[attribute.name] = _branch(file, attribute.g, opset, beside)
        else:
            try:
                value = onnx.helper.get_attribute_value(attribute)
            except ValueError as error:
                raise damaged(file, "ONNX", f"an attribute of {proto.op_type} {place}: {error}") from error
            options[attribute.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    _check_text(file, proto.name, proto.op_type, proto.domain, *proto.input, *proto.output)
    name = proto.name or f"{proto.op_type} {place}"
    return Node(name, proto.op_type, proto.domain, tuple(proto.input), tuple(proto.output), options, opset, branches)


def _branch(file: ModelFile, graph: Any, opset: int, beside: External) -> Branch:
    """A graph inside a node."""
    _check_text(file, *(entry.name for entry in (*graph.initializer, *graph.input, *graph.output)))
    constants = {tensor.name: _tensor(file, tensor, beside) for tensor in graph.initializer}
    nodes = tuple(_node(file, place, proto, opset, beside) for place, proto in enumerate(graph.node))
    outputs = tuple(entry.name for entry in graph.output)
    inside = {*constants, *(entry.name for entry in graph.input), *(name for node in nodes for name in node.outputs)}
    needed = dict.fromkeys((*(name for node in nodes for name in node.needs), *outputs))
    return Branch(nodes, constants, outputs, tuple(name for name in needed if name not in inside))


def _sorted(file: ModelFile, nodes: list[Node], known: set[str], output: str) -> tuple[Node, ...]:
    """The nodes that the output needs, each after those it needs itself (depth first, without recursion)."""
    makers = {name: node for node in nodes for name in node.outputs if name}
    order: list[Node] = []
    done, open_nodes = set(known), set()
    stack = [output]
    while stack:
        name = stack[-1]
        node = makers.get(name)
        if name in done:
            stack.pop()
        elif node is None:
            raise damaged(file, "ONNX", f"nothing makes the value {name!r}")
        else:
            missing = [need for need in node.needs if need and need not in done]
            if not missing:
                order.append(node)
                done.update(node.outputs)
                stack.pop()
            elif name in open_nodes:
                raise damaged(file, "ONNX", f"layer {node.name} needs its own output")
            else:
                open_nodes.add(name)
                stack.extend(missing)
    return tuple(order)


def _tensor(file: ModelFile, tensor: Any, beside: External) -> np.ndarray:
    """A tensor's numbers, from the file itself or from a data file in the model's own folder."""
    import onnx
    from onnx import numpy_helper

    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        inner = onnx.TensorProto()
        inner.CopyFrom(tensor)
        inner.data_location = onnx.TensorProto.DEFAULT
        inner.raw_data = beside.read(tensor)
        del inner.external_data[:]
        tensor = inner
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, NotImplementedError) as error:
        raise damaged(file, "ONNX", f"tensor {tensor.name}: {error}") from error
    if 0 in array.shape and max(array.shape) > MOST_INPUTS:
        raise damaged(file, "ONNX", f"tensor {tensor.name} has the shape {array.shape}")
    return array.astype(np.float32) if str(array.dtype) == "bfloat16" else array
