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
from relu_shallow.load.aten import FUNCTIONAL, apply
from relu_shallow.load.chain import Chain, assemble, unfolded
from relu_shallow.load.layers import is_standard, numbers, refuse_altered, walk_layers
from relu_shallow.load.walk import Vector, Walk, finish, source_of
from relu_shallow.network import Network, apply_head
from relu_shallow.precision import evaluation_error, gamma

CHECKED_ROWS = 16  # at each of the scales
CHECKED_SCALES = (1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3)
FAILED = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NameError, ArithmeticError)


def read_module(module: Any, *, name: str = "memory", form: str = "torch module", sha256: str = "") -> Network:
    """The network of a live module; raises ModelError where a layer is unsupported or the outputs differ."""
    walk = Walk()
    what = type(module).__name__ if name == "memory" else name
    for path, part in module.named_modules():
        refuse_altered(path, part)
    with _in_evaluation(module):
        if is_standard(module):
            output: Any = walk_layers(walk, "", Vector(0, None), module)
        else:
            output = _traced(walk, module, what)
        chain = finish(walk, output, what)
        network = assemble(chain, source_of(walk, name, form, sha256))
        _check_same(network, chain, module, what)
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
            values[node] = node.args[0] if values else Vector(0, None)
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
    return walk_layers(walk, node.target, (*args, *kwargs.values())[0], module.get_submodule(node.target))


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


def _check_same(network: Network, chain: Chain, module: Any, what: str) -> None:
    """Raises ModelError where the module's own outputs differ from the network's beyond rounding.

    A copy in double precision is run where one can be made, since the proved bound of a deep network in single
    precision is wide; else the module itself.
    """
    draw = np.random.default_rng(0).normal(size=(len(CHECKED_SCALES), CHECKED_ROWS, network.inputs))
    draw *= np.array(CHECKED_SCALES)[:, None, None]
    X = draw.reshape(-1, network.inputs).astype(np.float16).astype(np.float64)
    try:
        own, unit = _run(copy.deepcopy(module).double(), X)
    except FAILED:
        try:
            own, unit = _run(module, X)
        except FAILED as error:
            raise ModelError(f"{what} could not be run on rows of {network.inputs} values to check the conversion: "
                             f"{_first_line(error)}") from error  # fmt: skip
    ours, allowed = predicted(network, X), rounding(chain, X, unit)
    if own.shape != ours.shape or not (np.abs(own - ours) <= allowed).all():
        worst = f"by up to {np.abs(own - ours).max():.3g}" if own.shape == ours.shape else f"in shape, {own.shape}"
        raise ModelError(f"the outputs of {what} and of the network read from it differ {worst}: it does something "
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


def predicted(network: Network, X: np.ndarray) -> np.ndarray:
    """Outputs after the head."""
    return apply_head(network, network(X))


def rounding(chain: Chain, X: np.ndarray, unit: float) -> np.ndarray:
    """A bound on how far a framework's outputs, in arithmetic of round-off `unit`, are from the network's.

    Layer by layer as the framework runs them; every head is Lipschitz with constant at most 2 in the largest
    component, and computing it adds about the number of outputs in roundings of numbers no larger than |y| + its size.
    """
    plain = unfolded(chain)
    error = evaluation_error(plain, X, unit)
    largest = 2.0 * error.max(axis=1, keepdims=True)
    Y = np.abs(plain(X)).max(axis=1, keepdims=True)
    size = plain.outputs
    return largest + gamma(size + 8, unit) * (Y + np.log(size) + 1.0)
