"""Reads pip's installation report on stdin and says which build of torch it would take: "accelerator" or "cpu"."""

from __future__ import annotations

import json
import sys

from pip._vendor.packaging.requirements import Requirement

LIBRARIES = ("nvidia", "cuda", "triton", "pytorch-triton")  # how the names of the accelerator's own wheels begin


def main() -> None:
    report = json.load(sys.stdin)
    wanted = [
        Requirement(line) for entry in report.get("install", []) for line in entry["metadata"].get("requires_dist", [])
    ]
    needed = [wish.name for wish in wanted if wish.marker is None or wish.marker.evaluate({"extra": ""})]
    print("accelerator" if any(name.lower().startswith(LIBRARIES) for name in needed) else "cpu")


if __name__ == "__main__":
    main()
