"""The chain of a module whose class is not imported, assumed from its registered layers where only one reading fits.

The class's `forward` is not in the file, or may not be run; what was assumed is printed. Two readings are known:
activations registered between the linear layers, in order; or linear layers in order with one activation (or none
registered: ReLU) used after each but the last. Everything else is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load.layers import LAYERS, SEQUENCE, children, class_path, refuse_altered, walk_layers
from relu_shallow.load.operations import gate
from relu_shallow.load.reading import say
from relu_shallow.load.walk import Vector, Walk, refuse_layer

CONTAINERS = (SEQUENCE, "torch.nn.modules.container.ModuleList")
KINDS = {
    "Linear": "linear", "BatchNorm1d": "norm",
    "ReLU": "bend", "LeakyReLU": "bend", "PReLU": "bend", "RReLU": "bend", "ReLU6": "bend",
    "Softmax": "head", "LogSoftmax": "head", "Sigmoid": "squash", "Tanh": "squash",
}  # fmt: skip
WITHOUT_EFFECT = {"Identity", "Flatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout",
                  "FeatureAlphaDropout"}  # on rows of values, in evaluation  # fmt: skip

Named = tuple[str, Any]


def walk_assumed(walk: Walk, v: Vector, root: object, what: str) -> Vector:
    """The value after the assumed chain; raises ModelError where more than one order is possible."""
    layers = [(name, layer) for name, layer in _leaves(root, "") if type(layer).__name__ not in WITHOUT_EFFECT]
    known = all(type(layer).__name__ in KINDS for _, layer in layers)
    order = (_as_registered(layers) or _shared_activation(layers)) if known else []
    if not order or (v.shape is not None and len(v.shape) > 2):  # where a row is flattened is not in the file either
        found = ", ".join(f"{name} ({type(layer).__name__})" for name, layer in layers) or "no layers"
        raise ModelError(f"{what} is a module of class {class_path(root)}, whose code is not in the file; the order "
                         f"of its layers is ambiguous: {found}. {_instead(root)}")  # fmt: skip
    for name, layer in order:
        v = walk_layers(walk, name, v, layer) if layer is not None else gate(walk, name, v, 0.0)
    said = " -> ".join(name if layer is None else f"{name} ({type(layer).__name__})" for name, layer in order)
    walk.assumed = f"class {class_path(root)} was not imported; order of its layers: {said}"
    say(f"{what}: class {class_path(root)} was not imported and none of its code was run; assumed from its layers: "
        f"{said}. {_instead(root)}")  # fmt: skip
    return v


def _instead(root: object) -> str:
    """What to do where the assumption is wrong."""
    trust = " ".join(f"--trust {path}" for path in sorted(_unknown(root)))
    return (
        f"If its forward does something else, {f'give {trust} where installed, or ' if trust else ''}export it to ONNX."
    )


def _unknown(layer: object) -> set[str]:
    """The import paths of the classes in a module that are not PyTorch's own."""
    path = class_path(layer)
    own = set() if path.startswith("torch.") else {path}
    return own.union(*map(_unknown, children(layer).values()))


def _leaves(layer: object, name: str) -> Iterator[Named]:
    """The standard layers of a module, in order of registration."""
    refuse_altered(name, layer)
    path = class_path(layer)
    if path in LAYERS:
        yield name, layer
        return
    state = vars(layer)
    own = [*(state.get("_parameters") or {}), *(state.get("_buffers") or {})]
    if path.startswith("torch.") and path not in CONTAINERS:
        raise refuse_layer(name, type(layer).__name__)
    if own:
        raise ModelError(f"{name or 'the model'} of class {path} holds tensors of its own ({', '.join(own)}), and what "
                         f"it does with them is in code that is not read. {_instead(layer)}")  # fmt: skip
    for key, child in children(layer).items():
        yield from _leaves(child, f"{name}.{key}" if name else key)


def _kinds(layers: list[Named]) -> list[str]:
    return [KINDS[type(layer).__name__] for _, layer in layers]


def _as_registered(layers: list[Named]) -> list[Named]:
    """The layers as registered, if that alternates: linear, activation, ..., linear, perhaps a head."""
    kinds = _kinds(layers)
    body = kinds[:-1] if kinds and kinds[-1] in ("head", "squash") else kinds
    alternating = all(kind == ("linear", "bend")[i % 2] for i, kind in enumerate(k for k in body if k != "norm"))
    norms_fit = all(body[i - 1] in ("linear", "bend") for i, kind in enumerate(body) if kind == "norm" and i)
    several = body.count("linear") > 1
    return layers if several and alternating and norms_fit and body[-1] == "linear" else []


def _shared_activation(layers: list[Named]) -> list[Named]:
    """The linear layers with the one activation after each but the last, and the head, if there is one, at the end."""
    by_kind: dict[str, list[Named]] = {kind: [] for kind in KINDS.values()}
    for kind, layer in zip(_kinds(layers), layers, strict=True):
        by_kind[kind].append(layer)
    linear, bends, heads = by_kind["linear"], by_kind["bend"], by_kind["head"] + by_kind["squash"]
    hidden_squash = by_kind["squash"] and not bends and len(linear) > 1  # it may as well be the hidden activation
    if not linear or by_kind["norm"] or len(bends) > 1 or len(heads) > 1 or hidden_squash:
        return []
    bend = bends[0] if bends else ("ReLU", None)
    hidden = [step for layer in linear[:-1] for step in (layer, bend)]
    return [*hidden, linear[-1], *heads]
