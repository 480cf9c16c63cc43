"""Kills conversions, fills their disk and takes their workers away at random moments, and looks at what is left.

    python scripts/faults.py --rounds 100
    python scripts/faults.py --only kill --seed 1 --round 17

After `kill -9` the output is, byte for byte, what was there before, or the complete new one. Where the disk is full
(a limit on the size of files, and as root a small file system of its own) or a worker is lost, the command says so in
one line and exits with status 2, the old output is untouched and no temporary file is left. In every case a conversion
that follows finds the same regions as one that nothing disturbed. A conversion into a folder goes on from where it was
killed, or its disk was full, and comes to the same regions. Each round has a seed of its own; a round that goes
wrong is printed with what repeats it, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from command_line import random_layers, run, start, write_csv, write_onnx  # noqa: E402

from relu_shallow.regions import task  # noqa: E402
from relu_shallow.regions.folder import open_folder  # noqa: E402
from relu_shallow.regions.shard import load_regions  # noqa: E402
from relu_shallow.shallow.store import load_shallow  # noqa: E402

DATA = Path(os.environ.get("RELU_SHALLOW_DATA", ROOT.parent / "shared" / "data"))
REAL = "onnx/archcomp/Double_Pendulum_controller_double_pendulum_less_robust.onnx"
WORKERS = "2"
PATIENCE = 600.0  # seconds after which a command hangs
OUTPUTS = ("good.safetensors", "table.npz", "table.json", "table.csv", "shap.csv", "shap.json", "page.html")


@dataclass(frozen=True, eq=False)
class Workplace:
    """A folder with a model, data and an older result of each command, and what an undisturbed run gives.

    `new` holds the bytes of the undisturbed outputs, `bits` the regions of the conversion, `seconds` how long it took.
    """

    folder: Path
    domain: str
    old: dict[str, bytes]
    new: dict[str, bytes]
    bits: np.ndarray
    seconds: float

    @property
    def bytes(self) -> int:
        """About what a folder of the regions takes."""
        return len(self.bits) * (self.bits.shape[1] + 40)

    def reset(self, folder: Path) -> None:
        """Puts the old outputs, and nothing else, into a folder."""
        for name in hidden(folder):
            (folder / name).unlink()
        for name, content in self.old.items():
            (folder / name).write_bytes(content)


def make_workplace(folder: Path, model: Path, domain: str, smaller: str) -> Workplace:
    """Converts a model twice, on a smaller domain for the old outputs and on the domain for the new ones."""
    shutil.copy(model, folder / "model.onnx")
    rng = np.random.default_rng(0)
    inputs = run_ok("inspect", folder / "model.onnx", "--json")
    count = int(inputs.partition('"inputs": ')[2].partition(",")[0])
    write_csv(folder / "data.csv", [f"x{i}" for i in range(count)], rng.uniform(-0.1, 0.1, (20, count)))
    made = []
    for where in (smaller, domain):
        began = time.monotonic()
        process = start(*conversion(folder, where))
        assert process.wait(PATIENCE) == 0, process.communicate()[1]
        seconds = time.monotonic() - began
        shutil.copy(folder / "good.safetensors", folder / "source.safetensors")
        for name in OUTPUTS[1:]:
            run_ok(*command(name, folder, folder, domain))
        made.append({name: (folder / name).read_bytes() for name in OUTPUTS})
    bits = load_shallow(folder / "good.safetensors").tables[0].bits
    return Workplace(folder, domain, made[0], made[1], bits, seconds)


def conversion(folder: Path, domain: str, out: Path | None = None) -> list[object]:
    target = (out or folder) / "good.safetensors"
    return ["convert", folder / "model.onnx", "-o", target, "--domain", domain, "--workers", WORKERS]


def command(name: str, folder: Path, out: Path, domain: str) -> list[object]:
    """The command that writes one of the OUTPUTS into a folder."""
    if name == "good.safetensors":
        return conversion(folder, domain, out)
    source = folder / "source.safetensors"
    if name.startswith("table"):
        return ["export", source, "-o", out / name]
    if name == "page.html":
        return ["explain", source, folder / "data.csv", "-o", out / "shap.csv", "--html", out / name]
    return ["explain", source, folder / "data.csv", "-o", out / name]


def run_ok(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def hidden(folder: Path) -> list[str]:
    """The temporary files of outputs that were never finished."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# --- the faults: each does one round, and gives what came of it, or raises AssertionError ---


def kill(place: Workplace, rng: np.random.Generator) -> str:
    """`kill -9` at any moment, in the last third, or just after the temporary file has appeared."""
    place.reset(place.folder)
    how = int(rng.integers(3))
    process = start(*conversion(place.folder, place.domain))
    if how == 2:
        while process.poll() is None and not hidden_of_size(place.folder):
            time.sleep(0.0005)
        time.sleep(float(rng.exponential(0.01)))
    else:
        time.sleep(place.seconds * float(rng.uniform(0.0 if how == 0 else 0.67, 1.0)))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    if process.returncode == 0:
        check_new(place, place.folder)
        return "done before"
    left = len(hidden(place.folder))
    for name, content in place.old.items():
        if (place.folder / name).read_bytes() != content:
            assert name == "good.safetensors", f"{name} has changed"
            check_new(place, place.folder)
            result = "new"
            break
    else:
        result = "old"
    follow(place)
    return result + (", temporary file left" if left else "")


def hidden_of_size(folder: Path) -> bool:
    """Whether a temporary file is being written (the first, empty one only tries whether that can be done)."""
    for name in hidden(folder):
        try:
            if (folder / name).stat().st_size:
                return True
        except FileNotFoundError:
            continue
    return False


def full(place: Workplace, rng: np.random.Generator) -> str:
    """A disk that is full after a random number of bytes, under any command that writes."""
    name = str(rng.choice(OUTPUTS))
    room = int(len(place.new[name]) * rng.random())
    place.reset(place.folder)
    if rng.random() < 0.5 and can_mount():
        with small_disk(place, room) as disk:
            if shutil.disk_usage(disk).free >= len(place.new[name]):
                return "enough room"
            refused(start(*command(name, place.folder, disk, place.domain)), disk, place, name)
        result = "no space left"
    else:
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, room))
        process = start(*command(name, place.folder, place.folder, place.domain), preexec_fn=limit)
        refused(process, place.folder, place, name)
        result = "limit on files"
    follow(place)
    return result


def refused(process: subprocess.Popen, out: Path, place: Workplace, name: str) -> None:
    """Asserts that a command ended with status 2 and one line, and changed nothing."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    told = f"{name}: status {process.returncode}, stderr {stderr!r}"
    # on a busy machine even reading the compiler's cache is announced
    lines = [line for line in stderr.splitlines() if not line.startswith("relu-shallow: compiling")]
    assert process.returncode == 2, told
    assert len(lines) == 1, told
    assert lines[0].startswith("relu-shallow: "), told
    assert "could not be written" in stderr or "cannot be written" in stderr, told
    assert stdout == "", told
    assert hidden(out) == [], f"{name}: {hidden(out)} left"
    changed = [other for other, content in place.old.items() if (out / other).read_bytes() != content]
    assert not changed, f"{name}: {changed} changed"


@cache
def can_mount() -> bool:
    """Whether this process may mount a file system."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


@contextmanager
def small_disk(place: Workplace, room: int) -> Iterator[Path]:
    """A file system in memory with the old outputs and about so much room besides."""
    page = os.sysconf("SC_PAGE_SIZE")
    pages = sum(-(-len(content) // page) + 1 for content in place.old.values()) + room // page + 4
    disk = Path(tempfile.mkdtemp())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={pages * page}", "tmpfs", disk], check=True)
    try:
        place.reset(disk)
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def lost(place: Workplace, rng: np.random.Generator) -> str:
    """A worker that dies at its k-th task, before it or with its result in hand."""
    place.reset(place.folder)
    at, after = int(rng.integers(1, 12)), bool(rng.integers(2))
    calls: list[int] = []
    real = task.run

    def dying(*words):
        calls.append(1)
        dies = len(calls) == at
        result = real(*words) if after or not dies else None
        if dies:
            raise MemoryError
        return result

    task.run = dying
    try:
        result = run(*conversion(place.folder, place.domain))
    finally:
        task.run = real
    if len(calls) < at:
        assert result.exit_code == 0, result.output
        check_new(place, place.folder)
        return "done before"
    assert result.exit_code == 2, (result.exit_code, result.output, repr(result.exception))
    lines = [line for line in result.stderr.splitlines() if not line.startswith("relu-shallow: compiling")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("relu-shallow: there is not enough memory"), lines
    changed = [other for other, content in place.old.items() if (place.folder / other).read_bytes() != content]
    assert not changed, changed
    assert hidden(place.folder) == []
    follow(place)
    return "old"


def resume(place: Workplace, rng: np.random.Generator) -> str:
    """A conversion into a folder that `kill -9` ends again and again, and that goes on each time."""
    with tempfile.TemporaryDirectory() as name:
        folder, kills = Path(name) / "good.regions", 0
        for _ in range(int(rng.integers(1, 6))):
            process = start(*streaming(place, folder))
            time.sleep(place.seconds * float(rng.uniform(0.1, 0.9)))
            process.send_signal(signal.SIGKILL)
            told = process.communicate(timeout=PATIENCE)[1]
            assert process.returncode in (0, -signal.SIGKILL), told
            kills += process.returncode != 0
        run_ok(*streaming(place, folder))
        check_folder(place, folder)
    return f"{kills} kills"


# what a slow machine may be told besides: that something is compiled, and after ten seconds how to go on
SLOWLY = re.compile(r"relu-shallow: (compiling|[\d,]+ regions after)")


def stuffed(place: Workplace, rng: np.random.Generator) -> str:
    """A conversion into a folder on a disk that is full after a random part of it, and goes on when there is room."""
    if not can_mount():
        return "no file system to mount"
    disk, mib = Path(tempfile.mkdtemp()), 1 << 20
    size = 8_192 + int(rng.uniform(0.0, 0.9) * place.bytes)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        process = start(*streaming(place, disk / "good.regions"))
        stdout, stderr = process.communicate(timeout=PATIENCE)
        lines = [line for line in stderr.splitlines() if not SLOWLY.match(line)]
        assert process.returncode == 2, (process.returncode, stdout, stderr)
        assert len(lines) == 1, stderr
        assert "could not be written" in lines[0] or "cannot be written" in lines[0], stderr
        subprocess.run(["mount", "-o", f"remount,size={place.bytes + 64 * mib}", disk], check=True)
        run_ok(*streaming(place, disk / "good.regions"))
        check_folder(place, disk / "good.regions")
    finally:
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()
    return "no space left"


def streaming(place: Workplace, folder: Path) -> list[object]:
    """The conversion into a folder, gone on with where there is one."""
    return [*conversion(place.folder, place.domain)[:2], "-o", folder, "--domain", place.domain, "--workers", WORKERS,
            "--resume"]  # fmt: skip


def check_folder(place: Workplace, folder: Path) -> None:
    """Asserts that a folder is finished, holds the regions that there are, and nothing that was given up."""
    opened = open_folder(folder)
    assert opened.complete
    found = np.concatenate([load_regions(shard, opened.network).bits for shard in opened.shards])
    assert sorted(map(bytes, found)) == list(map(bytes, place.bits)), "other regions than without the fault"
    assert hidden(folder) == []


def follow(place: Workplace) -> None:
    """Asserts that the next conversion succeeds, whatever the last one left, with the same regions."""
    run_ok(*conversion(place.folder, place.domain))
    check_new(place, place.folder)


def check_new(place: Workplace, folder: Path) -> None:
    shallow = load_shallow(folder / "good.safetensors")
    assert shallow.completeness.complete
    assert np.array_equal(shallow.tables[0].bits, place.bits), "other regions than without the fault"


FAULTS: dict[str, Callable[[Workplace, np.random.Generator], str]] = {
    "kill": kill,
    "full": full,
    "lost": lost,
    "resume": resume,
    "stuffed": stuffed,
}


def play(fault: str, place: Workplace, seed: int, number: int) -> tuple[str, str]:
    """(what came of a round, what is wrong with it or "")."""
    rng = np.random.default_rng([seed, number, list(FAULTS).index(fault)])
    try:
        return FAULTS[fault](place, rng), ""
    except AssertionError as error:
        return "WRONG", str(error)


def main() -> int:
    given = _arguments()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, domain, smaller = _model(folder)
        (folder / "work").mkdir()
        place = make_workplace(folder / "work", model, domain, smaller)
        print(f"{model.name} on {domain}: {len(place.bits):,} regions in {place.seconds:.1f} s, "
              f"{len(place.new['good.safetensors']):,} bytes", flush=True)  # fmt: skip
        for fault in given.only or FAULTS:
            results: Counter[str] = Counter()
            for number in range(given.rounds) if given.round is None else [given.round]:
                result, why = play(fault, place, given.seed, number)
                results[result] += 1
                if why:
                    wrong += 1
                    print(f"WRONG --only {fault} --seed {given.seed} --round {number}: {why}", flush=True)
                if number % 10 == 9:
                    print(f"{fault}: {number + 1} rounds", file=sys.stderr, flush=True)
            print(f"{fault}: " + ", ".join(f"{count} x {what}" for what, count in sorted(results.items())), flush=True)
    return int(wrong > 0)


def _model(folder: Path) -> tuple[Path, str, str]:
    """The real network where it is there, else a random one of about its size; and two domains."""
    if (DATA / REAL).exists():
        return DATA / REAL, "box:-2,2", "box:-1,1"
    return write_onnx(folder / "random.onnx", random_layers(5, 16, 16, 1)), "box:-1,1", "box:-0.2,0.2"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="rounds of each fault (100)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other moments (0)")
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), help="only these faults")
    parser.add_argument("--round", type=int, help="only this round")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
