from itertools import pairwise

import numpy as np
import pytest
from conftest import data_path
from framework_agreement import Loaded

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.precision import UNIT


def evaluated(text, X):
    """What the file's own evaluator does (nnet.py of its author), without clipping the input."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("//")]
    rows = [np.array([float(part) for part in line.split(",") if part.strip()]) for line in lines]
    layers = int(rows[0][0])
    sizes = rows[1][: layers + 1].astype(int)
    means, ranges = rows[5], rows[6]
    if len(means) == 1:
        means, ranges = np.zeros(sizes[0] + 1), np.ones(sizes[0] + 1)
    h, place = (X - means[:-1]) / ranges[:-1], 7
    for layer, (width, out) in enumerate(pairwise(sizes)):
        W, b = (
            np.array(rows[place : place + out]).reshape(out, width),
            np.concatenate(rows[place + out : place + 2 * out]),
        )
        place += 2 * out
        h = h @ W.T + b
        h = np.maximum(h, 0) if layer < layers - 1 else h
    return h * ranges[-1] + means[-1]


REAL = {
    "ACASXU_experimental_v2a_1_1": (5, (50,) * 6, 5),
    "controller_double_pendulum_less_robust": (4, (25, 25), 2),
    "controller_single_pendulum": (2, (25, 25), 1),
    "fc_2-2-3": (2, (2,), 3),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_network_has_the_outputs_of_the_format_s_own_evaluator(name, monkeypatch):
    path = data_path(f"nnet/{name}.nnet")
    loaded = Loaded(monkeypatch, "nnet", path)
    assert (loaded.network.inputs, loaded.network.widths, loaded.network.outputs) == REAL[name]
    loaded.assert_same(lambda X: evaluated(path.read_text(), X), UNIT)


@pytest.mark.parametrize(("nnet", "onnx"), [
    ("controller_single_pendulum", "Single_Pendulum_controller_single_pendulum"),
    ("controller_double_pendulum_less_robust", "Double_Pendulum_controller_double_pendulum_less_robust"),
])  # fmt: skip
def test_the_same_network_in_another_format_has_the_same_weights_to_the_printed_digits(nnet, onnx):
    here, there = load_network(data_path(f"nnet/{nnet}.nnet")), load_network(data_path(f"onnx/archcomp/{onnx}.onnx"))
    assert here.widths == there.widths
    for ours, theirs in zip(here.affine, there.affine, strict=True):
        assert np.abs(ours.W - theirs.W).max() <= 0.51e-5  # the file has five decimals
        assert np.abs(ours.b - theirs.b).max() <= 0.51e-5


TINY = """// a comment
2,2,1,2,
2,2,1,
0,
-1.0,-1.0,
1.0,1.0,
0.0,0.0,0.0,
1.0,1.0,1.0,
1.0,-1.0,
0.1,2.0,
0.5,
-0.5,
3.0,0.7,
0.25,
"""


def test_without_normalisation_the_weights_are_exactly_those_of_the_file(tmp_path):
    (tmp_path / "t.nnet").write_text(TINY)
    network = load_network(tmp_path / "t.nnet")
    assert network.affine[0].W.tolist() == [[1.0, -1.0], [0.1, 2.0]]
    assert network.affine[0].b.tolist() == [0.5, -0.5]
    assert network.affine[1].W.tolist() == [[3.0, 0.7]]
    assert network.affine[1].b.tolist() == [0.25]


def test_normalisation_of_input_and_output_is_folded_in(tmp_path, monkeypatch):
    text = TINY.replace("0.0,0.0,0.0,\n1.0,1.0,1.0,", "0.3,-2.0,7.0,\n3.0,0.7,11.0,")
    (tmp_path / "t.nnet").write_text(text)
    loaded = Loaded(monkeypatch, "nnet", tmp_path / "t.nnet")
    loaded.assert_same(lambda X: evaluated(text, X), UNIT)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("0.25,\n", "", "biases of layer 2"), ("0.1,2.0,", "0.1,", "weights of layer 1"), ("0.7", "abc", "line 13"),
    ("0.25,\n", "0.25,\n1.0,\n", "1 more lines"), ("1.0,1.0,1.0,", "1.0,0.0,1.0,", "range of zero"),
    ("1.0,1.0,1.0,", "1.0,1.0,", "3 means and ranges"), ("2,2,1,\n", "2,2,\n", "layer sizes"),
    ("0.7", "nan", "NaN or infinite"), ("0.7", "inf", "layer 2 holds NaN or infinite"),
    ("2,2,1,2,", "0,2,1,2,", "sizes"),
    (TINY[20:], "", "header is incomplete"),
])  # fmt: skip
def test_a_damaged_file_is_refused(old, new, message, tmp_path):
    assert old in TINY
    (tmp_path / "t.nnet").write_text(TINY.replace(old, new))
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "t.nnet")
