"""A live `torch.nn.Module`: standard layers in sequence, or a forward of its own traced symbolically with torch.fx.

The module is read as in evaluation and left as it was found. Afterwards its own outputs on random inputs are compared
with the network's, within the rounding error of the module's precision; a difference refuses it.
"""

# ruff: noqa: ARG001  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.agreement import difference, rows_to_compare
from relu_shallow.load.aten import FUNCTIONAL, apply
from relu_shallow.load.graph import Graph
from relu_shallow.load.layers import is_standard, numbers, refuse_altered, walk_layers
from relu_shallow.load.lowering import assemble
from relu_shallow.load.walk import Walk, Wanted, current, source_of, start, walked
from relu_shallow.network import Network

FAILED = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NameError, ArithmeticError)


def read_module(
    module: Any, wanted: Wanted | None = None, *, name: str = "memory", form: str = "torch module", sha256: str = ""
) -> Network:
    """The network of a live module; raises ModelError where a layer is unsupported or the outputs differ."""
    walk = Walk(wanted=wanted or Wanted())
    what = type(module).__name__ if name == "memory" else name
    for path, part in module.named_modules():
        refuse_altered(path, part)
    with _in_evaluation(module):
        whole = is_standard(module)
        graph = walked(walk, what, lambda: (walk_layers(walk, "", start(walk, None), module) if whole
                                            else _traced(walk, module, what)))  # fmt: skip
        network = assemble(graph, source_of(walk, name, form, sha256))
        if not walk.wanted.until:
            _check_same(network, graph, module, what, walk.wanted.shape)
    return network


@contextmanager
def _in_evaluation(module: Any) -> Iterator[None]:
    """The module in evaluation mode, every part's own mode put back at the end."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _traced(walk: Walk, module: Any, what: str) -> Any:
    """The output of the module's forward, traced and walked operation by operation."""
    from torch import fx

    try:
        graph = fx.Tracer().trace(module)
    except FAILED as error:
        raise ModelError(
            f"the forward of {what} cannot be traced: {_first_line(error)}. "
            "Write it without decisions on values, or export it with torch.export or torch.onnx and give that file"
        ) from error
    values: dict[Any, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder" and values and not node.args:
            raise ModelError(f"the forward of {what} takes more than one input; one tensor was expected")
        if node.op == "placeholder":
            values[node] = node.args[0] if values else start(walk, None)
        elif node.op == "output":
            return fx.node.map_arg(node.args[0], values.__getitem__)
        else:
            values[node] = NODES[node.op](walk, module, node, values)
    raise ModelError(f"the forward of {what} returns nothing")


def _arguments(node: Any, values: dict[Any, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    from torch import fx

    return fx.node.map_arg(node.args, values.__getitem__), fx.node.map_arg(node.kwargs, values.__getitem__)


def _constant(walk: Walk, module: Any, node: Any, values: dict[Any, Any]) -> Any:
    found = module
    for part in node.target.split("."):
        found = getattr(found, part)
    return numbers(found) if hasattr(found, "detach") else found


def _layer(walk: Walk, module: Any, node: Any, values: dict[Any, Any]) -> Any:
    args, kwargs = _arguments(node, values)
    v = current(walk, node.target, (*args, *kwargs.values())[0])
    return walk_layers(walk, node.target, v, module.get_submodule(node.target))


def _function(walk: Walk, module: Any, node: Any, values: dict[Any, Any]) -> Any:
    args, kwargs = _arguments(node, values)
    op, home = node.target.__name__, node.target.__module__ or "torch"
    if home.partition(".")[0] not in ("torch", "_operator", "operator", "builtins"):
        op = f"{home}.{op}"
    if home == "torch.nn.functional" and op in FUNCTIONAL:
        return FUNCTIONAL[op](walk, node.name, *args, **kwargs)
    return apply(walk, node.name, op, args, kwargs)


def _method(walk: Walk, module: Any, node: Any, values: dict[Any, Any]) -> Any:
    args, kwargs = _arguments(node, values)
    return apply(walk, node.name, node.target, args, kwargs)


NODES: dict[str, Callable[[Walk, Any, Any, dict[Any, Any]], Any]] = {
    "get_attr": _constant, "call_module": _layer, "call_function": _function, "call_method": _method,
}  # fmt: skip


def _check_same(network: Network, graph: Graph, module: Any, what: str, shape: tuple[int, ...] | None) -> None:
    """Raises ModelError where the module's own outputs differ from the network's beyond rounding.

    A copy in double precision is run where one can be made, since the proved bound of a deep network in single
    precision is wide; else the module itself.
    """
    X = rows_to_compare(network.inputs)
    rows = X if shape is None else X.reshape(len(X), *shape)
    try:
        own, unit = _run(copy.deepcopy(module).double(), rows)
    except FAILED:
        try:
            own, unit = _run(module, rows)
        except FAILED as error:
            raise ModelError(f"{what} could not be run on rows of {network.inputs} values to check the conversion: "
                             f"{_first_line(error)}") from error  # fmt: skip
    differs = difference(network, graph, X, own, unit)
    if differs:
        raise ModelError(f"the outputs of {what} and of the network read from it differ {differs}: it does something "
                         "(a hook, a parametrisation) that was not seen. Export it with torch.onnx")  # fmt: skip


def _run(module: Any, X: np.ndarray) -> tuple[np.ndarray, float]:
    """The module's own outputs, one row per input, and the unit round-off of its arithmetic."""
    import torch

    tensors = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.is_floating_point()]
    dtype, device = (tensors[0].dtype, tensors[0].device) if tensors else (torch.float64, torch.device("cpu"))
    with torch.no_grad():
        own = module(torch.from_numpy(X).to(dtype=dtype, device=device))
        return own.double().cpu().numpy().reshape(len(X), -1), torch.finfo(dtype).eps / 2


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), repr(error))
