"""Trains a small residual convolutional network on CIFAR-10 images and lists its regions on a line and on a plane.

    python scripts/image_slices.py --seconds 60

The images are those of the data folder RELU_SHALLOW_DATA. On the plane the search stops after the given time.
"""

from __future__ import annotations

import argparse
import time

from benchmark.cases import DATA
from benchmark.images import color_images, small_residual_network

from relu_shallow.compilation import ensure_compiled
from relu_shallow.domain import fit
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.slices import Subspace, line, on_slice, plane

IMAGES = DATA / "images" / "cifar10" / "cifar10_jpg_subset.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="the longest search")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    network = small_residual_network(IMAGES)
    print(f"hidden layers {network.widths}, {network.neurons:,} neurons and carriers", flush=True)
    X, y = color_images(IMAGES)
    points = [X[(y == label).argmax()].ravel() for label in range(3)]
    ensure_compiled(print)
    for where in (line(*points[:2]), plane(*points)):
        _search(network, where, given.workers, given.seconds)


def _search(network, where: Subspace, workers: int, seconds: float) -> None:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    composed, domain = on_slice(network, where)
    composing = time.perf_counter() - began
    before = time.process_time()
    found = enumerate_regions(composed, fit(domain, composed.inputs), workers=workers, time_limit=seconds)
    busy = time.process_time() - before
    print(f"{where.label}: {found.regions:,} regions ({'all' if found.complete else 'a part'}, {found.level}); "
          f"composed in {composing:.2f} s, searched in {found.effort.seconds:.2f} s, {busy:.2f} s of processor, "
          f"{1e3 * busy / found.regions:.2f} ms a region", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
