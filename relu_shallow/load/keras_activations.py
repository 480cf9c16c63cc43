"""Keras' activations, as layers of their own or named by the layer before them.

A name alone takes the activation's defaults, which are not those of the layer of that name: "leaky_relu" has the slope
0.2, LeakyReLU() 0.3.
"""

# ruff: noqa: ARG001, ARG005  (every entry of a table has the table's signature, whether it needs all of it or not)

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.joins import absolute, clip, hard_sigmoid, subtract
from relu_shallow.load.keras_config import Layer
from relu_shallow.load.operations import gate, head, head_along, shift
from relu_shallow.load.walk import Vector, Walk, meet, refuse_layer
from relu_shallow.network import Head

LEAKY_NAME, LEAKY_LAYER = 0.2, 0.3  # Keras' default slopes: of the activation by name, of the layer
Options = Mapping[str, Any]
Activation = Callable[[Walk, str, Vector, Layer], Vector]


def activated(walk: Walk, v: Vector, layer: Layer, spec: Any) -> Vector:
    """The value after the activation that a layer names among its options; `--until` knows it as LAYER.ACTIVATION."""
    inner = named_activation(layer, spec)
    if inner.kind == "linear":
        return v
    name = f"{layer.name}.{inner.kind}"
    meet(walk, name, [v])
    return activate(walk, name, v, inner)


def named_activation(layer: Layer, spec: Any) -> Layer:
    """The activation that a layer names, as a layer: by its name, or written out with its options."""
    if spec is None:
        return Layer(layer.name, "linear", {}, layer.version)
    if isinstance(spec, dict) and spec.get("class_name") in ("function", "python_function"):
        spec = spec.get("config")
    if isinstance(spec, dict):
        options = spec.get("config")
        return Layer(layer.name, str(spec.get("class_name")), options if isinstance(options, dict) else {},
                     layer.version)  # fmt: skip
    return Layer(layer.name, str(spec), {}, layer.version)


def activate(walk: Walk, name: str, v: Vector, layer: Layer) -> Vector:
    """The value after an activation; raises ModelError, naming the layer, where it is not piecewise linear."""
    known = ACTIVATIONS.get(layer.kind)
    if known is None:
        raise refuse_layer(name, f"{layer.kind:.60}")
    return known(walk, name, v, layer)


def number(layer: Layer, key: str, default: float) -> float:
    """An option that is a number."""
    value = numbers(layer.option(key, default))
    if value.size != 1 or not np.isfinite(value).all():
        raise ModelError(f"layer {layer.name} has {key} = {str(layer.option(key))[:60]}; one number was expected")
    return float(value.ravel()[0])


def numbers(value: Any) -> np.ndarray:
    """An option that is a number or an array of them, in any of the ways that Keras writes arrays."""
    if isinstance(value, dict):
        inner = value.get("config", value)
        value = inner.get("value") if isinstance(inner, dict) else inner
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{str(value)[:60]} where numbers were expected")
    return array.astype(np.float64)


def _rectified(walk: Walk, name: str, v: Vector, slope: float, most: float | None = None) -> Vector:
    """`slope x` below zero, x above, and no more than `most`."""
    bent = gate(walk, name, v, slope)
    return bent if most is None else subtract(walk, name, bent, gate(walk, name, shift(walk, name, v, -most), 0.0))


def _relu_layer(walk: Walk, name: str, v: Vector, layer: Layer) -> Vector:
    if number(layer, "threshold", 0.0):
        raise ModelError(f"layer {name} is a ReLU with threshold {number(layer, 'threshold', 0.0):g}, which jumps "
                         "there; only continuous piecewise-linear layers are read. To convert the part before it, use "
                         f"--until {name}")  # fmt: skip
    most = None if layer.options.get("max_value") is None else number(layer, "max_value", 0.0)
    if most is not None and most < 0:
        raise ModelError(f"layer {name} is a ReLU with max_value {most:g}; Keras takes none below zero")
    return _rectified(walk, name, v, number(layer, "negative_slope", 0.0), most)


def _leaky(walk: Walk, name: str, v: Vector, layer: Layer) -> Vector:
    key = "alpha" if "alpha" in layer.options else "negative_slope"
    return gate(walk, name, v, number(layer, key, LEAKY_LAYER))


def _threshold(walk: Walk, name: str, v: Vector, layer: Layer) -> Vector:
    if number(layer, "theta", 1.0):
        raise refuse_layer(name, "ThresholdedReLU (it jumps at its threshold)")
    return gate(walk, name, v, 0.0)


def _hard_sigmoid(walk: Walk, name: str, v: Vector, layer: Layer) -> Vector:
    """Keras 3 has other constants than Keras 2."""
    return hard_sigmoid(walk, name, v, 1 / 6 if layer.version >= 3 else 0.2, 0.5)


def _softmax(kind: Head) -> Activation:
    def lower(walk: Walk, name: str, v: Vector, layer: Layer) -> Vector:
        axis = layer.option("axis", -1)
        return head_along(walk, name, v, kind, [int(one) for one in (axis if isinstance(axis, list) else [axis])])

    return lower


def _soft_shrink(walk: Walk, name: str, v: Vector, layer: Layer) -> Vector:
    return subtract(walk, name, v, clip(walk, name, v, -0.5, 0.5))


ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda walk, name, v, layer: v,
    "relu": lambda walk, name, v, layer: gate(walk, name, v, 0.0),
    "relu6": lambda walk, name, v, layer: clip(walk, name, v, 0.0, 6.0),
    "leaky_relu": lambda walk, name, v, layer: gate(walk, name, v, LEAKY_NAME),
    "hard_sigmoid": _hard_sigmoid,
    "hard_tanh": lambda walk, name, v, layer: clip(walk, name, v, -1.0, 1.0),
    "soft_shrink": _soft_shrink,
    "abs": lambda walk, name, v, layer: absolute(walk, name, v),
    "sigmoid": lambda walk, name, v, layer: head(walk, name, v, "sigmoid"),
    "tanh": lambda walk, name, v, layer: head(walk, name, v, "tanh"),
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    "ReLU": _relu_layer,
    "LeakyReLU": _leaky,
    "ThresholdedReLU": _threshold,
    "Softmax": _softmax("softmax"),
}
