"""Networks made modular: zeros stay exact, runs repeat themselves, and what cannot be made modular is refused."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from relu_shallow.errors import DataError, ModelError, UsageError
from relu_shallow.load import load_network
from relu_shallow.modular.clustering import kept
from relu_shallow.modular.fitting import Plan, fit, rows_of, score
from relu_shallow.modular.hidden import evaluating, hidden_layers, only, weights_of
from relu_shallow.modular.making import HOWS, RemovalError, make_modular, train_modular
from relu_shallow.modular.removal import removal, removed_weights
from relu_shallow.modular.torch_module import module_of, new_module, with_head
from relu_shallow.modules import modules_of
from relu_shallow.network import Affine, Gate, Network, from_layers


def rings(rows=300, seed=0):
    """Points of the plane in three rings, and which ring."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows)
    angle, far = rng.uniform(0, 2 * np.pi, rows), 0.6 + y + 0.15 * rng.normal(size=rows)
    return np.stack([far * np.cos(angle), far * np.sin(angle)], axis=1).astype(np.float32), y


def mlp(*widths, activation=nn.ReLU):
    torch.manual_seed(1)
    layers = [part for a, b in pairwise(widths[:-1]) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers, nn.Linear(*widths[-2:]))


@pytest.fixture(scope="module")
def trained():
    module = mlp(2, 12, 12, 12, 3)
    X, y = rings()
    fit(module, rows_of(X, y, like=module), Plan(40, step=1e-2))
    return module


def exact_zeros_outside(made):
    masks = kept(made.labels)
    return all((W[~mask] == 0).all() and W[mask].all()
               for W, mask in zip(weights_of(made.module, made.hidden), masks, strict=True))  # fmt: skip


def test_a_network_made_modular_falls_apart_and_still_tells_the_rings_apart(trained):
    before = copy.deepcopy(trained.state_dict())
    made = make_modular(trained, rings(), 3, epochs=40, step=1e-2)
    assert all(torch.equal(value, before[key]) for key, value in trained.state_dict().items())
    assert exact_zeros_outside(made)
    assert len(modules_of(load_network(made.module))) == 3
    given, removed, tuned = made.stages
    assert given.clusterability < 1
    assert removed.clusterability == tuned.clusterability == 1
    assert tuned.score > max(removed.score, 0.9)
    assert made.sizes == [[4, 4, 4]] * 3


def test_weights_that_one_step_brings_back_are_seen(trained):
    made = make_modular(trained, rings(), 3, epochs=1)
    fit(made.module, rows_of(*rings(), like=made.module), Plan(1))
    assert not exact_zeros_outside(made)


@pytest.mark.parametrize("how", HOWS)
def test_training_from_scratch_ends_in_modules(how):
    made = train_modular(mlp(2, 12, 12, 3), rings(), 3, how=how, epochs=60, step=1e-2)
    assert exact_zeros_outside(made)
    assert len(modules_of(load_network(made.module))) == 3
    assert made.stages[-1].score > 0.9


def test_the_enmeshment_loss_raises_clusterability():
    made = train_modular(mlp(2, 12, 12, 3), rings(), 3, epochs=20, step=1e-2, tune=0)
    plain = train_modular(mlp(2, 12, 12, 3), rings(), 3, epochs=20, step=1e-2, tune=0, strength=0.0)
    assert [stage.name for stage in made.stages] == ["ordinary", "enmeshment", "removed"]
    assert made.stages[1].clusterability > 0.95 > plain.stages[1].clusterability
    assert made.stages[0].clusterability == plain.stages[0].clusterability


def test_before_and_after_the_removal_are_one_network_with_weights_made_zero(trained):
    made = make_modular(trained, rings(), 3, epochs=2)
    before, after = load_network(made.before), load_network(made.removed)
    removed = removed_weights(before, after)
    assert not removed[0].any()
    assert not removed[-1].any()
    found = removal(before, after, rings()[0].astype(np.float64))
    assert (found.change <= found.bound * (1 + 1e-9)).all()
    with pytest.raises(ModelError, match="weights made zero"):
        removed_weights(before, load_network(made.module))


def test_the_same_seed_gives_the_same_network_and_leaves_torchs_own_draws_alone(trained):
    state = torch.random.get_rng_state()
    one, other, third = (make_modular(trained, rings(), 3, epochs=2, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), state)
    pairs = [(one.module.state_dict()[key], other.module.state_dict()[key]) for key in one.module.state_dict()]
    assert all(torch.equal(a, b) for a, b in pairs)
    assert any(not torch.equal(value, one.module.state_dict()[key]) for key, value in third.module.state_dict().items())


def test_dropout_and_a_loaders_order_follow_from_the_seed_too():
    X, y = rings(60)
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(y)), batch_size=20, shuffle=True)
    module = nn.Sequential(nn.Dropout(0.2), *mlp(2, 6, 6, 3))
    found = []
    for state in (1, 2):
        torch.manual_seed(state)
        found.append(make_modular(module, loader, 3, epochs=2, test=(X, y)).module.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_gradients_may_be_clustered_in_place_of_weights(trained):
    made = make_modular(trained, rings(), 3, epochs=0, by_gradients=True)
    assert exact_zeros_outside(made)


def test_values_are_learnt_as_well_as_classes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = 500 + 100 * np.abs(X[:, :1]) - 50 * X[:, 1:]
    module = new_module(X, (12, 12), y)
    for how in HOWS:
        made = train_modular(module, (X, y), 3, how=how, epochs=30, tune=5, step=1e-2)
        assert made.stages[-1].score > 0.9
        assert made.stages[-1 if how == "mask" else 1].clusterability > 0.9  # the losses are of one size
        network = load_network(made.module)
        assert len(modules_of(network)) == 3
        with torch.no_grad():
            assert np.allclose(network(X), made.module(torch.tensor(X)).numpy(), rtol=1e-9)


# --- a user's own module and loader -----------------------------------------------------------------------------


class Own(nn.Module):
    """Linear layers registered in another order than they run, with a normalisation and dropout between."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(8, 3)
        self.second = nn.Linear(8, 8)
        self.first = nn.Linear(2, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        h = torch.relu(self.norm(self.first(x)))
        return self.last(self.drop(torch.nn.functional.leaky_relu(self.second(h), 0.1)))


def test_a_users_own_module_is_trained_from_a_loader():
    torch.manual_seed(0)
    X, y = rings()
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(y)), batch_size=50, shuffle=True)
    module = Own()
    made = train_modular(module, loader, 4, epochs=24, tune=4, step=1e-2)
    assert made.hidden.names == ("first", "second", "last")
    assert exact_zeros_outside(made)
    assert made.stages[-1].score > 0.8
    assert not made.module.training
    assert module.training
    assert len(modules_of(load_network(made.module))) == 4
    again = make_modular(made.module, loader, 4, test=(X, y), epochs=1)
    assert again.stages[0].clusterability == 1


def test_a_loader_of_another_precision_or_of_bad_numbers_is_read_or_refused():
    X, y = rings(40)
    twice = [(torch.tensor(X[i : i + 20]).double(), torch.tensor(y[i : i + 20])) for i in (0, 20)]
    assert make_modular(mlp(2, 6, 6, 3), twice, 2, epochs=1).stages[-1].name == "tuned"
    with pytest.raises(DataError, match="NaN"):
        make_modular(mlp(2, 6, 6, 3), [(torch.tensor(X) * np.nan, torch.tensor(y))], 2, test=(X, y))


def test_rows_to_train_on_of_one_class_are_refused_whatever_the_others():
    X, y = rings(40)
    with pytest.raises(DataError, match="one class 2"):
        make_modular(mlp(2, 6, 6, 3), (X, np.full(40, 2)), 2, test=(X, y))


def test_convolutions_belong_to_the_first_layer():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 1, 6, 6)).astype(np.float32), rng.integers(0, 2, 40)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 6), nn.ReLU(),
                           nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))  # fmt: skip
    made = make_modular(module, (X, y), 3, epochs=1)
    assert made.hidden.joining == ("6",)
    assert exact_zeros_outside(made)


def test_parts_in_evaluation_stay_so_in_training():
    module = nn.Sequential(nn.BatchNorm1d(2).eval(), *mlp(2, 6, 6, 3))
    made = make_modular(module, rings(), 2, epochs=1)
    assert torch.equal(made.module[0].running_mean, torch.zeros(2))
    module[0].train()
    assert not torch.equal(make_modular(module, rings(), 2, epochs=1).module[0].running_mean, torch.zeros(2))


def test_only_some_neurons_pass_on_what_they_hold():
    module = mlp(2, 4, 4, 1)
    hidden = hidden_layers(module, torch.zeros(1, 2))
    x = torch.randn(5, 2)
    with torch.no_grad():
        keep = [np.array([True, False, True, False]), np.ones(4, dtype=bool)]
        h = torch.relu(module[0](x)) * torch.tensor([1.0, 0.0, 1.0, 0.0])
        with only(module, hidden, keep):
            assert torch.equal(module(x), module[4](torch.relu(module[2](h))))
        assert torch.equal(module(x), module[4](torch.relu(module[2](torch.relu(module[0](x))))))


def test_evaluation_ends_with_every_part_as_it_was():
    module = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    with evaluating(module):
        assert not module[0].training
    assert module[0].training
    assert not module[1].training


# --- what is refused --------------------------------------------------------------------------------------------


class Around(nn.Module):
    """A connection around the middle layer."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.c(torch.relu(h.flip(1) + self.b(h)))


class Twice(nn.Module):
    """The middle layer runs twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.b(torch.relu(self.a(x)))))))


def zeroed():
    module = mlp(2, 6, 6, 3)
    nn.init.zeros_(module[2].weight)
    return module


X, Y = rings(40)
REFUSED = {
    "k larger than a layer": (lambda: mlp(2, 6, 5, 3), (X, Y), 6, UsageError, "hidden layer 2 has 5 neurons"),
    "a layer of zeros": (zeroed, (X, Y), 2, ModelError, "all zeros"),
    "one class": (lambda: mlp(2, 6, 6, 3), (X, np.full(40, 1)), 2, DataError, "one class 1"),
    "a class too many": (lambda: mlp(2, 6, 6, 2), (X, Y), 2, DataError, r"classes 0 to 2, .* 0 to 1"),
    "labels missing": (lambda: mlp(2, 6, 6, 3), (X, Y[:30]), 2, DataError, "40 rows and 30 targets"),
    "no number": (lambda: mlp(2, 6, 6, 3), (X, np.full((40, 3), np.nan)), 2, DataError, "NaN"),
    "values of another number": (lambda: mlp(2, 6, 6, 3), (X, X), 2, DataError, "2 columns, but the network 3"),
    "data that do not fit": (lambda: mlp(3, 6, 6, 3), (X, Y), 2, ModelError, "do not fit"),
    "no hidden-to-hidden layer": (lambda: mlp(2, 6, 3), (X, Y), 2, ModelError, "modular already"),
    "no weights": (nn.Identity, (X, Y), 2, ModelError, "no weights"),
    "no batches": (lambda: mlp(2, 6, 6, 3), [], 2, DataError, "no batches"),
    "a layer twice": (Twice, (X, Y), 2, ModelError, "b runs more than once"),
    "a connection around": (Around, (X, Y), 2, ModelError, "other than its own neurons"),
    "a norm over neurons": (lambda: nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 6), nn.LayerNorm(6),
                            nn.ReLU(), nn.Linear(6, 3)), (X, Y), 2, ModelError, "other than its own neurons"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_the_reason(case):
    make, data, k, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        make_modular(make(), data, k, epochs=1)
    with pytest.raises(error, match=words):
        train_modular(make(), data, k, epochs=1, tune=0, how="mask" if "around" in case or "norm" in case else "steps")


def test_a_removal_beyond_the_tolerance_is_refused_before_any_training(trained):
    with pytest.raises(RemovalError, match=r"more than the tolerance of 0\.01"):
        make_modular(trained, rings(), 3, epochs=300, tolerance=0.01)
    assert make_modular(trained, rings(), 3, epochs=0, tolerance=1.0).stages[-1].name == "removed"
    assert make_modular(trained, rings(), 1, epochs=0, tolerance=0.0).stages[-1].clusterability == 1


def test_training_that_diverges_is_told():
    with pytest.raises(DataError, match="smaller steps"):
        make_modular(mlp(2, 6, 6, 1), (X * 1e30, X[:, :1].astype(np.float64)), 2, epochs=3)


@pytest.mark.parametrize("plan", [{"epochs": -1}, {"batch": 0}, {"step": 0.0}])
def test_plans_that_are_none_are_refused(plan):
    with pytest.raises(UsageError, match="epochs"):
        make_modular(mlp(2, 6, 6, 3), (X, Y), 2, **plan)


def test_there_are_two_ways_of_training():
    with pytest.raises(UsageError, match="steps or mask"):
        train_modular(mlp(2, 6, 6, 3), (X, Y), 2, how="guess")


# --- networks as modules ----------------------------------------------------------------------------------------

SLOPES = {"relu": ([0.0, 0.0], [1.0, 1.0]), "leaky": ([0.1, 0.1], [1.0, 1.0]), "own": ([0.5, -0.25], [1.0, 1.0])}


@pytest.mark.parametrize("head", ["identity", "softmax", "log_softmax", "sigmoid", "tanh"])
@pytest.mark.parametrize("name", SLOPES)
def test_a_network_as_a_module_is_the_same_network_when_read_again(name, head):
    rng = np.random.default_rng(0)
    maps = tuple(Affine(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in ((3, 2), (2, 2), (2, 2)))
    network = Network(maps, (Gate(*map(np.array, SLOPES[name])),) * 2, head)
    again = load_network(with_head(module_of(network), head))
    assert again.head == head
    points = rng.normal(size=(20, 3))
    assert (again(points) == network(points)).all()


def test_gates_and_layers_that_torch_has_not_are_refused():
    rng = np.random.default_rng(0)
    maps = tuple(Affine(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in ((3, 2), (2, 2)))
    with pytest.raises(ModelError, match="other slopes than 1"):
        module_of(Network(maps, (Gate(np.ones(2), np.zeros(2)),)))
    from scipy.sparse import csr_array

    with pytest.raises(ModelError, match="sparse"):
        module_of(Network((Affine(csr_array(maps[0].W), maps[0].b), maps[1]), (Gate.relu(2),)))


def test_scores_are_the_share_of_right_classes_and_of_variance():
    module = module_of(from_layers([(np.array([[1.0]]), np.zeros(1)), (np.array([[1.0]]), np.zeros(1))]))
    values = np.array([[1.0], [2.0], [3.0], [4.0]])
    assert score(module, rows_of(values, values, like=module)) == 1
    assert score(module, rows_of(values, values + 1, like=module)) == pytest.approx(1 - 4 / 5)
    assert score(module, rows_of(values, np.array([1, 1, 1, 0]), like=module)) == 0.75  # one output: class by sign
