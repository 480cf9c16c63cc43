"""Compares the search with exact rational arithmetic on random small networks of the kinds that break enumerators.

    python scripts/hard_networks.py --count 10000 --workers 2
    python scripts/hard_networks.py --one "an ulp apart" "thin box" 4711
    python scripts/hard_networks.py --table --write

Each network is searched and, independently, cut up by the reference of tests/rational.py (exact integers, no linear
programs); the two lists must agree pattern for pattern, and every witness of a list that is not `uncertified` must have
its region's pattern exactly. Exit status 1 where they do not, with the line that repeats the case. --table measures the
named networks of hard_cases.py beside relucent and adds the random run; with --write into docs/hard-networks.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from hard import DOMAINS, KINDS, domain, layers  # noqa: E402
from rational import pattern, regions  # noqa: E402

from relu_shallow.domain import Box, Polytope, WholeSpace  # noqa: E402
from relu_shallow.errors import DomainError  # noqa: E402
from relu_shallow.network import from_layers  # noqa: E402
from relu_shallow.regions.search import enumerate_regions  # noqa: E402

SIZES = ((9, 3), (12, 3), (16, 4), (12, 4), (9, 2), (20, 2))  # (neurons, inputs) at most
AT_ONCE = 500  # networks handed to the processes at a time
SAY_EVERY = 10.0  # seconds


@dataclass(frozen=True)
class Sample:
    """One network on one domain, by the names and the number that make it again."""

    kind: str
    domain: str
    seed: int

    def __str__(self) -> str:
        return f'--one "{self.kind}" "{self.domain}" {self.seed}'


@dataclass(frozen=True)
class Outcome:
    """What came of a sample: the reference's count, the search's effort and level, and what is wrong ("" if nothing).

    A domain without interior that both refuse has no regions and the level "refused".
    """

    sample: Sample
    regions: int
    exact: int
    level: str
    wrong: str


def compare(sample: Sample) -> Outcome:
    """Searches a sample's network and compares the list with the reference's."""
    r = np.random.default_rng(sample.seed)
    size, workers = SIZES[r.integers(len(SIZES))], int(r.integers(1, 3))
    pairs = layers(sample.kind, sample.seed, *size)
    box, half_spaces = domain(sample.domain, sample.seed, pairs[0][0].shape[1])
    expected = regions(pairs, box, half_spaces)
    try:
        found = enumerate_regions(from_layers(pairs), as_domain(box, half_spaces), workers=workers)
    except DomainError as refusal:
        wrong = f"refused, but {len(expected)} regions: {refusal}" if expected else ""
        return Outcome(sample, 0, 0, "refused", wrong)
    listed = [tuple(row) for row in found.patterns.astype(int).tolist()]
    wrong = _difference(listed, expected, found.complete)
    if not wrong and found.level != "uncertified":
        points = [found.exact_witnesses.get(number, x) for number, x in enumerate(found.witnesses)]
        false = sum(pattern(pairs, x) != bits for x, bits in zip(points, listed, strict=True))
        wrong = f"{false} witnesses have another pattern" if false else ""
    return Outcome(sample, len(expected), found.certificate.exact, found.level, wrong)


def _difference(listed: Sequence[tuple[int, ...]], expected: set[tuple[int, ...]], complete: bool) -> str:
    if complete and len(listed) == len(expected) and set(listed) == expected:
        return ""
    missing, false = len(expected - set(listed)), len(set(listed) - expected)
    twice = len(listed) - len(set(listed))
    return f"{len(expected)} regions, {missing} missing, {false} false, {twice} twice" + (", partial" * (not complete))


def as_domain(box, half_spaces) -> Box | Polytope | WholeSpace:
    """The package's domain of what `hard.domain` gives."""
    if box:
        lo, hi = zip(*box, strict=True)
        return Box(np.array(lo), np.array(hi))
    if len(half_spaces):
        rows = np.asarray(half_spaces)
        return Polytope(rows[:, :-1], rows[:, -1])
    return WholeSpace()


def samples(count: int, seed: int, kinds: Sequence[str], domains: Sequence[str]) -> Iterator[Sample]:
    """`count` samples that go through all kinds on all domains in turn."""
    for index in range(count):
        kind, where = kinds[index % len(kinds)], domains[index // len(kinds) % len(domains)]
        yield Sample(kind, where, seed * 1_000_000 + index)


def outcomes(given: Iterable[Sample], workers: int) -> Iterator[Outcome]:
    """The outcome of every sample, on so many processes; an error of any sort is an outcome too."""
    waiting = list(given)
    with ProcessPoolExecutor(workers) as pool:
        for start in range(0, len(waiting), AT_ONCE):
            part = waiting[start : start + AT_ONCE]
            futures: list[Future[Outcome]] = [pool.submit(compare, sample) for sample in part]
            for sample, future in zip(part, futures, strict=True):
                error = future.exception()
                yield future.result() if error is None else Outcome(sample, 0, 0, "failed", repr(error))


def run(given: Sequence[Sample], workers: int) -> list[Outcome]:
    """All outcomes, with a line of progress now and then, and one for each disagreement at once."""
    done: list[Outcome] = []
    began = told = time.monotonic()
    for outcome in outcomes(given, workers):
        done.append(outcome)
        if outcome.wrong:
            print(f"DISAGREEMENT {outcome.sample}: {outcome.wrong}", flush=True)
        if time.monotonic() - told > SAY_EVERY:
            told = time.monotonic()
            wrong = sum(bool(other.wrong) for other in done)
            print(f"{len(done)} of {len(given)} networks after {told - began:.0f} s, {wrong} disagreements",
                  file=sys.stderr, flush=True)  # fmt: skip
    return done


def table(done: Sequence[Outcome], by: str) -> str:
    """Markdown: a line for each kind of network or of domain ("kind" or "domain"), and their sum."""
    lines = [
        f"| {by} | networks | regions | decided exactly | uncertified | refused | disagreements |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    names = list(dict.fromkeys(getattr(outcome.sample, by) for outcome in done))
    groups = [(name, [outcome for outcome in done if getattr(outcome.sample, by) == name]) for name in names]
    for name, group in [*groups, ("all", list(done))]:
        levels = Counter(outcome.level for outcome in group)
        cells = [len(group), sum(o.regions for o in group), sum(o.exact for o in group), levels["uncertified"],
                 levels["refused"], sum(bool(o.wrong) for o in group)]  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    return "\n".join(lines)


def summary(done: Sequence[Outcome], seed: int, seconds: float) -> str:
    """One line: the seed, the time, and how many lists have which level."""
    levels = ", ".join(f"{count:,} {level}" for level, count in sorted(Counter(o.level for o in done).items()))
    wrong = sum(bool(outcome.wrong) for outcome in done)
    return f"seed {seed}, {seconds:.0f} s: {levels}; {wrong} disagreements"


def main() -> int:
    given = _arguments()
    if given.table:
        from hard_table import write_page

        return write_page(given)
    if given.one:
        kind, where, seed = given.one
        chosen = [Sample(kind, where, int(seed))]
    else:
        chosen = list(samples(given.count, given.seed, given.kinds or KINDS, given.domains or DOMAINS))
    began = time.monotonic()
    done = run(chosen, given.workers)
    print(f"{table(done, 'kind')}\n\n{table(done, 'domain')}\n")
    print(summary(done, given.seed, time.monotonic() - began))
    return int(any(outcome.wrong for outcome in done))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="how many networks (10,000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other networks (0)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, metavar="KIND", help="only these kinds of network")
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, metavar="DOMAIN", help="only these kinds of domain")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "DOMAIN", "SEED"), help="repeat one case")
    parser.add_argument("--table", action="store_true", help="measure the named hard networks instead")
    parser.add_argument("--write", action="store_true", help="with --table: into docs/hard-networks.md")
    parser.add_argument("--relucent-python", default="", help="with --table: the Python that can import relucent")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
