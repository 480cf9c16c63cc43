"""Looks for files that a reader does not survive: a coverage-guided fuzzer for each of them.

    python scripts/fuzz.py READER [--seconds S] [--keep FOLDER]

A finding is any exception but ReluShallowError, a warning that would add a line to the terminal, more than two
gigabytes, or more than ten seconds of the processor. Each is written to the folder, once for each place in the code;
the exit status is 1 where there is any, and 2 where the fuzzer itself fails. It needs atheris: pip install atheris
(Linux and macOS; no dependency of the package).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

READERS = (
    "pt",
    "torchscript",
    "pt2",
    "legacy",
    "onnx",
    "nnet",
    "safetensors",
    "shallow",
    "csv",
    "box",
    "npy",
    "vnnlib",
    "keras",
    "h5",
)
MEGABYTES, SECONDS_EACH = 2048, 10
LONGEST = 40_000  # bytes of an input; the largest of the seeds has 27,000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--keep", type=Path, default=None, help="where findings go (by default a new folder)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if find_spec("atheris") is None:
        sys.exit("this needs atheris, which is not installed: pip install atheris")
    keep = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    print(f"{options.reader}: findings go to {keep}", flush=True)
    before = set(keep.iterdir())
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as work:
        child = os.fork()  # libFuzzer ends its process by itself, with a status of its own
        if child == 0:
            fuzz(options, keep, Path(work))
        signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(child, number))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(1 if set(keep.iterdir()) - before else 2 if status else 0)


def fuzz(options: argparse.Namespace, keep: Path, work: Path) -> NoReturn:
    """Ends the process."""
    import atheris

    with atheris.instrument_imports(include=["relu_shallow"]):
        from scripts.fuzzing.targets import TARGETS, Findings
    from scripts.fuzzing.mutate import MUTATORS
    from scripts.fuzzing.seeds import dictionary, seeds

    (work / "corpus").mkdir()
    for number, seed in enumerate(seeds(options.reader, work)):
        (work / "corpus" / f"seed-{number}").write_bytes(seed)
    words = dictionary(options.reader)
    (work / "words").write_text(words)
    findings = Findings(options.reader, TARGETS[options.reader], work, keep, SECONDS_EACH)
    flags = [
        f"-max_total_time={options.seconds}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-timeout={12 * SECONDS_EACH}",  # by the clock: what is stuck outside Python
        f"-artifact_prefix={keep}/stopped-",
        f"-seed={options.seed}",
        f"-max_len={LONGEST}",
        "-print_final_stats=1",
        *([f"-dict={work / 'words'}"] if words else []),  # libFuzzer refuses an empty one
    ]
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # what the readers say; libFuzzer writes past it
    mutator = MUTATORS.get(options.reader)
    extra = {"custom_mutator": mutator} if mutator else {}
    atheris.Setup([sys.argv[0], *flags, str(work / "corpus")], findings.try_one, **extra)
    try:
        atheris.Fuzz()
    except BaseException:  # of the fuzzer itself, such as a mutator that fails
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    os._exit(2)  # to let Python end by itself would wait for ever: atheris asks for its lock once it is gone


if __name__ == "__main__":
    main()
