"""A model file's bytes, its checksum, its zip archive, and the messages of what was assumed while reading it."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from relu_shallow.errors import ModelError


@dataclass(frozen=True)
class ModelFile:
    """A model file as read once: its path, its whole content and SHA-256."""

    path: Path
    data: bytes
    sha256: str

    @property
    def name(self) -> str:
        """The file name without its folder."""
        return self.path.name


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """The file's content; raises ModelError where it is missing, a folder, unreadable or empty."""
    target = Path(path)
    if target.is_dir():
        raise ModelError(f"{target} is a folder; name the model file in it")
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"the model file {target} does not exist") from None
    except OSError as error:
        raise ModelError(f"the model file {target} could not be read: {error.strerror or error}") from error
    if not data:
        raise ModelError(f"the model file {target} is empty")
    return from_bytes(target, data)


def from_bytes(path: Path, data: bytes) -> ModelFile:
    """A model file whose content is already in memory."""
    return ModelFile(path, data, hashlib.sha256(data).hexdigest())


def damaged(file: ModelFile, form: str, detail: object) -> ModelError:
    """The error for a file that is cut short or not what its ending says."""
    return ModelError(f"{file.name} is not a readable {form} file; it may be truncated or of another format ({detail})")


def printable(message: str) -> str:
    """A message on one line, control characters that came from names in a file replaced."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))


def say(message: str) -> None:
    """One line on stderr: something that was assumed, which the reader of the result should know."""
    print(printable(message), file=sys.stderr)  # noqa: T201


def is_zip(data: bytes) -> bool:
    """Whether the content starts like a zip archive."""
    return data[:4] == b"PK\x03\x04"


@dataclass(frozen=True, eq=False)
class Archive:
    """The members of a zip archive by their names below its one top folder."""

    file: ModelFile
    members: dict[str, str]  # name below the top folder -> name in the archive
    zipped: zipfile.ZipFile

    def read(self, name: str) -> bytes:
        """A member's content; raises ModelError where it is missing or damaged."""
        if name not in self.members:
            raise damaged(self.file, "zip", f"{name} is missing from the archive")
        try:
            return self.zipped.read(self.members[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError, OSError) as error:
            raise damaged(self.file, "zip", f"{name}: {error}") from error


def open_archive(file: ModelFile) -> Archive:
    """The zip archive in a model file's content."""
    try:
        zipped = zipfile.ZipFile(io.BytesIO(file.data))
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
        raise damaged(file, "zip", error) from error
    return Archive(file, {name.partition("/")[2]: name for name in zipped.namelist()}, zipped)
