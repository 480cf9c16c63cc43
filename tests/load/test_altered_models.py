"""Models that do more than their layers say: each is refused, never read as if the addition were not there."""

import types
import warnings

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier, MLPRegressor
from test_load_torch import running
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.load.layers import parameter


def doubled(layer, args, out):
    return out * 2


def clipped(layer, args):
    return (args[0].clamp(-5, 5),)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def altered(change, made=plain):
    module = made()
    change(module)
    return module.eval()


HOOKED = {
    "layer 0 carries a hook .doubled": lambda: altered(lambda m: m[0].register_forward_hook(doubled)),
    "the model carries a hook .clipped": lambda: altered(lambda m: m.register_forward_pre_hook(clipped)),
    "layer a carries a hook .clipped": lambda: altered(lambda m: m.a.register_forward_pre_hook(clipped), Chain),
    "layer 0 carries a hook .WeightNorm.*remove_weight_norm": lambda: altered(lambda m: weight_norm(m[0])),
    "layer 0 carries a hook .SpectralNorm.*remove_spectral_norm": lambda: altered(lambda m: spectral_norm(m[0])),
    "layer 0 carries a hook .L1Unstructured.*prune.remove": lambda: altered(
        lambda m: prune.l1_unstructured(m[0], "weight", amount=0.5)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("message", HOOKED)
@pytest.mark.parametrize("live", [True, False])
def test_a_hook_is_refused_by_the_name_of_its_layer(message, live, tmp_path):
    module = HOOKED[message]()
    torch.save(module, tmp_path / "m.pt")
    with pytest.raises(ModelError, match=message):
        load_network(module if live else tmp_path / "m.pt")


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_parametrised_layer_is_refused_and_what_to_call_is_said(norm):
    with pytest.raises(ModelError, match=r"layer 0 is parametrised \(weight\).*remove_parametrizations"):
        load_network(altered(lambda m: norm(m[0])))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_the_refusal_advises_makes_the_model_readable(tmp_path):
    for change, remove in (
        (weight_norm, lambda layer: nn.utils.remove_weight_norm(layer)),
        (spectral_norm, lambda layer: nn.utils.remove_spectral_norm(layer)),
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), lambda layer: prune.remove(layer, "weight")),
    ):
        module = altered(lambda m, change=change: change(m[0]))
        remove(module[0])
        torch.save(module, tmp_path / "m.pt")
        X = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
        assert np.allclose(load_network(tmp_path / "m.pt")(X), running(module)(X), atol=1e-5)


@pytest.mark.parametrize("made", [plain, Chain])
def test_a_forward_replaced_on_the_object_is_refused(made):
    module = made()
    original = module.forward
    module.forward = lambda x: original(x.clamp(-6, 6))
    with pytest.raises(ModelError, match="the model has a forward of its own"):
        load_network(module)


def test_a_weight_kept_as_a_plain_attribute_is_never_used():
    layer = nn.Linear(2, 2)
    stale = layer.weight.detach()
    del layer.weight
    vars(layer)["weight"] = stale
    with pytest.raises(ModelError, match="Linear keeps 'weight' as a plain attribute"):
        parameter(layer, "weight")


@pytest.mark.parametrize("bound", [1e-3, 5.0, 500.0])
def test_a_class_that_computes_otherwise_far_from_the_origin_is_noticed(bound, monkeypatch):
    module = Chain()
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: torch.relu(x).clamp(max=bound))
    with pytest.raises(ModelError, match="differ by up to"):
        load_network(nn.Sequential(module.a, nn.ReLU(), module.b))


class Shifted(MLPRegressor):
    def predict(self, X):
        return super().predict(X) + 1


class Flipped(MLPClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


def fitted(model):
    X = np.random.default_rng(0).normal(size=(40, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence does not matter here
        return model.fit(X, X[:, 0] > 0)


def test_a_scikit_learn_model_that_predicts_in_its_own_way_is_refused():
    for kind in (Shifted, Flipped):
        with pytest.raises(ModelError, match=f"{kind.__name__} is changed from scikit-learn's own"):
            load_network(fitted(kind(hidden_layer_sizes=(4,), max_iter=5)))
    model = fitted(MLPRegressor(hidden_layer_sizes=(4,), max_iter=5))
    assert load_network(model).inputs == 3
    model.predict = types.MethodType(lambda self, X: X[:, 0], model)
    with pytest.raises(ModelError, match="changed from scikit-learn's own"):
        load_network(model)
