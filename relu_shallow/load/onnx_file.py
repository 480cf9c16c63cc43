"""ONNX files: the walk over the nodes of a graph, from its input to its output."""

from __future__ import annotations

from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import ROWS, Size, mixes_rows
from relu_shallow.load.lowering import assemble
from relu_shallow.load.onnx_graph import Graph, read_graph
from relu_shallow.load.onnx_node import Branch, Node
from relu_shallow.load.onnx_ops import CONSTANT, SYMBOLIC, constant_size, refusal
from relu_shallow.load.reading import ModelFile, damaged, say
from relu_shallow.load.walk import (
    Vector,
    Walk,
    Wanted,
    make_room,
    meet,
    most_entries,
    source_of,
    start,
    walked,
)
from relu_shallow.network import Network


def read_onnx(file: ModelFile, wanted: Wanted) -> Network:
    """The network of an ONNX file.

    A fixed first size of two or more axes is read as a batch, of which each row is treated alike; where the graph
    does not treat rows alike, the whole tensor is one input.
    """
    graph = read_graph(file, wanted)
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
    network = assemble(steps, source_of(walk, file.name, "onnx", file.sha256))
    if not wanted.check:
        return network
    from relu_shallow.load.agreement import checked_by
    from relu_shallow.load.onnx_check import check_source

    return checked_by(network, check_source(file, network, steps, wanted))


def _output(walk: Walk, file: ModelFile, graph: Graph, shape: tuple[int, ...], axis: int | None) -> Any:
    """The graph's output, every node applied in order."""
    values: dict[str, Any] = {**graph.constants, graph.input: start(walk, shape, axis)}
    _run(walk, file, graph.nodes, values)
    if graph.output not in values:
        raise ModelError(f"the output {graph.output} of {file.name} is a second output of its last layer "
                         "(a dropout's mask, say), which is not read")  # fmt: skip
    output = values[graph.output]
    if walk.batch > 1 and isinstance(output, Vector) and output.batch:
        raise ModelError(f"the rows lie along axis {output.batch} of the output {graph.output}, not along the first")
    return output


def _run(walk: Walk, file: ModelFile, nodes: tuple[Node, ...], values: dict[str, Any]) -> None:
    """Adds to the values what nodes make of them, one after another."""
    names = {node.name for node in nodes}
    for node in nodes:
        for name in node.inputs:
            if name and name not in values:
                raise ModelError(f"layer {node.name} uses the value {name}, a second output of another layer "
                                 "(a dropout's mask, say), which is not read")  # fmt: skip
        if not node.outputs:
            raise damaged(file, "ONNX", f"layer {node.name} has no output")
        called = walk.wanted.until if walk.wanted.until in set(node.outputs) - names else node.name
        inputs = [values[name] if name else None for name in node.inputs]
        branch = _chosen(node, inputs)
        if branch is None:
            made = _applied(walk, node, called, inputs)
        else:
            inner: dict[str, Any] = {**values, **branch.constants}
            _run(walk, file, branch.nodes, inner)
            made = tuple(inner[name] for name in branch.outputs)
        several = made if isinstance(made, tuple) else (made,)
        values.update((name, value) for name, value in zip(node.outputs, several, strict=False) if name)


def _chosen(node: Node, inputs: list[Any]) -> Branch | None:
    """The branch that an If takes by a condition known while reading, as one on sizes is; None for any other node."""
    if node.op != "If" or node.domain or len(inputs) != 1 or isinstance(inputs[0], Vector):
        return None
    branch = node.branches.get("then_branch" if np.asarray(inputs[0]).all() else "else_branch")
    made_inside = () if branch is None else {*branch.constants, *branch.taken, *_outputs(branch)}
    return branch if branch is not None and set(branch.outputs) <= set(made_inside) else None


def _outputs(branch: Branch) -> list[str]:
    return [name for node in branch.nodes for name in node.outputs]


def _applied(walk: Walk, node: Node, called: str, inputs: list[Any]) -> Any:
    """The output of a node, or several; raises ModelError, naming it, where it is not known or does not fit.

    For `--until` a node is called by its own name, or by that of a tensor that it makes.
    """
    vectors = [value for value in inputs if isinstance(value, Vector)]
    if vectors and node.op not in ("Shape", "Size"):
        meet(walk, called, vectors)
    operations = SYMBOLIC if vectors else CONSTANT
    if node.op not in operations or node.domain not in ("", "ai.onnx"):
        raise refusal(node)
    try:
        if operations is SYMBOLIC:
            return SYMBOLIC[node.op](walk, node, *inputs)
        return _calculated(walk, node, inputs)
    except TypeError as error:
        if any(_counts_rows(value) for value in inputs):
            raise mixes_rows(node.name, f"({node.op}) computes with {ROWS.what}") from error
        raise ModelError(f"layer {node.name} ({node.op}) does not fit its inputs: {error}") from error
    except (ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"layer {node.name} ({node.op}) does not fit its inputs: {error}") from error


def _calculated(walk: Walk, node: Node, inputs: list[Any]) -> Any:
    """What an operation makes of constants alone: an array, or several."""
    make_room(walk, node.name, constant_size(node, inputs))
    made = CONSTANT[node.op](node, *inputs)
    if isinstance(made, tuple):
        return tuple(map(np.asarray, made))
    array = np.asarray(made)
    walk.room -= array.size if array.base is None else 0
    return array


def _counts_rows(value: Any) -> bool:
    """Whether a constant of the graph holds the number of rows, which is not known."""
    return any(isinstance(size, Size) for size in np.ravel(value))
