"""The walk over the calls of a Keras model from its input to its output, models within it included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load.keras_config import Call, Layer, Model, Tensor
from relu_shallow.load.keras_layers import LAYERS, MERGES, merged, operated
from relu_shallow.load.keras_weights import Tree
from relu_shallow.load.keras_windows import WINDOW_LAYERS
from relu_shallow.load.walk import Vector, Walk, current, meet, refuse_layer, shape_of, start

ALL_LAYERS = {**LAYERS, **WINDOW_LAYERS}
MOST_CALLS = 20_000  # of layers in all; models used twice within models used twice double them
CODE = {
    "Lambda": "Python code kept in the file, which is never run",
    "TFOpLambda": "a TensorFlow function called by its name, which is not read",
    "SlicingOpLambda": "a slice written in TensorFlow, which is not read",
    "TensorFlowOpLayer": "a TensorFlow operation, which is not read",
    "TFSMLayer": "a TensorFlow program in another file, which is never run",
}
UNFIT = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError)


def walk_model(
    walk: Walk, model: Model, tree: Tree, given: Sequence[Vector], wanted: Sequence[Tensor], prefix: str = ""
) -> list[Vector]:
    """What the wanted tensors of a model are when it is applied to the given ones."""
    calls = {(call.layer, call.number): call for call in model.calls}
    values: dict[tuple[str, int], list[Vector]] = {
        (tensor.layer, tensor.call): [v] for tensor, v in zip(model.inputs, given, strict=True)
    }
    for call in _ordered(model, calls, set(values), wanted):
        arguments = _bound(call.arguments, values)
        part = model.parts[call.layer]
        name, below = f"{prefix}{call.layer}", tree.below.get(call.layer, Tree())
        if isinstance(part, Model):
            values[call.layer, call.number] = _inner(walk, name, part, below, arguments)
        else:
            values[call.layer, call.number] = [_applied(walk, name, part, below, arguments)]
    return [_picked(values, tensor) for tensor in wanted]


def _ordered(
    model: Model, calls: Mapping[tuple[str, int], Call], known: set[tuple[str, int]], wanted: Sequence[Tensor]
) -> list[Call]:
    """The calls that the wanted tensors need, each after those it needs itself (depth first, without recursion)."""
    order: list[Call] = []
    done, opened = set(known), set()
    stack = [(tensor.layer, tensor.call) for tensor in reversed(wanted)]
    while stack:
        key = stack[-1]
        if key in done:
            stack.pop()
            continue
        call = calls.get(key)
        if call is None or not call.tensors:
            raise ModelError(f"the model {model.name} uses the output of {key[0]!r:.60}, which it neither makes nor "
                             "takes")  # fmt: skip
        missing = [(tensor.layer, tensor.call) for tensor in call.tensors if (tensor.layer, tensor.call) not in done]
        if not missing:
            order.append(call)
            done.add(key)
            stack.pop()
        elif key in opened:
            raise ModelError(f"layer {key[0]!r:.60} of the model {model.name} needs its own output")
        else:
            opened.add(key)
            stack.extend(missing)
    return order


def _bound(argument: Any, values: Mapping[tuple[str, int], list[Vector]]) -> Any:
    """An argument with the vectors in place of the tensors."""
    if isinstance(argument, Tensor):
        return _picked(values, argument)
    if isinstance(argument, (list, tuple)):
        return [_bound(inner, values) for inner in argument]
    if isinstance(argument, dict):
        return [_bound(inner, values) for inner in argument.values()]
    return argument


def _picked(values: Mapping[tuple[str, int], list[Vector]], tensor: Tensor) -> Vector:
    found = values[tensor.layer, tensor.call]
    if not 0 <= tensor.output < len(found):
        raise ModelError(f"layer {tensor.layer} has {len(found)} outputs; number {tensor.output} is used")
    return found[tensor.output]


def _vectors(arguments: Any) -> list[Vector]:
    """The vectors among bound arguments, in order."""
    if isinstance(arguments, Vector):
        return [arguments]
    return [v for inner in arguments for v in _vectors(inner)] if isinstance(arguments, list) else []


def _inner(walk: Walk, name: str, model: Model, tree: Tree, arguments: list[Any]) -> list[Vector]:
    """A model applied as a layer of another."""
    given = _vectors(arguments)
    if len(given) != len(model.inputs):
        raise ModelError(f"the model {name} takes {len(model.inputs)} tensors, and {len(given)} are given")
    meet(walk, name, given)
    return walk_model(walk, model, tree, given, model.outputs, f"{name}/")


def _applied(walk: Walk, name: str, layer: Layer, tree: Tree, arguments: list[Any]) -> Vector:
    """The output of a layer; raises ModelError, naming it, where it is not known or does not fit."""
    vectors = [current(walk, name, v) for v in _vectors(arguments)]
    meet(walk, name, vectors)
    if len(walk.names) > MOST_CALLS:
        raise ModelError(f"the model applies its layers more than {MOST_CALLS} times; it is not read")
    layer = Layer(name, layer.kind, layer.options, layer.version, layer.operation)
    if layer.kind in CODE:
        raise ModelError(f"layer {name} is a {layer.kind}: {CODE[layer.kind]}; write it with Keras' own layers, or "
                         f"export the model to ONNX. To convert the part before it, use --until {name}")  # fmt: skip
    try:
        return _lowered(walk, name, layer, tree, arguments, vectors)
    except UNFIT as error:
        raise ModelError(f"layer {name} ({layer.kind:.60}) does not fit its input: {error}") from error


def _lowered(
    walk: Walk, name: str, layer: Layer, tree: Tree, arguments: list[Any], vectors: list[Vector]
) -> Vector:  # fmt: skip
    if layer.operation:
        return operated(walk, name, layer, arguments)
    if layer.kind == "InputLayer" and len(vectors) == 1:
        return vectors[0]
    if layer.kind in MERGES and vectors:
        return merged(walk, name, vectors, layer)
    known = ALL_LAYERS.get(layer.kind)
    if known is None:
        raise refuse_layer(name, f"{layer.kind:.60}")
    if len(vectors) != 1:
        raise ModelError(f"layer {name} ({layer.kind}) takes one tensor, and {len(vectors)} are given")
    if layer.kind != "Dense" and known is not LAYERS["Activation"] and vectors[0].shape is None:
        shape_of(vectors[0])
    return known(walk, name, vectors[0], layer, tree.weights)


def begin(walk: Walk, what: str, model: Model) -> Vector:
    """The input of a model: rows of the shape that the file tells, or of that which the user gives."""
    if len(model.inputs) != 1:
        names = ", ".join(tensor.layer for tensor in model.inputs)
        raise ModelError(f"{what} takes {len(model.inputs)} tensors ({names}); a network with one input was expected")
    shape = _row_shape(model)
    if shape is None or (walk.wanted.shape is not None and None in shape):
        return start(walk, None)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ModelError(f"the input of {what} has no fixed size ({', '.join(str(size)[:20] for size in shape)}): give "
                         "the shape of one row with --input-shape, such as 32,32,3")  # fmt: skip
    return start(walk, (1, *shape))


def _row_shape(model: Model) -> list[Any] | None:
    """The shape of one row, None for a size left open; None where the file does not tell."""
    part: Any = model
    while isinstance(part, Model):
        if isinstance(part.shape, list) and len(part.shape) > 1:
            return part.shape[1:]
        name = part.inputs[0].layer
        part = part.parts.get(name) if name else next(iter(part.parts.values()), None)
    for key in ("batch_shape", "batch_input_shape"):
        found = part.options.get(key) if isinstance(part, Layer) else None
        if isinstance(found, list) and len(found) > 1:
            return found[1:]
    return None


def chosen(what: str, model: Model, name: str) -> Tensor:
    """The one output of a model, or that of the layer which the user names."""
    names = [tensor.layer for tensor in model.outputs]
    if name and names.count(name) == 1:
        return model.outputs[names.index(name)]
    if len(names) == 1 and not name:
        return model.outputs[0]
    if name:
        raise ModelError(f"{what} has no output {name!r:.60}; its outputs are {', '.join(names)}")
    raise ModelError(f"{what} has {len(names)} outputs ({', '.join(names)}); choose one with --output-name")
