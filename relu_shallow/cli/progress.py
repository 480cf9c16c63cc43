"""What the user sees on stderr during long work: a bar on a terminal, and once, past ten seconds, some advice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic

from relu_shallow.cli.output import count, say

PATIENCE = 0.5  # seconds before a bar appears: shorter work needs none
LONG = 10.0  # seconds before the user is told how to have less to wait for

SEARCH_ADVICE = (
    "how many there are in all is unknown. To look at less, narrow --domain (box:LO,HI or data:FILE); "
    "to stop with a usable partial list, give --max-regions or --time-limit"
)
FOLDER_ADVICE = (
    "all of these are on the disk, and a run that is stopped goes on with --resume. To know how many there are in "
    "all, ask: relu-shallow estimate"
)
PROOF_ADVICE = "the proof takes some milliseconds a region; without --proof the list is as certified, for this program"
EXPLAIN_ADVICE = "to stop after S seconds with what there is, give --time-limit S; for values at once --method local"


@contextmanager
def progress_of(noun: str, advice: str) -> Iterator[Callable[[int], None]]:
    """A function to tell the number of things done so far: it draws the bar, and advises once where it is long.

    The clock starts when it is first told: before that a compilation may run, which is announced by itself.
    """
    began: float | None = None
    told = False
    draw: Callable[[int], None] | None = None
    with ExitStack() as bar:

        def update(done: int) -> None:
            nonlocal began, told, draw
            began = monotonic() if began is None else began
            passed = monotonic() - began
            if not told and passed >= LONG:
                told = True
                say(f"{count(done, noun)} after {passed:.0f} s; {advice}")
            if draw is None and passed >= PATIENCE and sys.stderr.isatty():
                draw = bar.enter_context(_bar(noun))
            if draw is not None:
                draw(done)

        yield update


@contextmanager
def _bar(noun: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    began = monotonic()
    first: int | None = None
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("working", total=None)

        def draw(done: int) -> None:
            nonlocal first
            first = done if first is None else first
            rate = (done - first) / max(monotonic() - began, 0.1)
            progress.update(task, description=f"{count(done, noun)}, {rate:,.0f} a second")

        yield draw
