"""The bytes of an HDF5 file in memory, and the messages of an object's header in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from relu_shallow.errors import ModelError
from relu_shallow.load.reading import ModelFile, damaged

CONTINUED = 0x10  # the message that names another block of messages


class Message(NamedTuple):
    """One message of an object header: its kind, its flags and its content."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, eq=False)
class Hdf5:
    """A file's content in memory, and how many bytes of it may still be looked at."""

    file: ModelFile
    data: bytes
    left: list[int] = field(default_factory=list)

    def take(self, place: int, size: int) -> bytes:
        """`size` bytes at an address; raises ModelError outside the file, or after too many."""
        if not 0 <= place <= place + size <= len(self.data):
            raise self.broken(f"it points to {size} bytes at {place}, beyond its {len(self.data)}")
        self.left[0] -= size
        if self.left[0] < 0:
            raise self.broken("it refers to the same places again and again")
        return self.data[place : place + size]

    def numbers(self, form: str, place: int) -> tuple[Any, ...]:
        """The little-endian numbers of a struct format at an address."""
        return struct.unpack(f"<{form}", self.take(place, struct.calcsize(f"<{form}")))

    def broken(self, detail: object) -> ModelError:
        """The error for a file that is not laid out as it should be."""
        return damaged(self.file, "HDF5", detail)

    def refused(self, what: str) -> ModelError:
        """The error for a feature of HDF5 that Keras never uses."""
        return ModelError(f"{self.file.name} {what}, which Keras never writes and which is not read; load the model "
                          "in Keras and save it again")  # fmt: skip


def header(hdf5: Hdf5, place: int) -> tuple[Message, ...]:
    """The messages of the object at an address."""
    second = hdf5.take(place, 4) == b"OHDR"
    return tuple(_second_header(hdf5, place) if second else _first_header(hdf5, place))


def _first_header(hdf5: Hdf5, place: int) -> Iterator[Message]:
    """The messages of an object header of version 1."""
    version, _, _, _, size = hdf5.numbers("BBHII", place)
    if version != 1:
        raise hdf5.broken(f"no object begins at {place}")
    blocks, seen = [(place + 16, size)], {place + 16}
    for start, length in blocks:
        here = start
        while here + 8 <= start + length:
            kind, size, flags = hdf5.numbers("HHB", here)
            body = hdf5.take(here + 8, size)
            here += 8 + size
            if kind == CONTINUED:
                _continue(hdf5, blocks, seen, body)
            yield Message(kind, flags, body)


def _second_header(hdf5: Hdf5, place: int) -> Iterator[Message]:
    """The messages of an object header of version 2; its checksums are not looked at."""
    version, flags = hdf5.numbers("BB", place + 4)
    if version != 2:
        raise hdf5.broken(f"no object begins at {place}")
    here = place + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(hdf5.take(here, width), "little")
    ordered = 2 if flags & 0x04 else 0
    blocks, seen = [(here + width, size)], {here + width}
    for start, length in blocks:
        here = start
        while here + 4 + ordered <= start + length:
            kind, size, message_flags = hdf5.numbers("BHB", here)
            body = hdf5.take(here + 4 + ordered, size)
            here += 4 + ordered + size
            if kind == CONTINUED:
                _continue(hdf5, blocks, seen, body, around=4)
            yield Message(kind, message_flags, body)


def _continue(hdf5: Hdf5, blocks: list[tuple[int, int]], seen: set[int], body: bytes, around: int = 0) -> None:
    """Adds the block that a continuation names, without the signature and checksum `around` it."""
    start, length = struct.unpack_from("<QQ", body)
    if start + around in seen:
        raise hdf5.broken("the header of an object goes round in a circle")
    seen.add(start + around)
    blocks.append((start + around, length - 2 * around))
