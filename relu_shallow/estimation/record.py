"""What an estimate says: a number of regions, its interval, and the cost of listing them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """The number of regions with a 95 % confidence interval, and the seconds and bytes of a full conversion.

    Where the search came to its end within the time, `exact` holds and low = regions = high. `counted` regions were
    met by the search for certain. The estimate is the mean of `replicates` drawings. `cpu_seconds` are of one core;
    dividing by the cores, as `hours` does, supposes that they share the work perfectly. `bytes` is an upper estimate:
    half-spaces are taken to be as little shared as in a small part. `folder_bytes` is what a folder takes, which keeps
    patterns, witnesses and radii.
    """

    regions: float
    low: float
    high: float
    exact: bool
    counted: int
    replicates: int
    cores: int
    cpu_seconds: float
    bytes: float
    folder_bytes: float
    seconds: float

    def hours(self, cores: int | None = None) -> float:
        """Hours of a full conversion on so many cores; by default on those of this process."""
        return self.cpu_seconds / (cores or self.cores) / 3600

    @property
    def relative_width(self) -> float:
        """(high - low) / regions."""
        return (self.high - self.low) / self.regions
