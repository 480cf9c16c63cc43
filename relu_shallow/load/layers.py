"""PyTorch's standard layers, lowered by class name: the same for live modules and for inert stand-ins of them.

Both keep their numbers in `_parameters`, `_buffers` and `_modules`, and their options as attributes.
"""

# ruff: noqa: ARG001  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.operations import (
    BATCH_NORM_EPS,
    batch_norm,
    by_channel,
    gate,
    head,
    head_along,
    implicit_axis,
    linear,
)
from relu_shallow.load.shaping import flatten
from relu_shallow.load.walk import FREE_ENTRIES, Vector, Walk, current, meet, refuse_layer, replace_in_place
from relu_shallow.network import Head

SEQUENCE = "torch.nn.modules.container.Sequential"
HOOKS = ("_forward_pre_hooks", "_forward_hooks")
REPLACED = ("forward", "_call_impl", "_wrapped_call_impl", "_slow_forward")
REMOVED_BY = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm(layer)",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm(layer)",
}
DEEPEST, MOST_LAYERS = 100, 100_000  # modules within modules, and layers in all
Lowering = Callable[[Walk, str, Vector, Any], Vector]


def class_path(layer: object) -> str:
    """The import path of an object's class."""
    return f"{type(layer).__module__}.{type(layer).__name__}"


def children(layer: object) -> dict[str, Any]:
    """A module's sub-modules in order of registration."""
    return {name: child for name, child in (vars(layer).get("_modules") or {}).items() if child is not None}


def numbers(tensor: Any) -> np.ndarray | None:
    """A tensor's entries (bfloat16 widened to float32, exactly)."""
    if tensor is None or isinstance(tensor, np.ndarray):
        return tensor
    if tensor.numel() * tensor.element_size() > max(tensor.untyped_storage().nbytes(), 8 * FREE_ENTRIES):
        raise ModelError(f"a tensor of shape {tuple(tensor.shape)} repeats a few stored numbers; "
                         "call .contiguous() on it and save the model again")  # fmt: skip
    still = tensor.detach().cpu()
    return (still.float() if str(still.dtype) == "torch.bfloat16" else still).numpy()


def parameter(layer: object, key: str) -> np.ndarray | None:
    """A registered parameter or buffer, or None where the layer was made without it; never a plain attribute."""
    state = vars(layer)
    if state.get(key) is not None:
        raise ModelError(f"a {type(layer).__name__} keeps {key!r} as a plain attribute, computed from something else; "
                         "make it a parameter (remove what computes it) and save the model again")  # fmt: skip
    for kept in (state.get("_parameters") or {}, state.get("_buffers") or {}):
        if kept.get(key) is not None:
            return numbers(kept[key])
    return None


def refuse_altered(name: str, layer: object) -> None:
    """Raises ModelError where a module does more than its class says: a hook, a parametrisation, another forward."""
    state, what = vars(layer), f"layer {name}" if name else "the model"
    own = [key for key in REPLACED if key in state]
    if own:
        raise ModelError(f"{what} has a {own[0]} of its own in place of its class's, and what it does is not read; "
                         "write it as a class, or export the model with torch.onnx")  # fmt: skip
    if "parametrizations" in children(layer) and type(layer).__name__.startswith("Parametrized"):
        raise ModelError(f"{what} is parametrised ({', '.join(children(children(layer)['parametrizations']))}); call "
                         "torch.nn.utils.parametrize.remove_parametrizations(layer, name) for each, "
                         "then save the model")  # fmt: skip
    hooks = [hook for key in HOOKS for hook in (state.get(key) or {}).values()]
    if hooks:
        names = [getattr(hook, "__qualname__", type(hook).__name__) for hook in hooks]
        mend = next((REMOVED_BY[kind] for kind in names if kind in REMOVED_BY), None)
        pruned = any(type(hook).__module__ == "torch.nn.utils.prune" for hook in hooks)
        mend = "torch.nn.utils.prune.remove(layer, name)" if pruned else mend
        raise ModelError(f"{what} carries a hook ({', '.join(names)}), code that changes what it computes and is not "
                         f"read; {f'call {mend}' if mend else 'remove it'}, then save the model, or export it with "
                         "torch.onnx")  # fmt: skip


def walk_layers(walk: Walk, name: str, v: Vector, layer: object) -> Vector:
    """The value after a standard layer or a sequence of them; raises ModelError on any other, by its name."""
    refuse_altered(name, layer)
    path = class_path(layer)
    if path == SEQUENCE:
        for key, child in children(layer).items():
            v = walk_layers(walk, f"{name}.{key}" if name else key, v, child)
        return v
    name = name or type(layer).__name__
    v = current(walk, name, v)
    meet(walk, name, [v])
    if path not in LAYERS:
        raise refuse_layer(name, type(layer).__name__)
    made = LAYERS[path](walk, name, v, layer)
    if _option(layer, "inplace", False):
        replace_in_place(walk, name, v, made)
    return made


def check_tree(what: str, root: object) -> bool:
    """True; raises ModelError where modules hold one another in a circle, too deeply, or far too often."""
    sizes: dict[int, int] = {}  # layers in each module, one used twice counted twice; 0 while it is being counted

    def count(layer: object, depth: int) -> int:
        if depth > DEEPEST or sizes.get(id(layer)) == 0:
            raise ModelError(f"{what} holds modules that hold themselves, or nest more than {DEEPEST} deep")
        if id(layer) not in sizes:
            sizes[id(layer)] = 0
            sizes[id(layer)] = 1 + sum(count(child, depth + 1) for child in children(layer).values())
        return sizes[id(layer)]

    if count(root, 0) > MOST_LAYERS:
        raise ModelError(f"{what} uses its layers {count(root, 0)} times over; at most {MOST_LAYERS} are read")
    return True


def is_standard(layer: object) -> bool:
    """Whether a module is a tree of sequences of standard layers, so that its order is its registration."""
    path = class_path(layer)
    return path in LAYERS or (path == SEQUENCE and all(map(is_standard, children(layer).values())))


def _linear(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    weight = parameter(layer, "weight")
    if weight is None:
        raise ModelError(f"layer {name} is a Linear without weights")
    return linear(walk, name, v, weight, parameter(layer, "bias"))


def _unchanged(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return v


def _flatten(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return flatten(name, v, _option(layer, "start_dim", 1), _option(layer, "end_dim", -1))


def _relu(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return gate(walk, name, v, 0.0)


def _leaky_relu(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return gate(walk, name, v, float(_option(layer, "negative_slope", 0.01)))


def _prelu(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    slopes = parameter(layer, "weight")
    if slopes is None:
        raise ModelError(f"layer {name} is a PReLU without slopes")
    return gate(walk, name, v, by_channel(v, slopes))


def _batch_norm(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    mean, variance = parameter(layer, "running_mean"), parameter(layer, "running_var")
    if mean is None or variance is None:
        raise ModelError(
            f"layer {name} is a batch normalisation without running statistics: its output depends on the other rows "
            "of the batch; train it with track_running_stats=True"
        )
    eps = float(_option(layer, "eps", BATCH_NORM_EPS))
    return batch_norm(walk, name, v, mean, variance, parameter(layer, "weight"), parameter(layer, "bias"), eps)


def _head(kind: Head) -> Lowering:
    return lambda walk, name, v, _: head(walk, name, v, kind)


def _softmax(kind: Head) -> Lowering:
    def lower(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
        axis = _option(layer, "dim", None)
        return head_along(walk, name, v, kind, [implicit_axis(v) if axis is None else int(axis)])

    return lower


def _option(layer: object, key: str, default: Any) -> Any:
    return vars(layer).get(key, default)


LAYERS: dict[str, Lowering] = {
    "torch.nn.modules.linear.Linear": _linear,
    "torch.nn.modules.linear.Identity": _unchanged,
    "torch.nn.modules.flatten.Flatten": _flatten,
    "torch.nn.modules.dropout.Dropout": _unchanged,
    "torch.nn.modules.dropout.Dropout1d": _unchanged,
    "torch.nn.modules.dropout.Dropout2d": _unchanged,
    "torch.nn.modules.dropout.Dropout3d": _unchanged,
    "torch.nn.modules.dropout.AlphaDropout": _unchanged,
    "torch.nn.modules.dropout.FeatureAlphaDropout": _unchanged,
    "torch.nn.modules.batchnorm.BatchNorm1d": _batch_norm,
    "torch.nn.modules.activation.ReLU": _relu,
    "torch.nn.modules.activation.LeakyReLU": _leaky_relu,
    "torch.nn.modules.activation.PReLU": _prelu,
    "torch.nn.modules.activation.Softmax": _softmax("softmax"),
    "torch.nn.modules.activation.LogSoftmax": _softmax("log_softmax"),
    "torch.nn.modules.activation.Sigmoid": _head("sigmoid"),
    "torch.nn.modules.activation.Tanh": _head("tanh"),
}
