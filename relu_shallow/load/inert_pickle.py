"""A pickle of PyTorch tensors and modules read without importing a class or calling a function that it names.

Every class the pickle names becomes an inert stand-in of the same name that can hold attributes and do nothing else.
The few callables a tensor needs (rebuilding it from its storage, an ordered dict, a set) are our own, made afresh for
each file. A pickle that calls anything else is refused by the name of what it wanted to call.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.reading import Archive, ModelFile, damaged

NUMBER_TYPES = {
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip

BROKEN_PICKLE = (pickle.UnpicklingError, EOFError, TypeError, ValueError, KeyError, IndexError, AttributeError,
                 ImportError, OverflowError, MemoryError, RecursionError, UnicodeDecodeError)  # fmt: skip


@dataclass
class Storage:
    """The numbers behind tensors: their type and, once read, their bytes."""

    dtype: str
    data: bytes = b""
    byteorder: str = "<"  # "<" or ">"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor as the pickle describes it: a strided view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StandInType(type):
    """The type of stand-ins: naming one is harmless, calling one is refused."""

    def __call__(cls, *args: object, **kwargs: object) -> Any:  # noqa: ARG002
        """Refuses: a pickle calls what it names to run code."""
        raise ModelError(
            f"the pickle wants to call {cls.path}, and loading never runs code from a model file. "
            "Load the model where its class is defined and save it anew: torch.onnx.export(...), "
            "torch.export.save(...) or torch.save(model.state_dict(), ...); "
            "for a module class of your own, --trust CLASS imports it"
        )

    @property
    def path(cls) -> str:
        """The import path the pickle gave."""
        return f"{cls.__module__}.{cls.__name__}"


@dataclass
class Pickles:
    """One file's pickles being read: their storages by key."""

    storages: dict[str, Storage] = field(default_factory=dict)

    def load(self, stream: io.BytesIO) -> Any:
        """The next pickle of the stream, all its classes stand-ins."""
        return _InertUnpickler(stream, self.storages).load()


class _Rebuild:
    """A callable of ours that stands where the pickle names one of PyTorch's; nothing can be set on it."""

    __slots__ = ("function",)
    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "function", function)

    def __call__(self, *args: object) -> Any:
        return self.function(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class _InertUnpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, storages: dict[str, Storage]) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages = storages
        self.found: dict[tuple[str, str], Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        key = (module, name)
        if key not in self.found:
            make = _CALLABLE.get(key)
            self.found[key] = make() if make else StandInType(name, (), {"__module__": module})
        return self.found[key]

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or not pid:
            raise pickle.UnpicklingError("unknown persistent id")
        if pid[0] == "module":  # files from before PyTorch 1.6 keep each class's source code beside it; it is not read
            return pid[1]
        kind, key = pid[1], str(pid[2])
        dtype = NUMBER_TYPES.get(getattr(kind, "__name__", ""))
        if pid[0] != "storage" or dtype is None or (len(pid) > 5 and pid[5] is not None):
            raise pickle.UnpicklingError(f"tensor storage of an unknown kind {getattr(kind, '__name__', kind)}")
        return self.storages.setdefault(key, Storage(dtype))


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> Tensor:
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


_CALLABLE: dict[tuple[str, str], Callable[[], Any]] = {
    ("collections", "OrderedDict"): lambda: type("OrderedDict", (OrderedDict,), {}),
    ("builtins", "set"): lambda: set,
    ("__builtin__", "set"): lambda: set,
    ("torch", "Size"): lambda: _Rebuild(tuple),
    ("torch._utils", "_rebuild_tensor"): lambda: _Rebuild(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): lambda: _Rebuild(_tensor),
    ("torch._utils", "_rebuild_parameter"): lambda: _Rebuild(lambda data, *_: data),
    ("torch._utils", "_rebuild_parameter_with_state"): lambda: _Rebuild(lambda data, *_: data),
    ("torch.jit._pickle", "build_intlist"): lambda: _Rebuild(list),
    ("torch.jit._pickle", "build_doublelist"): lambda: _Rebuild(list),
    ("torch.jit._pickle", "build_boollist"): lambda: _Rebuild(list),
    ("torch.jit._pickle", "build_tensorlist"): lambda: _Rebuild(list),
    ("torch.jit._pickle", "restore_type_tag"): lambda: _Rebuild(lambda value, *_: value),
}


def read_archive_pickle(archive: Archive, name: str = "data.pkl", folder: str = "data") -> Any:
    """The object in a zip file of PyTorch's, its classes stand-ins and its tensors NumPy arrays."""
    pickles = Pickles()
    try:
        found = pickles.load(io.BytesIO(archive.read(name)))
        big = "byteorder" in archive.members and archive.read("byteorder").strip() == b"big"
        for key, storage in pickles.storages.items():
            storage.data = archive.read(f"{folder}/{key}")
            storage.byteorder = ">" if big else "<"
        return with_arrays(archive.file, found)
    except BROKEN_PICKLE as error:
        raise damaged(archive.file, "PyTorch", error) from error


def read_legacy_pickle(file: ModelFile) -> Any:
    """The object in a file from before PyTorch 1.6 (five pickles, then the storages), as `read_archive_pickle`."""
    stream = io.BytesIO(file.data)
    pickles = Pickles()
    try:
        magic, _protocol, system = (pickles.load(stream) for _ in range(3))
        if magic != 0x1950A86A20F9469CFC6C:
            raise pickle.UnpicklingError("this pickle was not written by torch.save")
        found = pickles.load(stream)
        for key in pickles.load(stream):
            storage = pickles.storages.setdefault(str(key), Storage("uint8"))
            storage.byteorder = "<" if system.get("little_endian", True) else ">"
            count = int.from_bytes(stream.read(8), "little", signed=True)
            storage.data = stream.read(max(count, 0) * _item_size(storage.dtype))
        return with_arrays(file, found)
    except BROKEN_PICKLE as error:
        raise damaged(file, "PyTorch", error) from error


def with_arrays(file: ModelFile, found: Any, _seen: dict[int, Any] | None = None) -> Any:
    """The same object with every tensor in its dicts, lists and stand-ins replaced by a NumPy array."""
    seen: dict[int, Any] = {} if _seen is None else _seen
    if id(found) in seen:
        return seen[id(found)]
    if isinstance(found, Tensor):
        seen[id(found)] = array_of(file, found)
    elif isinstance(found, dict):
        seen[id(found)] = found
        for key, value in found.items():
            found[key] = with_arrays(file, value, seen)
    elif isinstance(type(found), StandInType):
        seen[id(found)] = found
        with_arrays(file, vars(found), seen)
    elif isinstance(found, list):
        seen[id(found)] = found
        found[:] = [with_arrays(file, value, seen) for value in found]
    elif isinstance(found, tuple):
        return tuple(with_arrays(file, value, seen) for value in found)
    return seen.get(id(found), found)


def array_of(file: ModelFile, tensor: Tensor) -> np.ndarray:
    """A tensor's numbers (bfloat16 widened to float32, exactly); raises ModelError where the storage is too short."""
    numbers = numbers_of(tensor.storage)
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise damaged(file, "PyTorch", "a tensor with a negative size")
    if 0 not in tensor.shape and last >= len(numbers):
        raise damaged(file, "PyTorch", f"a tensor of shape {tensor.shape} has only {len(numbers)} numbers")
    strides = tuple(step * numbers.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides).copy()


def numbers_of(storage: Storage) -> np.ndarray:
    """A storage as a flat array in native byte order."""
    whole = storage.data[: len(storage.data) // _item_size(storage.dtype) * _item_size(storage.dtype)]
    if storage.dtype == "bfloat16":
        halves = np.frombuffer(whole, dtype=f"{storage.byteorder}u2").astype(np.uint32)
        return (halves << 16).view(np.float32)
    dtype = np.dtype(storage.dtype)
    return np.frombuffer(whole, dtype=f"{storage.byteorder}{dtype.str[1:]}").astype(dtype)


def _item_size(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
