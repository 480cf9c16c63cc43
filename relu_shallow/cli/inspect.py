"""relu-shallow inspect: what a model file or a converted file holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import json_option, model_options

if TYPE_CHECKING:
    from relu_shallow.domain import Domain
    from relu_shallow.network import Embedding, Network
    from relu_shallow.regions.folder import RegionsFolder
    from relu_shallow.shallow.table import Completeness, ShallowNetwork

LARGEST = 5  # regions listed, by inscribed radius
LOOKED_AT = 1 << 24  # weights of a network whose structure is looked at, which takes seconds there
FEW_INPUTS = 6  # up to here the domain's bounds are listed


@click.command("inspect")
@click.argument("file", type=click.Path())
@model_options
@json_option
def command(file: str, as_json: bool, **reading: Any) -> None:
    """Say what FILE holds: any model, or any converted network, a file or a folder of regions.

    \b
    Example:
      relu-shallow inspect model.shallow.safetensors
    """
    from relu_shallow.cli.output import print_aligned, print_json
    from relu_shallow.load import load_network
    from relu_shallow.shallow.store import is_shallow_file, load_shallow
    from relu_shallow.shallow.stored import is_regions, open_regions

    if is_regions(file):
        folder = open_regions(file).folder
        report = {"kind": "regions folder", **describe_network(folder.network), **describe_folder(folder)}
    elif is_shallow_file(file):
        shallow = load_shallow(file)
        report = {"kind": "converted", **describe_network(shallow.network), **describe_regions(shallow)}
    else:
        report = {"kind": "model", **describe_network(load_network(file, **reading))}
    print_json(report) if as_json else print_aligned(_lines(report))


def describe_network(network: Network) -> dict[str, Any]:
    """What is known of a network, in JSON's types."""
    import numpy as np

    gates = {(low, high) for gate in network.gates for low, high in zip(gate.inactive, gate.active, strict=True)}
    kinds = [_gate_name(float(low), float(high)) for low, high in sorted(gates)]
    weights = [layer.W if isinstance(layer.W, np.ndarray) else layer.W.data for layer in network.affine]
    return {
        "name": network.source.name,
        "format": network.source.format,
        "sha256": network.source.sha256,
        "dtype": network.source.dtype,
        "assumed": network.source.assumed,
        "source_checked": network.source.checked or "source not run",
        "slice": _describe_slice(network.slice),
        "inputs": network.inputs,
        "outputs": network.outputs,
        "layers": list(network.widths),
        "neurons": network.neurons,
        **_describe_structure(network),
        "parameters": sum(part.size for part in weights) + sum(len(layer.b) for layer in network.affine),
        "gates": kinds,
        "head": network.head,
        "feature_names": list(network.feature_names),
        "output_names": list(network.output_names),
    }


def _describe_structure(network: Network) -> dict[str, Any]:
    """What of a network is not needed; null where it is too large to be looked at in full."""
    from relu_shallow.modules import modules_of
    from relu_shallow.structure import Structure, structure_of

    if sum(layer.W.shape[0] * layer.W.shape[1] for layer in network.affine) > LOOKED_AT:
        return dict.fromkeys((*Structure.__dataclass_fields__, "module_neurons"))
    found = asdict(structure_of(network))
    modules = [len(module.neurons) for module in modules_of(network)]
    return {**found, "dead_inputs": [network.feature_names[place] for place in found["dead_inputs"]],
            "module_neurons": modules}  # fmt: skip


def _describe_slice(embedding: Embedding | None) -> dict[str, Any] | None:
    """What a network on a slice is a slice of: the inputs of the original are x = M u + v."""
    if embedding is None:
        return None
    return {
        "of": embedding.label,
        "original_inputs": len(embedding.v),
        "original_feature_names": list(embedding.feature_names),
        "M": embedding.M.tolist(),
        "v": embedding.v.tolist(),
    }


def describe_regions(shallow: ShallowNetwork) -> dict[str, Any]:
    """What is known of a converted network's regions, in JSON's types."""
    import numpy as np

    known, several = shallow.completeness, len(shallow.tables) > 1
    largest = [
        {**({"module": number} if several else {}), "region": int(region), "radius": float(table.radii[region]),
         "witness": table.witnesses[region].tolist()}
        for number, table in enumerate(shallow.tables)
        for region in np.argsort(-table.radii, kind="stable")[:LARGEST]
    ]  # fmt: skip
    return {
        "regions": shallow.regions,
        "choices": shallow.choices,
        "half_spaces": shallow.half_spaces,
        **_describe_search(shallow.domain, shallow.network.inputs, known),
        "proof": sum(array.nbytes for array in shallow.proof.values()),
        "lps": known.effort.lps,
        "search_seconds": known.effort.seconds,
        "modules": [table.regions for table in shallow.tables],
        "largest_regions": sorted(largest, key=lambda entry: -entry["radius"])[:LARGEST],
    }


def describe_folder(folder: RegionsFolder) -> dict[str, Any]:
    """What the headers of a folder's files tell, in JSON's types."""
    return {
        "regions": folder.regions,
        "files": len(folder.shards),
        "bytes": sum(file.stat().st_size for file in folder.path.glob("*.safetensors")),
        **_describe_search(folder.domain, folder.network.inputs, folder),
        "unfinished": folder.unfinished,
        "share": list(folder.share),
        "lps": folder.effort.lps,
        "search_seconds": folder.effort.seconds,
    }


def _describe_search(domain: Domain, inputs: int, known: Completeness | RegionsFolder) -> dict[str, Any]:
    """Where regions were looked for, and what is known of the list."""
    import numpy as np

    from relu_shallow.domain import Box, describe, fit

    box = fit(domain, inputs)
    return {
        "domain": describe(domain),
        "bounds": np.column_stack([box.lo, box.hi]).tolist() if isinstance(box, Box) else None,
        "complete": known.complete,
        "level": known.level,
        "certificate": asdict(known.certificate),
    }


def _gate_name(inactive: float, active: float) -> str:
    names = {(0.0, 1.0): "relu", (-1.0, 1.0): "abs", (1.0, 1.0): "identity"}
    return names.get((inactive, active), f"slopes {inactive:g} and {active:g}")


def _lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The report for people: bounds where they are few, modules where there are several."""
    shown = dict(report)
    embedding = shown.pop("slice")
    if embedding:
        shown["inputs"] = f"{shown['inputs']}, of {embedding['of']} in {embedding['original_inputs']:,} inputs"
    bounds = shown.pop("bounds", None)
    if bounds and len(bounds) <= FEW_INPUTS and len(set(map(tuple, bounds))) > 1:  # a cube is described in full
        each = zip(report["feature_names"], bounds, strict=True)
        shown["domain"] += ": " + ", ".join(f"{name} in [{low:g}, {high:g}]" for name, (low, high) in each)
    if "share" in shown:
        part, parts = shown.pop("share")
        shown |= {"part": f"{part} of {parts}"} if parts > 1 else {}
    if len(shown.get("modules", ())) == 1:
        del shown["modules"]
    parts = shown.pop("module_neurons")
    if parts and len(parts) > 1:
        shown["falls apart into"] = f"{len(parts)} modules of {_text(parts)} neurons"
    return [(name.replace("_", " "), _text(value)) for name, value in shown.items()]


def _region(entry: dict[str, Any]) -> str:
    place = f" of module {entry['module']}" if "module" in entry else ""
    return f"{entry['region']}{place} (radius {entry['radius']:.3g})"


def _text(value: Any) -> str:
    """A value for people: lists in one line and cut where they are long."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "; ".join(_region(entry) for entry in value)
    if isinstance(value, list):
        shown = ", ".join(str(entry) for entry in value[:12])
        return (shown + (f" and {len(value) - 12} more" if len(value) > 12 else "")) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:,}" for name, number in value.items() if number) or "nothing to decide"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value) or "unknown"
