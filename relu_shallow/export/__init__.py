"""A shallow network written in forms that other programs read: a form and an ending choose the writer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from relu_shallow.atomic import check_writable, replacing
from relu_shallow.errors import OutputError
from relu_shallow.export.literal import write_pt2
from relu_shallow.export.table import write_csv, write_json, write_npz
from relu_shallow.shallow.table import ShallowNetwork

Writer = Callable[[ShallowNetwork, Path], None]

FORMS: dict[str, dict[str, Writer]] = {
    "table": {".npz": write_npz, ".json": write_json, ".csv": write_csv},
    "literal": {".pt2": write_pt2},
}


def export_shallow(shallow: ShallowNetwork, path: str | os.PathLike[str], form: str | None = None) -> None:
    """Writes the form that is named, or that the path's ending stands for; raises OutputError where it cannot."""
    writer = choose_writer(path, form)
    with replacing(path) as temporary:
        writer(shallow, temporary)


def choose_writer(path: str | os.PathLike[str], form: str | None = None) -> Writer:
    """The writer of a form to a path; raises OutputError where they do not go together or nothing can be written."""
    ending = check_writable(path).suffix.lower()
    fitting = {name: writers[ending] for name, writers in FORMS.items() if ending in writers}
    if form is None and fitting:
        return next(iter(fitting.values()))
    if form in fitting:
        return fitting[form]
    known = "; ".join(f"{name} as {', '.join(writers)}" for name, writers in FORMS.items())
    what = f"the form {form!r}" if form else "a network"
    raise OutputError(f"{what} cannot be written to {Path(path).name}; there are: {known}")
