"""A pickle of PyTorch tensors and modules read without importing a class or calling a function that it names.

Every class the pickle names becomes an inert stand-in of the same name that can hold attributes and do nothing else.
The few callables a tensor needs (rebuilding it from its storage, an ordered dict, a set) are our own. A pickle that
calls anything else is refused by the name of what it wanted to call. What is read consists of dicts with plain keys,
lists, tuples, numbers, text, arrays and stand-ins, whatever the pickle tries to make of them.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.reading import Archive, ModelFile, damaged

NUMBER_TYPES = {
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip

BROKEN_PICKLE = (pickle.UnpicklingError, EOFError, TypeError, ValueError, KeyError, IndexError, AttributeError,
                 ImportError, OverflowError, MemoryError, RecursionError, UnicodeDecodeError, struct.error)  # fmt: skip


@dataclass
class Storage:
    """The numbers behind tensors: their type and, once read, their bytes."""

    dtype: str
    data: bytes = b""
    byteorder: str = "<"  # "<" or ">"

    @cached_property
    def numbers(self) -> np.ndarray:
        """The flat array in native byte order, made once however many tensors are views of it."""
        return numbers_of(self)


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

    def __setattr__(cls, name: str, value: object) -> None:
        """Refuses: a pickle could give its stand-ins behaviour by a method's name."""
        raise AttributeError(f"{cls.path} takes no {name}")

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


_IN_PYTHON: Any = pickle._Unpickler


class _InertUnpickler(_IN_PYTHON):
    """Python's own unpickler in Python: the one in C fills the memory where a pickle gives a memo a high number.

    Hashing is left out where it could go on for ever: a tuple of tuples of tuples is no key, and a set is a list.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_IN_PYTHON.dispatch)

    def __init__(self, stream: io.BytesIO, storages: dict[str, Storage]) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages = storages
        self.found: dict[tuple[str, str], Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        key = (module, name)
        if key not in self.found:
            known = _CALLABLE.get(key)
            self.found[key] = _Rebuild(known) if known else StandInType(name, (), {"__module__": module})
        return self.found[key]

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or not pid:
            raise pickle.UnpicklingError("unknown persistent id")
        if pid[0] == "module":  # files from before PyTorch 1.6 keep each class's source code beside it; it is not read
            return pid[1]
        kind, key = pid[1], pid[2]
        dtype = NUMBER_TYPES.get(getattr(kind, "__name__", ""))
        if pid[0] != "storage" or dtype is None or (len(pid) > 5 and pid[5] is not None):
            raise pickle.UnpicklingError(f"tensor storage of an unknown kind {getattr(kind, '__name__', kind)}")
        if not isinstance(key, (str, int)):
            raise pickle.UnpicklingError("a storage whose key is no text")
        return self.storages.setdefault(str(key), Storage(dtype))

    def _build(self) -> None:
        """A state, as attributes of a stand-in; that of a dict (the versions in a state_dict) is not needed."""
        state = self.stack.pop()
        owner = self.stack[-1]
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        if isinstance(owner, dict):
            return
        if not isinstance(type(owner), StandInType):
            raise pickle.UnpicklingError(f"a state for a {type(owner).__name__}")
        for part in parts:
            if part is not None:
                vars(owner).update(_attributes(part))

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _fill(self.stack[-1], [(key, value)])

    def _setitems(self) -> None:
        items = self.pop_mark()
        _fill(self.stack[-1], zip(items[::2], items[1::2], strict=True))

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append(_fill({}, zip(items[::2], items[1::2], strict=True)))

    def _append(self) -> None:
        value = self.stack.pop()
        _extend(self.stack[-1], [value])

    def _appends(self) -> None:
        items = self.pop_mark()
        _extend(self.stack[-1], items)

    def _frozenset(self) -> None:
        self.append(self.pop_mark())

    dispatch |= {
        pickle.BUILD[0]: _build, pickle.SETITEM[0]: _setitem, pickle.SETITEMS[0]: _setitems, pickle.DICT[0]: _dict,
        pickle.APPEND[0]: _append, pickle.APPENDS[0]: _appends, pickle.ADDITEMS[0]: _appends,
        pickle.EMPTY_SET[0]: lambda self: self.append([]), pickle.FROZENSET[0]: _frozenset,
    }  # fmt: skip
    for _unused in (pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.EXT1, pickle.EXT2,
                    pickle.EXT4):  # fmt: skip
        del dispatch[_unused[0]]


KEYS = (str, int, float, bytes, type(None), Tensor, StandInType)


def _fill(table: object, items: Any) -> dict[Any, Any]:
    """A dict with more entries; a key is text or a number, or is told apart by identity."""
    if not isinstance(table, dict):
        raise pickle.UnpicklingError(f"entries for a {type(table).__name__}")
    for key, value in items:
        if not isinstance(key, KEYS) and not isinstance(type(key), StandInType):
            raise pickle.UnpicklingError(f"a {type(key).__name__} as a key")
        table[key] = value
    return table


def _extend(row: object, items: list[Any]) -> None:
    if not isinstance(row, list):
        raise pickle.UnpicklingError(f"items for a {type(row).__name__}")
    row.extend(items)


def _attributes(state: object) -> dict[str, Any]:
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise pickle.UnpicklingError(f"a state that is a {type(state).__name__}")
    return state


def _sequence(value: object) -> Any:
    if not isinstance(value, (list, tuple)):
        raise pickle.UnpicklingError(f"a {type(value).__name__} where numbers are listed")
    return value


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    if len(more) > 2 and more[2]:
        raise pickle.UnpicklingError("a tensor whose numbers are negated or conjugated when they are read")
    return Tensor(storage, int(offset), tuple(map(int, _sequence(shape))), tuple(map(int, _sequence(strides))))


def _mapping(items: Any = ()) -> dict[Any, Any]:
    return _fill({}, items.items() if isinstance(items, dict) else [_sequence(item) for item in _sequence(items)])


def _listed(items: Any = ()) -> list[Any]:
    return list(_sequence(items))


def _first(value: Any = None, *_: object) -> Any:
    return value


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """What Python writes for bytes in its older pickles."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an unknown encoding")
    return text.encode("latin1")


_CALLABLE: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _mapping,
    ("collections", "Counter"): _mapping,
    ("collections", "defaultdict"): lambda _factory=None, items=(): _mapping(items),
    ("builtins", "set"): _listed,
    ("__builtin__", "set"): _listed,
    ("_codecs", "encode"): _encoded,
    ("torch", "Size"): lambda sizes=(): tuple(_sequence(sizes)),
    ("torch", "device"): lambda *kind: ":".join(map(str, kind)),
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch.jit._pickle", "build_intlist"): _listed,
    ("torch.jit._pickle", "build_doublelist"): _listed,
    ("torch.jit._pickle", "build_boollist"): _listed,
    ("torch.jit._pickle", "build_tensorlist"): _listed,
    ("torch.jit._pickle", "restore_type_tag"): _first,
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


def with_arrays(file: ModelFile, found: Any, _seen: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """The same object with every tensor in its dicts, lists, tuples and stand-ins replaced by a NumPy array."""
    seen: dict[int, tuple[Any, Any]] = {} if _seen is None else _seen  # by identity: what was there, what it became
    if id(found) in seen:
        return seen[id(found)][1]
    result = array_of(file, found) if isinstance(found, Tensor) else found
    if isinstance(found, tuple):
        result = tuple(with_arrays(file, value, seen) for value in found)
    seen[id(found)] = found, result
    if isinstance(found, dict):
        for key, value in found.items():
            found[key] = with_arrays(file, value, seen)
    elif isinstance(type(found), StandInType):
        with_arrays(file, vars(found), seen)
    elif isinstance(found, list):
        found[:] = [with_arrays(file, value, seen) for value in found]
    return result


def array_of(file: ModelFile, tensor: Tensor) -> np.ndarray:
    """A tensor's numbers (bfloat16 widened to float32, exactly), a view where that is safe and not to be written to.

    Raises ModelError where the storage is too short, or where strides make a few numbers into very many.
    """
    numbers = tensor.storage.numbers
    if len(tensor.shape) != len(tensor.strides) or min((tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise damaged(file, "PyTorch", "a tensor with a negative size")
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 not in tensor.shape and last >= len(numbers):
        raise damaged(file, "PyTorch", f"a tensor of shape {tensor.shape} has only {len(numbers)} numbers")
    if prod(tensor.shape) > max(len(numbers), 1):
        raise ModelError(f"{file.name} holds a tensor of shape {tensor.shape} that repeats {len(numbers)} stored "
                         "numbers; call .contiguous() on it and save the model again")  # fmt: skip
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    strides = tuple(step * numbers.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def numbers_of(storage: Storage) -> np.ndarray:
    """A storage as a flat array in native byte order."""
    whole = storage.data[: len(storage.data) // _item_size(storage.dtype) * _item_size(storage.dtype)]
    if storage.dtype == "bfloat16":
        halves = np.frombuffer(whole, dtype=f"{storage.byteorder}u2").astype(np.uint32)
        return (halves << 16).view(np.float32)
    dtype = np.dtype(storage.dtype)
    return np.frombuffer(whole, dtype=f"{storage.byteorder}{dtype.str[1:]}").astype(dtype, copy=False)


def _item_size(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
