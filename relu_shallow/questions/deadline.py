"""When a search has to end, as its long steps look at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Deadline:
    """The moment `ends` of a clock `now`, in seconds."""

    ends: float
    now: Callable[[], float]

    @property
    def left(self) -> float:
        """The seconds until then, none below 0."""
        return max(self.ends - self.now(), 0.0)

    def passed(self) -> bool:
        """Whether time is up."""
        return self.now() >= self.ends
