"""One check of a verification, and those that several verifications report alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from relu_shallow.checks.closure import Closure
from relu_shallow.shallow.table import Completeness


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it holds, and the figures measured."""

    name: str
    ok: bool
    detail: str


def level_claimed(known: Completeness) -> Check:
    """Whether the level claimed is one that can be checked."""
    detail = f"{known.level}"
    if known.level == "certified":
        detail += f", by the search's own {sum(asdict(known.certificate).values())} decisions"
    return Check("level", not (known.level == "certified" and (known.certificate.open or not known.complete)), detail)


def of_modules(found: Sequence[Sequence[Check]]) -> list[Check]:
    """The checks of several modules, those of one name as one: it holds where all do, and tells of the first not to."""
    by_name: dict[str, list[tuple[int, Check]]] = {}
    for number, checks in enumerate(found):
        for check in checks:
            by_name.setdefault(check.name, []).append((number, check))
    return [_of_modules(name, of_name) for name, of_name in by_name.items()]


def _of_modules(name: str, found: list[tuple[int, Check]]) -> Check:
    failed = [(number, check) for number, check in found if not check.ok]
    number, check = failed[0] if failed else found[0]
    many = f"fails in {len(failed)} of {len(found)} modules" if failed else f"in each of {len(found)} modules"
    return Check(name, not failed, f"{many}; in module {number}: {check.detail}")


def settled(found: Closure, of: str, *, facets_too: bool, looked_for: int) -> Iterator[Check]:
    """What was proved of some regions, in words: that each is real and, with `facets_too`, that none is missing."""
    false = f"; the first is {found.false[0]}" if found.false else ""
    yield Check("each region is real, proved", not found.false,
                f"{len(found.false)} of {of} have a point that proves nothing{false}")  # fmt: skip
    if not facets_too:
        return
    missing = ""
    if found.missing:
        x = ", ".join(f"{float(v):.6g}" for v in next(iter(found.missing.values())))
        missing = f"; the first lies at ({x})"
    proved = not found.missing and not found.false and found.looked_at == looked_for
    seen = "" if found.looked_at == looked_for else f"; {found.looked_at} regions were looked at, and that is enough"
    yield Check("none is missing, proved", proved,
                f"{len(found.missing)} missing regions found behind the facets of {of}: {found.facets} lead to listed "
                f"ones; {found.exact} regions needed rational arithmetic, {found.crossings} facets crossed there"
                f"{missing}{seen}")  # fmt: skip
