"""Changes to files that leave their outer shape whole: a member of a zip, a field of a protobuf, a value of JSON."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

LARGE = (1 << 31, 1 << 40, 1 << 63, -(1 << 63), 1 << 70, 1e300, float("inf"), float("nan"))
NUMBERS = (0, 1, -1, 2, 3, 7, 0.5, -0.0, *LARGE)
TREES = ([], {}, [1], [[1]], {"a": 1}, {"as_int": 5}, {"as_tensor": {"name": "x"}})
ODD = (*NUMBERS, *TREES, "", "x", "a" * 50, "0", None, True)
ROOM = 300  # bytes that one part of a file may grow by at a time
RAW = 0.1  # how often the file is changed as plain bytes all the same

Mutator = Callable[[bytes, int, int], bytes]


def _plain(data: bytes, most: int) -> bytes:
    import atheris

    return atheris.Mutate(data[:most], most)


def _or_plain(change: Callable[[bytes, random.Random, int], bytes]) -> Mutator:
    """A mutator that changes what it can parse, and plain bytes where it cannot or now and then.

    It raises nothing and keeps to `most` bytes: anything else ends the fuzzer.
    """

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() >= RAW:
            with suppress(Exception):  # whatever the parsers of all these formats raise
                changed = change(data, chance, most)
                if len(changed) <= most:
                    return changed
        return _plain(data, most)

    return mutate


# --- JSON -------------------------------------------------------------------------------------------------------


def _json(text: bytes, chance: random.Random) -> bytes:
    """The JSON with a few of its values replaced, moved, doubled or left out."""
    tree = [json.loads(text)]
    for _ in range(chance.randint(1, 3)):
        _change(tree, chance)
    return json.dumps(tree[0]).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    entries = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [place for key, inner in entries for place in [(value, key), *_places(inner)]]


def _change(tree: list[Any], chance: random.Random) -> None:
    places = _places(tree)
    owner, key = chance.choice(places)
    other, source = chance.choice(places)
    copied = json.loads(json.dumps(other[source]))
    kind = chance.randrange(5)
    if kind == 0:
        owner[key] = deepcopy(chance.choice(ODD))
    elif kind == 1:
        owner[key] = copied
    elif kind == 2 and owner is not tree:
        del owner[key]
    elif kind == 3 and isinstance(owner, list) and owner is not tree:
        owner.insert(key, copied)
    elif isinstance(owner[key], int) and not isinstance(owner[key], bool):
        owner[key] += chance.choice((-1, 1, 2, 100))
    elif isinstance(owner[key], str):
        owner[key] = _plain(owner[key].encode(), 200).decode("latin1")
    else:
        owner[key] = deepcopy(chance.choice(ODD))


# --- zip archives -----------------------------------------------------------------------------------------------


def _archive(data: bytes, chance: random.Random, most: int) -> bytes:
    """The archive with one member changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    telling = [
        name for name in members if not name.endswith((".debug_pkl", "version", "byteorder", "serialization_id"))
    ]
    name = chance.choice(telling if chance.random() < 0.95 else list(members))
    content = members[name]
    if chance.random() < 0.03:
        members[name.replace("0", "1")] = content
    elif name.endswith(".json") and chance.random() < 0.9:
        members[name] = _json(content, chance)
    else:
        members[name] = _plain(content, min(most, len(content) + ROOM))
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return whole.getvalue()


# --- safetensors ------------------------------------------------------------------------------------------------


def _header(data: bytes, chance: random.Random, most: int) -> bytes:
    size = int.from_bytes(data[:8], "little")
    text, rest = data[8 : 8 + size], data[8 + size :]
    if chance.random() < 0.2:
        rest = _plain(rest, min(most, len(rest) + ROOM))
    else:
        text = _json(text, chance)
    return len(text).to_bytes(8, "little") + text + rest


def _converted(data: bytes, chance: random.Random, _most: int) -> bytes:
    """A converted file with its fields or header changed, and the hash that its new content has."""
    from safetensors.numpy import load, save

    from relu_shallow.archive import KEY, content_hash

    size = int.from_bytes(data[:8], "little")
    about = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][KEY])
    arrays = dict(load(data))
    about.pop("sha256", None)
    if chance.random() < 0.5:
        about = json.loads(_json(json.dumps(about).encode(), chance))
    else:
        name, other = chance.choice(list(arrays)), chance.choice(list(arrays))
        kind = chance.randrange(5)
        if kind == 0:
            del arrays[name]
        elif kind == 1:
            arrays[name] = arrays[other]
        elif kind == 2:
            arrays[name] = arrays[name][: len(arrays[name]) // 2]
        elif kind == 3:
            arrays[name] = arrays[name].reshape(-1)
        elif arrays[name].size:
            changed = arrays[name].copy()
            changed.flat[chance.randrange(changed.size)] = (
                chance.choice((0, 1, 3, 100)) if changed.dtype.kind != "u" else 255
            )
            arrays[name] = changed
    about["sha256"] = content_hash(arrays, about)
    return save(arrays, {KEY: json.dumps(about)})


# --- protobuf ---------------------------------------------------------------------------------------------------


def _protobuf(data: bytes, chance: random.Random, _most: int) -> bytes:
    import onnx

    model = onnx.ModelProto()
    model.ParseFromString(data)
    for _ in range(chance.randint(1, 3)):
        _change_message(chance.choice(_messages(model)), chance)
    return model.SerializeToString()


def _messages(message: Any) -> list[Any]:
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is not None:
            parts = value if _repeated(field) else [value]
            found += [inner for part in parts for inner in _messages(part)]
    return found


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def _change_message(message: Any, chance: random.Random) -> None:
    present = [field for field, _ in message.ListFields()]
    field = chance.choice(present if present and chance.random() < 0.8 else list(message.DESCRIPTOR.fields))
    if field.message_type is not None:
        if not _repeated(field):
            chance.choice(
                (lambda: message.ClearField(field.name), lambda: getattr(message, field.name).SetInParent())
            )()
            return
        entries = getattr(message, field.name)
        kind = chance.randrange(3)
        if entries and kind == 0:
            del entries[chance.randrange(len(entries))]
        elif entries and kind == 1:
            entries.add().CopyFrom(chance.choice(list(entries)))
        else:
            entries.add()
        return
    values = list(getattr(message, field.name)) if _repeated(field) else [getattr(message, field.name)]
    value = _scalar(values, field, chance)
    if not _repeated(field):
        setattr(message, field.name, value)
    elif values and chance.random() < 0.7:
        getattr(message, field.name)[chance.randrange(len(values))] = value
    else:
        getattr(message, field.name).append(value)


OPERATORS = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Neg",
    "Gemm",
    "MatMul",
    "Conv",
    "BatchNormalization",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Identity",
    "Dropout",
    "Cast",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Softmax",
    "Sigmoid",
    "Shape",
    "Constant",
    "Gather",
    "Concat",
]


def _scalar(values: list[Any], field: Any, chance: random.Random) -> Any:
    old = chance.choice(values) if values else field.default_value
    if field.name == "op_type":
        return chance.choice(OPERATORS)
    if field.name in ("input", "output") and values and chance.random() < 0.8:
        return chance.choice([*values, "x", "y", "W", "h"])
    if isinstance(old, bytes):
        return _plain(old, 200)
    if isinstance(old, str):
        return chance.choice(
            (old + "a", "", "x", "y", "axis", "perm", "pads", "\x1b[0m", _plain(old.encode(), 60).decode("latin1"))
        )
    if isinstance(old, float):
        return chance.choice((0.0, 1.0, -1.0, 1e38, float("inf"), float("nan")))
    return chance.choice((old + 1, old - 1, 0, 1, 2, 7, -1, 1 << 20, 1 << 30, (1 << 31) - 1))


# --- NumPy ------------------------------------------------------------------------------------------------------


def _npy(data: bytes, _chance: random.Random, _most: int) -> bytes:
    """An .npy file whose header is changed and its length put right."""
    size = int.from_bytes(data[8:10], "little")
    header = _plain(data[10 : 10 + size], 300)
    if data[:6] != b"\x93NUMPY":
        raise ValueError
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data[10 + size :]


MUTATORS: dict[str, Mutator] = {
    "pt": _or_plain(_archive),
    "torchscript": _or_plain(_archive),
    "pt2": _or_plain(_archive),
    "safetensors": _or_plain(_header),
    "shallow": _or_plain(_converted),
    "onnx": _or_plain(_protobuf),
    "npy": _or_plain(_npy),
    "keras": _or_plain(_archive),
}
