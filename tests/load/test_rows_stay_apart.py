"""Operations after which a row's output would depend on other rows, or on a change that is lost: each refused."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from test_load_torch import running
from torch import nn
from torch.export import Dim, export, save

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.network import apply_head


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.one, self.two = nn.Linear(3, 5), nn.Linear(5, 1), nn.Linear(5, 2)
        self.b = nn.Parameter(torch.randn(2))


class SqueezedScores(Base):
    def forward(self, x):
        return self.one(torch.relu(self.fc(x))).squeeze(-1).softmax(0)


class ViewedScores(Base):
    def forward(self, x):
        return self.one(torch.relu(self.fc(x))).view(-1).softmax(-1)


class ViewedRows(Base):
    def forward(self, x):
        return self.two(torch.relu(self.fc(x))).view(-1).softmax(-1)


class OneRow(Base):
    def forward(self, x):
        return self.two(torch.relu(self.fc(x))).reshape(1, -1)


class Flattened(Base):
    def forward(self, x):
        return torch.flatten(self.two(torch.relu(self.fc(x))))


class AlongTheBatch(Base):
    def forward(self, x):
        return self.one(torch.relu(self.fc(x))).softmax(0)


class ByRows(Base):
    def forward(self, x):
        return torch.relu(self.fc(x)) / x.shape[0]


MIXED = (SqueezedScores, ViewedScores, ViewedRows, OneRow, Flattened, AlongTheBatch, ByRows)


def written(module, how, tmp_path):
    """The module in one of PyTorch's ways to write it."""
    if how == "live":
        return module
    if how == "export":
        save(export(module, (torch.randn(4, 3),), dynamic_shapes=({0: Dim("rows")},)), tmp_path / "m.pt2")
        return tmp_path / "m.pt2"
    script = torch.jit.script(module) if how == "script" else torch.jit.trace(module, torch.randn(4, 3))
    script.save(tmp_path / "m.pt")
    return tmp_path / "m.pt"


@pytest.mark.parametrize("kind", MIXED)
@pytest.mark.parametrize("how", ["live", "script", "trace", "export"])
def test_what_mixes_the_rows_of_a_batch_is_refused(kind, how, tmp_path):
    with pytest.raises(ModelError, match=r"mixes the rows of a batch|with the number of rows"):
        load_network(written(kind(), how, tmp_path))


@pytest.mark.parametrize("kind", [SqueezedScores, ViewedScores, ViewedRows, OneRow, AlongTheBatch])
def test_a_fixed_batch_above_one_is_no_licence_to_mix_its_rows(kind, tmp_path):
    save(export(kind(), (torch.randn(4, 3),)), tmp_path / "m.pt2")
    with pytest.raises(ModelError, match="mixes the rows of a batch"):
        load_network(tmp_path / "m.pt2")


class Kept(Base):
    """Every way to reshape that keeps rows apart."""

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = torch.relu(self.fc(x)).reshape(-1, 5).unsqueeze(1).squeeze(1).view(x.shape[0], 1, 5)
        return self.two(torch.flatten(x, 1).t().t())


@pytest.mark.parametrize("how", ["live", "script", "trace", "export"])
def test_reshaping_that_keeps_rows_apart_is_read(how, tmp_path):
    module = Kept().double()
    X = np.random.default_rng(0).normal(size=(6, 3))
    if how == "live":
        found = module
    elif how == "export":
        save(export(module, (torch.randn(4, 3).double(),), dynamic_shapes=({0: Dim("rows")},)), tmp_path / "m.pt2")
        found = tmp_path / "m.pt2"
    else:
        made = torch.jit.script(module) if how == "script" else torch.jit.trace(module, torch.randn(4, 3).double())
        made.save(tmp_path / "m.pt")
        found = tmp_path / "m.pt"
    assert np.allclose(load_network(found)(X), running(module)(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", ["file", "script", "export"])
def test_a_softmax_layer_over_the_batch_is_refused(how, tmp_path):
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1), nn.Softmax(0))
    path = tmp_path / "m.pt"
    if how == "file":
        torch.save(module, path)
    else:
        path = written(module, how, tmp_path)
    with pytest.raises(ModelError, match="softmax over axis 0, which mixes the rows"):
        load_network(path)


class LostInBias(Base):
    def forward(self, x):
        b = self.b.clone()
        b.mul_(2.0)
        return nn.functional.linear(torch.relu(self.fc(x)), self.two.weight, b)


class LostInShape(Base):
    def forward(self, x):
        h = self.two(torch.relu(self.fc(x)))
        h.unsqueeze_(1)
        return h


class LostActivation(Base):
    def forward(self, x):
        h = self.fc(x)
        h.relu_()
        return self.two(h)


class ByColumns(Base):
    def forward(self, x):
        return nn.functional.linear(x, self.fc.weight / x.size(1), self.fc.bias)


class Turned(Base):
    def forward(self, x):
        return self.fc(x).T


@pytest.mark.parametrize(("kind", "message"), [
    (LostInBias, "mul_, in place on something other"), (LostInShape, "unsqueeze_, in place"),
    (ByColumns, "computes .*div with the size of the input"),
    (Turned, "attribute T|numpy_T"),
])  # fmt: skip
@pytest.mark.parametrize("how", ["live", "script"])
def test_a_change_in_place_or_an_unknown_size_is_refused(kind, message, how, tmp_path):
    with pytest.raises(ModelError, match=message):
        load_network(written(kind(), how, tmp_path))


def onnx_file(tmp_path, nodes, tensors, rows):
    made = [numpy_helper.from_array(np.asarray(value), key) for key, value in tensors.items()]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (rows, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], made)  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


NODE = helper.make_node
W = {"W": np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)}
SCORE = {"W": W["W"][:, :1]}
ONNX = {
    "Softmax of scores over rows": ([NODE("Softmax", ["h"], ["y"], axis=0)], SCORE),
    "Squeeze then Softmax": (
        [NODE("Squeeze", ["h", "a"], ["s"]), NODE("Softmax", ["s"], ["y"])], {**SCORE, "a": np.array([1])}),
    "Reshape to one axis": (
        [NODE("Reshape", ["h", "t"], ["s"]), NODE("Softmax", ["s"], ["y"])], {**W, "t": np.array([-1])}),
    "Reshape to one row": (
        [NODE("Reshape", ["h", "t"], ["s"]), NODE("Softmax", ["s"], ["y"])], {**W, "t": np.array([1, -1])}),
    "Flatten of everything": ([NODE("Flatten", ["h"], ["s"], axis=0), NODE("Softmax", ["s"], ["y"])], W),
    "division by the number of rows": (
        [NODE("Shape", ["x"], ["n"], ), NODE("Gather", ["n", "z"], ["r"]), NODE("Cast", ["r"], ["f"], to=1),
         NODE("Div", ["h", "f"], ["y"])], {**W, "z": np.array(0)}),
}  # fmt: skip


@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_graph_that_mixes_rows_is_refused_where_their_number_is_free(name, tmp_path):
    nodes, tensors = ONNX[name]
    with pytest.raises(ModelError, match=r"mixes the rows|does not fit"):
        load_network(onnx_file(tmp_path, [NODE("MatMul", ["x", "W"], ["h"]), *nodes], tensors, "N"))


@pytest.mark.parametrize("name", list(ONNX)[:5])
def test_an_onnx_graph_that_mixes_a_fixed_batch_is_one_input_and_never_rows(name, tmp_path):
    nodes, tensors = ONNX[name]
    path = onnx_file(tmp_path, [NODE("MatMul", ["x", "W"], ["h"]), *nodes], tensors, 4)
    network = load_network(path)
    assert network.inputs == 12
    import onnxruntime

    X = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    theirs = [session.run(None, {"x": x.reshape(4, 3)})[0].ravel() for x in X]
    assert np.allclose(apply_head(network, network(X)), theirs, atol=1e-6)


@pytest.mark.parametrize("target", [[0, -1], [-1, 2], [0, 2]])
def test_an_onnx_reshape_that_keeps_rows_apart_is_read(target, tmp_path):
    nodes = [NODE("MatMul", ["x", "W"], ["h"]), NODE("Reshape", ["h", "t"], ["s"]), NODE("Softmax", ["s"], ["y"])]
    network = load_network(onnx_file(tmp_path, nodes, {**W, "t": np.array(target)}, "N"))
    assert (network.inputs, network.outputs, network.head) == (3, 2, "softmax")


def test_the_mask_of_a_dropout_is_refused(tmp_path):
    nodes = [NODE("MatMul", ["x", "W"], ["h"]), NODE("Dropout", ["h"], ["d", "mask"])]
    with pytest.raises(ModelError, match="uses the value mask, a second output"):
        load_network(onnx_file(tmp_path, [*nodes, NODE("Cast", ["mask"], ["y"], to=1)], W, "N"))
    with pytest.raises(ModelError, match=r"the output y of .* is a second output"):
        load_network(onnx_file(tmp_path, [nodes[0], NODE("Dropout", ["h"], ["d", "y"])], W, "N"))


class Channels(Base):
    def __init__(self):
        super().__init__()
        self.wide, self.slopes = nn.Linear(3, 9), nn.PReLU(3)
        self.slopes.weight = nn.Parameter(torch.tensor([0.1, 0.5, 0.9]))

    def forward(self, x):
        return torch.flatten(self.slopes(self.wide(x).view(-1, 3, 3)), 1)


@pytest.mark.parametrize("how", ["live", "script", "trace", "export"])
def test_prelu_slopes_lie_along_the_channels(how, tmp_path):
    X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    module = Channels()
    assert np.allclose(load_network(written(module, how, tmp_path))(X), running(module)(X), atol=1e-5)
