"""Small valid files for each reader to begin with, and words that its format is made of."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

LAYERS = [
    (np.ones((2, 2), np.float32), np.zeros(2, np.float32)),
    (np.ones((1, 2), np.float32), np.zeros(1, np.float32)),
]
NNET = "1,2,1,2,\n2,1,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n3.5,2.25,\n1.75,\n"
CSV = (b"a,b\n1,2\n3,4.5\n", b"a;b\n1;2\n", b'"a b","c\nd"\n1e3,-2\n', b"\xef\xbb\xbfa\tb\n1\t\n", b"1,2\n3,nan\n")
BOXES = (b"lo,hi\n0,1\n-1,1\n", b"name,lo,hi\nx0,0,1\nx1,-1e3,1\n")
PROPERTIES = (
    b"(declare-const X_0 Real)\n(assert (<= X_0 1.0))\n(assert (>= X_0 -1))\n(assert (<= Y_0 0))\n",
    b"(assert (and (<= X_0 (- 0.5)) (>= X_0 -1)))\n; a comment\n(assert (or (and (= X_1 0.5))))\n(check-sat)\n",
    b"(set-logic QF_LRA)(declare-fun |X_0| () Real)(assert (or (<= Y_0 1) (>= Y_1 2)))(assert (= X_0 1e-3))",
)
WORDS = {
    "pt": [
        "ctorch._utils\n_rebuild_tensor_v2\n",
        "ctorch\nSize\n",
        "ccollections\nOrderedDict\n",
        "(",
        "t",
        "R",
        "b",
        "Q",
        "}",
        "]",
        ")",
        "\x81",
        "\x85",
        "\x86",
        "\x87",
        "h\\x00",
        "q\\x00",
        "K\\x01",
        "J\\xff\\xff\\xff\\xff",
        "N",
        "2",
        "0",
        "ctorch.nn.modules.linear\nLinear\n",
        "ctorch.nn.modules.activation\nReLU\n",
        "_modules",
        "_parameters",
    ],
    "torchscript": [
        "torch.",
        "ops.prim.",
        "annotate(",
        "getattr(self, ",
        "if ",
        "return ",
        "torch.relu(",
        "torch.linear(",
        "torch.matmul(",
        "torch.view(",
        "[0, -1]",
        "CONSTANTS.c0",
        "torch.size(",
        "torch.add(",
        "int(",
    ],
    "nnet": ["inf", "nan", "1e308", "-1", "//", ",\n", "0,"],
    "csv": ['"', ",", ";", "\t", "\n", "\r", "nan", "inf", "1_0", "0x1", "\x00", "1e999"],
    "vnnlib": [
        "(assert ",
        "(and ",
        "(or ",
        "(<= ",
        "(>= ",
        "(= ",
        "X_0",
        "X_1",
        "Y_0",
        "|X_0|",
        "(- 1)",
        "declare-const",
    ],
    "h5": ["TREE", "SNOD", "HEAP", "GCOL", "OHDR", "\x11\x00\x10\x00", "\xff" * 8, "relu", "Dense", "null"],
    "npy": ["'descr'", "'<f8'", "'|O'", "'fortran_order': True", "'shape': (", "-1", "99999999999999999999"],
}


def seeds(reader: str, work: Path) -> Iterator[bytes]:
    """The contents of valid files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from SEEDS[reader](work)


def dictionary(reader: str) -> str:
    """Words for libFuzzer's own mutations, in its format."""
    words = WORDS.get({"legacy": "pt", "box": "csv"}.get(reader, reader), [])
    quoted = ("".join(f"\\x{byte:02x}" for byte in word.encode("latin1")) for word in words)
    return "".join(f'"{word}"\n' for word in quoted)


def _modules() -> Iterator[object]:
    from torch import nn

    plain = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    yield plain
    yield nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(2), nn.Linear(2, 2), nn.PReLU(2), nn.Linear(2, 2), nn.Softmax(1)
    ).eval()
    yield plain.state_dict()
    yield {"epoch": 1, "state_dict": plain.double().state_dict(), "args": [1, (2, 3), None]}


def _pt(_work: Path, zipped: bool = True) -> Iterator[bytes]:
    import torch

    for module in _modules():
        stream = io.BytesIO()
        torch.save(module, stream, _use_new_zipfile_serialization=zipped)
        yield stream.getvalue()


def _live() -> Iterator[object]:
    from torch import nn

    yield nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    yield nn.Sequential(
        nn.Flatten(), nn.Linear(2, 2), nn.BatchNorm1d(2), nn.LeakyReLU(), nn.Linear(2, 2), nn.Softmax(1)
    ).eval()


def _torchscript(_work: Path) -> Iterator[bytes]:
    import torch

    for module in _live():
        for make in (torch.jit.script, lambda m: torch.jit.trace(m, torch.zeros(1, 2))):
            stream = io.BytesIO()
            torch.jit.save(make(module), stream)
            yield stream.getvalue()


def _pt2(_work: Path) -> Iterator[bytes]:
    import torch

    for module in _live():
        stream = io.BytesIO()
        torch.export.save(torch.export.export(module, (torch.zeros(1, 2),)), stream)
        yield stream.getvalue()


def _onnx(_work: Path) -> Iterator[bytes]:
    from onnx import TensorProto, helper, numpy_helper

    def model(nodes: list, weights: dict, shape: tuple) -> bytes:
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in (("x", shape), ("y", None))
        ]
        tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
        graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()

    node = helper.make_node
    (W, b), (V, c) = LAYERS
    yield model([node("Gemm", ["x", "W", "b"], ["h"], transB=1), node("Relu", ["h"], ["k"]),
                 node("Gemm", ["k", "V", "c"], ["z"], transB=1, alpha=0.5), node("Softmax", ["z"], ["y"], axis=1)],
                {"W": W, "b": b, "V": V, "c": c}, ("N", 2))  # fmt: skip
    yield model([node("Conv", ["x", "K"], ["h"], pads=[1, 1, 0, 0], strides=[1, 1]), node("LeakyRelu", ["h"], ["k"]),
                 node("Flatten", ["k"], ["f"]), node("BatchNormalization", ["f", "s", "s", "s", "s"], ["y"])],
                {"K": np.ones((1, 1, 2, 2), np.float32), "s": np.ones(4, np.float32)}, (1, 1, 2, 2))  # fmt: skip
    yield model([node("Constant", [], ["n"], value_ints=[0, -1]), node("Gather", ["W", "i"], ["G"], axis=0),
                 node("Concat", ["G", "G"], ["D"], axis=0), node("Transpose", ["D"], ["T"], perm=[1, 0]),
                 node("Reshape", ["x", "n"], ["r"]), node("MatMul", ["r", "T"], ["h"]),
                 node("Unsqueeze", ["h", "a"], ["u"]), node("Squeeze", ["u", "a"], ["q"]),
                 node("Div", ["q", "d"], ["y"])],
                {"W": W, "i": np.array([0, 1]), "a": np.array([1]), "d": np.array(2.0)}, (1, 2))  # fmt: skip
    yield model([node("Shape", ["x"], ["s"]), node("PRelu", ["x", "p"], ["h"]), node("Cast", ["h"], ["k"], to=11),
                 node("Identity", ["k"], ["j"]), node("Sub", ["j", "b"], ["m"]), node("Mul", ["m", "b"], ["y"])],
                {"p": b, "b": b}, (3, 2))  # fmt: skip


def _safetensors(_work: Path) -> Iterator[bytes]:
    from safetensors.numpy import save

    (W, b), (V, c) = LAYERS
    yield save({"fc1.weight": W, "fc1.bias": b, "fc2.weight": V, "fc2.bias": c})
    chain = {
        "chain": '["a", "relu", "n", "p", "leaky_relu:0.5", "b", "softmax"]',
        "batch_norm_eps": "1e-3",
        "b.bias": "a.bias",
    }
    yield save(
        {"a.weight": W, "a.bias": b, "n.running_mean": b, "n.running_var": b, "p.weight": b, "b.weight": W}, chain
    )


def _shallow(work: Path) -> Iterator[bytes]:
    from relu_shallow.domain import Box, Polytope, WholeSpace
    from relu_shallow.network import from_layers
    from relu_shallow.regions.search import enumerate_regions
    from relu_shallow.shallow.build import shallow_network
    from relu_shallow.shallow.store import save_shallow

    triangle = Polytope(np.array([[1.0, 1], [-1, 0], [0, -1]]), np.ones(3))
    for domain in (Box(-1, 1), WholeSpace(), triangle):
        network = from_layers([(W + np.eye(*W.shape), b) for W, b in LAYERS])
        save_shallow(shallow_network(enumerate_regions(network, domain)), work / "s")
        yield (work / "s").read_bytes()


def _npy(_work: Path) -> Iterator[bytes]:
    whole = np.arange(6, dtype=np.int32).reshape(2, 3, order="F")
    for array in (np.ones((2, 3)), whole, np.array([[1, np.nan]], np.float16)):
        stream = io.BytesIO()
        np.save(stream, array)
        yield stream.getvalue()


KERAS = Path(__file__).resolve().parents[2] / "tests" / "load" / "keras"


def _keras(_work: Path) -> Iterator[bytes]:
    """Archives that stay small when their members are no longer compressed."""
    for name in ("two/dense", "three/shared", "three/line", "three/pooled", "three/operations"):
        yield (KERAS / f"{name}.keras").read_bytes()


def _h5(_work: Path) -> Iterator[bytes]:
    for version in ("two", "three"):
        with zipfile.ZipFile(KERAS / version / "legacy.zip") as files:
            yield from (files.read(name) for name in ("dense.h5", "shared.h5"))


SEEDS: dict[str, Callable[[Path], Iterator[bytes]]] = {
    "pt": _pt,
    "legacy": lambda work: _pt(work, zipped=False),
    "torchscript": _torchscript,
    "pt2": _pt2,
    "onnx": _onnx,
    "nnet": lambda _work: iter([NNET.encode(), b"// a comment\n" + NNET.replace("1,1,1", "2,4,0.5").encode()]),
    "safetensors": _safetensors,
    "shallow": _shallow,
    "csv": lambda _work: iter(CSV),
    "box": lambda _work: iter(BOXES),
    "npy": _npy,
    "vnnlib": lambda _work: iter(PROPERTIES),
    "keras": _keras,
    "h5": _h5,
}
