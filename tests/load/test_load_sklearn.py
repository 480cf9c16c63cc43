import warnings

import numpy as np
import pandas as pd
import pytest
from framework_agreement import Loaded
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.precision import UNIT


def fitted(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence does not matter here
        return model.fit(X, y)


@pytest.mark.parametrize("hidden", [(7,), (6, 5, 4)])
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_a_regressor_has_the_predictions_of_scikit_learn(hidden, activation, monkeypatch):
    X = load_iris().data
    model = fitted(
        MLPRegressor(hidden_layer_sizes=hidden, activation=activation, max_iter=50, random_state=0), X[:, :3], X[:, 3]
    )
    loaded = Loaded(monkeypatch, "sklearn_mlp", model)
    assert loaded.network.widths == (hidden if activation == "relu" else ())
    loaded.assert_same(model.predict, UNIT)


def test_a_classifier_of_several_classes_has_the_probabilities_of_scikit_learn(monkeypatch):
    X, y = load_iris(return_X_y=True)
    model = fitted(MLPClassifier((8,), max_iter=50, random_state=0), X, y)
    loaded = Loaded(monkeypatch, "sklearn_mlp", model)
    assert (loaded.network.head, loaded.network.outputs) == ("softmax", 3)
    loaded.assert_same(model.predict_proba, UNIT)


def test_a_classifier_of_two_classes_has_one_output_the_second_class(monkeypatch):
    X, y = load_breast_cancer(return_X_y=True)
    model = fitted(MLPClassifier((8,), max_iter=20, random_state=0), X / X.max(axis=0), y)
    loaded = Loaded(monkeypatch, "sklearn_mlp", model)
    assert (loaded.network.head, loaded.network.outputs) == ("sigmoid", 1)
    loaded.assert_same(lambda X: model.predict_proba(X)[:, 1], UNIT)


def test_single_precision_and_feature_names_are_kept():
    X, y = load_iris(return_X_y=True, as_frame=True)
    network = load_network(fitted(MLPRegressor(hidden_layer_sizes=(4,), max_iter=20), X.astype(np.float32), y))
    assert network.feature_names == tuple(X.columns)
    array = load_network(fitted(MLPRegressor(hidden_layer_sizes=(4,), max_iter=20), X.to_numpy(np.float32), y))
    assert array.source.dtype == "float32"
    assert array.feature_names == ("x0", "x1", "x2", "x3")
    assert isinstance(X, pd.DataFrame)


def test_what_is_not_a_fitted_piecewise_linear_network_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ModelError, match="not fitted"):
        load_network(MLPClassifier())
    with pytest.raises(ModelError, match="activation='tanh'"):
        load_network(fitted(MLPRegressor(hidden_layer_sizes=(4,), activation="tanh", max_iter=5), X, y))
