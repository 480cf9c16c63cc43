"""ONNX files: the `onnx` package parses the protobuf, and the walk from input to output is our own.

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
from relu_shallow.load.lowering import assemble
from relu_shallow.load.onnx_external import External
from relu_shallow.load.onnx_ops import CONSTANT, SYMBOLIC, Node, constant_size
from relu_shallow.load.reading import ModelFile, damaged, say
from relu_shallow.load.walk import (
    MOST_INPUTS,
    Vector,
    Walk,
    Wanted,
    choose_output,
    make_room,
    meet,
    most_entries,
    refuse_layer,
    source_of,
    start,
    walked,
)
from relu_shallow.network import Network


@dataclass(frozen=True, eq=False)
class Graph:
    """An ONNX graph from its one input to its one output: nodes in an order in which they can be applied."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    input: str
    shape: tuple[int, ...]
    free: bool  # whether the first axis may be of any size: a batch
    output: str
    beside: int  # bytes of the tensors kept in other files


def read_onnx(file: ModelFile, wanted: Wanted) -> Network:
    """The network of an ONNX file.

    A fixed first size of two or more axes is read as a batch, of which each row is treated alike; where the graph
    does not treat rows alike, the whole tensor is one input.
    """
    graph = _graph(file, wanted)
    if graph.free or len(graph.shape) < 2 or graph.shape[0] == 1:
        return _network(file, wanted, graph, graph.shape, 1, 0 if graph.free else None)
    try:
        network = _network(file, wanted, graph, (1, *graph.shape[1:]), graph.shape[0], 0)
        say(f"{file.name}: the first axis of its input, {graph.shape[0]}, is read as the batch")
        return network
    except ModelError as per_row:
        try:
            return _network(file, wanted, graph, graph.shape, 1, None)
        except ModelError:
            raise per_row from None


def _network(
    file: ModelFile, wanted: Wanted, graph: Graph, shape: tuple[int, ...], batch: int, axis: int | None
) -> Network:
    walk = Walk(batch=batch, room=most_entries(file, graph.beside), wanted=wanted)
    walk.assumed = f"the first axis of the input, {batch}, is the batch" if batch > 1 else ""
    steps = walked(walk, file.name, lambda: _output(walk, file, graph, shape, axis))
    return assemble(steps, source_of(walk, file.name, "onnx", file.sha256))


def _output(walk: Walk, file: ModelFile, graph: Graph, shape: tuple[int, ...], axis: int | None) -> Any:
    """The graph's output, every node applied in order."""
    values: dict[str, Any] = {**graph.constants, graph.input: start(walk, shape, axis)}
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in values:
                raise ModelError(f"layer {node.name} uses the value {name}, a second output of another layer "
                                 "(a dropout's mask, say), which is not read")  # fmt: skip
        if not node.outputs:
            raise damaged(file, "ONNX", f"layer {node.name} has no output")
        made = _applied(walk, node, [values[name] if name else None for name in node.inputs])
        several = made if isinstance(made, tuple) else (made,)
        values.update((name, value) for name, value in zip(node.outputs, several, strict=False) if name)
    if graph.output not in values:
        raise ModelError(f"the output {graph.output} of {file.name} is a second output of its last layer "
                         "(a dropout's mask, say), which is not read")  # fmt: skip
    return values[graph.output]


def _applied(walk: Walk, node: Node, inputs: list[Any]) -> Any:
    """The output of a node, or several; raises ModelError, naming it, where it is not known or does not fit."""
    vectors = [value for value in inputs if isinstance(value, Vector)]
    if vectors and node.op != "Shape":
        meet(walk, node.name, vectors)
    operations = SYMBOLIC if vectors else CONSTANT
    known = node.op in operations and node.domain in ("", "ai.onnx")
    if not known:
        raise refuse_layer(node.name, node.op if not node.domain else f"{node.domain}.{node.op}")
    try:
        if operations is SYMBOLIC:
            return SYMBOLIC[node.op](walk, node, *inputs)
        make_room(walk, node.name, constant_size(node, inputs))
        made = np.asarray(CONSTANT[node.op](node, *inputs))
        walk.room -= made.size if made.base is None else 0
        return made
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"layer {node.name} ({node.op}) does not fit its inputs: {error}") from error


def _graph(file: ModelFile, wanted: Wanted) -> Graph:
    """The parsed graph, only what the output needs."""
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(file.data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise damaged(file, "ONNX", error) from error
    return _read_graph(file, model, wanted)


def _read_graph(file: ModelFile, model: Any, wanted: Wanted) -> Graph:
    """The graph of a model, its tensors as arrays and its nodes sorted."""
    graph = model.graph
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 1))
    if not graph.output or (not versions and model.ir_version >= 3):
        raise damaged(file, "ONNX", "it holds no whole graph")
    _check_text(file, *(entry.name for entry in (*graph.initializer, *graph.input, *graph.output)))
    beside = External(file)
    constants = {tensor.name: _tensor(file, tensor, beside) for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    if graph.sparse_initializer or len(inputs) != 1:
        raise ModelError(f"{file.name} has {len(inputs)} inputs ({_names(inputs)}); a network with one was expected")
    output = choose_output(file.name, [entry.name for entry in graph.output], wanted)
    nodes = [_node(file, place, proto, opset, beside) for place, proto in enumerate(graph.node)]
    order = _sorted(file, nodes, {*constants, inputs[0].name}, output)
    sizes = inputs[0].type.tensor_type.shape.dim
    free = len(sizes) > 1 and sizes[0].dim_value < 1
    return Graph(
        order, constants, inputs[0].name, _input_shape(file, inputs[0], wanted), free, output, beside.taken
    )


def _check_text(file: ModelFile, *names: object) -> None:
    """Raises ModelError where a name is not UTF-8, which protobuf then hands over as bytes."""
    if not all(isinstance(name, str) for name in names):
        raise damaged(file, "ONNX", "a name in it is not text")


def _names(entries: Any) -> str:
    return ", ".join(entry.name for entry in entries) or "none"


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
    for attribute in proto.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            options[attribute.name] = _tensor(file, attribute.t, beside)
        elif attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise refuse_layer(proto.name or f"{proto.op_type} {place}", f"{proto.op_type} (control flow)")
        else:
            try:
                value = onnx.helper.get_attribute_value(attribute)
            except ValueError as error:
                raise damaged(file, "ONNX", f"an attribute of {proto.op_type} {place}: {error}") from error
            options[attribute.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    _check_text(file, proto.name, proto.op_type, proto.domain, *proto.input, *proto.output)
    name = proto.name or f"{proto.op_type} {place}"
    return Node(name, proto.op_type, proto.domain, tuple(proto.input), tuple(proto.output), options, opset)


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
            missing = [need for need in node.inputs if need and need not in done]
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
