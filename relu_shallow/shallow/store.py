"""One self-contained file for a shallow network: safetensors arrays, JSON metadata, and a hash over both."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import relu_shallow
from relu_shallow.atomic import replacing
from relu_shallow.errors import FormatError, ReluShallowError
from relu_shallow.shallow.layout import lay_out, read_back
from relu_shallow.shallow.table import ShallowNetwork

KEY = "relu_shallow"  # the only key of the file's metadata; its value is JSON
VERSION = 2  # of this layout; a reader refuses any other
ENDING = ".shallow.safetensors"


def save_shallow(shallow: ShallowNetwork, path: str | os.PathLike[str]) -> None:
    """Writes the shallow network and the network it equals; raises OutputError, leaving what was there before."""
    from safetensors.numpy import save

    arrays, about = lay_out(shallow)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    about = {"version": VERSION, "package": relu_shallow.__version__, **about}
    about["sha256"] = content_hash(arrays, about)
    with replacing(path) as temporary:  # save_file would make one more beside it, and leave that where it is killed
        temporary.write_bytes(save(arrays, metadata={KEY: json.dumps(about, allow_nan=False, sort_keys=True)}))


def load_shallow(path: str | os.PathLike[str]) -> ShallowNetwork:
    """The shallow network of a file; raises FormatError unless every array is there, unaltered and fits the rest."""
    about = read_metadata(path)
    if about is None:
        raise FormatError(f"{path} is not a converted network; make one from a model with: relu-shallow convert MODEL")
    if about.get("version") != VERSION:
        raise FormatError(
            f"{path} has format version {about.get('version')!r} and this is a reader of version {VERSION}; "
            "convert the model again, or use the version of relu-shallow that wrote it"
        )
    arrays = _read_arrays(path)
    try:
        if about.pop("sha256", None) != content_hash(arrays, about):
            raise FormatError("its content does not match its hash, so something in it has changed")
        return read_back(arrays, about)
    except ReluShallowError as error:
        raise FormatError(f"{path} is damaged: {error}; convert the model again") from error


def is_shallow_file(path: str | os.PathLike[str]) -> bool:
    """Whether the file's content says that it is a converted network, whatever its name."""
    return read_metadata(path) is not None


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The JSON fields of a converted file; None where the file is something else.

    Reads only the header: eight bytes with its length, then JSON that starts with a brace.
    """
    try:
        with Path(path).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if file.read(1) != b"{" or size > Path(path).stat().st_size:
                return None
            header = json.loads(b"{" + file.read(size - 1))
        about = json.loads(header["__metadata__"][KEY])
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return about if isinstance(about, dict) else None


def content_hash(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> str:
    """SHA-256 over the JSON fields and every array's name, type, shape and bytes."""
    digest = sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, AttributeError, TypeError) as error:  # the last two: a type numpy lacks
        raise FormatError(f"{path} is damaged or cut short: {error}; convert the model again") from error
