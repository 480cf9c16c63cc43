"""Types and shapes of the arrays and attributes of an HDF5 file, from the bytes that describe them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

FIXED, FLOAT, TEXT, OPAQUE, VARIABLE = 0, 1, 3, 5, 9
# exponent's place and size, mantissa's size, bias -> only these are IEEE 754 numbers of 2, 4 and 8 bytes
IEEE = {2: (10, 5, 10, 15), 4: (23, 8, 23, 127), 8: (52, 11, 52, 1023)}
MOST_AXES = 32


@dataclass(frozen=True)
class VariableText:
    """Text of any length, of which an element holds the place."""


def type_size(body: bytes) -> int:
    """How many bytes an element takes."""
    return int(struct.unpack_from("<I", body, 4)[0])


def element_type(body: bytes) -> np.dtype | VariableText | None:
    """NumPy's type of an element, or where its text is kept; None for text of no length.

    Raises ValueError on any type that a Keras file has no use for.
    """
    kind, order, size = body[0] & 15, ">" if body[1] & 1 else "<", type_size(body)
    if kind == FIXED and size in (1, 2, 4, 8):
        return np.dtype(f"{order}{'i' if body[1] & 8 else 'u'}{size}")
    if kind == FLOAT and size in IEEE and not body[1] & 0x40:
        _, _, place, width, low, mantissa, bias = struct.unpack_from("<HHBBBBI", body, 8)
        if (place, width, mantissa, bias, low) == (*IEEE[size], 0):
            return np.dtype(f"{order}f{size}")
    if kind == OPAQUE and size == 2:  # how a bfloat16 is kept
        return np.dtype("V2")
    if kind == TEXT:
        return np.dtype(f"S{size}") if size else None
    if kind == VARIABLE and body[1] & 15 == 1 and size == 16:
        return VariableText()
    raise ValueError(f"an element of type {kind} and {size} bytes")


def shape_of(body: bytes) -> tuple[int, ...]:
    """The shape in a dataspace message; () for a single value."""
    version, rank = body[0], body[1]
    if version not in (1, 2) or rank > MOST_AXES:
        raise ValueError(f"a shape of {rank} axes in version {version}")
    if version == 2 and body[3] == 2:
        return (0,)
    return struct.unpack_from(f"<{rank}Q", body, 8 if version == 1 else 4)


def read_text(content: bytes) -> str:
    """Text up to its end mark; raises ValueError where it is not UTF-8."""
    return content.split(b"\0")[0].decode()
