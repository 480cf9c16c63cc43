"""The command line: one thin file per command. Nothing heavy is imported here, so that signals are heard at once."""

from __future__ import annotations

import os
import signal
import sys
from types import TracebackType
from typing import NoReturn

DONE, NO, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143  # the exit statuses


class Termination(KeyboardInterrupt):
    """SIGTERM, which ends a command in the way of Ctrl-C: what is half done is removed."""


def main() -> NoReturn:
    """The program `relu-shallow`."""
    sys.excepthook = report_defect
    signal.signal(signal.SIGTERM, _terminate)
    _open_standard_streams()
    from relu_shallow.cli.program import command_line

    command_line.main(prog_name="relu-shallow")
    raise AssertionError  # main exits


def interrupted(stop: KeyboardInterrupt) -> int:
    """The exit status after an interruption, of which it tells the user."""
    told = "interrupted; files are as they were before, and a folder of regions keeps what was found"
    line = "\n" * sys.stderr.isatty() + f"relu-shallow: {told}\n"
    sys.stderr.write(line)
    return TERMINATED if isinstance(stop, Termination) else INTERRUPTED


def report_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Shows an error that nobody foresaw, with its traceback, and exits 2: a status of 1 would read as an answer."""
    stop = _interruption(error)
    if stop is not None:
        sys.exit(interrupted(stop))
    sys.__excepthook__(kind, error, trace)
    sys.stderr.write("relu-shallow: this is a defect of relu-shallow, not of your input; please report it\n")
    sys.exit(BAD_INPUT)


def _interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interruption that an error is or comes from: a library stopped amid its import may raise another error."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise Termination


def _open_standard_streams() -> None:
    """Gives a standard stream that the caller closed the null device, or the next file opened would take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
