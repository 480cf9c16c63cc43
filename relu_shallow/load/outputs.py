"""The one output tensor of a model that gives several, in a tuple, a list or a dict, chosen by its key or position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load.aten_windows import Unusable
from relu_shallow.load.walk import Vector, Wanted, choose_output


def chosen_output(what: str, output: Any, wanted: Wanted) -> Any:
    """The output tensor that the user named, or the only one."""
    named = named_outputs(output, "")
    return named[choose_output(what, list(named), wanted)]


def named_outputs(output: Any, name: str) -> dict[str, Any]:
    """Output tensors by key or position ("0", "1"); within one another as "1.logits"."""
    if isinstance(output, Mapping):
        parts = [(str(key), value) for key, value in output.items() if value is not None]
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        parts = list(zip(output._fields, output, strict=True))
    elif isinstance(output, (tuple, list)):
        parts = [(str(place), value) for place, value in enumerate(output)]
    elif is_dataclass(output) and not isinstance(output, (type, Vector, Unusable)):
        parts = [(part.name, getattr(output, part.name)) for part in fields(output)]
    else:
        return {name or "0": output}
    found: dict[str, Any] = {}
    for key, value in parts:
        inner = named_outputs(value, f"{name}.{key}" if name else key)
        if set(inner) & set(found):
            raise ModelError(f"two outputs have the name {min(set(inner) & set(found))}; rename one")
        found |= inner
    return found
