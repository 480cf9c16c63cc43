"""How long whole processes take: the first compilation, a second `convert` of tiny files, `--help`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.cases import random_network
from benchmark.problem import Layers

TINY = (2, 4, 4, 1)


@dataclass(frozen=True)
class Start:
    """The median seconds of one command, its target, and what was run."""

    title: str
    seconds: float
    target: float
    runs: int


def measure_start(rounds: int, first_use: bool, say: Callable[[str], None]) -> list[Start]:
    """The start-up times, commands interleaved; the first compilation (about 20 s) once, if wanted."""
    say("start-up")
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layers = random_network(TINY, 0, 1.0).layers
        models = {suffix: folder / f"tiny{suffix}" for suffix in WRITERS}
        for suffix, path in models.items():
            WRITERS[suffix](layers, path)
        commands = {f"`relu-shallow convert` of a tiny {suffix}, second time": (_convert(path, folder), limit)
                    for (suffix, path), limit in zip(models.items(), (1.5, 1.5, 4.0), strict=True)}  # fmt: skip
        commands["`relu-shallow --help`"] = ([*_program(), "--help"], 0.3)
        for command, _ in commands.values():
            _seconds(command)
        seconds: dict[str, list[float]] = {title: [] for title in commands}
        for _ in range(rounds):
            for title, (command, _) in commands.items():
                seconds[title].append(_seconds(command))
                say(f"  {title}: {seconds[title][-1]:.3f} s")
        if first_use:
            compiling, whole = _first_use(models[".onnx"], folder)
            say(f"  first use: {compiling:.1f} s of {whole:.1f} s compiling")
            found.append(Start("First use: compiling the kernel, its cache empty", compiling, 20.0, 1))
        found += [Start(title, statistics.median(times), commands[title][1], rounds)
                  for title, times in seconds.items()]  # fmt: skip
    return found


def _program() -> list[str]:
    """The installed command, or the module where there is no script beside this interpreter."""
    script = Path(sys.executable).with_name("relu-shallow")
    return [str(script)] if script.exists() else [sys.executable, "-m", "relu_shallow"]


def _convert(model: Path, folder: Path) -> list[str]:
    return [*_program(), "convert", str(model), "-o", str(folder / "out.safetensors"), "--json"]


def _seconds(command: list[str], **environment: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, env={**os.environ, **environment})
    return time.perf_counter() - started


def _first_use(model: Path, folder: Path) -> tuple[float, float]:
    """Seconds compiling, and of the whole command, with an empty cache."""
    started = time.perf_counter()
    done = subprocess.run(_convert(model, folder), capture_output=True, text=True, check=True,
                          env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")})  # fmt: skip
    return json.loads(done.stdout)["seconds"]["compile"], time.perf_counter() - started


def _write_onnx(layers: Layers, path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, value = [], [], "x"
    for i, (W, b) in enumerate(layers):
        weights += [numpy_helper.from_array(W.astype(np.float32), f"W{i}"),
                    numpy_helper.from_array(b.astype(np.float32), f"b{i}")]  # fmt: skip
        nodes.append(helper.make_node("Gemm", [value, f"W{i}", f"b{i}"], [f"z{i}"], transB=1))
        value = f"z{i}"
        if i < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"h{i}"]))
            value = f"h{i}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
            for name, size in (("x", layers[0][0].shape[1]), (value, len(layers[-1][1])))]  # fmt: skip
    onnx.save(helper.make_model(helper.make_graph(nodes, "tiny", ends[:1], ends[1:], weights)), path)


def _write_nnet(layers: Layers, path: Path) -> None:
    sizes = [layers[0][0].shape[1], *(len(b) for _, b in layers)]
    n = sizes[0]
    head = [[len(layers), n, sizes[-1], max(sizes)], sizes, [0], [-9] * n, [9] * n, [0] * (n + 1), [1] * (n + 1)]
    numbers = [row for W, b in layers for row in [*W, *([value] for value in b)]]
    lines = [",".join(str(value) for value in row) for row in head]
    lines += [",".join(repr(float(value)) for value in row) for row in numbers]
    path.write_text(",\n".join(lines) + ",\n")


def _write_pt(layers: Layers, path: Path) -> None:
    import torch

    modules: list[torch.nn.Module] = []
    for W, b in layers:
        linear = torch.nn.Linear(W.shape[1], W.shape[0])
        linear.weight.data, linear.bias.data = torch.tensor(W).float(), torch.tensor(b).float()
        modules += [linear, torch.nn.ReLU()]
    torch.save(torch.nn.Sequential(*modules[:-1]), path)


WRITERS = {".onnx": _write_onnx, ".nnet": _write_nnet, ".pt": _write_pt}
