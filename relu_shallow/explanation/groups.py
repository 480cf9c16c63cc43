"""Groups of features, such as the columns of one category: found in data, read from a request, and summed.

The sum of the values of a group's features is not the Shapley value of the group as one player (Owen, 1977): in the sum
the features of a group still come and go one by one. Sums keep additivity and need no other evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import DataError

Groups = dict[str, tuple[int, ...]]  # each group's name and the numbers of its features


def groups_of(
    request: str | Sequence[str] | Mapping[str, str | Sequence[str | int]], names: Sequence[str]
) -> Groups:
    """The groups of a request: "workclass=workclass_*", several of these, or a mapping from names to patterns.

    After the sign = stand feature names or patterns (`*`, `?`) with commas between them; a feature's own name goes
    before a pattern. A mapping may hold feature numbers too. Raises DataError where a pattern fits no feature or a
    feature is in two groups.
    """
    if isinstance(request, Mapping):
        wanted: dict[str, list[Any]] = {
            name: [rule] if isinstance(rule, str) else list(rule) for name, rule in request.items()
        }
    else:
        wanted = _parsed([request] if isinstance(request, str) else request)
    found: Groups = {}
    for name, rules in wanted.items():
        members = [i for rule in rules for i in _matching(name, rule, names)]
        found[name] = tuple(sorted(set(members)))
    _check_apart(found, names)
    return found


def one_hot_groups(X: Float[np.ndarray, "rows inputs"], names: Sequence[str]) -> Groups:
    """Two or more columns of zeros and ones with exactly one 1 in every row, and with a common name.

    The name is what stands before the last separator (`_ = : . -` or a blank) in each, as encoders write it. Groups
    whose columns never change tell nothing and are left out.
    """
    X = np.asarray(X, dtype=np.float64)
    stem = [_stem(name) for name in names]
    binary = ((X == 0) | (X == 1)).all(axis=0) if len(X) else np.zeros(len(names), dtype=bool)
    found: Groups = {}
    for word in dict.fromkeys(stem):
        members = [i for i in range(len(names)) if stem[i] == word and binary[i]]
        if word and len(members) > 1 and (X[:, members].sum(axis=1) == 1).all() and np.ptp(X[:, members], axis=0).any():
            found[word] = tuple(members)
    return found


def group_sums(
    phi: Float[np.ndarray, "rows outputs inputs"], names: Sequence[str], groups: Groups
) -> tuple[Float[np.ndarray, "rows outputs columns"], tuple[str, ...]]:
    """Values with each group's features replaced by their sum, at the place of the first, and the columns' names.

    Right for values and, taken by themselves, for lower and for upper bounds. Not for standard errors: those of a sum
    hang on how its terms vary together, so `estimate_values` takes the groups and sums every pair of orders first.
    Raises DataError where a group would get the name of another column.
    """
    _check_apart(groups, names)
    first = {members[0]: (name, members) for name, members in groups.items()}
    grouped = {i for members in groups.values() for i in members}
    columns, titles = [], []
    for i, name in enumerate(names):
        if i in first:
            columns.append(phi[:, :, list(first[i][1])].sum(axis=2))
            titles.append(first[i][0])
        elif i not in grouped:
            columns.append(phi[:, :, i])
            titles.append(name)
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise DataError(f"a group is called {twice[0]!r}, as a feature outside it; give the group another name")
    return np.stack(columns, axis=2), tuple(titles)


def group_interactions(
    found: Float[np.ndarray, "rows outputs inputs inputs"], names: Sequence[str], groups: Groups
) -> tuple[Float[np.ndarray, "rows outputs columns columns"], tuple[str, ...]]:
    """Interaction values between groups, and features outside them: sums over all pairs of members.

    A group with itself gets what its members do alone and with one another, so a row of the matrix still sums to the
    group's value.
    """
    members, titles = group_sums(np.eye(len(names))[:, None], names, groups)
    return np.einsum("roij,ic,jd->rocd", found, members[:, 0], members[:, 0], optimize=True), titles


def group_data(
    X: Float[np.ndarray, "rows inputs"], names: Sequence[str], groups: Groups
) -> dict[str, list[str]]:
    """What stands for each group's features, row by row: the name of the one that is 1 where all others are 0.

    Elsewhere the features' values, as text.
    """
    told: dict[str, list[str]] = {}
    for name, members in groups.items():
        values = X[:, list(members)]
        one_hot = ((values == 0) | (values == 1)).all(axis=1) & (values.sum(axis=1) == 1)
        told[name] = [
            names[members[row.argmax()]] if is_one else ", ".join(f"{value:g}" for value in row)
            for row, is_one in zip(values, one_hot.tolist(), strict=True)
        ]
    return told


def _parsed(lines: Sequence[str]) -> dict[str, list[Any]]:
    wanted: dict[str, list[Any]] = {}
    for line in lines:
        name, sign, rules = line.partition("=")
        patterns = [rule.strip() for rule in rules.split(",") if rule.strip()]
        if not (sign and name.strip() and patterns):
            raise DataError(f"{line!r} is no group; write its name, =, and features or patterns: kind=kind_*")
        if name.strip() in wanted:
            raise DataError(f"group {name.strip()!r} is given twice; put its features into one")
        wanted[name.strip()] = patterns
    return wanted


def _matching(group: str, rule: str | int, names: Sequence[str]) -> list[int]:
    """The feature of this number, those of this very name, or those that the pattern fits."""
    if not isinstance(rule, str):
        return [int(rule)]
    found = [i for i, name in enumerate(names) if name == rule]
    found = found or [i for i, name in enumerate(names) if fnmatchcase(name, rule)]
    if not found:
        few = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise DataError(f"group {group!r}: no feature is called {rule!r}; the features are {few}")
    return found


def _check_apart(groups: Groups, names: Sequence[str]) -> None:
    owner: dict[int, str] = {}
    for group, members in groups.items():
        if not members:
            raise DataError(f"group {group!r} holds no feature")
        for i in members:
            if not 0 <= i < len(names):
                raise DataError(f"group {group!r} holds feature {i}: there are {len(names)}, counted from 0")
            if i in owner:
                raise DataError(f"feature {names[i]!r} is in two groups, {owner[i]!r} and {group!r}; put it into one")
            owner[i] = group


def _stem(name: str) -> str:
    """What stands before the last separator; nothing where there is none."""
    at = max(name.rfind(mark) for mark in "_=:.- ")
    return name[:at].rstrip("_=:.- ") if at > 0 else ""
