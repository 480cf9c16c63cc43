"""Sparse matrices of Python integers, for exact arithmetic on layers that are too large to write out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True, eq=False)
class SparseIntegers:
    """A CSR matrix whose entries are Python integers of any size."""

    data: np.ndarray
    indices: Int[np.ndarray, " entries"]
    indptr: Int[np.ndarray, " rows_plus_1"]
    columns: int

    def dot(self, X: np.ndarray) -> np.ndarray:
        """The product with a vector or a matrix of integers."""
        data = self.data if X.ndim == 1 else self.data[:, None]
        products = data * X[self.indices]
        result = np.zeros((len(self.indptr) - 1, *X.shape[1:]), dtype=object)
        filled = np.flatnonzero(np.diff(self.indptr) > 0)
        if len(filled):
            result[filled] = np.add.reduceat(products, self.indptr[filled], axis=0)
        return result


def some_columns(W: np.ndarray | SparseIntegers, kept: Int[np.ndarray, " kept"], inner: np.ndarray) -> np.ndarray:
    """W[:, kept] @ inner."""
    if isinstance(W, np.ndarray):
        return np.asarray(W[:, kept].dot(inner))
    whole = np.zeros((W.columns, *inner.shape[1:]), dtype=object)
    whole[kept] = inner
    return W.dot(whole)
