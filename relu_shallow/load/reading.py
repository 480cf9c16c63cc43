"""A model file's bytes, its checksum, its zip archive, and the messages of what was assumed while reading it."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from relu_shallow.errors import ModelError, printable

# What a file may unfold to in memory: this many bytes, and so many times its own size. Weights hardly compress, and
# PyTorch does not compress them; a file of zeros that unfolds further is refused with the others.
FREE_BYTES = 64 << 20
EXPANSION = 20
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


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
        if target.exists() and not target.is_file():  # a device or pipe may never end
            raise ModelError(f"{target} is not an ordinary file; copy the model into one")
        data = target.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"the model file {target} does not exist") from None
    except ValueError as error:  # a null character
        raise ModelError(f"{str(target)!r} is no path: {error}") from None
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


def say(message: str) -> None:
    """One line on stderr: something that was assumed, which the reader of the result should know."""
    print(printable(message), file=sys.stderr)  # noqa: T201


def is_zip(data: bytes) -> bool:
    """Whether the content starts like a zip archive."""
    return data[:4] == b"PK\x03\x04"


def most_bytes(file: ModelFile) -> int:
    """How many bytes the content of a file may unfold to."""
    return FREE_BYTES + EXPANSION * len(file.data)


@dataclass(frozen=True, eq=False)
class Archive:
    """The members of a zip archive by their names below its one top folder, each unpacked once and to its own size."""

    file: ModelFile
    members: dict[str, zipfile.ZipInfo]  # by the name below the top folder
    zipped: zipfile.ZipFile
    unpacked: dict[str, bytes] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """A member's content; raises ModelError where it is missing or damaged."""
        if name not in self.members:
            raise damaged(self.file, "zip", f"{name} is missing from the archive")
        if name not in self.unpacked:
            self.unpacked[name] = self._unpack(name)
        return self.unpacked[name]

    def _unpack(self, name: str) -> bytes:
        info = self.members[name]
        try:
            with self.zipped.open(info) as stream:  # no more than the directory says is ever inflated
                data = stream.read(info.file_size) if info.file_size else b""
        except BROKEN_ZIP as error:
            raise damaged(self.file, "zip", f"{name}: {error}") from error
        if len(data) != info.file_size:
            raise damaged(self.file, "zip", f"{name} is shorter than the archive's directory says")
        return data

    def repacked(self) -> bytes:
        """The same members in a new archive, so that another zip reader sees in it exactly what was checked here."""
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            for name in self.members:
                archive.writestr(f"archive/{name}", self.read(name))
        return whole.getvalue()


BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, ArithmeticError, LookupError, OSError,
              struct.error)  # fmt: skip


def member_names(data: bytes) -> set[str]:
    """The names in a zip archive's directory; none where it cannot be read."""
    try:
        return set(zipfile.ZipFile(io.BytesIO(data)).namelist())
    except BROKEN_ZIP:
        return set()


def open_archive(file: ModelFile, *, flat: bool = False) -> Archive:
    """The zip archive in a model file's content; raises ModelError where its members would fill the memory.

    PyTorch's members lie below one top folder; those of Keras do not (`flat`).
    """
    maker = "Keras" if flat else "PyTorch"
    try:
        zipped = zipfile.ZipFile(io.BytesIO(file.data))
        entries = [info for info in zipped.infolist() if not info.is_dir()]
    except BROKEN_ZIP as error:
        raise damaged(file, "zip", error) from error
    members = {info.filename if flat else info.filename.partition("/")[2]: info for info in entries}
    if len(members) != len(entries):
        more = "" if flat else ", or it has more than one top folder"
        raise damaged(file, "zip", f"two of its members have one name{more}")
    for info in entries:
        if info.compress_type not in PACKINGS or (
            info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size
        ):
            raise damaged(file, "zip", f"{info.filename} is packed in a way that {maker} never writes")
    packed, unpacked = sum(info.compress_size for info in entries), sum(info.file_size for info in entries)
    if packed > len(file.data):
        raise damaged(file, "zip", f"its members claim {packed} bytes of a file of {len(file.data)}, so they overlap")
    if unpacked > most_bytes(file):
        raise ModelError(f"{file.name} has {len(file.data)} bytes and would unpack to {unpacked}, more than any model "
                         f"does; such an archive is not opened. Save the model again with {maker}")  # fmt: skip
    return Archive(file, members, zipped)
