"""HDF5 files as Keras writes them: groups, attributes and whole arrays, read in plain Python from memory.

The C library is not used: damaged files end it with a signal or keep it busy without end, and here each ends in one
clear refusal. What Keras never writes is refused by name: links out of the file, soft links, data in other files,
virtual, chunked and compressed arrays. Every byte that is looked at is counted, so that a small file of references to
one and the same place is not unfolded. Layout: the HDF5 File Format Specification, version 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from relu_shallow.load.hdf5_bytes import Hdf5, Message, header
from relu_shallow.load.hdf5_groups import link, symbols
from relu_shallow.load.hdf5_types import VariableText, element_type, read_text, shape_of, type_size
from relu_shallow.load.reading import ModelFile

MAGIC = b"\x89HDF\r\n\x1a\n"
NOWHERE = (1 << 64) - 1  # the address of what was never stored
PASSES = 4  # how many times its own size may be looked at in a file; those of Keras need less than two
FREE_BYTES = 1 << 20
MOST_LEVELS = 64
DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL, LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08
FILTERS, ATTRIBUTE, SYMBOLS, ATTRIBUTE_INFO = 0x0B, 0x0C, 0x11, 0x15
SHARED = 0x02  # flag of a message that lies in another object
LAYOUTS = {0: "compact", 1: "contiguous", 2: "chunked", 3: "virtual"}
BROKEN = (struct.error, ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False)
class Node:
    """A group or an array of a file, with the messages of its header."""

    hdf5: Hdf5
    path: str
    messages: tuple[Message, ...]

    @cached_property
    def links(self) -> dict[str, int]:
        """The header addresses of a group's members by name."""
        found: dict[str, int] = {}
        for message in self.messages:
            if message.kind == SYMBOLS:
                found |= symbols(self.hdf5, *struct.unpack_from("<QQ", message.body))
            elif message.kind == LINK:
                found |= [link(self.hdf5, message.body)]
            elif message.kind == LINK_INFO and _heap_of(message.body, 8) != NOWHERE:
                raise self.hdf5.refused(f"keeps the members of {self.path} in a fractal heap")
        return found

    @cached_property
    def attributes(self) -> dict[str, Message]:
        """A node's attributes by name, not looked into yet."""
        if any(message.kind == ATTRIBUTE_INFO and _heap_of(message.body, 2) != NOWHERE for message in self.messages):
            raise self.hdf5.refused(f"keeps the attributes of {self.path} in a fractal heap")
        return {_attribute_name(message.body): message for message in self.messages if message.kind == ATTRIBUTE}

    def attribute(self, name: str) -> Any:
        """A number, a text, an array or a list of either; None where there is none of the name."""
        return _attribute(self.hdf5, name, self.attributes[name]) if name in self.attributes else None

    def child(self, name: str) -> Node | None:
        """The member at a path of names, or None where there is none."""
        node: Node | None = self
        for part in name.split("/"):
            if part and node is not None:
                place = node.links.get(part)
                node = None if place is None else _node(self.hdf5, f"{node.path}/{part}", place)
        return node

    def array(self) -> np.ndarray:
        """The numbers of an array, or pairs of bytes (V2) that stand for a type of number unknown to HDF5."""
        found = {message.kind: message for message in self.messages}
        if EXTERNAL in found:
            raise self.hdf5.refused(f"keeps {self.path} in another file")
        if FILTERS in found:
            raise self.hdf5.refused(f"keeps {self.path} compressed or filtered")
        if not {DATATYPE, DATASPACE, LAYOUT} <= set(found):
            raise self.hdf5.broken(f"{self.path} is not an array")
        if any(found[kind].flags & SHARED for kind in (DATATYPE, DATASPACE, LAYOUT)):
            raise self.hdf5.refused(f"shares the type of {self.path} between arrays")
        kind, shape = element_type(found[DATATYPE].body), shape_of(found[DATASPACE].body)
        if not isinstance(kind, np.dtype) or kind.kind not in "fiuV":
            raise self.hdf5.broken(f"{self.path} does not hold numbers")
        data = _content(self.hdf5, self.path, found[LAYOUT].body, prod(shape) * kind.itemsize)
        return np.frombuffer(data, kind).reshape(shape)


def open_hdf5(file: ModelFile, data: bytes | None = None) -> Node:
    """The root group of a file, or of the content of a member of it; raises ModelError where it is no HDF5 file."""
    data = file.data if data is None else data
    hdf5 = Hdf5(file, data, [FREE_BYTES + PASSES * len(data)])
    if data[:8] != MAGIC:
        raise hdf5.broken("it does not begin like one")
    version = hdf5.numbers("B", 8)[0]
    if version < 2:
        sizes = hdf5.numbers("BB", 13)
        base, _, end, _, _, root = hdf5.numbers("6Q", 24 if version == 0 else 28)
    elif version < 4:
        sizes = hdf5.numbers("BB", 9)
        base, _, end, root = hdf5.numbers("4Q", 12)
    else:
        raise hdf5.refused(f"is of version {version} of its layout")
    if sizes != (8, 8) or base:
        raise hdf5.refused(f"has addresses of {sizes[0]} bytes from {base} on")
    if end > len(data):
        raise hdf5.broken(f"it has {len(data)} of {end} bytes")
    return _node(hdf5, "", root)


def _node(hdf5: Hdf5, path: str, place: int) -> Node:
    if path.count("/") > MOST_LEVELS:
        raise hdf5.broken(f"its groups nest more than {MOST_LEVELS} deep")
    return Node(hdf5, path, header(hdf5, place))


def _heap_of(body: bytes, width: int) -> int:
    """The address of the fractal heap in an info message, after its largest index of `width` bytes."""
    return struct.unpack_from("<Q", body, 2 + (width if body[1] & 1 else 0))[0]


def _attribute_name(body: bytes) -> str:
    start = 9 if body[0] == 3 else 8
    return body[start : start + struct.unpack_from("<H", body, 2)[0]].split(b"\0")[0].decode()


def _attribute(hdf5: Hdf5, name: str, message: Message) -> Any:
    """The value in an attribute message."""
    body = message.body
    version, flags, *sizes = struct.unpack_from("<BBHHH", body)
    if message.flags & SHARED or (version > 1 and flags & 3):
        raise hdf5.refused("shares an attribute between objects")
    step, here = (8 if version == 1 else 1), (9 if version == 3 else 8)
    parts = []
    for size in sizes:
        parts.append(body[here : here + size])
        here += -(-size // step) * step
    kind, shape = element_type(parts[1]), shape_of(parts[2])
    count = prod(shape)
    content = body[here : here + count * type_size(parts[1])]
    if count > len(content):
        raise hdf5.broken(f"the attribute {name} is cut short")
    if isinstance(kind, np.dtype) and kind.kind != "S":
        return np.frombuffer(content, kind, count).reshape(shape)[()]
    if isinstance(kind, VariableText):
        texts = [_heap_text(hdf5, content[16 * place : 16 * place + 16]) for place in range(count)]
    else:
        size = kind.itemsize if kind is not None else 0
        texts = [read_text(content[size * place : size * place + size]) for place in range(count)] if size else []
    return texts if shape or not texts else texts[0]


def _heap_text(hdf5: Hdf5, reference: bytes) -> str:
    """A text of variable length, from the global heap."""
    length, heap, wanted = struct.unpack("<IQI", reference)
    if not length:
        return ""
    mark, _, size = hdf5.numbers("4sIQ", heap)
    here, end = heap + 16, heap + size
    while mark == b"GCOL" and here + 16 <= end:
        index, _, _, size = hdf5.numbers("HHIQ", here)
        if index == wanted:
            return read_text(hdf5.take(here + 16, min(size, length)))
        if not index:
            break
        here += 16 + -(-size // 8) * 8
    raise hdf5.broken("a text in it is missing")


def _content(hdf5: Hdf5, path: str, body: bytes, size: int) -> bytes:
    """The bytes of an array, which must lie in one piece."""
    version, layout = body[0], body[1]
    if version not in (3, 4):
        raise hdf5.refused(f"keeps {path} in version {version} of the layout")
    if layout > 1:
        raise hdf5.refused(f"keeps {path} in {LAYOUTS.get(layout, 'unknown')} form")
    if layout == 0:
        length = struct.unpack_from("<H", body, 2)[0]
        data = body[4 : 4 + length]
    else:
        place, length = struct.unpack_from("<QQ", body, 2)
        if size and place == NOWHERE:
            raise hdf5.broken(f"{path} was never written")
        data = hdf5.take(place, length) if size and length == size else b""
    if len(data) < size or length < size:
        raise hdf5.broken(f"{path} claims {size} bytes and has {length}")
    return data[:size]
