"""Data tables: named columns of finite numbers, read from CSV, Parquet or .npy, and tables written back."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, TextIO

import numpy as np
from jaxtyping import Float

from relu_shallow.atomic import replacing
from relu_shallow.errors import DataError, MissingExtra, OutputError

LONGEST_NAME = 60  # characters of a column's name that a message shows
MOST_COLUMNS = 100_000
INDEX = "Unnamed: 0"  # what pandas calls the first column on reading a file that it wrote with its index
FREE_CELLS, CELLS_PER_BYTE = 1 << 24, 64  # of a Parquet file, which says one value a million times in a few bytes
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-f]+", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class DataTable:
    """A table of numbers with a name and, where a cell is no finite number, the first such fault of each column.

    Cells at fault hold NaN, so that a column of text that nobody asks for does no harm. `named` says whether the
    names are the file's own; without a header columns are called "0", "1", ... and are only matched by position.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "rows cols"]
    faults: tuple[str, ...] = ()
    named: bool = True

    @property
    def X(self) -> Float[np.ndarray, "rows cols"]:
        """All columns; raises DataError where one holds text, NaN or infinity."""
        return _numbers(self, range(len(self.names)))


# --- choosing columns -------------------------------------------------------------------------------------------


def read_table(
    path: str | os.PathLike[str], *, no_header: bool = False, columns: Sequence[str] = (), drop: Sequence[str] = (),
    spare: bool = False,
) -> DataTable:
    """The table of a CSV (comma, semicolon or tab), Parquet or .npy file, with columns chosen or dropped by name.

    With `spare` the columns to drop need not be there. Raises DataError where the file is missing, damaged, or has no
    header (unless `no_header`), MissingExtra where Parquet's package is not installed.
    """
    source = Path(path)
    if source.exists() and not (source.is_file() or source.is_dir()):  # a device or pipe may never end
        raise DataError(f"{source} is not an ordinary file; copy the data into one")
    reader = READERS.get(source.suffix.lower())
    if reader is None:
        raise DataError(f"{source.name} is not a data table by its ending; supported: {', '.join(READERS)}")
    try:
        table = reader(source, no_header)
    except OSError as error:
        raise DataError(f"the data file {source} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a null character in the path
        raise DataError(f"the data file {str(source)!r} cannot be read: {error}") from error
    if not len(table.values):
        raise DataError(f"{source.name} holds no rows of data")
    if not spare:
        _check_known(table, drop, "--drop")
    kept = _select(table, [i for i, name in enumerate(table.names) if name not in drop])
    _check_known(kept, columns, "--columns")
    twice = sorted(name for name, times in Counter(columns).items() if times > 1)
    if twice:
        raise DataError(f"--columns names {_listed(twice)} more than once; a column is taken once")
    return _select(kept, [kept.names.index(name) for name in columns]) if columns else kept


def frame_table(frame: Any) -> DataTable:
    """The table of a data frame (pandas, polars): anything with `.columns` whose columns become arrays."""
    names = tuple(str(name) for name in frame.columns)
    if len(set(names)) != len(names):
        raise DataError("column names of the data frame must differ from one another")
    return table_of(names, [np.asarray(frame[name]).tolist() for name in frame.columns])


def table_of(names: tuple[str, ...], columns: Sequence[Sequence[Any]]) -> DataTable:
    """The table of named columns of cells, numbers or text."""
    return _table(names, columns)


def match_columns(table: DataTable, feature_names: Sequence[str]) -> Float[np.ndarray, "rows inputs"]:
    """The columns that a network with these feature names takes, in its order.

    By name where all names are there (see `columns_by_name`; other columns are then left out), else by position and
    count, but never so that a column of a known name is read as another feature, nor beside columns that are matched
    by name where the network has names of its own. Raises DataError where there is no such match.
    """
    by_name = columns_by_name(table, feature_names)
    if by_name is not None:
        return _numbers(table, by_name)
    own = {folded(name) for name in feature_names}
    there = {folded(name) for name in table.names} if table.named else set()
    missing = _listed([name for name in feature_names if folded(name) not in there] or feature_names)
    if len(table.names) != len(feature_names):
        raise DataError(
            f"the data has {len(table.names)} columns but the network takes {len(feature_names)}"
            + (f", and of these it lacks {missing}" if table.named else "")
            + (f"; {_INDEX_TOLD}" if has_index(table) else
               "; choose columns with --columns, or leave some out with --drop")
        )  # fmt: skip
    if has_index(table):
        raise DataError(f"the data lacks {missing}, and is not taken by position: {_INDEX_TOLD}")
    pairs = zip(table.names, feature_names, strict=True)
    moved = [name for name, feature in pairs if folded(name) in own and folded(name) != folded(feature)]
    if table.named and moved:
        raise DataError(
            f"the data lacks {missing}, and taken by position {_listed(moved)} would be read as another feature; "
            "rename the columns, or put them in order with --columns"
        )
    if own & there and not numbered(feature_names):
        raise DataError(
            f"the data lacks {missing} of the network's features, but has others of them by name; rename the columns"
        )
    return table.X


def columns_by_name(table: DataTable, feature_names: Sequence[str]) -> list[int] | None:
    """The positions of the columns with these names; None where not every name has exactly one column.

    Where no column has the very name, capitals and blanks around it do not count.
    """
    if not table.named:
        return None
    if set(feature_names) <= set(table.names):
        return [table.names.index(name) for name in feature_names]
    columns = [folded(name) for name in table.names]
    wanted = [folded(name) for name in feature_names]
    if len(set(wanted)) < len(wanted) or any(columns.count(name) != 1 for name in wanted):
        return None
    return [columns.index(name) for name in wanted]


_INDEX_TOLD = (
    f"its first column {INDEX!r} looks like the index that pandas writes before the data; leave it out with "
    f"--drop {INDEX!r}, or write the file with index=False"
)


def has_index(table: DataTable) -> bool:
    """Whether the table seems to begin with the index of the data frame it comes from, which is no feature."""
    return table.named and table.names[:1] == (INDEX,)


def position_note(table: DataTable, feature_names: Sequence[str]) -> str:
    """A sentence for the user where named columns are taken by position for features of other names; else ""."""
    known = set(map(folded, table.names)) & set(map(folded, feature_names))
    if known or not table.named or numbered(feature_names) or len(table.names) != len(feature_names):
        return ""
    return (
        f"no column has the name of a feature, so columns are taken by position: {_listed(table.names)} "
        f"as {_listed(feature_names)}"
    )


def numbered(feature_names: Sequence[str]) -> bool:
    """Whether the names are those that a network without names gets: x0, x1, ..."""
    return list(feature_names) == [f"x{i}" for i in range(len(feature_names))]


def folded(name: str) -> str:
    """The name as it is compared where capitals and blanks around it do not count."""
    return name.strip().casefold()


def _check_known(table: DataTable, names: Sequence[str], option: str) -> None:
    unknown = [name for name in names if name not in table.names]
    if unknown:
        raise DataError(f"{option}: there is no column {_listed(unknown)}; the columns are {_listed(table.names)}")


def _select(table: DataTable, keep: Sequence[int]) -> DataTable:
    faults = tuple(table.faults[i] for i in keep) if table.faults else ()
    return DataTable(tuple(table.names[i] for i in keep), table.values[:, list(keep)], faults, table.named)


def _numbers(table: DataTable, keep: Sequence[int]) -> Float[np.ndarray, "rows inputs"]:
    """The given columns; raises DataError with the first fault among them."""
    for i in keep:
        if table.faults and table.faults[i]:
            raise DataError(f"{table.faults[i]}; every value must be a finite number, encoded as the network expects")
    return np.ascontiguousarray(table.values[:, list(keep)])


def _listed(names: Iterable[str], most: int = 12) -> str:
    shown = [repr(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "...") for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


# --- reading ----------------------------------------------------------------------------------------------------


def _table(names: tuple[str, ...], columns: Sequence[Sequence[Any]], named: bool = True) -> DataTable:
    """The table of columns of cells, text or numbers, with each column's first fault."""
    parsed = [_parse(name, cells) for name, cells in zip(names, columns, strict=True)]
    rows = len(columns[0]) if columns else 0
    values = np.column_stack([column for column, _ in parsed]) if parsed else np.empty((rows, 0))
    return DataTable(names, values, tuple(fault for _, fault in parsed), named)


def _parse(name: str, cells: Sequence[Any]) -> tuple[Float[np.ndarray, " rows"], str]:
    """One column as float64 (NaN where no finite number) and a sentence about its first bad cell, if any."""
    try:
        column = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        doubtful = "_" in "".join(cell for cell in cells if isinstance(cell, str))  # float() reads 1_000
    except (TypeError, ValueError, OverflowError):
        doubtful = True
    if doubtful:
        column = np.array([_number(cell) for cell in cells], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(column))
    if not len(bad):
        return column, ""
    shown = str(cells[bad[0]]).strip()
    held = f"holds {shown[:40]!r}, which is not a finite number" if shown and cells[bad[0]] is not None else "is empty"
    return column, f"row {bad[0]} of the data (counted from 0), column {name!r}, {held}"


def _number(cell: Any) -> float:
    """The cell as a float, NaN where it is none; Python's own 1_000 is no number in a table."""
    try:
        return math.nan if isinstance(cell, str) and "_" in cell else float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _read_csv(path: Path, no_header: bool) -> DataTable:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text (byte {error.start}); save it as UTF-8 CSV") from error
    first = text.split("\n", 1)[0]
    # Semicolons and tabs are separators only where the first line holds no comma: decimal commas then stay text.
    try:
        separator = next((m for m in (",", ";", "\t") if len(next(csv.reader([first], delimiter=m), [])) > 1), ",")
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"{path.name} is not a readable CSV file: {error}") from error
    while lines and not any(cell.strip() for cell in lines[-1]):
        lines.pop()
    if not lines:
        raise DataError(f"{path.name} is empty")
    header = [cell.strip() for cell in lines[0]]
    _check_columns(path, len(header))
    if len(header) > 1 and not header[0] and INDEX not in header and not any(map(_no_name, header[1:])):
        header[0] = INDEX
    if not no_header:
        _check_header(path, header)
    names = tuple(str(i) for i in range(len(header))) if no_header else tuple(header)
    rows = lines if no_header else lines[1:]
    _check_names(path, names)
    ragged = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if ragged is not None:
        raise DataError(f"row {ragged} of {path.name} (counted from 0) has {len(rows[ragged])} cells, not {len(names)}")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return _table(names, columns, named=not no_header)


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Raises DataError where the first line may be data: it would be lost as names."""
    odd = next((cell for cell in header if _no_name(cell)), None)
    if odd is None:
        return
    held = f"holds {odd!r}, which reads as a number" if odd else "has an empty cell"
    raise DataError(
        f"the first line of {path.name} {held}, so the file seems to have no header; if so, say --no-header "
        "(no_header=True); if it is a header, give each column a name that is no number"
    )


def _no_name(cell: str) -> bool:
    return not cell or _like_number(cell)


def _like_number(cell: str) -> bool:
    """Whether a cell is a number as somebody writes one: also NaN, 1_000, 0x1F, a decimal comma or a long minus."""
    plain = cell.replace("\u2212", "-").replace(",", ".")
    try:
        float(plain)
    except ValueError:
        return _HEXADECIMAL.fullmatch(plain) is not None
    return True


def _check_columns(path: Path, count: int) -> None:
    if count > MOST_COLUMNS:
        raise DataError(f"{path.name} has {count} columns; at most {MOST_COLUMNS} are read")


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise DataError(f"{path.name} has more than one column called {_listed(twice)}; give each its own name")


def _read_parquet(path: Path, no_header: bool) -> DataTable:
    del no_header  # Parquet always names its columns
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet", "reading Parquet") from error
    try:
        file = pq.ParquetFile(path)
        about = file.metadata
        _check_columns(path, about.num_columns)
        if about.num_rows * about.num_columns > FREE_CELLS + CELLS_PER_BYTE * path.stat().st_size:
            raise DataError(f"{path.name} claims {about.num_rows} rows of {about.num_columns} columns, which would "
                            "fill the memory; give it in parts, or as .npy")  # fmt: skip
        arrow = file.read()
    except (pa.ArrowException, ValueError, NotImplementedError, OverflowError) as error:
        raise DataError(f"{path.name} is not a readable Parquet file: {error}") from error
    own = [i for i, name in enumerate(arrow.column_names) if not name.startswith("__index_level_")]
    names = tuple(arrow.column_names[i] for i in own)
    _check_names(path, names)
    return _table(names, [arrow.column(i).to_pylist() for i in own])


def _read_npy(path: Path, no_header: bool) -> DataTable:
    del no_header  # an array has no names
    try:
        # The map refuses a header that promises more than the file holds before anything is allocated,
        # and arrays of Python objects, which would be unpickled.
        with np.errstate(over="ignore"), warnings.catch_warnings():  # of the product of its sizes, of an old header
            warnings.simplefilter("ignore")
            array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, TypeError, OverflowError, EOFError, SyntaxError, TokenError, RecursionError,
            MemoryError) as error:  # fmt: skip
        raise DataError(f"{path.name} is not a readable .npy file of numbers: {error}") from error
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(f"{path.name} holds an array of shape {array.shape} and type {array.dtype}; "
                        "a table needs rows and columns of real numbers")  # fmt: skip
    _check_columns(path, array.shape[1])
    with np.errstate(over="ignore"):
        values = np.array(array, dtype=np.float64)
    names = tuple(str(i) for i in range(values.shape[1]))
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        return DataTable(names, values, named=False)
    return _table(names, values.T.tolist(), named=False)


READERS: dict[str, Callable[[Path, bool], DataTable]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".npy": _read_npy,
}


# --- writing ----------------------------------------------------------------------------------------------------


def write_table(path: str | os.PathLike[str], names: Sequence[str], columns: Sequence[Any]) -> None:
    """Writes named columns (arrays or sequences of one length) as .csv, .parquet, .json or .npz, all or nothing."""
    target = Path(path)
    writer = WRITERS.get(target.suffix.lower())
    if writer is None:
        raise OutputError(f"{target.name}: tables are written as {', '.join(WRITERS)}; choose one of these endings")
    with replacing(target) as temporary:
        writer(temporary, names, columns)


def write_csv(stream: TextIO, names: Sequence[str], columns: Sequence[Any]) -> None:
    """Named columns as CSV: numbers in full precision, and text that a spreadsheet would run as a formula quoted.

    A text cell or name that begins with = + - @, tab or return gets an apostrophe before it, and control characters
    in it become spaces (the csv writer would leave a return bare, and a terminal obeys an escape); numbers are left
    alone.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_harmless(name) for name in names])
    writer.writerows(zip(*([_harmless(cell) for cell in _cells(column)] for column in columns), strict=True))


def json_number(value: Any) -> Any:
    """The value for JSON, which has no NaN or infinity: these become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cells(column: Any) -> list[Any]:
    return np.asarray(column).tolist()


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    runs = cell.startswith(("\t", "\r")) or cell.lstrip().startswith(("=", "+", "-", "@"))
    return "'" * runs + without_control(cell)


def without_control(text: str) -> str:
    """A text with spaces in place of control characters; tabs and line feeds, which a quoted cell may hold, stay."""
    return _CONTROL.sub(" ", text)


def _write_csv(path: Path, names: Sequence[str], columns: Sequence[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_csv(stream, names, columns)


def _write_parquet(path: Path, names: Sequence[str], columns: Sequence[Any]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet", "writing Parquet") from error
    pq.write_table(pa.table([pa.array(_cells(column)) for column in columns], names=list(names)), path)


def _write_json(path: Path, names: Sequence[str], columns: Sequence[Any]) -> None:
    rows = zip(*([json_number(cell) for cell in _cells(column)] for column in columns), strict=True)
    with path.open("w", encoding="utf-8") as stream:
        json.dump([dict(zip(names, row, strict=True)) for row in rows], stream, ensure_ascii=False, allow_nan=False)


def _write_npz(path: Path, names: Sequence[str], columns: Sequence[Any]) -> None:
    arrays: dict[str, Any] = {name: np.asarray(column) for name, column in zip(names, columns, strict=True)}
    write_arrays(path, arrays)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes named arrays as .npz through the zip format's own writer, so that any name is allowed."""
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)


WRITERS: dict[str, Callable[[Path, Sequence[str], Sequence[Any]], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".json": _write_json,
    ".npz": _write_npz,
}
