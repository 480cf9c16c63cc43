"""PyTorch's standard layers, lowered by class name: the same for live modules and for inert stand-ins of them."""

# ruff: noqa: ARG001  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load import aten_bends as bends
from relu_shallow.load.aten_moves import MOVES
from relu_shallow.load.layer_state import children, class_path, numbers, option, parameter, refuse_altered
from relu_shallow.load.layers_windows import WINDOWS
from relu_shallow.load.operations import BATCH_NORM_EPS, batch_norm, head, head_along, implicit_axis, linear
from relu_shallow.load.shaping import flatten
from relu_shallow.load.walk import Vector, Walk, current, meet, refuse_layer, replace_in_place
from relu_shallow.network import Head

__all__ = ["LAYERS", "SEQUENCE", "check_tree", "children", "class_path", "is_standard", "numbers", "parameter",
           "refuse_altered", "walk_layers"]  # fmt: skip

SEQUENCE = "torch.nn.modules.container.Sequential"
DEEPEST, MOST_LAYERS = 100, 100_000  # modules within modules, and layers in all
ITSELF = ("linear.Identity", "dropout.", "flatten.")  # layers that give their very argument, or a view of it
UNFIT = (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError)
Lowering = Callable[[Walk, str, Vector, Any], Vector]


def walk_layers(walk: Walk, name: str, v: Vector, layer: object) -> Vector:
    """The value after a standard layer or a sequence of them; raises ModelError on any other, by its name."""
    refuse_altered(name, layer)
    path = class_path(layer)
    if path == SEQUENCE:
        for key, child in children(layer).items():
            v = walk_layers(walk, f"{name}.{key}" if name else key, v, child)
        return v
    name, kind = name or type(layer).__name__, type(layer).__name__
    v = current(walk, name, v)
    meet(walk, name, [v])
    if path not in LAYERS:
        raise refuse_layer(name, kind)
    try:
        made = LAYERS[path](walk, name, v, layer)
    except UNFIT as error:
        raise ModelError(f"layer {name} is a {kind} whose options or numbers do not fit: {error}") from error
    if option(layer, "inplace", False):
        replace_in_place(walk, name, v, made)
    elif made.place == v.place and (len(made.shape or ()) != len(v.shape or ()) or not _is_itself(path)):
        walk.copied.add(made.place)  # a flattened image may be a copy, as where its channels lie last in memory
    return made


def _is_itself(path: str) -> bool:
    return path.removeprefix("torch.nn.modules.").startswith(ITSELF)


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
    return flatten(name, v, option(layer, "start_dim", 1), option(layer, "end_dim", -1))


def _unflatten(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    sizes, axis = vars(layer)["unflattened_size"], vars(layer)["dim"]
    if not isinstance(axis, int) or not all(isinstance(size, int) for size in sizes):
        raise refuse_layer(name, "an Unflatten by named axes")
    return MOVES["unflatten"](walk, name, v, axis, list(sizes))


def _relu(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return bends.relu(walk, name, v)


def _leaky_relu(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return bends.leaky_relu(walk, name, v, option(layer, "negative_slope", 0.01))


def _prelu(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    slopes = parameter(layer, "weight")
    if slopes is None:
        raise ModelError(f"layer {name} is a PReLU without slopes")
    return bends.prelu(walk, name, v, slopes)


def _rrelu(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    lower, upper = bends.RRELU
    return bends.rrelu(walk, name, v, option(layer, "lower", lower), option(layer, "upper", upper))


def _hardtanh(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return bends.hardtanh(walk, name, v, vars(layer)["min_val"], vars(layer)["max_val"])


def _hardsigmoid(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return bends.hardsigmoid(walk, name, v)


def _threshold(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return bends.threshold(walk, name, v, vars(layer)["threshold"], vars(layer)["value"])


def _softshrink(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    return bends.softshrink(walk, name, v, option(layer, "lambd", 0.5))


def _batch_norm(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    mean, variance = parameter(layer, "running_mean"), parameter(layer, "running_var")
    if mean is None or variance is None:
        raise ModelError(
            f"layer {name} is a batch normalisation without running statistics: its output depends on the other rows "
            "of the batch; train it with track_running_stats=True"
        )
    eps = float(option(layer, "eps", BATCH_NORM_EPS))
    return batch_norm(walk, name, v, mean, variance, parameter(layer, "weight"), parameter(layer, "bias"), eps)


def _head(kind: Head) -> Lowering:
    return lambda walk, name, v, _: head(walk, name, v, kind)


def _softmax(kind: Head) -> Lowering:
    def lower(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
        axis = option(layer, "dim", None)
        return head_along(walk, name, v, kind, [implicit_axis(v) if axis is None else int(axis)])

    return lower


LAYERS: dict[str, Lowering] = {
    "torch.nn.modules.linear.Linear": _linear,
    "torch.nn.modules.linear.Identity": _unchanged,
    "torch.nn.modules.flatten.Flatten": _flatten,
    "torch.nn.modules.flatten.Unflatten": _unflatten,
    **{f"torch.nn.modules.dropout.{kind}": _unchanged for kind in (
        "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")},
    **{f"torch.nn.modules.batchnorm.{kind}": _batch_norm for kind in (
        "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm")},
    "torch.nn.modules.activation.ReLU": _relu,
    "torch.nn.modules.activation.LeakyReLU": _leaky_relu,
    "torch.nn.modules.activation.PReLU": _prelu,
    "torch.nn.modules.activation.RReLU": _rrelu,
    "torch.nn.modules.activation.ReLU6": _hardtanh,
    "torch.nn.modules.activation.Hardtanh": _hardtanh,
    "torch.nn.modules.activation.Hardsigmoid": _hardsigmoid,
    "torch.nn.modules.activation.Threshold": _threshold,
    "torch.nn.modules.activation.Softshrink": _softshrink,
    "torch.nn.modules.activation.Softmax": _softmax("softmax"),
    "torch.nn.modules.activation.LogSoftmax": _softmax("log_softmax"),
    "torch.nn.modules.activation.Sigmoid": _head("sigmoid"),
    "torch.nn.modules.activation.Tanh": _head("tanh"),
    **WINDOWS,
}  # fmt: skip
