import io
import zipfile

import pytest
import torch
from conftest import data_path
from framework_agreement import Loaded
from test_load_torch import Custom, running, sequences
from torch import nn

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.precision import UNIT


def outputs_of(path):
    return running(torch.jit.load(path).eval())


@pytest.mark.parametrize("name", sequences())
@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sequence_has_the_outputs_of_torchscript(name, how, dtype, tmp_path, monkeypatch):
    module = sequences()[name].to(dtype).eval()
    example = torch.randn(4, load_network(module).inputs, dtype=dtype)
    script = torch.jit.script(module) if how == "script" else torch.jit.trace(module, example)
    script.save(tmp_path / "m.pt")
    loaded = Loaded(monkeypatch, "torchscript", tmp_path / "m.pt")
    loaded.assert_same(outputs_of(tmp_path / "m.pt"), torch.finfo(dtype).eps / 2)
    assert loaded.network.source.format == "torchscript"


@pytest.mark.parametrize("how", ["script", "trace"])
def test_a_forward_of_its_own_has_the_outputs_of_torchscript(how, tmp_path, monkeypatch):
    module = Custom().double().eval()
    script = torch.jit.script(module) if how == "script" else torch.jit.trace(module, torch.randn(2, 3).double())
    script.save(tmp_path / "m.pt")
    Loaded(monkeypatch, "torchscript", tmp_path / "m.pt").assert_same(outputs_of(tmp_path / "m.pt"), UNIT)


def test_a_scripted_module_saved_in_training_mode_is_read_as_in_evaluation(tmp_path, monkeypatch):
    module = sequences()["nested, with dropout and batch normalisation"].double().train()
    torch.jit.script(module).save(tmp_path / "m.pt")
    Loaded(monkeypatch, "torchscript", tmp_path / "m.pt").assert_same(running(module.eval()), UNIT)


def test_a_module_traced_in_training_mode_is_refused(tmp_path):
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    torch.jit.trace(module, torch.randn(2, 3), check_trace=False).save(tmp_path / "m.pt")
    with pytest.raises(ModelError, match="dropout in training mode"):
        load_network(tmp_path / "m.pt")


def test_a_live_torchscript_module_is_read(monkeypatch):
    module = sequences()["plain"].double().eval()
    Loaded(monkeypatch, "torchscript", torch.jit.script(module)).assert_same(running(module), UNIT)


def test_a_published_torchscript_network_has_its_own_outputs(monkeypatch):
    path = data_path("pt/carla_adult_ann.pt")
    loaded = Loaded(monkeypatch, "torchscript", path)
    network = loaded.network
    assert (network.inputs, network.widths, network.outputs, network.head) == (20, (18, 9, 3), 2, "sigmoid")
    loaded.assert_same(outputs_of(path))
    loaded.assert_same(running(torch.jit.load(path).double()), UNIT)


class Writes(nn.Module):
    def __init__(self, place: str):
        super().__init__()
        self.inner, self.place = nn.Linear(3, 2), place

    def forward(self, x):
        torch.save(x, self.place)
        return self.inner(x)


class WritesWhenLoaded(nn.Module):
    def __init__(self, place: str):
        super().__init__()
        self.inner, self.place, self.armed = nn.Linear(3, 2), place, False

    def forward(self, x):
        return self.inner(x)

    @torch.jit.export
    def __getstate__(self):
        return self.inner.weight, self.place, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]):
        torch.save(state[0], state[1])
        self.place = state[1]
        self.training = state[2]


def test_a_graph_that_writes_files_is_refused_by_the_name_of_the_operation(tmp_path):
    marker = tmp_path / "marker"
    torch.jit.script(Writes(str(marker))).save(tmp_path / "m.pt")
    with pytest.raises(ModelError, match="operation save"):
        load_network(tmp_path / "m.pt")
    assert not marker.exists()
    torch.jit.load(tmp_path / "m.pt")(torch.zeros(1, 3))
    assert marker.exists()  # the payload is real


def test_code_that_would_run_on_loading_does_not_run(tmp_path):
    marker = tmp_path / "marker"
    torch.jit.script(WritesWhenLoaded(str(marker))).save(tmp_path / "m.pt")
    with pytest.raises(ModelError):
        load_network(tmp_path / "m.pt")
    assert not marker.exists()


class Loops(nn.Module):
    def forward(self, x):
        for _ in range(3):
            x = torch.relu(x)
        while x.dim() > 5:
            x = x - 1
        return x


class Gelu(nn.Module):
    def forward(self, x):
        return torch.nn.functional.gelu(x)


class Recursive(nn.Module):
    def forward(self, x):
        return torch.relu(x) if bool(x.sum() > 0) else x


@pytest.mark.parametrize(("module", "message"), [
    (Loops, "layer forward .* which is not read"), (Gelu, "operation gelu"), (Recursive, "mixes the rows")
])  # fmt: skip
def test_code_outside_the_known_statements_and_operations_is_refused(module, message, tmp_path):
    torch.jit.script(module()).save(tmp_path / "m.pt")
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "m.pt", input_shape=(3,))


def rewritten(path, old, new):
    """The archive with its code changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(buffer, "w") as other:
        for name in archive.namelist():
            data = archive.read(name)
            other.writestr(name, data.replace(old, new) if name.endswith(".py") else data)
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize(("new", "message"), [
    (b"return ops.evil.relu(input)", "ops.evil.relu"),
    (b"return torch.os.system(input)", "torch.os.system"),
    (b"return __import__('os').system('touch marker')", "__import__"),
    (b"return (self).forward(input, )", "cannot be followed"),
    (b"return [c for c in input]", "which is not read"),
    (b"return lambda: 1", "which is not read"),
    (b"return self.__class__", "which is not read"),
    (b"return undefined", "does not depend on its input"),
    (b"return", "does not depend on its input"),
    (b"return )", "not a readable TorchScript"),
])  # fmt: skip
def test_tampered_code_is_refused_and_not_run(new, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.jit.script(nn.Sigmoid()).save(tmp_path / "m.pt")
    rewritten(tmp_path / "m.pt", b"return torch.sigmoid(input)", new)
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "m.pt")
    assert not (tmp_path / "marker").exists()
