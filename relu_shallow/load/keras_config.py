"""A Keras model's configuration as layers and the calls between them, from Keras 1.2 to 3; nothing of it is run.

A Sequential model is a graph too: each layer is called on what the one before it gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from relu_shallow.errors import ModelError
from relu_shallow.load.reading import ModelFile, damaged

SEQUENCES, GRAPHS = ("Sequential",), ("Functional", "Model")
DEEPEST, MOST_LAYERS = 50, 20_000  # models within models, and layers in all
# where Keras itself keeps its layers and operations; a class of any other place is the user's own
OWN_MODULES = ("keras", "tensorflow.keras", "tf_keras", "tensorflow.python.keras", "builtins")


@dataclass(frozen=True)
class Tensor:
    """An output of a layer's call: its name, which of its calls, which of its outputs."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer or an operation (keras.ops) with its class, its options and the major version of Keras that wrote it."""

    name: str
    kind: str
    options: Mapping[str, Any]
    version: int
    operation: bool = False
    shared: int | None = None  # a number that two places of one layer have in common

    def option(self, key: str, default: Any = None) -> Any:
        """An option, or the default where it is absent or null."""
        value = self.options.get(key)
        return default if value is None else value


@dataclass(frozen=True, eq=False)
class Call:
    """A layer applied: its arguments, in which a Tensor stands for each tensor, and which of its calls it is."""

    layer: str
    number: int
    arguments: tuple[Any, ...]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments, in order."""
        return list(tensors_in(self.arguments))


@dataclass(frozen=True, eq=False)
class Model:
    """A Sequential or functional model: its layers and models by name, their calls, its inputs and outputs."""

    name: str
    kind: str
    parts: Mapping[str, Part]
    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    shape: Any = None  # of the rows that it was built for, where the file says so
    shared: int | None = None


Part: TypeAlias = Layer | Model


def tensors_in(argument: Any) -> Iterator[Tensor]:
    """The tensors in an argument, whatever lists and dicts they lie in."""
    if isinstance(argument, Tensor):
        yield argument
    elif isinstance(argument, (list, tuple, dict)):
        for inner in argument.values() if isinstance(argument, dict) else argument:
            yield from tensors_in(inner)


def parse_model(file: ModelFile, text: object, version: int) -> Model:
    """The model that a configuration in JSON describes; raises ModelError where it is none."""
    try:
        config = json.loads(text if isinstance(text, (str, bytes)) else "")
    except (ValueError, RecursionError) as error:
        raise damaged(file, "Keras", f"its configuration is not JSON: {error}") from error
    left = [MOST_LAYERS]
    part = _part(file, config, version, left, 0)
    if isinstance(part, Layer):
        raise ModelError(f"{file.name} holds a {part.kind}, which is not a Sequential or functional model; what a "
                         "class of your own does in call() is not in the file: build it from keras.Input and layers, "
                         "or export it to ONNX")  # fmt: skip
    return part


def _part(file: ModelFile, spec: Any, version: int, left: list[int], depth: int) -> Part:
    """A layer, or a model in place of a layer."""
    left[0] -= 1
    if left[0] < 0 or depth > DEEPEST:
        raise ModelError(f"{file.name} has more than {MOST_LAYERS} layers, or models nested more than {DEEPEST} deep")
    if not isinstance(spec, dict) or not isinstance(spec.get("class_name"), str):
        raise damaged(file, "Keras", "a layer in it has no class")
    kind, options = spec["class_name"], spec.get("config")
    if kind in SEQUENCES and isinstance(options, list):  # before Keras 2.2.3
        options = {"layers": options}
    if not isinstance(options, dict):
        raise damaged(file, "Keras", f"the {kind} in it has no options")
    name = str(options.get("name") or spec.get("name") or kind)
    _check_own(name, kind, spec)
    shared = spec["shared_object_id"] if isinstance(spec.get("shared_object_id"), int) else None
    listed = options.get("layers")
    if not isinstance(listed, list) or kind not in (*SEQUENCES, *GRAPHS):
        return Layer(name, kind, options, version, ".ops." in str(spec.get("module")), shared)
    parts = [_part(file, inner, version, left, depth + 1) for inner in listed]
    by_name = {part.name: part for part in parts}
    if len(by_name) != len(parts):
        raise damaged(file, "Keras", f"two layers of {name} have one name")
    if kind in SEQUENCES:
        built = options.get("build_input_shape") or (spec.get("build_config") or {}).get("input_shape")
        return _sequence(name, parts, built, shared)
    calls = [call for inner, part in zip(listed, parts, strict=True) for call in _calls(file, part.name, inner)]
    inputs, outputs = (_ends(file, options.get(key)) for key in ("input_layers", "output_layers"))
    return Model(name, "Functional", by_name, _renumbered(by_name, calls, outputs), inputs, outputs, None, shared)


def _check_own(name: str, kind: str, spec: Mapping[str, Any]) -> None:
    """Raises ModelError on a class that is not of Keras itself: what it does is in the user's code, not in the file."""
    module = str(spec.get("module") or "keras")
    registered = str(spec.get("registered_name") or "")
    if not any(module == own or module.startswith(f"{own}.") for own in OWN_MODULES) or ">" in kind + registered:
        raise ModelError(f"layer {name} is a {registered or kind} of {module}, a class of its author's own, whose "
                         "code is not in the file and would not be run; build the model from Keras' own layers, or "
                         "export it to ONNX")  # fmt: skip


def _sequence(name: str, parts: list[Part], built: Any, shared: int | None) -> Model:
    """The graph of a Sequential model; its input is what the first layer takes."""
    calls = []
    before = Tensor("")  # the input, where no InputLayer names it
    entry = before
    for part in parts:
        if isinstance(part, Layer) and part.kind == "InputLayer" and before is entry:
            before = entry = Tensor(part.name)
            calls.append(Call(part.name, 0, ()))
        else:
            calls.append(Call(part.name, 0, (before,)))
            before = Tensor(part.name)
    return Model(name, "Sequential", {part.name: part for part in parts}, tuple(calls), (entry,), (before,),
                 built, shared)  # fmt: skip


def _renumbered(parts: Mapping[str, Part], calls: list[Call], outputs: tuple[Tensor, ...]) -> tuple[Call, ...]:
    """The calls by the numbers under which their outputs are used: Keras 2 counts a model's own making as number 0."""
    count, last = dict[str, int](), dict[str, int]()
    for call in calls:
        count[call.layer] = count.get(call.layer, 0) + 1
    for tensor in (*outputs, *(tensor for call in calls for tensor in call.tensors)):
        last[tensor.layer] = max(last.get(tensor.layer, 0), tensor.call)
    late = {name for name, part in parts.items() if isinstance(part, Model) and last.get(name) == count.get(name)}
    return tuple(Call(call.layer, call.number + (call.layer in late), call.arguments) for call in calls)


def _calls(file: ModelFile, name: str, spec: Mapping[str, Any]) -> Iterator[Call]:
    """The calls of a layer of a functional model, from its inbound nodes."""
    nodes = spec.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise damaged(file, "Keras", f"the calls of layer {name} are not a list")
    if not nodes:
        yield Call(name, 0, ())
    for number, node in enumerate(nodes):
        if isinstance(node, dict):  # Keras 3
            _check_trained(name, node.get("kwargs"))
            arguments = [_argument(file, value) for value in node.get("args") or []]
            keywords = {key: _argument(file, value) for key, value in (node.get("kwargs") or {}).items()}
            used = {key: value for key, value in keywords.items() if any(tensors_in(value)) or not arguments}
            yield Call(name, number, (*arguments, *used.values()))
        else:
            yield Call(name, number, _old_arguments(file, name, node))


def _old_arguments(file: ModelFile, name: str, node: Any) -> tuple[Any, ...]:
    """The arguments of a call as Keras 1 and 2 write them: [[layer, call, output, more], ...]."""
    if not isinstance(node, list):
        raise damaged(file, "Keras", f"a call of layer {name} is not a list")
    node = [node] if node and isinstance(node[0], str) else node
    tensors = [_tensor(file, entry) for entry in node]
    for entry in node:
        _check_trained(name, entry[3] if len(entry) > 3 else None)
        if len(entry) > 3 and isinstance(entry[3], dict) and any(_looks_like_tensor(v) for v in entry[3].values()):
            raise ModelError(f"layer {name} takes tensors by name ({', '.join(map(str, entry[3]))}), which is not "
                             "read; write it with Keras' own merging layers")  # fmt: skip
    return (tensors,) if len(tensors) > 1 else tuple(tensors)


def _check_trained(name: str, keywords: Any) -> None:
    """Raises ModelError where a layer is always applied as in training: its output is then random or per batch."""
    if isinstance(keywords, dict) and keywords.get("training") is True:
        raise ModelError(f"layer {name} is called with training=True, so its output depends on chance or on the other "
                         "rows; build the model without it")  # fmt: skip


def _looks_like_tensor(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str)


def _argument(file: ModelFile, value: Any, depth: int = 0) -> Any:
    """An argument as Keras 3 writes it, with a Tensor in place of each tensor."""
    if depth > DEEPEST:
        raise damaged(file, "Keras", "an argument of a layer nests without end")
    if isinstance(value, list):
        return [_argument(file, inner, depth + 1) for inner in value]
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        return _tensor(file, (value.get("config") or {}).get("keras_history"))
    if isinstance(value, dict):
        return {key: _argument(file, inner, depth + 1) for key, inner in value.items()}
    return value


def _tensor(file: ModelFile, entry: Any) -> Tensor:
    if not isinstance(entry, list) or len(entry) < 3 or not isinstance(entry[0], str):
        raise damaged(file, "Keras", f"{str(entry)[:60]!r} in it is no tensor")
    return Tensor(entry[0], int(entry[1]), int(entry[2]))


def _ends(file: ModelFile, entries: Any) -> tuple[Tensor, ...]:
    """A model's inputs or outputs: one tensor, a list of them, or a dict by name."""
    if isinstance(entries, dict):
        entries = list(entries.values())
    if not isinstance(entries, list) or not entries:
        raise damaged(file, "Keras", "its model has no inputs or no outputs")
    if isinstance(entries[0], str):
        entries = [entries]
    return tuple(_tensor(file, entry) for entry in entries)
