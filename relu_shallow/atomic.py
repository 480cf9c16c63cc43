"""Outputs that are either the old file or the new one, never half of one, and never one of the inputs."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from relu_shallow.errors import OutputError

AnyPath = str | os.PathLike[str]

_waiting: ContextVar[list[tuple[Path, Path]] | None] = ContextVar("_waiting", default=None)  # of `all_or_none`


def check_writable(path: AnyPath) -> Path:
    """The path, after making and removing a file beside it, before any long work; raises OutputError."""
    target = Path(path)
    if not target.parent.is_dir():
        raise OutputError(f"the output folder {target.parent} does not exist; create it first")
    try:
        if target.is_dir():
            raise OutputError(f"the output {target} is a folder; name a file in it")
        if target.exists() and not target.is_file():
            raise OutputError(f"the output {target} is not an ordinary file; name one that can be replaced")
        _temporary(target).unlink()
    except OSError as error:
        raise OutputError(f"the output {target} cannot be written: {error.strerror or error}") from error
    return target


def check_apart(outputs: Mapping[str, AnyPath | None], inputs: Mapping[str, AnyPath | None]) -> None:
    """Raises OutputError where an output would replace an input or another output; keys say what each path is."""
    before = dict(inputs)
    for what, path in outputs.items():
        for other, taken in before.items():
            if path is not None and taken is not None and _same(Path(path), Path(taken)):
                raise OutputError(f"{what}, {path}, is {other} itself; name another file")
        before[what] = path


@contextmanager
def replacing(path: AnyPath) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` only if the block ends without an error.

    The temporary name keeps the ending, so that writers which look at it behave as for the target.
    """
    target = check_writable(path)
    waiting = _waiting.get()
    temporary = _temporary(target)
    try:
        yield temporary
        _settle(temporary)
        if waiting is None:
            temporary.replace(target)
        else:
            waiting.append((temporary, target))
    except OSError as error:
        raise OutputError(f"{target} could not be written: {error.strerror or error}; "
                          "nothing that was there before has changed") from error  # fmt: skip
    finally:
        if waiting is None or (temporary, target) not in waiting:
            temporary.unlink(missing_ok=True)


@contextmanager
def all_or_none() -> Iterator[None]:
    """A block in which every `replacing` waits for the block's end, and none takes effect where it fails."""
    waiting: list[tuple[Path, Path]] = []
    token = _waiting.set(waiting)
    try:
        yield
        for temporary, target in waiting:
            try:
                temporary.replace(target)
            except OSError as error:
                raise OutputError(f"{target} could not be written: {error.strerror or error}") from error
    finally:
        _waiting.reset(token)
        for temporary, _ in waiting:
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: AnyPath) -> Iterator[None]:
    """A block in which no other process is in such a block on the same file; raises OutputError where one is.

    The lock goes with the process, however that ends. Where the system has no such locks, nothing is checked.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"another process is writing into {Path(path).parent}; let it end first") from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise OutputError(f"{Path(path).parent} cannot be locked: {error.strerror}") from error
        yield


def _opened(path: AnyPath) -> IO[bytes]:
    """The file, opened for writing, which network file systems want of who locks it."""
    try:
        return Path(path).open("r+b")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _settle(temporary: Path) -> None:
    """Brings the content to the disk and gives the file the permissions of any new file."""
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    set_usual_mode(temporary, 0o666)


def set_usual_mode(path: Path, mode: int) -> None:
    """Gives what was made for one's own eyes the permissions of anything new."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(mode & ~umask)


def _temporary(target: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    return Path(name)


def _same(one: Path, other: Path) -> bool:
    """Whether two paths name one file, there or not yet."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()
