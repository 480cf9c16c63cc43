"""What other libraries hold rows in: shap's explanations, maskers and weighted summaries, pandas and polars frames.

No library is imported here: objects are known by what they carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relu_shallow.data import DataTable, frame_table, match_columns, table_of
from relu_shallow.errors import DataError
from relu_shallow.explanation.background import Background


def rows_of(given: Any) -> Any:
    """The rows to explain behind an object: a DataTable where columns have names, else an array or what was given.

    A shap.Explanation stands for its data and feature names; a data frame (pandas, polars) for its columns.
    """
    if _is_explanation(given):
        if given.data is None:
            raise DataError("this shap.Explanation holds no data to explain; give the rows themselves")
        return _named_rows(np.asarray(given.data), _texts(given.feature_names))
    if hasattr(given, "collect_schema") and not hasattr(given, "to_numpy"):
        raise DataError("a lazy frame holds no rows yet; give its .collect()")
    return frame_table(given) if hasattr(given, "columns") and not isinstance(given, DataTable) else given


def background_from(given: Any, feature_names: Sequence[str] = ()) -> Any:
    """The background behind an object: a Background where it has weights, else rows as by `rows_of`.

    shap.kmeans's centres keep their weights, and their columns are matched with `feature_names` as a table's are;
    maskers (Independent, Partition) stand for their rows. Raises DataError for an object of shap that holds no rows.
    """
    if given is None or isinstance(given, Background | DataTable):
        return given
    if hasattr(given, "weights") and hasattr(given, "group_names"):
        return _weighted(given, feature_names)
    if _of_shap(given) and not _is_explanation(given):
        held = getattr(given, "data", None)
        if held is None or np.ndim(held) != 2:
            raise DataError(f"{type(given).__name__} of shap holds no rows of background; give the rows themselves")
        names = _texts(getattr(given, "feature_names", None))
        return rows_of(held) if hasattr(held, "columns") else _named_rows(np.asarray(held), names)
    return rows_of(given)


def _weighted(given: Any, feature_names: Sequence[str]) -> Background:
    X = np.asarray(given.data, dtype=np.float64)
    names = tuple(str(name) for name in given.group_names)
    if any(len(group) != 1 for group in getattr(given, "groups", [])):
        raise DataError("this summary of shap puts several columns into one group; give one with a group per column")
    if feature_names and len(set(names)) == X.shape[1] and not all(name.isdigit() for name in names):
        X = match_columns(table_of(names, X.T.tolist()), feature_names)
    return Background(X, np.asarray(given.weights, dtype=np.float64))


def _named_rows(X: np.ndarray, names: tuple[str, ...]) -> Any:
    """The rows as a table with these names; as an array where there are none, or where they are no feature names."""
    if X.ndim == 1 and names and len(names) == len(X):  # one row of an explanation
        X = X[None]
    if X.ndim != 2:
        raise DataError(f"rows of features were expected, got data of shape {X.shape}")
    if len(names) != X.shape[1] or len(set(names)) != len(names):
        return np.asarray(X, dtype=np.float64)
    return table_of(names, X.T.tolist())


def _texts(names: Any) -> tuple[str, ...]:
    return () if names is None or isinstance(names, str) else tuple(str(name) for name in names)


def _of_shap(given: Any) -> bool:
    return any(kind.__module__.split(".")[0] == "shap" for kind in type(given).__mro__)


def _is_explanation(given: Any) -> bool:
    return _of_shap(given) and all(hasattr(given, name) for name in ("base_values", "data", "feature_names"))
