"""PyTorch's layers, drawn with their options, and whole image networks: what PyTorch computes, from every file."""

import pytest
import torch
from framework_agreement import Loaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_load_torch import running
from torch import nn
from torch.export import Dim, export, save

from relu_shallow.load.layers import LAYERS
from relu_shallow.load.torch_file import _imported
from relu_shallow.precision import UNIT

FEW = settings(max_examples=14, deadline=None, derandomize=True,
               suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much])  # fmt: skip
SMALL = st.integers(1, 3)


def of_rank(rank, kind):
    """The class of a layer for a number of axes."""
    return getattr(nn, f"{kind}{rank}d")


def agrees(monkeypatch, layer, shape, rows=12):
    """Holds the network of a layer to what PyTorch computes; PyTorch's own refusal ends the example."""
    module = nn.Sequential(nn.Identity(), layer).double().eval()
    X = torch.randn(rows, *shape, dtype=torch.float64)
    try:
        with torch.no_grad():
            module(X)
    except (RuntimeError, ValueError):
        return
    loaded = Loaded(monkeypatch, "module", module, input_shape=shape)
    with torch.no_grad():
        loaded.assert_same(lambda Z: module(torch.from_numpy(Z).reshape(-1, *shape)).numpy(), UNIT, rows)


@st.composite
def convolutions(draw):
    rank = draw(SMALL)
    groups = draw(st.sampled_from([1, 1, 2]))
    strides = tuple(draw(SMALL) for _ in range(rank))
    mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
    padding = draw(st.sampled_from(["valid", *(["same"] if max(strides) == 1 else []), 0, 1, 2]))
    layer = of_rank(rank, "Conv")(
        2 * groups, 2 * groups, tuple(draw(SMALL) for _ in range(rank)), stride=strides, padding=padding,
        dilation=draw(st.integers(1, 2)), groups=groups, bias=draw(st.booleans()), padding_mode=mode)  # fmt: skip
    return layer, (2 * groups, *(draw(st.integers(4, 6)) for _ in range(rank)))


@st.composite
def transposed_convolutions(draw):
    rank = draw(SMALL)
    groups, stride = draw(st.sampled_from([1, 2])), draw(SMALL)
    layer = of_rank(rank, "ConvTranspose")(
        2 * groups, groups, draw(SMALL), stride=stride, padding=draw(st.integers(0, 1)),
        output_padding=draw(st.integers(0, stride - 1)), dilation=draw(st.integers(1, 2)), groups=groups)  # fmt: skip
    return layer, (2 * groups, *(draw(st.integers(2, 4)) for _ in range(rank)))


@st.composite
def pools(draw):
    rank = draw(SMALL)
    shape = (2, *(draw(st.integers(4, 6)) for _ in range(rank)))
    kernel, ceil = tuple(draw(SMALL) for _ in range(rank)), draw(st.booleans())
    padding, stride = min(min(kernel) // 2, draw(st.integers(0, 1))), draw(st.one_of(st.none(), SMALL))
    if draw(st.booleans()):
        dilation = draw(st.integers(1, 2))
        return of_rank(rank, "MaxPool")(kernel, stride, padding, dilation=dilation, ceil_mode=ceil), shape
    counts = draw(st.booleans())
    return of_rank(rank, "AvgPool")(kernel if rank > 1 else kernel[0], stride, padding, ceil, counts), shape


@st.composite
def adaptive_pools(draw):
    rank = draw(SMALL)
    shape = (2, *(draw(st.integers(1, 6)) for _ in range(rank)))
    out = tuple(draw(st.one_of(st.none(), st.integers(1, 4))) for _ in range(rank))
    kind = of_rank(rank, draw(st.sampled_from(["AdaptiveAvgPool", "AdaptiveMaxPool"])))
    return kind(out if rank > 1 else out[0] or 2), shape


@st.composite
def paddings(draw):
    rank, kind = draw(SMALL), draw(st.sampled_from(["Zero", "Constant", "Reflection", "Replication", "Circular"]))
    lowest = -1 if kind in ("Zero", "Constant") else 0
    amounts = tuple(draw(st.integers(lowest, 2)) for _ in range(2 * rank))
    more = (0.7,) if kind == "Constant" else ()
    return of_rank(rank, f"{kind}Pad")(amounts, *more), (2, *(draw(st.integers(3, 4)) for _ in range(rank)))


@st.composite
def upsamplings(draw):
    rank = draw(SMALL)
    shape = (2, *(draw(st.integers(2, 5)) for _ in range(rank)))
    linear = ("linear", "bilinear", "trilinear")[rank - 1]
    mode = draw(st.sampled_from(["nearest", "nearest-exact", linear]))
    options = {"align_corners": draw(st.booleans())} if mode == linear else {}
    if draw(st.booleans()):
        return nn.Upsample(size=tuple(draw(st.integers(1, 7)) for _ in range(rank)), mode=mode, **options), shape
    factor = draw(st.sampled_from([2, 3, 0.5, 1.4, 2.7]))
    again = draw(st.sampled_from([None, True]))
    return nn.Upsample(scale_factor=factor, mode=mode, recompute_scale_factor=again, **options), shape


KINDS = (convolutions, transposed_convolutions, pools, adaptive_pools, paddings, upsamplings)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_layer_with_any_options_gives_what_pytorch_gives(kind, monkeypatch):
    @FEW
    @given(kind())
    def every(drawn):
        agrees(monkeypatch, *drawn)

    every()


def statistics(layer):
    """The normalisation with statistics other than the initial ones."""
    layer.running_mean, layer.running_var = torch.randn(layer.num_features), torch.rand(layer.num_features) + 0.5
    nn.init.normal_(layer.weight)
    return layer


OTHERS = {
    "Conv2d, as wide, of even windows": lambda: (nn.Conv2d(2, 2, (2, 4), padding="same"), (2, 5, 6)),
    "MaxPool2d, no window in the padding alone": lambda: (nn.MaxPool2d(2, 4, 1, ceil_mode=True), (2, 5, 5)),
    "AvgPool2d, no window in the padding alone": lambda: (nn.AvgPool2d(2, 4, 1, ceil_mode=True), (2, 5, 5)),
    "BatchNorm2d": lambda: (statistics(nn.BatchNorm2d(4)), (4, 3, 2)),
    "BatchNorm3d": lambda: (statistics(nn.BatchNorm3d(4)), (4, 1, 3, 2)),
    "InstanceNorm1d": lambda: (statistics(nn.InstanceNorm1d(4, affine=True, track_running_stats=True)), (4, 3)),
    "InstanceNorm2d": lambda: (statistics(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)), (4, 3, 2)),
    "Flatten": lambda: (nn.Flatten(2), (4, 3, 2)),
    "Unflatten": lambda: (nn.Unflatten(1, (2, 2)), (4, 3)),
    "PixelShuffle": lambda: (nn.PixelShuffle(2), (8, 3, 2)),
    "PixelUnshuffle": lambda: (nn.PixelUnshuffle(2), (2, 4, 6)),
    "ChannelShuffle": lambda: (nn.ChannelShuffle(3), (6, 2, 2)),
    "ReLU6": lambda: (nn.Sequential(nn.Linear(3, 9), nn.ReLU6(inplace=True)), (3,)),
    "Hardtanh": lambda: (nn.Hardtanh(-0.3, 0.8), (5,)),
    "Hardsigmoid": lambda: (nn.Sequential(nn.Linear(3, 9), nn.Hardsigmoid()), (3,)),
    "RReLU": lambda: (nn.RReLU(0.1, 0.4), (5,)),
    "Threshold": lambda: (nn.Threshold(0.3, 0.3), (5,)),
    "Softshrink": lambda: (nn.Softshrink(0.4), (5,)),
    "Dropout3d": lambda: (nn.Dropout3d(), (2, 2, 2, 2)),
    "UpsamplingNearest2d": lambda: (nn.UpsamplingNearest2d(scale_factor=2), (2, 2, 3)),
    "UpsamplingBilinear2d": lambda: (nn.UpsamplingBilinear2d(size=(5, 4)), (2, 2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_layer_gives_what_pytorch_gives(name, monkeypatch):
    torch.manual_seed(0)
    agrees(monkeypatch, *OTHERS[name]())


def test_every_layer_of_the_table_is_a_class_of_pytorch():
    assert all(issubclass(_imported(path), nn.Module) for path in LAYERS)


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = statistics(nn.BatchNorm2d(after)), statistics(nn.BatchNorm2d(after))
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.down = None
        if stride > 1 or before != after:
            self.down = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), statistics(nn.BatchNorm2d(after)))  # fmt: skip

    def forward(self, x):
        identity = x if self.down is None else self.down(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Stride, batch normalisation, max-pooling, a residual with and without a projection, global average pooling."""

    shape = (2, 8, 8)

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 3, 3, 1, 1), statistics(nn.BatchNorm2d(3)), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential(Block(3, 3, 1), Block(3, 4, 2))
        self.average, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(4, 3)

    def forward(self, x):
        x = self.blocks(self.pool(self.stem(x)))
        return self.fc(torch.flatten(self.average(x), 1))


class UNet(nn.Module):
    """A skip past a pooling and an upsampling, joined by concatenation."""

    shape = (1, 6, 6)

    def __init__(self):
        super().__init__()
        self.down, self.middle = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding="same")
        self.up, self.turned = nn.Upsample(scale_factor=2), nn.ConvTranspose2d(3, 2, 2, 2)
        self.last = nn.Conv2d(7, 1, 1)

    def forward(self, x):
        skip = torch.relu(self.down(x))
        deep = torch.relu(self.middle(nn.functional.avg_pool2d(skip, 2)))
        return self.last(torch.cat([skip, self.up(deep), self.turned(deep)], dim=1))


def written(module, how, path):
    """The module as it is, or as one of the files PyTorch writes, and what it must be told to be read."""
    if how == "live":
        return module, {"input_shape": module.shape}
    example = torch.randn(2, *module.shape, dtype=torch.float64)
    if how == "export":
        save(export(module, (example,), dynamic_shapes=({0: Dim("rows")},)), path / "m.pt2")
        return path / "m.pt2", {}
    script = torch.jit.script(module) if how == "script" else torch.jit.trace(module, example)
    script.save(path / "m.pt")
    return path / "m.pt", {"input_shape": module.shape}


READERS = {"live": "module", "export": "torch_export", "script": "torchscript", "trace": "torchscript"}


@pytest.mark.parametrize("kind", [ResNet, UNet])
@pytest.mark.parametrize("how", READERS)
def test_an_image_network_gives_what_pytorch_gives(kind, how, tmp_path, monkeypatch):
    torch.manual_seed(0)
    module = kind().double().eval()
    model, options = written(module, how, tmp_path)
    loaded = Loaded(monkeypatch, READERS[how], model, **options)
    run = running(module)
    loaded.assert_same(lambda X: run(X.reshape(-1, *module.shape)), UNIT, rows=10)
