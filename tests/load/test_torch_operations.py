"""PyTorch's operations by name: what PyTorch computes, live and from its files; and what is refused, by its name."""

import linecache

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from framework_agreement import Loaded
from test_load_torch import running
from test_torch_layers import READERS, written
from torch import nn

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.load.agreement import predicted, rounding
from relu_shallow.precision import UNIT

generator = torch.Generator().manual_seed(0)


def drawn(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


KERNEL, GROUPED, TURNED, BIAS = drawn(6, 4, 3, 3), drawn(6, 2, 3, 3), drawn(4, 3, 2, 2), drawn(6)
SCALES, SQUARE, PAIRS, TABLE = drawn(4).abs() + 0.5, drawn(12, 12), drawn(4, 3), drawn(3, 4, 5)
TWELVE, ROW, TALL = drawn(12), drawn(1, 6, 5), drawn(3, 2, 4)
PLACES, LOW = torch.tensor([3, 1]), torch.tensor(0.3, dtype=torch.float64)
IMAGE, VECTOR = (4, 6, 6), (12,)

GROUPS = {
    "convolutions": (IMAGE, [
        lambda x: F.conv2d(x, KERNEL, BIAS, stride=2, padding=1),
        lambda x: F.conv2d(x, KERNEL, padding="same", dilation=2),
        lambda x: torch.conv2d(x, GROUPED, None, (1, 2), (0, 1), 1, 2),
        lambda x: F.conv_transpose2d(x, TURNED, stride=2, output_padding=1),
        lambda x: F.conv1d(x.flatten(2), KERNEL[:, :, 0], BIAS, 2),
        lambda x: F.conv3d(x.unsqueeze(2), KERNEL.unsqueeze(2)),
    ]),
    "pools": (IMAGE, [
        lambda x: F.avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
        lambda x: F.avg_pool2d(x, 2, divisor_override=3), lambda x: F.avg_pool1d(x.flatten(2), 3, 2),
        lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 2, 1, 0, 2),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0], lambda x: F.max_pool1d(x.flatten(2), 3),
        lambda x: F.adaptive_avg_pool2d(x, (4, None)), lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: F.adaptive_max_pool2d(x, (1, 4)),
    ]),
    "padding and resizing": (IMAGE, [
        lambda x: F.pad(x, (-1, 2), value=3.0), lambda x: F.pad(x, (1, 2, 3, 0), mode="reflect"),
        lambda x: F.pad(x, (1, 2, 3, 0), mode="replicate"), lambda x: F.pad(x, (1, 2, 3, 0), mode="circular"),
        lambda x: F.interpolate(x, scale_factor=2.0), lambda x: F.interpolate(x, size=(4, 9)),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
        lambda x: F.interpolate(x, size=(9, 4), mode="bilinear", align_corners=True),
        lambda x: F.pixel_shuffle(x, 2), lambda x: F.pixel_unshuffle(x, 2), lambda x: F.channel_shuffle(x, 2),
    ]),
    "reductions": (IMAGE, [
        lambda x: x.mean((2, 3)), lambda x: x.mean(1, keepdim=True), lambda x: torch.sum(x, dim=-1),
        lambda x: x.amax((2, 3)), lambda x: x.amin(1), lambda x: x.max(1)[0], lambda x: torch.max(x, 2).values,
        lambda x: x.min(3, keepdim=True)[0], lambda x: x - x.mean(dim=(2, 3), keepdim=True),
    ]),
    "slices": (IMAGE, [
        lambda x: x[:, 1:3], lambda x: x[:, 0], lambda x: x[..., ::2], lambda x: x[:, :, -1],
        lambda x: x[:, None, 2:, :],
        lambda x: x[:, [2, 0, 2]], lambda x: x.select(2, 1), lambda x: x.narrow(1, 1, 2),
        lambda x: torch.index_select(x, 1, PLACES), lambda x: x.flip([2, 3]), lambda x: torch.roll(x, (1, 2), (2, 3)),
        lambda x: x.split([1, 3], 1)[1], lambda x: x.chunk(3, 1)[1], lambda x: torch.unbind(x, 1)[2],
        lambda x: torch.tensor_split(x, 3, 1)[0], lambda x: x.split(2, 1)[0] - x.split(2, 1)[1],
    ]),
    "moves": (IMAGE, [
        lambda x: x.repeat(1, 2, 1, 3), lambda x: x.tile((1, 2)), lambda x: x.repeat_interleave(2, 1),
        lambda x: x[:, :, :1].expand(-1, -1, 5, -1), lambda x: x[:, :, :1].expand_as(x),
        lambda x: torch.cat([x, torch.zeros_like(x)], 1), lambda x: torch.cat((x, 2 * x), dim=-1),
        lambda x: torch.stack([x, -x], 1), lambda x: torch.stack([x, -x], 0)[0], lambda x: torch.hstack([x, x]),
        lambda x: x.movedim(1, 3), lambda x: x.swapaxes(1, 2), lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], -1),
        lambda x: x.unflatten(1, (2, 2)), lambda x: x.view(x.size(0), 2, -1), lambda x: x.flatten(2).transpose(1, 2),
    ]),
    "bends": (IMAGE, [
        F.relu6, F.hardsigmoid, torch.abs, F.rrelu, lambda x: F.hardtanh(x, -0.3, 0.6),
        lambda x: F.threshold(x, 0.2, 0.2), lambda x: x.clamp(-0.5, 0.7), lambda x: x.clamp(min=0.1),
        lambda x: torch.clamp(x, max=0.3), lambda x: torch.maximum(x, -2 * x), lambda x: x.clip(0.1, 0.4),
        lambda x: torch.minimum(x, x.mean((2, 3), keepdim=True)), lambda x: torch.max(x, LOW),
        lambda x: F.softshrink(x, 0.3),
        lambda x: x.clamp_min(0.2), lambda x: F.batch_norm(x, SCALES, SCALES, SCALES, SCALES),
    ]),
    "products": (VECTOR, [
        lambda x: x @ SQUARE, lambda x: F.linear(x, SQUARE, TWELVE),
        lambda x: torch.addmm(TWELVE, x, SQUARE, beta=0.5, alpha=2),
        lambda x: torch.einsum("bi,oi->bo", x, SQUARE), lambda x: torch.einsum("bi->b", x),
        lambda x: (x @ TWELVE).unsqueeze(1),
        lambda x: torch.matmul(x.view(-1, 3, 1, 4), TABLE), lambda x: torch.matmul(TALL, x.view(-1, 3, 4, 1)),
        lambda x: torch.einsum("bij,jk->bki", x.view(-1, 3, 4), PAIRS), lambda x: torch.matmul(PAIRS, x.view(-1, 3, 4)),
        lambda x: x.mul(3).div(2), lambda x: torch.rsub(x, 1.0), lambda x: torch.add(x, x, alpha=3),
        lambda x: F.leaky_relu(x, 0.2) - x / 3, lambda x: torch.sub(1, x, alpha=2), lambda x: F.dropout(x, 0.5, False),
    ]),
}  # fmt: skip


class Together(nn.Module):
    """The results of several operations, side by side."""

    def __init__(self, operations, shape):
        super().__init__()
        self.operations, self.shape = operations, shape
        self.factor = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))

    def forward(self, x):
        x = x * 1.5
        return torch.cat([operation(x).reshape(x.shape[0], -1) for operation in self.operations], 1)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("how", ["live", "export", "trace"])
def test_an_operation_gives_what_pytorch_gives(group, how, tmp_path, monkeypatch):
    shape, operations = GROUPS[group]
    module = Together(operations, shape).eval()
    model, options = written(module, how, tmp_path)
    loaded = Loaded(monkeypatch, READERS[how], model, **options)
    X = np.random.default_rng(0).normal(size=(9, loaded.network.inputs))
    theirs, ours = running(module)(X.reshape(-1, *shape)), predicted(loaded.network, X)
    with torch.no_grad():
        sizes = [operation(torch.zeros(1, *shape, dtype=torch.float64)).numel() for operation in operations]
    assert ours.shape == theirs.shape
    far = (np.abs(ours - theirs) > rounding(loaded.graph, X, UNIT)).any(axis=0)
    wrong = [place for place, part in enumerate(np.split(far, np.cumsum(sizes)[:-1])) if part.any()]
    assert wrong == [], f"operations {wrong} of {group}"


def custom(body, tmp_path):
    """A module of four inputs with the given forward, whose source TorchScript can find."""
    path = tmp_path / f"forward_{abs(hash(body))}.py"
    path.write_text(
        "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
        "class Model(nn.Module):\n    shape = (4,)\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b, self.act = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)\n"
        "        self.norm, self.drop = nn.BatchNorm1d(4, eps=0.0, affine=False), nn.Dropout()\n"
        f"    def forward(self, x):\n        {body}\n"
    )
    linecache.checkcache()
    names = {}
    exec(compile(path.read_text(), path, "exec"), names)
    torch.manual_seed(3)
    return names["Model"]().double().eval()


FOLLOWED = [
    "identity = x; out = self.a(x); out += identity; return out",
    "y = x; x += 1; return self.a(y) + y",
    "h = self.a(x); y = h; h += self.b(h); h *= 2; return y - h / 3",
    "h = self.a(x); g = h.view(-1, 2, 2); g.relu_(); return self.b(h)",
    "h = self.a(x); F.hardtanh(h, -0.1, 0.1, True); return self.b(h)",
    "h = self.a(x); h.mul_(2).add_(1).clamp_(-1.0, 1.0); return h",
    "h = self.a(x); g = self.drop(h); g.relu_(); return h",
    "h = self.a(x); g = self.act(h); return h + g",
    "h = self.a(x); h += h; k = h; h += k; return k",
]
LOST = [
    "h = self.a(x); h[:, :2].relu_(); return self.b(h)",
    "h = self.a(x); h.relu_(); g = h[:, :2]; h.add_(1); return self.b(h) + g[:, :1]",
    "h = self.a(x); g = h.clone(); h.relu_(); return g + h",
    "h = self.a(x).view(-1, 2, 2).transpose(1, 2) + 1; g = h.reshape(-1, 4); g.relu_(); return h",
    "h = self.a(x); g = h + 0; g.relu_(); return h",
    "h = self.a(x); k = self.norm(h); self.act(k); return h",
    "h = self.a(x); g = F.pad(h, (0, 0)); g.relu_(); return h",
    "h = self.a(x); g = h.select(1, 0); g += 5; return h",
]


@pytest.mark.parametrize("body", FOLLOWED)
@pytest.mark.parametrize("how", READERS)
def test_a_change_in_place_is_seen_by_every_name(body, how, tmp_path, monkeypatch):
    module = custom(body, tmp_path)
    model, options = written(module, how, tmp_path)
    loaded = Loaded(monkeypatch, READERS[how], model, **options)
    loaded.assert_same(lambda X: running(module)(X.copy()), UNIT)


@pytest.mark.parametrize("body", LOST)
@pytest.mark.parametrize("how", READERS)
def test_a_change_in_place_is_followed_or_refused_never_lost(body, how, tmp_path, monkeypatch):
    module = custom(body, tmp_path)
    model, options = written(module, how, tmp_path)
    theirs = running(module if how in ("live", "export") else torch.jit.load(model))
    refused = ""
    try:
        loaded = Loaded(monkeypatch, READERS[how], model, **options)
        loaded.assert_same(lambda X: theirs(X.copy()), UNIT)
    except ModelError as error:
        refused = str(error)
    assert "changed in place by another name" in refused or (not refused and how != "live")


REFUSED = {
    "return F.gelu(self.a(x))": "the operation gelu.*--until",
    "return F.silu(self.a(x))": "the operation silu",
    "return F.layer_norm(self.a(x), [4])": "the operation layer_norm",
    "return self.a(x) ** 2": "the operation pow",
    "return F.threshold(self.a(x), 0.1, 0.0)": "which jumps",
    "return self.a(x) * self.b(x)": "the product of two values",
    "return self.a(x).sum(0)": "mixes the rows",
    "return self.a(x)[0]": "mixes the rows",
    "return torch.cat([self.a(x), x])": "mixes the rows",
    "return torch.vstack([self.a(x), x])": "mixes the rows",
    "return self.a(x).flip(0)": "mixes the rows",
    "return self.a(x).repeat(2, 1)": "mixes the rows",
    "return self.a(x).roll(1)": "mixes the rows|moves values from row to row",
    "return self.a(x).max()": "mixes the rows",
    "return self.a(x).max(1)[1] * 1.0": r"the places \(indices\)",
    "return self.a(x).to(torch.int64)": "rounded to another number type",
    "return F.instance_norm(self.a(x).unsqueeze(1))": "the row's own mean and variance",
    "return self.a(x)[:, torch.tensor([True, False, True, True])]": "a mask or a table of places",
}


@pytest.mark.parametrize("body", REFUSED)
@pytest.mark.parametrize("how", ["live", "export"])
def test_what_is_not_piecewise_linear_or_mixes_rows_is_refused_by_its_name(body, how, tmp_path):
    model, options = written(custom(body, tmp_path), how, tmp_path)
    with pytest.raises(ModelError, match=REFUSED[body]):
        load_network(model, **options)


@pytest.mark.parametrize("layer", [
    nn.GELU(), nn.SiLU(), nn.Mish(), nn.ELU(), nn.Hardswish(), nn.Softplus(), nn.GLU(), nn.GroupNorm(2, 4),
    nn.LayerNorm(4), nn.RMSNorm(4), nn.LocalResponseNorm(2), nn.LSTM(4, 4), nn.MultiheadAttention(4, 2),
    nn.Embedding(4, 4), nn.Tanhshrink(), nn.LPPool1d(2, 2), nn.Softmin(1),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_a_layer_that_has_no_linear_regions_is_refused_and_the_part_before_it_read(layer):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), layer, nn.Linear(4, 2))
    with pytest.raises(ModelError, match=f"layer 2 is {type(layer).__name__}, which is not supported.*--until 2"):
        load_network(module)
    assert load_network(module, until="2").widths == (4,)


@pytest.mark.parametrize(("layer", "message"), [
    (nn.MaxPool2d(2, return_indices=True), "also returns the places"),
    (nn.InstanceNorm2d(2), "the row's own mean and variance"), (nn.Threshold(0.2, 0.0), "which jumps"),
    (nn.Upsample(scale_factor=2, mode="bicubic"), "the mode bicubic"), (nn.Conv2d(3, 2, 1), "do not fit"),
    (nn.MaxPool2d(9), "do not fit"), (nn.BatchNorm2d(2, track_running_stats=False), "without running statistics"),
])  # fmt: skip
def test_a_layer_whose_options_cannot_be_read_says_which(layer, message):
    with pytest.raises(ModelError, match=f"layer 0 .*{message}"):
        load_network(nn.Sequential(layer).eval(), input_shape=(2, 4, 4))


def test_a_model_that_does_not_tell_the_shape_of_a_row_asks_for_it(tmp_path):
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    torch.save(module, tmp_path / "saved.pt")
    torch.jit.script(module).save(tmp_path / "script.pt")
    for model in (module, tmp_path / "saved.pt", tmp_path / "script.pt"):
        with pytest.raises(ModelError, match="--input-shape, such as 3,32,32"):
            load_network(model)
        assert load_network(model, input_shape=(1, 4, 4)).inputs == 16
        with pytest.raises(ModelError, match="8"):
            load_network(model, input_shape=(1, 5, 4))


class Shaped(nn.Module):
    """Decides by shapes, which torch.fx cannot follow and torch.export can."""

    shape = (2, 5)

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 2)

    def forward(self, x):
        if x.shape[1] == 2:
            x = self.a(x)
        h = torch.zeros(x.shape[0], 4, dtype=x.dtype)
        for place in range(x.shape[1]):
            h = h + torch.relu(x[:, place])
        return self.b(h)


class ByValue(Shaped):
    def forward(self, x):
        return self.a(x) if x.sum() > 0 else -self.a(x)


class Fixed(Shaped):
    """Works for two rows only, and mixes nothing."""

    def forward(self, x):
        assert len(x) == 2
        return self.b(torch.relu(self.a(x))).view(2, -1)


def test_a_forward_that_decides_by_shapes_is_exported(monkeypatch):
    module = Shaped().double()
    loaded = Loaded(monkeypatch, "module", module, input_shape=module.shape)
    loaded.assert_same(lambda X: running(module)(X.reshape(-1, 2, 5)), UNIT)
    with pytest.raises(ModelError, match=r"cannot be followed on rows of shape \(5,"):  # of one linear layer's inputs
        load_network(module)


def test_a_forward_that_decides_by_values_is_refused():
    with pytest.raises(ModelError, match="It may decide by the values it is given"):
        load_network(ByValue(), input_shape=(2, 5))
    with pytest.raises(ModelError, match="could not be run on 96 rows"):
        load_network(Fixed(), input_shape=(2, 5))


class Named(nn.Module):
    shape = (3,)

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return {"hidden": h, "logits": self.b(h)}


class Numbered(Named):
    def forward(self, x):
        h = torch.relu(self.a(x))
        return h, self.b(h)


@pytest.mark.parametrize(("kind", "names"), [(Named, ["hidden", "logits"]), (Numbered, ["0", "1"])])
@pytest.mark.parametrize("how", ["live", "export", "script"])
def test_one_of_several_outputs_is_chosen_by_its_name(kind, names, how, tmp_path, monkeypatch):
    module = kind().double()
    model, options = written(module, how, tmp_path)
    with pytest.raises(ModelError, match=f"2 outputs .{', '.join(names)}.; choose one with --output-name"):
        load_network(model, **options)
    with pytest.raises(ModelError, match="has no output 'lost'"):
        load_network(model, output_name="lost", **options)
    for place, name in enumerate(names):
        loaded = Loaded(monkeypatch, READERS[how], model, output_name=name, **options)
        loaded.assert_same(lambda X, place=place: _outputs(module, X)[place], UNIT)


def _outputs(module, X):
    with torch.no_grad():
        given = module(torch.from_numpy(X))
    return [value.numpy() for value in (given.values() if isinstance(given, dict) else given)]


class Two(nn.Module):
    def forward(self, x, y):
        return torch.relu(x) + y


@pytest.mark.parametrize("how", ["live", "export", "script"])
def test_a_model_of_several_inputs_is_refused(how, tmp_path):
    module, pair = Two(), (torch.ones(2, 3), torch.ones(2, 3))
    if how == "export":
        torch.export.save(torch.export.export(module, pair), tmp_path / "m.pt2")
    elif how == "script":
        torch.jit.script(module).save(tmp_path / "m.pt")
    path = {"live": module, "export": tmp_path / "m.pt2", "script": tmp_path / "m.pt"}[how]
    with pytest.raises(ModelError, match=r"one tensor was expected|one was expected"):
        load_network(path)
