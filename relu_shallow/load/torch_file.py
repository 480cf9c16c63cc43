"""`.pt` and `.pth` files, read through inert stand-ins for every class they name.

No code from the file is ever run, and PyTorch does not see the file: its weights-only loader, too, allocates what a
pickle asks for. `trust` names classes, by import path, that may be imported from the user's own environment and used;
only then PyTorch's weights-only loader reads the file, with an allow-list of these and of the standard layers. It has
no fall-back.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load import torch_export, torchscript
from relu_shallow.load.assumed import walk_assumed
from relu_shallow.load.inert_pickle import BROKEN_PICKLE, StandInType, read_archive_pickle, read_legacy_pickle
from relu_shallow.load.layers import LAYERS, SEQUENCE, check_tree, is_standard, numbers, walk_layers
from relu_shallow.load.lowering import assemble
from relu_shallow.load.reading import ModelFile, damaged, is_zip, open_archive
from relu_shallow.load.state_dict import walk_state_dict
from relu_shallow.load.walk import Vector, Walk, Wanted, most_entries, source_of, start, walked
from relu_shallow.network import Network

LISTED = (*LAYERS, SEQUENCE, "torch.nn.modules.container.ModuleList")
BROKEN = (*BROKEN_PICKLE, RuntimeError, OSError, AssertionError, struct.error)  # what torch.load raises on damage
SAFE_TORCH = (2, 10)  # the first whose weights-only loader has no known way past it
MALFORMED = (TypeError, ValueError, AttributeError, KeyError, IndexError, ArithmeticError, RecursionError)
CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")


def read_torch(file: ModelFile, wanted: Wanted, trust: Sequence[str] = ()) -> Network:
    """The network of a file written by PyTorch, whichever of its formats it is in."""
    if is_zip(file.data):
        members = open_archive(file).members
        if "constants.pkl" in members:
            return torchscript.read_torchscript(file, wanted)
        if "models/model.json" in members or "serialized_exported_program.json" in members:
            return torch_export.read_torch_export(file, wanted)
        if "data.pkl" not in members:
            raise damaged(file, "PyTorch", "the archive holds no data.pkl")
    elif file.data[:1] != b"\x80":
        raise damaged(file, "PyTorch", "it is neither a zip archive nor a pickle")
    if trust:
        return _network(file, _trusted(file, trust), trust, wanted)
    try:
        return _network(file, _stand_ins(file), (), wanted)
    except MALFORMED as error:
        raise damaged(file, "PyTorch", f"what it holds is not put together as PyTorch does: {error}") from error


def _trusted(file: ModelFile, trust: Sequence[str]) -> Any:
    """The object in the file, as PyTorch's weights-only loader makes it with the trusted classes on its list."""
    import torch

    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < SAFE_TORCH:
        raise ModelError(f"--trust needs PyTorch {'.'.join(map(str, SAFE_TORCH))} or newer, and this is "
                         f"{torch.__version__}: the weights-only loader of older ones can be made to run code. "
                         "Install a newer PyTorch")  # fmt: skip
    allowed = [_imported(path) for path in (*LISTED, *trust)]
    data = open_archive(file).repacked() if is_zip(file.data) else file.data
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own advice on how it should be called
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        more = re.search(r"GLOBAL (\S+)", str(error))
        wanted = f"it also names {more[1]}" if more else _first_line(error)
        raise ModelError(f"{file.name} needs more than {', '.join(trust)}: {wanted}") from error
    except BROKEN as error:
        raise damaged(file, "PyTorch", _first_line(error)) from error


def _stand_ins(file: ModelFile) -> Any:
    if is_zip(file.data):
        return read_archive_pickle(open_archive(file))
    return read_legacy_pickle(file)


def _imported(path: str) -> Any:
    """The class at an import path; raises ModelError where there is none."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(f"the trusted class {path} cannot be imported: {error}. Give its full import path, "
                         "package.module.Class, and make it importable (PYTHONPATH)") from error  # fmt: skip


def _network(file: ModelFile, found: Any, trust: Sequence[str], wanted: Wanted) -> Network:
    """The network of what the file held."""
    if not isinstance(found, Mapping) and (not hasattr(found, "__dict__") or "_modules" not in vars(found)):
        kind = "Tensor" if isinstance(found, np.ndarray) else type(found).__name__
        raise ModelError(f"{file.name} holds a {kind}; expected a model or its state_dict")
    standard = not isinstance(found, Mapping) and check_tree(file.name, found) and is_standard(found)
    if trust and not standard and not isinstance(found, Mapping) and not isinstance(type(found), StandInType):
        from relu_shallow.load.module import read_module

        return read_module(found, wanted, name=file.name, form="torch", sha256=file.sha256)
    walk = Walk(room=most_entries(file), wanted=wanted)

    def run() -> Vector:
        v = start(walk, None)
        if isinstance(found, Mapping):
            return walk_state_dict(walk, v, _tensors(found, file.name), file.name, ordered=True)
        return walk_layers(walk, "", v, found) if standard else walk_assumed(walk, v, found, file.name)

    return assemble(walked(walk, file.name, run), source_of(walk, file.name, "torch", file.sha256))


def _tensors(found: Mapping[Any, Any], what: str) -> dict[str, np.ndarray]:
    """The named tensors of a state_dict, or of the one inside a training checkpoint."""
    inner = [found[key] for key in CHECKPOINT_KEYS if isinstance(found.get(key), Mapping)]
    table = inner[0] if len(inner) == 1 else found
    odd = [str(key) for key, value in table.items() if not (isinstance(value, np.ndarray) or hasattr(value, "detach"))]
    if odd or not table:
        listed = ", ".join(odd[:5]) or "nothing"
        raise ModelError(f"{what} holds a dict with {listed}, which are not tensors; expected a model or its "
                         f"state_dict, or one under {', '.join(CHECKPOINT_KEYS)}")  # fmt: skip
    return {str(key): np.asarray(numbers(value)) for key, value in table.items()}


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
