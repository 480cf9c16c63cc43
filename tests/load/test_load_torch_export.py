import io
import json
import zipfile

import numpy as np
import pytest
import torch
from framework_agreement import Loaded
from test_load_torch import Custom, Wild, normalised, running, sequences
from torch import nn
from torch.export import Dim, export, save

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.precision import UNIT


def exported(module, path, dynamic=True, rows=2):
    """The module exported to a file."""
    example = torch.randn(rows, 3, dtype=next(module.parameters()).dtype)
    program = export(module, (example,), dynamic_shapes=({0: Dim("batch")},) if dynamic else None)
    save(program, path)
    return program


@pytest.mark.parametrize("name", [name for name in sequences() if "one input" not in name])
def test_a_sequence_has_the_outputs_of_pytorch(name, tmp_path, monkeypatch):
    module = sequences()[name].double().eval()
    exported(module, tmp_path / "m.pt2")
    loaded = Loaded(monkeypatch, "torch_export", tmp_path / "m.pt2")
    loaded.assert_same(running(module), UNIT)
    assert loaded.network.source.format == "torch.export"
    assert loaded.network.source.dtype == "float64"


@pytest.mark.parametrize(("dynamic", "rows"), [(True, 2), (False, 1), (False, 4)])
def test_a_forward_of_its_own_has_the_outputs_of_pytorch(dynamic, rows, tmp_path, monkeypatch):
    module = Custom().double().eval()
    program = exported(module, tmp_path / "m.pt2", dynamic, rows)
    Loaded(monkeypatch, "torch_export", tmp_path / "m.pt2").assert_same(running(module), UNIT)
    Loaded(monkeypatch, "torch_export", program).assert_same(running(module), UNIT)


def test_decomposed_operations_are_read(tmp_path, monkeypatch):
    module = nn.Sequential(nn.Linear(3, 5), normalised(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 2), nn.Softmax(1))
    module = module.double().eval()
    program = export(module, (torch.randn(2, 3).double(),), dynamic_shapes=({0: Dim("batch")},))
    save(program.run_decompositions(), tmp_path / "m.pt2")
    Loaded(monkeypatch, "torch_export", tmp_path / "m.pt2").assert_same(running(module), UNIT)


@pytest.mark.parametrize(("module", "message"), [(Wild, "operation erf")])
def test_an_operation_that_cannot_be_read_is_refused_by_its_name(module, message, tmp_path):
    exported(module(), tmp_path / "m.pt2")
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "m.pt2")


def edited(path, change):
    """The archive with `change(name, data)` applied to each member (None drops it)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(buffer, "w") as other:
        for name in archive.namelist():
            data = change(name, archive.read(name))
            if data is not None:
                other.writestr(name, data)
    path.write_bytes(buffer.getvalue())


def pickled(payload):
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    return buffer.getvalue()


def keep_weights_pickled(name, data, payload):
    if name.endswith("model_weights_config.json"):
        config = json.loads(data)
        for entry in config["config"].values():
            entry["use_pickle"] = True
        return json.dumps(config).encode()
    return pickled(payload(data)) if "weights/weight_" in name else data


def test_weights_kept_as_pickled_tensors_are_read(tmp_path):
    module = torch.nn.Linear(3, 2)
    exported(module, tmp_path / "m.pt2")

    def tensor(raw):
        return torch.from_numpy(np.frombuffer(raw, np.float32).copy()).reshape(2, -1).squeeze(-1)

    edited(tmp_path / "m.pt2", lambda name, data: keep_weights_pickled(name, data, tensor))
    assert (module.weight.detach().numpy() == load_network(tmp_path / "m.pt2").affine[0].W).all()


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.marker}",)


def test_a_pickle_inside_the_archive_is_never_run(tmp_path):
    marker = tmp_path / "marker"
    exported(torch.nn.Linear(3, 2), tmp_path / "m.pt2")
    edited(tmp_path / "m.pt2", lambda name, data: pickled(Payload(marker)) if name.endswith(".pt") else data)
    load_network(tmp_path / "m.pt2")  # sample inputs are not read at all
    edited(tmp_path / "m.pt2", lambda name, data: keep_weights_pickled(name, data, lambda raw: Payload(marker)))
    with pytest.raises(ModelError, match=r"wants to call \w+\.system"):
        load_network(tmp_path / "m.pt2")
    assert not marker.exists()


@pytest.mark.parametrize(("change", "message"), [
    (lambda name, data: None if name.endswith("weight_0") else data, "weight_0 is missing"),
    (lambda name, data: data[:-4] if name.endswith("weight_0") else data, "only 5 numbers"),
    (lambda name, data: None if name.endswith("model.json") else data, r"no data.pkl|no models/model.json"),
    (lambda name, data: data[:-9] if name.endswith("model.json") else data, "not a readable torch.export"),
    (lambda name, data: b"[]" if name.endswith("model.json") else data, "not a readable torch.export"),
])  # fmt: skip
def test_a_damaged_archive_is_refused(change, message, tmp_path):
    exported(torch.nn.Linear(3, 2), tmp_path / "m.pt2")
    edited(tmp_path / "m.pt2", change)
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "m.pt2")
