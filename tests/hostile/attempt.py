"""Runs commands on hostile files in one small, watched process: a job per line comes in, what became of it goes out.

Memory is limited, each job has its seconds, and an audit hook notes every file opened outside the job's folder and
the interpreter's own, every program started and every connection made.
"""

import contextlib
import io
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

ADDRESS_SPACE = 3 << 30
SECONDS = 40
STARTS = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect",
          "pty.spawn", "shutil.rmtree", "ctypes.dlopen", "webbrowser.open")  # fmt: skip


class TookTooLong(BaseException):
    """A job used up its seconds."""


def watch(events):
    """Notes in `events` what a loader has no business doing."""
    import relu_shallow

    package = Path(relu_shallow.__file__).parents[1]
    own = tuple({str(Path(folder).resolve()) for folder in (*sys.path, sys.prefix, sys.base_prefix, package) if folder})

    def hook(event, args):
        if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
            path = os.path.realpath(os.fsdecode(args[0]))
            writes = isinstance(args[1], str) and any(mark in args[1] for mark in "wax+")
            if not path.startswith(("/proc/", "/sys/", "/dev/", "/etc/")) or writes:
                inside = path.startswith(own) and not writes
                if not inside and not path.startswith(str(events["folder"])):
                    events["seen"].append(f"open {path}")
            elif path == "/etc/passwd":
                events["seen"].append(f"open {path}")
        elif event in ("os.remove", "os.rename"):
            if not os.path.realpath(args[0]).startswith(str(events["folder"])):
                events["seen"].append(f"{event} {args[0]}")
        elif event.startswith(STARTS):
            events["seen"].append(f"{event} {args}"[:200])

    sys.addaudithook(hook)


def peak(afresh=False):
    """The most memory held so far in kilobytes, or since it was asked afresh (Linux; elsewhere since the start)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if afresh:
        Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def attempt(arguments, command_line):
    """Exit status, stdout, stderr and seconds of one command."""
    out, err = io.StringIO(), io.StringIO()
    began = time.monotonic()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command_line.main(arguments, prog_name="relu-shallow")
        status = 0
    except SystemExit as stop:
        status = stop.code
    except TookTooLong:
        status = "took too long"
    except BaseException as error:
        status = f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.alarm(0)
    return {"status": status, "stdout": out.getvalue(), "stderr": err.getvalue(), "seconds": time.monotonic() - began}


def main():
    import onnx  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from relu_shallow.cli.program import command_line

    def ring(number, frame):
        raise TookTooLong

    signal.signal(signal.SIGALRM, ring)
    events = {"folder": Path.cwd(), "seen": []}
    watch(events)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for line in sys.stdin:
        job = json.loads(line)
        os.chdir(job["folder"])
        before = peak(afresh=True)
        events["folder"], events["seen"] = Path(job["folder"]).resolve(), []
        result = attempt(job["arguments"], command_line)
        grown = peak() - before
        sys.__stdout__.write(json.dumps({**result, "name": job["name"], "seen": events["seen"], "grown": grown}) + "\n")
        sys.__stdout__.flush()


if __name__ == "__main__":
    main()
