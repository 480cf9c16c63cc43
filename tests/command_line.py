"""Running the command line in this process or in one of its own, and small model files to run it on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from relu_shallow.cli.program import command_line


def run(*arguments):
    """The result of a command run in this process: exit_code, stdout, stderr."""
    return CliRunner().invoke(command_line, [str(argument) for argument in arguments], prog_name="relu-shallow")


def run_json(*arguments):
    """What a command that succeeds prints with --json."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    return strict(result.stdout)


def strict(text):
    """The JSON object that the text is, and nothing else; NaN and Infinity are refused."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    lines = text.splitlines()
    assert len(lines) == 1
    value = json.loads(lines[0], parse_constant=refuse)
    assert isinstance(value, dict)
    return value


def start(*arguments, code="from relu_shallow.cli import main; main()", **options):
    """A process of its own that runs a command; `code` may prepare something before."""
    words = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # a job in the background of a shell ignores Ctrl-C, and its children would too
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **{"preexec_fn": hear, **options},
    )


def one_sentence(stderr, *words):
    """Whether stderr is one clear line, without a traceback, that holds the words."""
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if line]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("relu-shallow: ")
    for word in words:
        assert word in lines[0]


def random_layers(*widths, seed=3):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in pairwise(widths)]


def write_onnx(path: Path, layers, operator="Relu", last=None):
    """An ONNX file: Gemm layers with an activation between them and perhaps a last operator."""
    nodes, weights, name = [], [], "x"
    for index, (W, b) in enumerate(layers):
        weights += [numpy_helper.from_array(np.asarray(W, np.float32), f"W{index}"),
                    numpy_helper.from_array(np.asarray(b, np.float32), f"b{index}")]  # fmt: skip
        nodes.append(helper.make_node("Gemm", [name, f"W{index}", f"b{index}"], [f"z{index}"], transB=1))
        name = f"z{index}"
        if index < len(layers) - 1:
            nodes.append(helper.make_node(operator, [name], [f"a{index}"]))
            name = f"a{index}"
    if last:
        nodes.append(helper.make_node(last, [name], ["end"], axis=1))
        name = "end"
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["N", size])
            for end, size in (("x", layers[0][0].shape[1]), (name, layers[-1][0].shape[0]))]  # fmt: skip
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def write_csv(path: Path, names, rows):
    lines = [",".join(names)] * bool(names) + [",".join(str(cell) for cell in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path
