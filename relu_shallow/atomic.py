"""Outputs that are either the old file or the new one, never half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relu_shallow.errors import OutputError


def check_writable(path: str | os.PathLike[str]) -> Path:
    """The path, after checking before any long work that a file can be made there; raises OutputError."""
    target = Path(path)
    if not target.parent.is_dir():
        raise OutputError(f"the output folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise OutputError(f"the output {target} is a folder; name a file in it")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"the output folder {target.parent} is not writable")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` only if the block ends without an error.

    The temporary name keeps the ending, so that writers which look at it behave as for the target.
    """
    target = check_writable(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{target} could not be written: {error.strerror or error}; "
                          "nothing that was there before has changed") from error  # fmt: skip
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
