"""Matrices, dense or CSR, put together: what comes of it stays sparse only where it is both sparse and large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.network import Matrix

DENSE_ENTRIES = 1 << 20  # sparse matrices of at most this many entries (8 MB) are kept dense


def entries(W: Matrix) -> int:
    """How many numbers a matrix holds."""
    return W.size if isinstance(W, np.ndarray) else int(W.nnz)


def entries_of_product(W: Matrix, M: Matrix) -> int:
    """An upper bound on the numbers that W M holds."""
    if isinstance(W, np.ndarray) or isinstance(M, np.ndarray):
        return int(W.shape[0]) * int(M.shape[1])
    return int(np.diff(M.indptr)[W.indices].sum())


def product(W: Matrix, M: Matrix) -> Matrix:
    """W M."""
    return W @ M


def total(A: Matrix, B: Matrix) -> Matrix:
    """A + B."""
    if isinstance(A, np.ndarray) == isinstance(B, np.ndarray):
        return A + B
    return np.asarray(A + B)


def rows_scaled(W: Matrix, d: Float[np.ndarray, " values"]) -> Matrix:
    """diag(d) W."""
    return d[:, None] * W if isinstance(W, np.ndarray) else W.multiply(d[:, None]).tocsr()


def diagonal(d: Float[np.ndarray, " values"]) -> Matrix:
    """diag(d), in CSR where dense would be large."""
    if len(d) ** 2 <= DENSE_ENTRIES:
        return np.diag(d)
    from scipy.sparse import csr_array

    return csr_array((d, np.arange(len(d)), np.arange(len(d) + 1)), shape=(len(d), len(d)))


def selection(index: Int[np.ndarray, " values"], width: int) -> Matrix:
    """The 0/1 matrix of x -> x[index]."""
    if len(index) * width <= DENSE_ENTRIES:
        return np.eye(width)[index]
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(index)), index, np.arange(len(index) + 1)), shape=(len(index), width))


def blocks(grid: Sequence[Sequence[Matrix | None]], heights: Sequence[int], widths: Sequence[int]) -> Matrix:
    """The matrix of the given blocks, None for zeros; dense where it is small or all of it is dense."""
    dense = all(isinstance(block, np.ndarray) for row in grid for block in row)
    if dense or sum(heights) * sum(widths) <= DENSE_ENTRIES:
        whole = np.zeros((sum(heights), sum(widths)))
        tops, lefts = np.cumsum([0, *heights]), np.cumsum([0, *widths])
        for i, row in enumerate(grid):
            for j, block in enumerate(row):
                if block is not None:
                    whole[tops[i] : tops[i + 1], lefts[j] : lefts[j + 1]] = as_dense(block)
        return whole
    from scipy.sparse import block_array, csr_array

    filled: list[list[Any]] = [
        [csr_array((heights[i], widths[j])) if block is None else csr_array(block) for j, block in enumerate(row)]
        for i, row in enumerate(grid)
    ]
    return block_array(filled, format="csr")


def as_dense(W: Matrix) -> np.ndarray:
    """W as an array."""
    return W if isinstance(W, np.ndarray) else W.toarray()


def stored(W: Matrix) -> Matrix:
    """W as a network keeps it: float64, dense unless it is both sparse and large."""
    if isinstance(W, np.ndarray):
        return np.array(W, dtype=np.float64)
    if W.shape[0] * W.shape[1] <= DENSE_ENTRIES:
        return W.toarray()
    kept = W.tocsr()
    kept.sum_duplicates()
    return kept
