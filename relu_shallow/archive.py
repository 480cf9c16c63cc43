"""A file of this package: safetensors arrays, JSON metadata, and a hash over both."""

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

KEY = "relu_shallow"  # the only key of the file's metadata; its value is JSON
FOLDER = ".regions"  # how folders of such files are called
VERSION = 2  # of the layouts; a reader refuses any other


def write_archive(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Writes arrays and JSON fields as one file; raises OutputError, leaving what was there before."""
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    told = {"version": VERSION, "package": relu_shallow.__version__, **about}
    told["sha256"] = content_hash(whole, told)
    with replacing(path) as temporary:  # save_file would make one more beside it, and leave that where it is killed
        temporary.write_bytes(save(whole, metadata={KEY: json.dumps(told, allow_nan=False, sort_keys=True)}))


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and JSON fields of a file; raises FormatError unless it is ours, of this version and unaltered."""
    about = read_metadata(path)
    if about is None:
        raise FormatError(f"{path} is not a converted network; make one from a model with: relu-shallow convert MODEL")
    check_version(path, about)
    arrays = _read_arrays(path)
    if about.pop("sha256", None) != content_hash(arrays, about):
        raise damaged(path, "its content does not match its hash, so something in it has changed")
    return arrays, about


def check_version(path: str | os.PathLike[str], about: Mapping[str, Any]) -> None:
    """Raises FormatError where a file was written in another version of the format."""
    if about.get("version") != VERSION:
        raise FormatError(
            f"{path} has format version {about.get('version')!r} and this is a reader of version {VERSION}; "
            "convert the model again, or use the version of relu-shallow that wrote it"
        )


def check_length(path: str | os.PathLike[str]) -> None:
    """Raises FormatError where a file does not end where its header says that it does."""
    header = read_header(path) or {}
    try:
        with Path(path).open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        if Path(path).stat().st_size != start + max(ends, default=0):
            raise damaged(path, "it was cut short")
    except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise damaged(path, f"its header cannot be read: {error}") from error


def damaged(path: str | os.PathLike[str], why: ReluShallowError | str) -> FormatError:
    """The error that says what is wrong with a file."""
    return FormatError(f"{path} is damaged: {why}; convert the model again")


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The JSON fields of a file; None where it is something else.

    Reads only the header: eight bytes with its length, then JSON that starts with a brace.
    """
    header = read_header(path)
    try:
        about = json.loads(header["__metadata__"][KEY]) if header else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return about if isinstance(about, dict) else None


def read_header(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The header of a safetensors file, None where it has none; raises FormatError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if file.read(1) != b"{" or size > Path(path).stat().st_size:
                return None
            header = json.loads(b"{" + file.read(size - 1))
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


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
