"""PyTorch: saved modules, state_dicts and live modules."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import data_path
from framework_agreement import Loaded
from torch import nn
from torch.nn import functional as F  # noqa: N812

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.precision import UNIT, UNIT32


def running(module):
    """The module's own outputs for a NumPy array, in the array's precision."""

    def run(X):
        with torch.no_grad():
            return module(torch.from_numpy(X)).numpy()

    return run


def normalised(width):
    """A batch normalisation whose statistics are not the initial ones."""
    layer = nn.BatchNorm1d(width)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    layer.running_mean = torch.randn(width)
    layer.running_var = torch.rand(width) + 0.5
    return layer


def sequences():
    torch.manual_seed(0)
    return {
        "plain": nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2)),
        "no hidden layer": nn.Sequential(nn.Linear(3, 2)),
        "one layer alone": nn.Linear(3, 2),
        "one input, one output, no bias": nn.Sequential(nn.Linear(1, 4, bias=False), nn.ReLU(), nn.Linear(4, 1)),
        "ends in relu": nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)),
        "two linear layers in a row": nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)),
        "nested, with dropout and batch normalisation": nn.Sequential(
            nn.Flatten(), normalised(3), nn.Sequential(nn.Linear(3, 6), normalised(6), nn.ReLU()), nn.Dropout(0.3),
            nn.Sequential(nn.Identity(), nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.2), normalised(4))),
            nn.Linear(4, 3), nn.Softmax(dim=1)),
        "prelu of each kind, twice in a row": nn.Sequential(
            nn.Linear(3, 6), nn.PReLU(6, init=0.4), nn.PReLU(), nn.Linear(6, 2), nn.LogSoftmax(dim=-1)),
        "negative slope before a relu": nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(-0.5), nn.ReLU(), nn.Linear(6, 2)),
        "sigmoid at the end": nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1), nn.Sigmoid()),
        "tanh at the end": nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2), nn.Tanh()),
    }  # fmt: skip


@pytest.mark.parametrize("name", sequences())
@pytest.mark.parametrize("zipped", [True, False])
def test_a_saved_sequence_has_the_outputs_of_pytorch(name, zipped, tmp_path, monkeypatch):
    module = sequences()[name]
    torch.save(module, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    loaded = Loaded(monkeypatch, "torch_file", tmp_path / "m.pt")
    loaded.assert_same(running(module.eval()))
    loaded.assert_same(running(module.double()), UNIT)


@pytest.mark.parametrize("name", sequences())
def test_a_live_sequence_has_the_outputs_of_pytorch_and_stays_as_it_was(name, monkeypatch):
    module = sequences()[name].train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    loaded = Loaded(monkeypatch, "module", module)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    loaded.assert_same(running(module.eval()))
    loaded.assert_same(running(module.double()), UNIT)


def test_weights_are_taken_exactly_from_every_precision(tmp_path):
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        module = sequences()["plain"].to(dtype)
        torch.save(module, tmp_path / "m.pt")
        for network in (load_network(module), load_network(tmp_path / "m.pt")):
            assert (module[0].weight.detach().double().numpy() == network.affine[0].W).all()
            assert (network.affine[2].b == module[4].bias.detach().double().numpy()).all()


def test_the_source_says_where_a_network_came_from(tmp_path):
    import hashlib

    path = tmp_path / "m.pt"
    torch.save(sequences()["plain"], path)
    source = load_network(path).source
    assert (source.name, source.format, source.dtype) == ("m.pt", "torch", "float32")
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


class Custom(nn.Module):
    """A forward of its own, with most of the ways to write the same things."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 6), nn.Linear(6, 4), nn.Linear(4, 2)
        self.norm, self.other = normalised(6), normalised(4)
        self.slopes, self.drop = nn.PReLU(4), nn.Dropout(0.5)
        self.register_buffer("mean", torch.randn(3))
        self.W = nn.Parameter(torch.randn(3, 3))

    def forward(self, x):
        x = 2.0 * (x - self.mean) / 3
        x = x.view(x.size(0), -1).reshape(x.shape[0], 3)
        x = torch.flatten(x @ self.W + 1, 1)
        x = F.leaky_relu(self.norm(self.first(x)), 0.1)
        x = F.dropout(x, training=self.training)
        x = torch.relu(self.drop(self.second(x)).contiguous())
        o = self.other
        x = F.batch_norm(x, o.running_mean, o.running_var, o.weight, o.bias, eps=o.eps)
        x = self.slopes(-x).relu()
        return F.softmax(F.linear(x, self.third.weight, self.third.bias), dim=1)


def test_a_forward_of_its_own_is_traced(monkeypatch):
    torch.manual_seed(1)
    module = Custom()
    loaded = Loaded(monkeypatch, "module", module)
    assert loaded.network.widths == (6, 4, 4)
    assert loaded.network.head == "softmax"
    loaded.assert_same(running(module.eval()))
    loaded.assert_same(running(module.double()), UNIT)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return x + torch.relu(self.inner(x))


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x * 2


class Wild(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return torch.erf(self.inner(x))


def hooked():
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    module[0].register_forward_hook(lambda layer, args, out: out * 1.001)
    return module


REFUSED = {
    "layer 1 is GELU": lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)),
    "layer 1.0 is SiLU": lambda: nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.SiLU()), nn.Linear(4, 2)),
    "layer 1 is LayerNorm": lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
    "layer 0 is GRU": lambda: nn.Sequential(nn.GRU(1, 2)),
    "layer 1 is tanh in the middle": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
    "layer 2 takes 5 values, but 4": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2)),
    "softmax over axis 0": lambda: nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=0)),
    "without running statistics": lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)),
    "tells how many inputs": lambda: nn.Sequential(nn.ReLU()),
    "cannot be traced": Branching,
    "more than one input": TwoInputs,
    "the operation erf": Wild,
    "layer 0 carries a hook": hooked,
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_live_module_that_cannot_be_read_is_refused_by_the_name_of_its_layer(message):
    with pytest.raises(ModelError, match=message):
        load_network(REFUSED[message]())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_the_name_of_their_layer(bad, tmp_path):
    module = sequences()["plain"]
    with torch.no_grad():
        module[2].weight[1, 1] = bad
    torch.save(module, tmp_path / "m.pt")
    for model in (module, tmp_path / "m.pt"):
        with pytest.raises(ModelError, match="layer 2 holds NaN or infinite"):
            load_network(model)


@pytest.mark.parametrize("wrap", [lambda table: table, lambda table: {"epoch": 3, "model_state_dict": table}])
def test_a_state_dict_of_a_plain_chain_is_read_and_its_architecture_printed(wrap, tmp_path, capsys, monkeypatch):
    module = sequences()["plain"]
    torch.save(wrap(module.state_dict()), tmp_path / "m.pth")
    loaded = Loaded(monkeypatch, "torch_file", tmp_path / "m.pth")
    assert "3 -> 8 -> 5 -> 2 with ReLU between" in capsys.readouterr().err
    loaded.assert_same(running(module))


@pytest.mark.parametrize(("table", "message"), [
    (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).state_dict(), "1.weight.*ambiguous"),
    (lambda: nn.ModuleList([nn.Linear(3, 4), nn.Linear(5, 2)]).state_dict(), "do not make one chain"),
    (lambda: {"0.bias": torch.zeros(3)}, "0.bias.*ambiguous"),
    (lambda: {"epoch": 3, "lr": 0.1}, "epoch, lr, which are not tensors"),
    (dict, "nothing"),
    (lambda: torch.zeros(3), "holds a Tensor"),
    (lambda: [1, 2], "holds a list"),
])  # fmt: skip
def test_a_table_of_tensors_that_is_no_plain_chain_is_refused(table, message, tmp_path):
    torch.save(table(), tmp_path / "m.pt")
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "m.pt")


def from_rows(layers, X):
    """relu network of (W, b) pairs, softmax at the end, in double precision."""
    for W, b in layers[:-1]:
        X = np.maximum(X @ W.T + b, 0)
    z = X @ layers[-1][0].T + layers[-1][1]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("name", "sizes"), [("heloc_ann", (21, 18, 9, 3, 2)), ("heloc_linear", (21, 2))])
def test_a_module_whose_class_is_not_importable_is_read_and_what_was_assumed_is_printed(
    name, sizes, capsys, monkeypatch
):
    loaded = Loaded(monkeypatch, "torch_file", data_path(f"pt/carla_{name}.pt"))
    network = loaded.network
    assert (network.inputs, *network.widths, network.outputs) == sizes
    assert network.head == "softmax"
    said = capsys.readouterr().err
    assert "carla.models.catalog" in said
    assert "assumed" in said
    assert not any(module.partition(".")[0] == "carla" for module in sys.modules)
    layers = [(layer.W, layer.b) for layer in network.affine]
    loaded.assert_same(lambda X: from_rows(layers, X), UNIT)


def saved_by_another_program(tmp_path, body):
    """A module saved where its class exists; afterwards it cannot be imported any more."""
    code = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n" + body
    (tmp_path / "elsewhere.py").write_text(code)
    module = types.ModuleType("elsewhere")
    sys.modules["elsewhere"] = module
    try:
        exec(compile(code, "elsewhere.py", "exec"), module.__dict__)
        torch.save(module.Model(), tmp_path / "m.pt")
    finally:
        del sys.modules["elsewhere"]
    return tmp_path / "m.pt"


CHAIN = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(3, 5), nn.LeakyReLU(0.3), nn.Linear(5, 2)
    def forward(self, x):
        return self.b(self.act(self.a(x)))
"""
FUNCTIONAL = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(3, 5), nn.Linear(5, 2), nn.Dropout()
    def forward(self, x):
        return self.b(self.drop(F.relu(self.a(x))))
"""
OWN_TENSOR = FUNCTIONAL.replace("nn.Dropout()", "nn.Dropout(); self.extra = nn.Parameter(torch.ones(3))")
NORM = FUNCTIONAL.replace("nn.Dropout()", "nn.BatchNorm1d(5)")
TANH = FUNCTIONAL.replace("nn.Dropout()", "nn.Tanh()")
GELU = FUNCTIONAL.replace("nn.Dropout()", "nn.GELU()")
CONV = FUNCTIONAL.replace("nn.Dropout()", "nn.Conv1d(1, 1, 1)")
POOL = CHAIN.replace("nn.Linear(5, 2)", "nn.Linear(5, 2); self.pool = nn.MaxPool1d(2)")
TWO_ACTIVATIONS = FUNCTIONAL.replace("nn.Dropout()", "nn.ReLU(); self.e = nn.LeakyReLU()")


@pytest.mark.parametrize(("body", "slope"), [(CHAIN, 0.3), (FUNCTIONAL, 0.0)])
def test_trusting_the_class_reads_the_same_network_as_assuming(body, slope, tmp_path, monkeypatch, capsys):
    path = saved_by_another_program(tmp_path, body)
    assumed = load_network(path)
    assert "elsewhere.Model" in capsys.readouterr().err
    assert (assumed.gates[0].inactive == slope).all()
    assert "elsewhere" not in sys.modules
    monkeypatch.syspath_prepend(tmp_path)
    trusted = load_network(path, trust=("elsewhere.Model",))
    del sys.modules["elsewhere"]
    X = np.random.default_rng(0).normal(size=(5, 3))
    assert (trusted(X) == assumed(X)).all()
    assert "elsewhere.Model was not imported; order of its layers: a (Linear)" in assumed.source.assumed
    assert replace(trusted.source, checked="") == replace(assumed.source, assumed="")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("body", "message"), [
    (OWN_TENSOR, "tensors of its own .extra"), (NORM, "order of its layers is ambiguous.*BatchNorm1d"),
    (TANH, "ambiguous.*Tanh"), (CONV, "ambiguous.*Conv1d"),
    (POOL, "ambiguous.*MaxPool1d"), (GELU, "GELU"), (TWO_ACTIVATIONS, "ambiguous.*LeakyReLU"),
])  # fmt: skip
def test_an_unknown_class_with_more_than_one_reading_is_refused(body, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        load_network(saved_by_another_program(tmp_path, body))


def test_a_trusted_class_that_is_not_there_is_said_so(tmp_path):
    path = saved_by_another_program(tmp_path, CHAIN)
    for wrong in ("elsewhere.Model", "nonsense", "torch.nn.NoSuchLayer"):
        with pytest.raises(ModelError, match=f"trusted class {wrong} cannot be imported"):
            load_network(path, trust=(wrong,))
    with pytest.raises(ModelError, match=r"needs more than torch.nn.GELU: it also names elsewhere\.Model$"):
        load_network(path, trust=("torch.nn.GELU",))


def test_a_weight_changed_by_a_hundredth_is_noticed(monkeypatch):
    module = sequences()["plain"]
    loaded = Loaded(monkeypatch, "module", module)
    with torch.no_grad():
        module[0].weight += 0.01
    with pytest.raises(AssertionError, match="more than the rounding error"):
        loaded.assert_same(running(module), UNIT32)


@pytest.mark.parametrize(("layer", "message"), [(nn.GELU(), "layer 1 is GELU"), (nn.ELU(), "layer 1 is ELU"),
                                               (nn.Sequential(nn.LayerNorm(4)), "layer 1.0 is LayerNorm")])  # fmt: skip
def test_a_saved_layer_that_is_not_supported_is_refused_by_its_name(layer, message, tmp_path):
    torch.save(nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 2)), tmp_path / "m.pt")
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "m.pt")


def test_other_objects_are_refused():
    for thing in (3, None, {"a": 1}, nn.Linear):
        with pytest.raises(ModelError, match="is not a model that can be read"):
            load_network(thing)
