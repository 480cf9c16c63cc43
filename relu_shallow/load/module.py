"""A live `torch.nn.Module`: standard layers in sequence, or a forward of its own, traced.

Tracing is symbolic, with torch.fx; where the forward decides by shapes, or changes parts of tensors, and the shape of a
row is known, torch.export runs it on an example instead, and its program is read as its archive would be. The module is
read as in evaluation and left as it was found. Afterwards its own outputs on random inputs are compared
with the network's, within the rounding error of the module's precision; a difference refuses it.
"""

# ruff: noqa: ARG001  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

import copy
import io
import logging
import operator
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.agreement import checked_by, difference, rows_to_compare
from relu_shallow.load.aten import apply
from relu_shallow.load.graph import Graph
from relu_shallow.load.layer_state import children, class_path, numbers, refuse_altered
from relu_shallow.load.layers import is_standard, walk_layers
from relu_shallow.load.lowering import assemble
from relu_shallow.load.outputs import chosen_output
from relu_shallow.load.reading import ModelFile, from_bytes
from relu_shallow.load.torch_export import walk_program
from relu_shallow.load.walk import Vector, Walk, Wanted, current, refuse_layer, source_of, start, walked
from relu_shallow.network import Network

FAILED = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NameError, ArithmeticError,
          AssertionError)  # fmt: skip
FIRST = "torch.nn.modules.linear.Linear"


def read_module(
    module: Any, wanted: Wanted | None = None, *, name: str = "memory", form: str = "torch module", sha256: str = ""
) -> Network:
    """The network of a live module; raises ModelError where a layer is unsupported or the outputs differ."""
    walk = Walk(wanted=wanted or Wanted())
    what = type(module).__name__ if name == "memory" else name
    for path, part in module.named_modules():
        refuse_altered(path, part)
    with _in_evaluation(module):
        if is_standard(module):
            graph = walked(walk, what, lambda: walk_layers(walk, "", start(walk, None), module))
        else:
            graph = walked(walk, what, _forward(walk, module, what))
        network = assemble(graph, source_of(walk, name, form, sha256))
        if walk.wanted.until:
            return network
        rows = _check_same(network, graph, module, what, walk.wanted)
    return checked_by(network, f"PyTorch, the module itself: {rows} rows agree")


def _forward(walk: Walk, module: Any, what: str) -> Callable[[], Any]:
    """What walks the module's forward, traced with torch.fx where that can follow it, else exported."""
    try:
        graph = _tracer().trace(module)
    except FAILED as error:
        shape = walk.wanted.shape or _first_width(module)
        if shape is None:
            raise ModelError(
                f"the forward of {what} cannot be traced: {_first_line(error)}. Give the shape of one row with "
                "--input-shape, write it without decisions on values, or export it with torch.export or torch.onnx "
                "and give that file"
            ) from error
        program = _exported(module, shape, what)
        return lambda: walk_program(walk, program)
    return lambda: _walked(walk, graph, module, what)


def _tracer() -> Any:
    """A torch.fx tracer to which `x += y` is a change in place, which to torch.fx alone it is not."""
    from torch import fx

    class InPlace(fx.Proxy):
        """A traced value."""

    for symbol in ("iadd", "isub", "imul", "itruediv"):
        target = getattr(operator, symbol)
        setattr(InPlace, f"__{symbol}__", lambda self, other, target=target: self.tracer.create_proxy(
            "call_function", target, (self, other), {}))  # fmt: skip

    class Tracer(fx.Tracer):
        """torch.fx's, over these values."""

        def proxy(self, node: Any) -> Any:
            return InPlace(node, self)

    return Tracer()


def _first_width(module: Any) -> tuple[int, ...] | None:
    """The shape of a row as the first registered layer tells it, where it is linear."""
    first = next((part for part in module.modules() if not children(part)), None)
    return (int(first.in_features),) if first is not None and class_path(first) == FIRST else None


def _exported(module: Any, shape: tuple[int, ...], what: str) -> ModelFile:
    """The archive of the module's program, as torch.export follows its forward on an example."""
    import torch

    tensors = [*module.parameters(), *module.buffers()]
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.zeros(1))
    example = torch.zeros((2, *shape), dtype=like.dtype, device=like.device)
    problem: BaseException | None = None
    for sizes in (({0: torch.export.Dim("rows")},), None):  # any number of rows; where that is written into it, two
        try:
            with _silenced():
                program = torch.export.export(module, (example,), dynamic_shapes=sizes, strict=False)
                buffer = io.BytesIO()
                torch.export.save(program, buffer)
        except FAILED as error:
            problem = problem or error
        else:
            return from_bytes(Path(what), buffer.getvalue())
    raise ModelError(
        f"the forward of {what} cannot be followed on rows of shape {shape}: {_first_line(problem)}. It may decide by "
        "the values it is given, and then it is no fixed network; write it without such decisions"
    ) from problem


@contextmanager
def _silenced() -> Iterator[None]:
    """Without torch.export's log of graphs that it could not follow."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


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


def _walked(walk: Walk, graph: Any, module: Any, what: str) -> Any:
    """The output of a traced forward, walked operation by operation."""
    from torch import fx

    values: dict[Any, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder" and values and not node.args:
            raise ModelError(f"the forward of {what} takes more than one input; one tensor was expected")
        if node.op == "placeholder":
            values[node] = node.args[0] if values else start(walk, None)
        elif node.op == "output":
            return chosen_output(what, fx.node.map_arg(node.args[0], values.__getitem__), walk.wanted)
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
    taken = (*args, *kwargs.values())
    if len(taken) != 1 or not isinstance(taken[0], Vector):
        kind = type(module.get_submodule(node.target)).__name__
        raise refuse_layer(node.target, f"a {kind} of {len(taken)} arguments" if len(taken) != 1 else
                           f"a {kind} of something that does not depend on the input")  # fmt: skip
    v = current(walk, node.target, taken[0])
    return walk_layers(walk, node.target, v, module.get_submodule(node.target))


def _function(walk: Walk, module: Any, node: Any, values: dict[Any, Any]) -> Any:
    args, kwargs = _arguments(node, values)
    op, home = node.target.__name__, node.target.__module__ or "torch"
    if home.partition(".")[0] not in ("torch", "_operator", "operator", "builtins"):
        op = f"{home}.{op}"
    return apply(walk, node.name, op, args, kwargs, functional=home == "torch.nn.functional")


def _method(walk: Walk, module: Any, node: Any, values: dict[Any, Any]) -> Any:
    args, kwargs = _arguments(node, values)
    return apply(walk, node.name, node.target, args, kwargs)


NODES: dict[str, Callable[[Walk, Any, Any, dict[Any, Any]], Any]] = {
    "get_attr": _constant, "call_module": _layer, "call_function": _function, "call_method": _method,
}  # fmt: skip


def _check_same(network: Network, graph: Graph, module: Any, what: str, wanted: Wanted) -> int:
    """How many rows the module's own outputs agree on with the network's; raises ModelError where they differ.

    A copy in double precision is run where one can be made, since the proved bound of a deep network in single
    precision is wide; else the module itself.
    """
    X = rows_to_compare(network.inputs)
    rows = X if wanted.shape is None else X.reshape(len(X), *wanted.shape)
    try:
        own, unit = _run(copy.deepcopy(module).double(), rows, what, wanted)
    except FAILED:
        try:
            own, unit = _run(module, rows, what, wanted)
        except FAILED as error:
            raise ModelError(f"{what} could not be run on {len(X)} rows of {network.inputs} values to check the "
                             f"conversion: {_first_line(error)}") from error  # fmt: skip
    differs = difference(network, graph, X, own, unit)
    if differs:
        raise ModelError(f"the outputs of {what} and of the network read from it differ {differs}: it does something "
                         "(a hook, a parametrisation) that was not seen. Export it with torch.onnx")  # fmt: skip
    return len(X)


def _run(module: Any, X: np.ndarray, what: str, wanted: Wanted) -> tuple[np.ndarray, float]:
    """The module's own outputs, one row per input, and the unit round-off of its arithmetic."""
    import torch

    tensors = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.is_floating_point()]
    dtype, device = (tensors[0].dtype, tensors[0].device) if tensors else (torch.float64, torch.device("cpu"))
    with torch.no_grad():
        given = torch.from_numpy(X.copy()).to(dtype=dtype, device=device)  # which the module may change in place
        own = chosen_output(what, module(given), wanted)
        return own.double().cpu().numpy().reshape(len(X), -1), torch.finfo(dtype).eps / 2


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).splitlines()), repr(error))
