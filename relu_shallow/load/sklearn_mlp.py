"""A fitted scikit-learn `MLPClassifier` or `MLPRegressor`."""

from __future__ import annotations

from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.lowering import assemble
from relu_shallow.load.operations import gate, head, linear
from relu_shallow.load.walk import Walk, source_of, start, walked
from relu_shallow.network import Head, Network

MODULE = "sklearn.neural_network._multilayer_perceptron"
HIDDEN = ("relu", "identity")
HEADS: dict[str, Head] = {"identity": "identity", "logistic": "sigmoid", "softmax": "softmax"}


def read_sklearn(model: Any) -> Network:
    """The network of a fitted multi-layer perceptron; its feature names are kept."""
    what = type(model).__name__
    if type(model).__module__ != MODULE or {"predict", "predict_proba"} & set(vars(model)):
        raise ModelError(f"{type(model).__module__}.{what} is changed from scikit-learn's own and may predict "
                         "otherwise; only MLPClassifier and MLPRegressor themselves are read. Fit one of them, or "
                         "give the network as relu_shallow.Network")  # fmt: skip
    if not hasattr(model, "coefs_"):
        raise ModelError(f"the {what} is not fitted; call fit first")
    if model.activation not in HIDDEN:
        raise ModelError(f"the {what} has activation={model.activation!r}: only piecewise-linear networks have linear "
                         "regions; fit it with activation='relu'")  # fmt: skip
    if model.out_activation_ not in HEADS:
        raise ModelError(f"the {what} ends in {model.out_activation_!r}; supported: {', '.join(HEADS)}")
    walk = Walk()
    v = start(walk, None)
    for layer, (W, b) in enumerate(zip(model.coefs_, model.intercepts_, strict=True), start=1):
        v = linear(walk, f"layer {layer}", v, np.asarray(W).T, b)
        if layer < len(model.coefs_) and model.activation == "relu":
            v = gate(walk, f"relu {layer}", v, 0.0)
    if HEADS[model.out_activation_] != "identity":
        v = head(walk, model.out_activation_, v, HEADS[model.out_activation_])
    names = tuple(map(str, getattr(model, "feature_names_in_", ())))
    return assemble(walked(walk, what, lambda: v), source_of(walk, "memory", f"sklearn {what}", ""), names)
