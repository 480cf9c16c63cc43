"""Networks that PyTorch itself wrote to ONNX, by its tracing exporter: what onnxruntime computes of the same file."""

import io
import warnings

import numpy as np
import pytest
import torch
from framework_agreement import Loaded
from onnx_models import onnxruntime_of
from torch import nn

from relu_shallow.load import load_network


class Block(nn.Module):
    """A residual block, with a projection where the size changes."""

    def __init__(self, inner, outer, stride):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(),
                                  nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer))  # fmt: skip
        same = stride == 1 and inner == outer
        self.beside = nn.Identity() if same else nn.Conv2d(inner, outer, 1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.beside(x))


class SmallResidual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.pool = nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Block(3, 3, 1), Block(3, 4, 2))
        self.top = nn.Linear(4, 3)

    def forward(self, x):
        h = self.blocks(self.pool(nn.functional.relu6(self.stem(x))))
        return self.top(h.mean((2, 3)))


class Decoder(nn.Module):
    """Down and up again: transposed convolution, upsampling, concatenation, padding, slices, chunks."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 3, 2, 1, output_padding=1)

    def forward(self, x):
        h = nn.functional.hardtanh(self.down(x))
        larger = nn.functional.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
        both = torch.cat([self.up(h), larger, nn.functional.pad(x[:, :, :-1, 1:], (0, 1, 1, 0), mode="reflect")], 1)
        a, b = both[:, :4].chunk(2, 1)
        return nn.functional.adaptive_avg_pool2d(torch.maximum(a, b) - both[:, 4:].abs(), 2).flatten(1)


class Vectors(nn.Module):
    """Layers on vectors: batch-norm, PReLU, a stack of matrices, a maxout, clamps, split."""

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.bend, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.PReLU(8), nn.Linear(4, 3)
        self.stack = nn.Parameter(torch.randn(2, 4, 4))

    def forward(self, x):
        h = self.bend(self.norm(self.a(x))).reshape(-1, 2, 1, 4)
        h = (h @ self.stack).squeeze(2).amax(1).clamp(-1, 2)
        return self.b(h) + x.split([3, 3], 1)[0].clamp(min=0.0)


def exported(module, x, folder, **options):
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (x,), buffer, dynamo=False, input_names=["x"], **options)
    path = folder / "exported.onnx"
    path.write_bytes(buffer.getvalue())
    return path


MODULES = {
    "a residual network": (SmallResidual, (1, 1, 8, 8)),
    "down and up again": (Decoder, (1, 1, 6, 6)),
    "layers on vectors": (Vectors, (1, 6)),
}


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_a_network_that_pytorch_exported_has_its_outputs(name, free, tmp_path, monkeypatch):
    kind, shape = MODULES[name]
    torch.manual_seed(1)
    module = kind()
    axes = {"dynamic_axes": {"x": {0: "rows"}}} if free else {}
    path = exported(module, torch.randn(shape), tmp_path, opset_version=17, **axes)
    loaded = Loaded(monkeypatch, "onnx_file", path)
    loaded.assert_same(onnxruntime_of(path), rows=8)
    with torch.no_grad():
        loaded.assert_same(lambda X: module(torch.from_numpy(X).reshape(-1, *shape[1:])).numpy(), rows=8)
    assert loaded.network.inputs == np.prod(shape)


@pytest.mark.parametrize("opset", [9, 11, 13, 16, 20])
def test_exports_of_every_age_are_read(opset, tmp_path, monkeypatch):
    torch.manual_seed(1)
    path = exported(SmallResidual(), torch.randn(1, 1, 8, 8), tmp_path, opset_version=opset)
    Loaded(monkeypatch, "onnx_file", path).assert_same(onnxruntime_of(path), rows=4)


def test_a_residual_network_can_be_cut_before_a_layer(tmp_path):
    torch.manual_seed(1)
    path = exported(SmallResidual(), torch.randn(1, 1, 8, 8), tmp_path, opset_version=17)
    part = load_network(path, until="/pool/MaxPool")
    assert (part.inputs, part.outputs, len(part.widths)) == (64, 192, 1)
