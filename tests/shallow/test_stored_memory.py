"""Nothing loads a folder whole: half a million regions answer, are verified and written in little more memory."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from relu_shallow.domain import Box
from relu_shallow.network import from_layers
from relu_shallow.regions.stream import stream_regions

MEGABYTES = 72  # of address space beyond what a small folder took; the table of all regions takes 190 and more
PROLOGUE = """
import resource, sys
import numpy as np
from relu_shallow.certify import verify
from relu_shallow.shallow.build import build_table
from relu_shallow.shallow.stored import open_regions
def work(path):
    stored = open_regions(path)
    {work}
work(sys.argv[1])  # what compiles, and what libraries take for themselves
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[3]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
work(sys.argv[2])
"""
READ = "stored(np.random.default_rng(1).uniform(stored.domain.lo, stored.domain.hi, (5000, 5)))"
CHECK = "assert verify(stored, points=500, workers=1, exact=True, sample=300).ok"
WHOLE = "build_table(stored.partition_of(np.arange(stored.regions)))"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    path = tmp_path_factory.mktemp("many")
    r = np.random.default_rng(0)
    widths = pairwise((5, 24, 16, 2))
    network = from_layers([(r.normal(size=(o, i)) / np.sqrt(i), 0.3 * r.normal(size=o)) for i, o in widths])
    small = stream_regions(network, Box(-0.3, 0.3), path / "small.regions")
    large = stream_regions(network, Box(-2.0, 2.0), path / "large.regions")
    assert large.complete
    assert large.regions > 400_000 > 10 * small.regions
    return path


def succeeds(folders, work):
    code = PROLOGUE.replace("{work}", work)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folders / "small.regions"), str(folders / "large.regions"), str(MEGABYTES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or "MemoryError" in done.stderr or "memory" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and limits address space")
@pytest.mark.parametrize("work", [READ, CHECK], ids=["predict", "verify"])
def test_memory_stays_bounded(folders, work):
    assert succeeds(folders, work)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and limits address space")
def test_the_limit_would_notice_a_list_loaded_whole(folders):
    assert not succeeds(folders, WHOLE)
