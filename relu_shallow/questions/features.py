"""Features as people name them: by name, or by number from 0."""

from __future__ import annotations

from collections.abc import Sequence

from relu_shallow.errors import UsageError

SHOWN = 12  # names in a message


def feature_number(feature: int | str, names: Sequence[str]) -> int:
    """The number of a feature given by name or number; raises UsageError with the names there are."""
    if isinstance(feature, str) and feature in names:
        return list(names).index(feature)
    text = str(feature)
    if text.isdecimal() and len(text) < 10 and int(text) < len(names):
        return int(text)
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise UsageError(f"there is no feature {text!r:.60}; the features are {shown} (or a number from 0)")


def feature_numbers(features: Sequence[int | str], names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of several features."""
    return tuple(feature_number(feature, names) for feature in features)
