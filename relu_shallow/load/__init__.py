"""Model files and live models, each read into a `Network`; no code from a file is ever run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.errors import MissingExtra, ModelError, printable
from relu_shallow.load.reading import ModelFile, from_bytes, is_zip, member_names, read_model_file
from relu_shallow.load.walk import MOST_INPUTS, Wanted
from relu_shallow.network import Network, Source

# file ending -> module and function that reads it; imported on use, so that an .onnx file does not import torch
READERS: dict[str, tuple[str, str]] = {
    ".onnx": ("onnx_file", "read_onnx"),
    ".nnet": ("nnet", "read_nnet"),
    ".pt": ("torch_file", "read_torch"),
    ".pth": ("torch_file", "read_torch"),
    ".pt2": ("torch_file", "read_torch"),
    ".safetensors": ("safetensors_file", "read_safetensors"),
    ".h5": ("keras_file", "read_keras"),
    ".keras": ("keras_file", "read_keras"),
}
INSTEAD = {
    ".pb": "save it with model.save('NAME.keras') in Keras, or as ONNX with tf2onnx",
    ".pkl": "a pickle runs code when it is read; load the model in Python and pass it to relu_shallow.convert",
    ".joblib": "a pickle runs code when it is read; load the model in Python and pass it to relu_shallow.convert",
}
TAKES_TRUST = ("torch_file",)


def load_network(
    model: Any,
    *,
    trust: Sequence[str] = (),
    until: str = "",
    input_shape: Sequence[int] | None = None,
    output_name: str = "",
    check_source: bool = False,
) -> Network:
    """The network of a model file (by its path), of a live PyTorch module or scikit-learn MLP, or of a Network itself.

    `trust` names classes by import path that a `.pt` file may use and that are imported to read it. `until` names a
    layer: only the part before it is read. `input_shape` is the shape of one row, for models that do not tell it, and
    `output_name` chooses one output tensor of several. With `check_source` the model is also run by its own framework,
    where that is installed and runs no code of the file (a live module always is), and its outputs are compared;
    `source.checked` says so. Raises ModelError where the file cannot be read safely, a layer has no linear regions, or
    the outputs differ.
    """
    wanted = Wanted(until, _checked_shape(input_shape), output_name, check_source)
    if isinstance(model, Network):
        _check_no_wishes(wanted, "a Network")
        return model
    if isinstance(model, (str, os.PathLike)):
        return _from_file(read_model_file(model), wanted, (trust,) if isinstance(trust, str) else trust)
    for kind in type(model).__mro__:
        known = OBJECTS.get(f"{kind.__module__}.{kind.__qualname__}")
        if known is not None:
            return known(model, wanted)
    raise ModelError(f"a {type(model).__module__}.{type(model).__qualname__} is not a model that can be read; give the "
                     "path of a model file, a torch.nn.Module, a scikit-learn MLPClassifier or MLPRegressor, or a "
                     "relu_shallow.Network")  # fmt: skip


def reading_of(source: Source) -> dict[str, Any]:
    """How a model was read, as the keywords of `load_network`."""
    shape = tuple(map(int, source.input_shape.split(","))) if source.input_shape else None
    return {"until": source.until, "input_shape": shape, "output_name": source.output_name}


def _checked_shape(shape: Sequence[int] | None) -> tuple[int, ...] | None:
    if shape is None:
        return None
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or not all(isinstance(size, int) and 0 < size <= MOST_INPUTS for size in sizes):
        raise ModelError(f"input_shape is the shape of one row, as (3, 32, 32), got {shape!r:.60}")
    return sizes


def _check_no_wishes(wanted: Wanted, what: str) -> None:
    if wanted != Wanted(check=wanted.check):
        raise ModelError(f"{what} is read as it is: leave out until, input_shape and output_name")


def _from_file(file: ModelFile, wanted: Wanted, trust: Sequence[str]) -> Network:
    """The network of a file, its reader chosen by the ending, or by the content where the ending contradicts it."""
    ending = file.path.suffix.lower()
    found = _ending_of_content(file.data)
    reader = READERS.get(found if found and ending in READERS else ending)
    if reader is None:
        hint = f" For {ending}: {INSTEAD[ending]}." if ending in INSTEAD else ""
        raise ModelError(f"{file.name} has the ending {ending or '(none)'}; model files that can be read: "
                         f"{', '.join(READERS)}.{hint}")  # fmt: skip
    module, name = reader
    read = _function(module, name)
    try:
        with np.errstate(all="ignore"):  # weights that overflow are refused by name where they are put together
            return read(file, wanted, trust) if module in TAKES_TRUST else read(file, wanted)
    except ModelError as error:
        raise ModelError(printable(str(error))) from error


def _ending_of_content(data: bytes) -> str:
    """The ending that a file's first bytes stand for, where they are unmistakable."""
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return ".h5"
    if is_zip(data) and {"config.json", "metadata.json"} <= member_names(data):
        return ".keras"
    if is_zip(data) or data[:2] == b"\x80\x02":
        return ".pt"
    size = int.from_bytes(data[:8], "little")
    return ".safetensors" if data[8:9] == b"{" and 8 + size <= len(data) else ""


def _function(module: str, name: str) -> Callable[..., Network]:
    try:
        return getattr(import_module(f"relu_shallow.load.{module}"), name)
    except ModuleNotFoundError as error:
        package = error.name or "a package"
        if package.startswith("relu_shallow"):
            raise
        raise MissingExtra(package, "dev", f"reading this model ({module})") from error


def _torch_module(model: Any, wanted: Wanted) -> Network:
    return _function("module", "read_module")(model, wanted)


def _script_module(model: Any, wanted: Wanted) -> Network:
    """A live TorchScript module, read as the archive it would be saved to."""
    return _function("torchscript", "read_torchscript")(_saved(sys.modules["torch"].jit.save, model, "memory"), wanted)


def _exported_program(model: Any, wanted: Wanted) -> Network:
    """A live torch.export program, read as the archive it would be saved to."""
    file = _saved(sys.modules["torch"].export.save, model, "memory")
    return _function("torch_export", "read_torch_export")(file, wanted)


def _sklearn(model: Any, wanted: Wanted) -> Network:
    _check_no_wishes(wanted, "a scikit-learn model")
    return _function("sklearn_mlp", "read_sklearn")(model)


def _saved(save: Callable[..., object], model: Any, name: str) -> ModelFile:
    import io

    buffer = io.BytesIO()
    save(model, buffer)
    return from_bytes(Path(name), buffer.getvalue())


# import path of a live object's class, most derived first -> reader
OBJECTS: dict[str, Callable[[Any, Wanted], Network]] = {
    "torch.jit._script.ScriptModule": _script_module,
    "torch.nn.modules.module.Module": _torch_module,
    "torch.export.exported_program.ExportedProgram": _exported_program,
    "sklearn.neural_network._multilayer_perceptron.MLPClassifier": _sklearn,
    "sklearn.neural_network._multilayer_perceptron.MLPRegressor": _sklearn,
}
