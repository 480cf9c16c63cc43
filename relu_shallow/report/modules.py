"""The modules of an explained network: how large they are, what each adds to the outputs, which features each uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.explanation.attribution import EXACT, Attribution, columns_of
from relu_shallow.explanation.by_module import explain_by_module
from relu_shallow.modules import Module, modules_of
from relu_shallow.network import Network
from relu_shallow.plot.attribution import NAME, SHOWN
from relu_shallow.plot.lettering import number, short
from relu_shallow.plot.modular_cells import Strips, strips
from relu_shallow.precision import gamma
from relu_shallow.questions.source import Source, network_of
from relu_shallow.shallow.projection import regions_by_module
from relu_shallow.shallow.table import ShallowNetwork

MOST = 64  # modules: more are the neurons of one wide layer, of which no table is read
FEWEST_ROWS, MOST_ROWS = 10, 100  # that means are over
EFFORT = 4e10  # weights times neurons times rows times rows of the background: some seconds
SECONDS = 60.0  # for exact values; where that is too little, integrated gradients are shown
COUNTED = 1 << 28  # regions times neurons whose patterns are looked at
LEADING = 3  # features named for each module
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, eq=False)
class ByModule:
    """What each module is and does, on some of the rows.

    `neurons` are each module's in every layer, `regions` those of its own (empty where not known). `moved` is a
    module's part of an output minus that part's mean over the background: over modules it adds up to the prediction
    minus the base value. `phi` are the values of `columns` (features, or groups of them) by `method`, one of "exact",
    "local" and "integrated".
    """

    neurons: tuple[tuple[int, ...], ...]
    regions: tuple[int, ...]
    rows: Int[np.ndarray, " rows"]
    columns: tuple[str, ...]
    moved: Float[np.ndarray, "modules rows outputs"]
    phi: Float[np.ndarray, "modules rows outputs columns"]
    method: str


def ask_modules(attribution: Attribution, source: Source) -> ByModule | None:
    """The modules of a network that falls apart into several, but not too many to show; None for all others."""
    network = network_of(source)
    modules = modules_of(network)
    if not 1 < len(modules) <= MOST or not len(attribution.X):
        return None
    rows = _some_rows(attribution, network)
    method, parts = _explained(attribution, network, rows)
    columns = [columns_of(part) for part in parts]
    return ByModule(
        tuple(_by_layer(network, module) for module in modules),
        _regions(source, modules),
        rows,
        columns[0].names,
        np.stack([_moved(part) for part in parts]),
        np.stack([part.phi for part in columns]),
        method,
    )


def _moved(part: Attribution) -> Float[np.ndarray, "rows outputs"]:
    """A module's part of the outputs minus its mean; 0 where that is no more than the mean's rounding."""
    moved = part.prediction - part.base_value
    rounding = gamma(len(part.background.X) + 1) * (np.abs(part.prediction) + np.abs(part.base_value))
    return np.where(np.abs(moved) > rounding, moved, 0.0)


def _some_rows(attribution: Attribution, network: Network) -> Int[np.ndarray, " rows"]:
    """Rows evenly spaced, as many as take some seconds."""
    weights = sum(layer.W.size if isinstance(layer.W, np.ndarray) else layer.W.nnz for layer in network.affine)
    worth = int(EFFORT / max(weights * network.neurons * len(attribution.background.X), 1))
    count = min(len(attribution.X), max(FEWEST_ROWS, min(MOST_ROWS, worth)))
    return np.linspace(0, len(attribution.X) - 1, count).astype(np.int64)


def _explained(
    attribution: Attribution, network: Network, rows: Int[np.ndarray, " rows"]
) -> tuple[str, tuple[Attribution, ...]]:
    """(the method, an attribution of each module) that adds up to the page's values wherever these are known exactly.

    Bounds and estimates of modules would add up to others than the network's, so there the modules' integrated
    gradients are taken, which add up to what each module does.
    """
    asked: dict[str, Any] = {"background": attribution.background, "groups": attribution.groups or None,
                             "output": list(attribution.outputs)}  # fmt: skip
    X = attribution.X[rows]
    if attribution.method in ("integrated", "local"):
        return attribution.method, explain_by_module(network, X, method=attribution.method, **asked)[1]
    if {*attribution.status} == {EXACT}:
        whole, parts = explain_by_module(network, X, method="exact", time_limit=SECONDS, **asked)
        if {*whole.status} == {EXACT}:
            return EXACT, parts
    return "integrated", explain_by_module(network, X, method="integrated", **asked)[1]


def _by_layer(network: Network, module: Module) -> tuple[int, ...]:
    """How many neurons of each hidden layer a module has."""
    layer = np.searchsorted(np.cumsum(network.widths), module.neurons, side="right")
    return tuple(np.bincount(layer, minlength=len(network.widths)).tolist())


def _regions(source: Source, modules: tuple[Module, ...]) -> tuple[int, ...]:
    """The regions of each module, as listed or as a complete joint list shows them; none where they are not known."""
    if not isinstance(source, ShallowNetwork):
        return ()
    if len(source.tables) > 1:
        listed = {tuple(table.module.neurons.tolist()): table.regions for table in source.tables if table.module}
        own = [listed.get(tuple(module.neurons.tolist()), 0) for module in modules]
        return tuple(own) if all(own) else ()
    (table,) = source.tables
    if not source.completeness.complete or table.regions * table.network.neurons > COUNTED:
        return ()
    return tuple(regions_by_module(table, modules).tolist())


# --- on the page ------------------------------------------------------------------------------------------------


def modules_shown(found: ByModule | None, attribution: Attribution, source: Source) -> dict[str, Any] | None:
    """What the template writes of the modules; None where it writes nothing."""
    if found is None:
        return None
    size = np.abs(found.moved).mean(axis=1)  # (modules, outputs)
    return {
        "count": len(found.neurons),
        "rows": len(found.rows),
        "regions": sum(found.regions),
        "joint": source.regions if isinstance(source, ShallowNetwork) and len(source.tables) == 1 else None,
        "most": power(math.prod(found.regions)),
        "complete": not isinstance(source, Network) and source.completeness.complete,
        "method": found.method,
        "same": found.method == attribution.method or found.method == EXACT,
        "layers": len(found.neurons[0]),
        "lines": [_line(found, attribution, size, k) for k in range(len(size))],
        "outputs": strips(attribution.output_names, size.T),
        "features": [_features(found, attribution, k) for k in range(size.shape[1])],
    }


def power(count: int) -> str:
    """A number of regions: as it is, or the power of ten near it."""
    return f"{count:,}" if count < 10**6 else f"about 10{str(round(math.log10(count))).translate(RAISED)}"


def _line(
    found: ByModule, attribution: Attribution, size: Float[np.ndarray, "modules outputs"], k: int
) -> dict[str, Any]:
    """One module: its neurons and regions, how far it moves outputs, and what it looks at."""
    output = int(size[k].argmax())
    by_column = np.abs(found.phi[k, :, output]).mean(axis=0)
    order = [i for i in np.argsort(-by_column, kind="stable")[:LEADING].tolist() if by_column[i] > 0]
    return {
        "number": k,
        "neurons": sum(found.neurons[k]),
        "layers": " + ".join(map(str, found.neurons[k])),
        "regions": f"{found.regions[k]:,}" if found.regions else "not counted",
        "size": float(size[k].mean()),
        "output": short(attribution.output_names[output], NAME) if size[k, output] > 0 else "",
        "most": float(size[k, output]),
        "leading": [(short(found.columns[i], NAME), number(float(by_column[i]))) for i in order],
    }


@dataclass(frozen=True)
class ModuleFeatures:
    """The mean |value| of features by module for one output: as strips, and as lines (name, numbers, their sum)."""

    output: str
    strips: Strips
    lines: tuple[tuple[str, tuple[float, ...], float], ...]


def _features(found: ByModule, attribution: Attribution, k: int) -> ModuleFeatures:
    """For one output, the features that matter most in any module, and the others' sum."""
    size = np.abs(found.phi[:, :, k]).mean(axis=1).T  # (columns, modules)
    order = np.argsort(-size.sum(axis=1), kind="stable")
    shown, rest = order[:SHOWN], order[SHOWN:]
    names = [found.columns[i] for i in shown.tolist()]
    values = size[shown]
    lines = [*zip(names, values, strict=True)]
    if len(rest):
        lines.append((f"{len(rest)} others, summed", size[rest].sum(axis=0)))
    return ModuleFeatures(
        attribution.output_names[k],
        strips(names, values),
        tuple((name, tuple(row.tolist()), float(row.sum())) for name, row in lines),
    )
