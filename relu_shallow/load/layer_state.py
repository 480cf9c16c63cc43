"""What a PyTorch module holds: its options, its numbers, its sub-modules, and what was altered in it.

Live modules and inert stand-ins of them alike keep their numbers in `_parameters`, `_buffers` and `_modules`, and their
options as attributes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.walk import FREE_ENTRIES

HOOKS = ("_forward_pre_hooks", "_forward_hooks")
REPLACED = ("forward", "_call_impl", "_wrapped_call_impl", "_slow_forward")
REMOVED_BY = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm(layer)",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm(layer)",
}


def class_path(layer: object) -> str:
    """The import path of an object's class."""
    return f"{type(layer).__module__}.{type(layer).__name__}"


def children(layer: object) -> dict[str, Any]:
    """A module's sub-modules in order of registration."""
    return {name: child for name, child in (vars(layer).get("_modules") or {}).items() if child is not None}


def numbers(tensor: Any) -> np.ndarray | None:
    """A tensor's entries (bfloat16 widened to float32, exactly)."""
    if tensor is None or isinstance(tensor, np.ndarray):
        return tensor
    if tensor.numel() * tensor.element_size() > max(tensor.untyped_storage().nbytes(), 8 * FREE_ENTRIES):
        raise ModelError(f"a tensor of shape {tuple(tensor.shape)} repeats a few stored numbers; "
                         "call .contiguous() on it and save the model again")  # fmt: skip
    still = tensor.detach().cpu()
    return (still.float() if str(still.dtype) == "torch.bfloat16" else still).numpy()


def parameter(layer: object, key: str) -> np.ndarray | None:
    """A registered parameter or buffer, or None where the layer was made without it; never a plain attribute."""
    state = vars(layer)
    if state.get(key) is not None:
        raise ModelError(f"a {type(layer).__name__} keeps {key!r} as a plain attribute, computed from something else; "
                         "make it a parameter (remove what computes it) and save the model again")  # fmt: skip
    for kept in (state.get("_parameters") or {}, state.get("_buffers") or {}):
        if kept.get(key) is not None:
            return numbers(kept[key])
    return None


def refuse_altered(name: str, layer: object) -> None:
    """Raises ModelError where a module does more than its class says: a hook, a parametrisation, another forward."""
    state, what = vars(layer), f"layer {name}" if name else "the model"
    own = [key for key in REPLACED if key in state]
    if own:
        raise ModelError(f"{what} has a {own[0]} of its own in place of its class's, and what it does is not read; "
                         "write it as a class, or export the model with torch.onnx")  # fmt: skip
    if "parametrizations" in children(layer) and type(layer).__name__.startswith("Parametrized"):
        raise ModelError(f"{what} is parametrised ({', '.join(children(children(layer)['parametrizations']))}); call "
                         "torch.nn.utils.parametrize.remove_parametrizations(layer, name) for each, "
                         "then save the model")  # fmt: skip
    hooks = [hook for key in HOOKS for hook in (state.get(key) or {}).values()]
    if hooks:
        names = [getattr(hook, "__qualname__", type(hook).__name__) for hook in hooks]
        mend = next((REMOVED_BY[kind] for kind in names if kind in REMOVED_BY), None)
        pruned = any(type(hook).__module__ == "torch.nn.utils.prune" for hook in hooks)
        mend = "torch.nn.utils.prune.remove(layer, name)" if pruned else mend
        raise ModelError(f"{what} carries a hook ({', '.join(names)}), code that changes what it computes and is not "
                         f"read; {f'call {mend}' if mend else 'remove it'}, then save the model, or export it with "
                         "torch.onnx")  # fmt: skip


def option(layer: object, key: str, default: Any) -> Any:
    """An option of a layer, or what PyTorch takes where a file from before that option says nothing."""
    return vars(layer).get(key, default)
