"""Tables and pages that commands write: a table to the file of -o, or as CSV to stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from relu_shallow.data import DataTable

PAGES = (".html", ".htm")


def check_table_target(out: str | None, as_json: bool) -> None:
    """Raises, before any work, where a table could not be written as asked."""
    from relu_shallow.atomic import check_writable
    from relu_shallow.data import WRITERS
    from relu_shallow.errors import OutputError

    if out is None:
        if as_json:
            raise click.UsageError("--json prints on stdout, so say with -o where the table goes")
        return
    if check_writable(out).suffix.lower() not in WRITERS:
        raise OutputError(f"{out}: tables are written as {', '.join(WRITERS)}; choose one of these endings")


def check_page_target(html: str) -> Path:
    """The path of a page, after the same checks."""
    from relu_shallow.atomic import check_writable
    from relu_shallow.errors import OutputError

    if Path(html).suffix.lower() not in PAGES:
        raise OutputError(f"{html}: a page is written as {' or '.join(PAGES)}; choose one of these endings")
    return check_writable(html)


def put_table(out: str | None, names: Sequence[str], columns: Sequence[Any]) -> None:
    """Writes named columns to the file, or as CSV to stdout."""
    from relu_shallow.data import write_csv, write_table

    if out is None:
        write_csv(sys.stdout, names, columns)
    else:
        write_table(Path(out), names, columns)


def say_how_matched(table: DataTable, feature_names: Sequence[str]) -> None:
    """Says on stderr where named columns are taken by position."""
    from relu_shallow.cli.output import say
    from relu_shallow.data import position_note

    note = position_note(table, feature_names)
    if note:
        say(note)
