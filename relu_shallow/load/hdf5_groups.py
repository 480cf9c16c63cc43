"""The members of a group of an HDF5 file, in the older form (a tree with a heap of names) and the newer (links)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from relu_shallow.load.hdf5_bytes import Hdf5


def symbols(hdf5: Hdf5, tree: int, heap: int) -> dict[str, int]:
    """The members of a group kept in a B-tree of version 1, with their names in a local heap."""
    if hdf5.take(heap, 4) != b"HEAP":
        raise hdf5.broken("a group has no names")
    size, _, names = hdf5.numbers("QQQ", heap + 8)
    if not 0 <= names <= names + size <= len(hdf5.data):
        raise hdf5.broken("the names of a group lie beyond it")
    found: dict[str, int] = {}
    places, seen = [tree], {tree}
    for place in places:
        if hdf5.take(place, 4) == b"SNOD":
            found |= _symbol_node(hdf5, place, names, names + size)
            continue
        mark, kind, _, used = hdf5.numbers("4sBBH", place)
        if mark != b"TREE" or kind:
            raise hdf5.broken("a group has no tree of members")
        below = hdf5.numbers(f"{2 * used}Q", place + 24)[1::2]
        if not seen.isdisjoint(below):
            raise hdf5.broken("the members of a group go round in a circle")
        seen.update(below)
        places += below
    return found


def _symbol_node(hdf5: Hdf5, place: int, names: int, end: int) -> Iterator[tuple[str, int]]:
    for number in range(hdf5.numbers("H", place + 6)[0]):
        name, header, cached = hdf5.numbers("QQI", place + 8 + 40 * number)
        stop = hdf5.data.find(b"\0", names + name, end)
        if name > end or stop < 0:
            raise hdf5.broken("the name of a member does not end")
        text = hdf5.take(names + name, stop - names - name).decode()
        if cached == 2:
            raise hdf5.refused(f"has a soft link {text}")
        yield text, header


def link(hdf5: Hdf5, body: bytes) -> tuple[str, int]:
    """The name and address in a link message; only hard links have one."""
    flags, here = body[1], 2
    kind = body[here] if flags & 0x08 else 0
    here += (1 if flags & 0x08 else 0) + (8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[here : here + width], "little")
    name = body[here + width : here + width + length].decode()
    if kind:
        raise hdf5.refused(f"has {'a soft' if kind == 1 else 'an external'} link {name}")
    return name, struct.unpack_from("<Q", body, here + width + length)[0]
