"""What commands print: results on stdout, words on stderr, and JSON that every parser reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import click

from relu_shallow.errors import printable


def print_json(report: Mapping[str, Any]) -> None:
    """Prints one JSON object on stdout."""
    import json

    click.echo(json.dumps(plain(report), allow_nan=False))


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays become lists, and NaN and infinity, which JSON lacks, null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):  # an array, or a number of numpy's
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_aligned(lines: Sequence[tuple[str, object]]) -> None:
    """Prints names and values in two columns."""
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(f"{name:<{width}}  {printable(str(value))}")


def say(message: str) -> None:
    """A word to the user, on stderr."""
    click.echo(f"relu-shallow: {printable(message)}", err=True)


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 region, 1,266 regions."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
