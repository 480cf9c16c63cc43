"""One self-contained file for a shallow network and the deep one it equals."""

from __future__ import annotations

import os

from relu_shallow.archive import damaged, read_archive, read_metadata, write_archive
from relu_shallow.errors import ReluShallowError
from relu_shallow.shallow.layout import lay_out, read_back
from relu_shallow.shallow.table import ShallowNetwork

ENDING = ".shallow.safetensors"


def save_shallow(shallow: ShallowNetwork, path: str | os.PathLike[str]) -> None:
    """Writes the shallow network and the network it equals; raises OutputError, leaving what was there before."""
    write_archive(path, *lay_out(shallow))


def load_shallow(path: str | os.PathLike[str]) -> ShallowNetwork:
    """The shallow network of a file; raises FormatError unless every array is there, unaltered and fits the rest."""
    arrays, about = read_archive(path)
    try:
        return read_back(arrays, about)
    except ReluShallowError as error:
        raise damaged(path, error) from error


def is_shallow_file(path: str | os.PathLike[str]) -> bool:
    """Whether the file's content says that it is a converted network, whatever its name."""
    return read_metadata(path) is not None
