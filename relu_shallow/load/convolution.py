"""A convolution as the matrix that acts on all the values of its input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Matrix


def convolution_matrix(
    kernel: Float[np.ndarray, "out in *window"],
    shape: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[tuple[int, int]],
    groups: int,
    room: int,
) -> tuple[Matrix, tuple[int, ...]]:
    """The CSR matrix of a convolution of an input of shape (channels, *space), and the output's shape.

    Each kernel entry meets each output position once, so every entry of the matrix is an entry of the kernel, exactly.
    `room` is the most entries that it may have.
    """
    from scipy.sparse import coo_array

    channels_out, channels_in, *window = kernel.shape
    space = shape[1:]
    if min(*strides, *dilations, groups) < 1 or channels_out % groups or channels_in * groups != shape[0]:
        raise ValueError(f"strides {strides}, dilations {dilations} and {groups} groups do not go together")
    padded = prod(size + sum(pad) for size, pad in zip(space, pads, strict=True)) * shape[0]
    if min(0, *map(min, pads)) < 0 or padded > room:
        raise ValueError(f"it is padded by {pads}")
    place = np.pad(np.arange(prod(shape)).reshape(shape), [(0, 0), *pads], constant_values=-1)
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(window, dilations, strict=True)]
    out = tuple((size + sum(pad) - r) // stride + 1
                for size, pad, r, stride in zip(space, pads, reach, strides, strict=True))  # fmt: skip
    if min(out) < 1:
        raise ValueError(f"a window of {reach} does not fit into {list(space)}")
    if prod(out) * kernel.size > room:
        raise ValueError(f"its matrix has {prod(out) * kernel.size} entries; at most {room} are made")
    rows, columns, entries = [], [], []
    row = np.arange(channels_out * prod(out)).reshape(channels_out, prod(out))
    per_group = channels_out // groups
    for offset in product(*map(range, window)):
        steps = zip(offset, dilations, strides, out, strict=True)
        where = tuple(slice(k * d, k * d + s * (o - 1) + 1, s) for k, d, s, o in steps)
        seen = place[(slice(None), *where)].reshape(shape[0], prod(out))
        for m, c in product(range(channels_out), range(channels_in)):
            rows.append(row[m])
            columns.append(seen[m // per_group * channels_in + c])
            entries.append(np.full(prod(out), kernel[(m, c, *offset)]))
    i, j, data = np.concatenate(rows), np.concatenate(columns), np.concatenate(entries)
    inside = (j >= 0) & (data != 0)
    matrix = coo_array((data[inside], (i[inside], j[inside])), shape=(channels_out * prod(out), prod(shape)))
    return matrix.tocsr(), (channels_out, *out)
