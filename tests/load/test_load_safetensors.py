import json

import numpy as np
import pytest
import torch
from framework_agreement import Loaded
from safetensors.torch import save_file, save_model
from test_load_torch import normalised, running, sequences
from torch import nn

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.precision import UNIT


def saved(path, module, chain=None, **metadata):
    declared = {} if chain is None else {"chain": json.dumps(chain)}
    save_file(module.state_dict(), path, {**declared, **metadata} or None)
    return path


def test_a_declared_chain_has_the_outputs_of_pytorch(tmp_path, monkeypatch):
    module = nn.Sequential(nn.Linear(3, 6), normalised(6), nn.ReLU(), nn.Linear(6, 5), nn.PReLU(5), nn.Linear(5, 4),
                           nn.LeakyReLU(0.25), nn.Linear(4, 3), nn.Softmax(dim=1)).double().eval()  # fmt: skip
    chain = ["0", "1", "relu", "3", "4", "5", "leaky_relu:0.25", "7", "softmax"]
    loaded = Loaded(monkeypatch, "safetensors_file", saved(tmp_path / "m.safetensors", module, chain))
    loaded.assert_same(running(module), UNIT)
    assert loaded.network.source.format == "safetensors"


def test_without_a_chain_it_is_inferred_in_the_order_of_the_numbers_and_printed(tmp_path, monkeypatch, capsys):
    layers = {f"fc{place}": nn.Linear(4, 4) for place in range(1, 12)}
    order = [part for layer in layers.values() for part in (layer, nn.ReLU())][:-1]
    path = saved(tmp_path / "m.safetensors", nn.ModuleDict(layers).double())
    loaded = Loaded(monkeypatch, "safetensors_file", path)
    assert "fc2, fc3, fc4, fc5, fc6, fc7, fc8, fc9, fc10, fc11" in capsys.readouterr().err
    loaded.assert_same(running(nn.Sequential(*order)), UNIT)


def test_names_without_numbers_are_ordered_by_the_only_way_their_shapes_chain(tmp_path, monkeypatch):
    module = nn.ModuleDict({"input": nn.Linear(3, 6), "hidden": nn.Linear(6, 5), "output": nn.Linear(5, 2)}).double()
    loaded = Loaded(monkeypatch, "safetensors_file", saved(tmp_path / "m.safetensors", module))
    whole = nn.Sequential(module["input"], nn.ReLU(), module["hidden"], nn.ReLU(), module["output"])
    loaded.assert_same(running(whole), UNIT)


def test_half_precision_is_widened_exactly(tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        module = sequences()["plain"].to(dtype)
        network = load_network(saved(tmp_path / "m.safetensors", module))
        assert (module[2].weight.detach().double().numpy() == network.affine[1].W).all()


@pytest.mark.parametrize(("module", "chain", "message"), [
    (nn.ModuleDict({"b": nn.Linear(4, 4), "a": nn.Linear(4, 3), "c": nn.Linear(5, 4)}), ["a", "relu"], None),
    (nn.ModuleDict({"a": nn.Linear(2, 5), "b": nn.Linear(9, 3)}), None, "do not make one chain"),
    (nn.ModuleDict({"a": nn.Linear(3, 4), "n": nn.LayerNorm(4)}), None, "n.(weight|bias).*ambiguous"),
    (nn.Linear(3, 4), ["fc1", "relu"], "names 'fc1'"),
    (nn.Sequential(nn.Linear(3, 4)), ["0", "gelu"], "names 'gelu'"),
    (nn.Sequential(nn.Linear(3, 4)), ["0", "leaky_relu"], "NaN"),
    (nn.Sequential(nn.Linear(3, 4)), {"0": "relu"}, "must be a JSON list"),
    (nn.Sequential(nn.Linear(3, 3)), ["0", "tanh", "0"], "in the middle"),
])  # fmt: skip
def test_a_chain_that_does_not_fit_is_refused(module, chain, message, tmp_path):
    path = saved(tmp_path / "m.safetensors", module, chain)
    if message is None:
        assert load_network(path).widths == (3,)
        return
    with pytest.raises(ModelError, match=message):
        load_network(path)


def test_a_chain_that_is_not_json_is_refused(tmp_path):
    save_file({"0.weight": torch.zeros(2, 2)}, tmp_path / "m.safetensors", {"chain": "[0, relu"})
    with pytest.raises(ModelError, match="its chain is not JSON"):
        load_network(tmp_path / "m.safetensors")


def test_reading_safetensors_does_not_import_torch(tmp_path):
    import subprocess
    import sys

    path = saved(tmp_path / "m.safetensors", sequences()["plain"])
    code = f"import sys, relu_shallow.load as l; l.load_network({str(path)!r}); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    assert np.isfinite(load_network(path).affine[0].W).all()


def test_a_converted_file_is_told_from_a_model(tmp_path):
    save_file({"0.weight": torch.zeros(2, 2)}, tmp_path / "m.shallow.safetensors", {"relu_shallow": "{}"})
    with pytest.raises(ModelError, match="converted by relu-shallow already"):
        load_network(tmp_path / "m.shallow.safetensors")


def test_a_layer_used_twice_and_kept_once_is_read_twice(tmp_path, monkeypatch):
    twice = nn.Linear(4, 4)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), twice, nn.ReLU(), twice, nn.ReLU(), nn.Linear(4, 2)).double()
    save_model(module, str(tmp_path / "m.safetensors"))
    loaded = Loaded(monkeypatch, "safetensors_file", tmp_path / "m.safetensors")
    assert loaded.network.widths == (4, 4, 4)
    loaded.assert_same(running(module), UNIT)


def test_an_alias_of_a_tensor_that_is_not_there_is_refused(tmp_path):
    save_file({"0.weight": torch.zeros(2, 2)}, tmp_path / "m.safetensors", {"2.weight": "1.weight"})
    with pytest.raises(ModelError, match=r"2\.weight is kept as 1\.weight, which is not in the file"):
        load_network(tmp_path / "m.safetensors")
