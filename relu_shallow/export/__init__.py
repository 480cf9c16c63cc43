"""A shallow network written in forms that other programs read: a form and an ending choose the writer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relu_shallow.atomic import check_writable, replacing
from relu_shallow.errors import OutputError
from relu_shallow.export.literal import write_pt2
from relu_shallow.export.parquet import write_parquet
from relu_shallow.export.table import write_csv, write_json, write_npz
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork

Writer = Callable[[Any, Path], None]

FORMS: dict[str, dict[str, Writer]] = {
    "table": {".npz": write_npz, ".json": write_json, ".csv": write_csv, ".parquet": write_parquet},
    "literal": {".pt2": write_pt2},
}
STREAMED = (".csv", ".parquet")  # those that take a list of any length


def export_shallow(
    shallow: ShallowNetwork | StoredNetwork, path: str | os.PathLike[str], form: str | None = None
) -> None:
    """Writes the form that is named, or that the path's ending stands for; raises OutputError where it cannot."""
    writer = choose_writer(path, form, streamed=isinstance(shallow, StoredNetwork))
    with replacing(path) as temporary:
        writer(shallow, temporary)


def choose_writer(path: str | os.PathLike[str], form: str | None = None, *, streamed: bool = False) -> Writer:
    """The writer of a form to a path, `streamed` from a folder of regions.

    Raises OutputError where they do not go together or nothing can be written.
    """
    ending = check_writable(path).suffix.lower()
    fitting = {name: writers[ending] for name, writers in FORMS.items() if ending in writers}
    if streamed and fitting and ending not in STREAMED:
        raise OutputError(
            f"a folder of regions cannot be written to {Path(path).name}, which would hold all regions at once; "
            f"write a table as {' or '.join(STREAMED)}, or convert to a file"
        )
    if form is None and fitting:
        return next(iter(fitting.values()))
    if form in fitting:
        return fitting[form]
    known = "; ".join(f"{name} as {', '.join(writers)}" for name, writers in FORMS.items())
    what = f"the form {form!r}" if form else "a network"
    raise OutputError(f"{what} cannot be written to {Path(path).name}; there are: {known}")
