"""The page of hard networks: the named ones measured beside relucent, then what the random ones gave."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.cases import ROOT, MissingData
from benchmark.measure import ONE_THREAD, Settings, python_with_relucent
from benchmark.problem import Problem, write_problem
from benchmark.report import seconds, surroundings
from hard import DOMAINS, KINDS
from hard_cases import CASES, Hard
from hard_networks import run, samples, summary, table
from rational import regions

from relu_shallow.compilation import ensure_compiled
from relu_shallow.domain import Box, WholeSpace
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions

PAGE = ROOT / "docs" / "hard-networks.md"
LIMIT = 60.0  # seconds that relucent is given for each network
REPEAT_FOR, MOST_REPEATS = 0.2, 11  # a run shorter than these seconds is repeated, and the median taken
PATIENCE = 180.0  # seconds after which it is ended
MOST_SAID = 90  # characters of an error that are shown

HEAD = """\
# Hard networks

Duplicated, dead and parallel neurons, zero biases, regions thinner than the rounding of floats, weights from 1e-12 to
1e12, hyperplanes by the dozen through one point: here a tolerance of 1e-7 loses regions, and a test for non-empty
closed cells invents some. This page counts the regions of such networks and compares with what is true.

{about}

## By name

{named}

**True count.** *theorem*: known in closed form. *reference*: counted while this page was made by the reference of
`tests/rational.py`, which cuts cells in exact integers by the double description method and shares no code with the
package. *others*: from searches in floating point by other programs (of the NAV controller one found 1,098,995).

**relu-shallow.** One thread, after compilation, certification on (the default): seconds of CPU time, which other work
on the machine hardly lengthens, of the enumeration alone, the median of up to {repeats} where a run takes less than
{repeat_for:g} s. *Exact* is the number of decisions that floats left open and exact arithmetic settled; *level* is
what the result claims. Where the reference can count, the two lists are compared pattern for pattern; a count that is
not the true one is marked **wrong**.

**relucent.** The public package, version {version}, in an environment and a process of its own, one worker, its
defaults (its own verification on): seconds of CPU time of its search, which is stopped after {limit:g} s by the clock.
It knows boxes only around the origin, so it is given the network on the box scaled to [-1, 1]^d (that scaling rounds;
the boxes [-1, 1]^n and the whole space are left as they are); an input that the box fixes is put into the biases; and
it starts at a random point near the centre, because its own start, the origin, lies on a hyperplane of many of these
networks. What it says where it gives up is quoted; how far it comes before it is stopped depends on what else the
machine does (its load is above).

## At random

```sh
python scripts/hard_networks.py --count {count} --seed {seed}
```

{count:,} networks with up to 20 neurons and four inputs, every kind on every kind of domain in turn, each list compared
with the reference's pattern for pattern and each witness evaluated exactly. *Thin* is 1e-6 wide in one direction;
*flat* is a box that fixes inputs, whose regions are those of its own affine hull; a domain with *no interior* (empty,
or a flat polytope) must be *refused*. *Decided exactly* counts the decisions as above; *uncertified* the lists that
claim nothing.

{by_kind}

{by_domain}

{run}

The same comparison of every kind on every kind of domain, once each, runs with the tests
(`tests/regions/test_hard_networks.py`); theorems about regions are in `tests/regions/test_theorems.py`. What is left
after `kill -9`, on a full disk and without a worker is another question, which `scripts/faults.py --rounds 100` asks.
"""


def write_page(given: argparse.Namespace) -> int:
    """Measures everything and prints the page, or writes it; 1 where a count is not the true one."""
    python = python_with_relucent(given.relucent_python)
    settings = Settings((), 1, LIMIT, python)
    about = surroundings(_command(given), settings)
    lines, wrong = [], 0
    for case in CASES:
        cells, right = _line(case, python)
        wrong += not right
        lines.append(cells)
        print(" | ".join(cells), file=sys.stderr, flush=True)
    began = time.monotonic()
    done = run(list(samples(given.count, given.seed, KINDS, DOMAINS)), given.workers)
    wrong += sum(bool(outcome.wrong) for outcome in done)
    text = HEAD.format(
        about=about, named=_markdown(COLUMNS, lines), repeats=MOST_REPEATS, repeat_for=REPEAT_FOR,
        version=_version(python), limit=LIMIT, count=given.count, seed=given.seed, by_kind=table(done, "kind"),
        by_domain=table(done, "domain"), run=summary(done, given.seed, time.monotonic() - began).capitalize() + ".",
    )  # fmt: skip
    print(text)
    if given.write:
        PAGE.write_text(text)
    return int(wrong > 0)


COLUMNS = ("network", "true count", "known from", "relu-shallow", "seconds", "exact", "level", "relucent",
           "its seconds")  # fmt: skip


def _line(case: Hard, python: str) -> tuple[list[str], bool]:
    """A row of the table, and whether the count is right."""
    try:
        problem = case.problem()
    except MissingData:
        return [case.title, f"{case.count:,}" if case.count else "-", case.source, "no data", *["-"] * 5], True
    found, took = _search(problem)
    count, right = case.count, True
    if case.source in ("reference", "theorem"):
        box = list(zip(problem.lo, problem.hi, strict=True)) if problem.bounded else None
        expected = regions(problem.layers, box)
        right = set(map(tuple, found.patterns.astype(int).tolist())) == expected
        count = len(expected) if count is None else count
    right &= found.regions == count
    ours = f"{found.regions:,}" + ("" if right else " **wrong**")
    theirs, their_time = _relucent(problem, python)
    return [case.title, f"{count:,}", case.source, ours, seconds(took), f"{found.certificate.exact:,}", found.level,
            theirs, their_time], right  # fmt: skip


def _search(problem: Problem):
    """The partition, and the median of its seconds."""
    network = from_layers(problem.layers)
    domain = Box(problem.lo, problem.hi) if problem.bounded else WholeSpace()
    ensure_compiled(lambda message: None, bounded=problem.bounded)  # noqa: ARG005
    times: list[float] = []
    while not times or (sum(times) < REPEAT_FOR and len(times) < MOST_REPEATS):
        began = time.process_time()
        found = enumerate_regions(network, domain)
        times.append(time.process_time() - began)
    return found, statistics.median(times)


def _relucent(problem: Problem, python: str) -> tuple[str, str]:
    """What relucent counts or says, and its seconds."""
    if not python:
        return "not installed", "-"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        write_problem(problem, path)
        command = [python, str(Path(__file__).with_name("hard_relucent.py")), str(path), str(LIMIT)]
        status, out, err = _ended(command)
    if status is None:
        return f"did not stop within {PATIENCE:g} s", "-"
    if status:
        said = (err.strip().splitlines() or [f"status {status}"])[-1].rpartition("Error: ")
        kind = said[0].rpartition(".")[2] + "Error" * bool(said[1])
        text = said[2] if len(said[2]) <= MOST_SAID else said[2][:MOST_SAID].rpartition(" ")[0] + " .."
        return f"{kind}: {text}".replace("|", "/").removeprefix(": "), "-"
    answer = json.loads(out.splitlines()[-1])
    if answer["said"]:
        return f"{answer['regions']:,} so far", "stopped"
    verdict = "" if answer["complete"] else " (says it is not complete)"
    return f"{answer['regions']:,}{verdict}", seconds(answer["seconds"])


def _ended(command: list[str]) -> tuple[int | None, str, str]:
    """The status (None: had to be ended), stdout and stderr of a command; its own workers end with it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **ONE_THREAD}, start_new_session=True)  # fmt: skip
    try:
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        return None, "", ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _version(python: str) -> str:
    asked = "import importlib.metadata as m; print(m.version('relucent'))"
    return subprocess.run([python, "-c", asked], capture_output=True, text=True,
                          check=True).stdout.strip() if python else "(not installed)"  # fmt: skip


def _command(given: argparse.Namespace) -> str:
    options = ["--table", *(["--write"] if given.write else []), f"--count {given.count}", f"--seed {given.seed}"]
    return " ".join(["python scripts/hard_networks.py", *options])


def _markdown(head: tuple[str, ...], lines: list[list[str]]) -> str:
    rows = [list(head), ["---", "---:", "---", "---:", "---:", "---:", "---", "---", "---:"], *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
