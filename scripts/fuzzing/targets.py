"""What is run on each input, and the record of what went wrong."""

from __future__ import annotations

import resource
import signal
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import relu_shallow.load
import relu_shallow.load.aten
import relu_shallow.load.keras_file
import relu_shallow.load.nnet
import relu_shallow.load.onnx_file
import relu_shallow.load.safetensors_file
import relu_shallow.load.torch_file
import relu_shallow.load.torchscript
from relu_shallow.data import read_table
from relu_shallow.domain_spec import parse_domain
from relu_shallow.errors import ReluShallowError
from relu_shallow.network import from_layers
from relu_shallow.shallow.store import load_shallow
from relu_shallow.vnnlib import read_input_box

ADDRESS_SPACE = 6 << 30


class TookTooLong(Exception):  # noqa: N818
    """The input used up its seconds."""


def _model(path: Path) -> None:
    relu_shallow.load.load_network(path)


def _box(path: Path) -> None:
    import numpy as np

    network = from_layers([(np.ones((2, 2)), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    parse_domain(f"box:{path}", network)


def _table(path: Path) -> None:
    for no_header in (False, True):
        with suppress(ReluShallowError):
            read_table(path, no_header=no_header)


TARGETS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "pt": (".pt", _model),
    "legacy": (".pth", _model),
    "torchscript": (".pt", _model),
    "pt2": (".pt2", _model),
    "onnx": (".onnx", _model),
    "nnet": (".nnet", _model),
    "safetensors": (".safetensors", _model),
    "shallow": (".shallow.safetensors", load_shallow),
    "csv": (".csv", _table),
    "npy": (".npy", _table),
    "box": (".csv", _box),
    "vnnlib": (".vnnlib", read_input_box),
    "keras": (".keras", _model),
    "h5": (".h5", _model),
}


class Findings:
    """Runs the target on one input after another and keeps the first input of each kind of failure."""

    def __init__(
        self, name: str, target: tuple[str, Callable[[Path], object]], work: Path, keep: Path, seconds: int
    ) -> None:
        ending, self.run = target
        self.path = work / f"input{ending}"
        self.name, self.keep, self.seconds = name, keep, seconds
        self.known: set[str] = set()
        signal.signal(signal.SIGPROF, _ring)  # of the process's own time; the alarm clock is libFuzzer's
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        warnings.simplefilter("error")

    def try_one(self, data: bytes) -> None:
        """Reads one input; anything but a clear refusal is written down."""
        self.path.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)
        try:
            self.run(self.path)
        except ReluShallowError:
            pass
        except Exception as error:  # whatever it is
            self._write_down(data, error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _write_down(self, data: bytes, error: Exception) -> None:
        places = traceback.extract_tb(error.__traceback__)
        own = [f"{Path(p.filename).name}:{p.lineno}" for p in places if "relu_shallow" in p.filename]
        kind = f"{type(error).__name__} at {own[-1] if own else '?'}"
        if kind in self.known:
            return
        self.known.add(kind)
        stem = f"{self.name}-{len(self.known)}"
        (self.keep / stem).write_bytes(data)
        (self.keep / f"{stem}.txt").write_text("".join(traceback.format_exception(error, limit=-12)))
        print(f"FOUND {kind}: {str(error)[:150]!r} -> {self.keep / stem}", flush=True)


def _ring(_number: int, _frame: object) -> NoReturn:
    raise TookTooLong
