"""One self-contained HTML page about an explanation: the model, its regions, what matters, and chosen rows."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from relu_shallow.atomic import replacing
from relu_shallow.data import without_control
from relu_shallow.domain import describe
from relu_shallow.errors import DataError
from relu_shallow.explanation.attribution import LOCAL, Attribution, max_additivity_gap, status_counts
from relu_shallow.network import Network
from relu_shallow.plot.attribution import SHOWN, SWARM_ROWS, bar, beeswarm, waterfall
from relu_shallow.plot.lettering import MINUS, number
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork

LISTED_REGIONS = 10
LISTED_FEATURES = 30
FORMULA_TERMS = 8
ALL_OUTPUTS = 12  # predictions of all outputs are listed for a row up to here


def write_page(
    attribution: Attribution,
    model: ShallowNetwork | StoredNetwork | Network,
    path: str | os.PathLike[str],
    rows: Sequence[int] = (),
) -> None:
    """Writes the page, with a waterfall and the local model of the given rows (or of a few that stand out).

    It holds its pictures, runs no script and loads nothing. Raises DataError for a row that is not in the data.
    """
    with replacing(path) as temporary:
        temporary.write_text(render(attribution, model, rows), encoding="utf-8")


def render(attribution: Attribution, model: ShallowNetwork | StoredNetwork | Network, rows: Sequence[int] = ()) -> str:
    """The page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("relu_shallow", "report"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    network = model if isinstance(model, Network) else model.network
    return environment.get_template("page.html").render(
        title=network.source.name if network.source.sha256 else "a network",
        facts=_facts(model),
        rows=len(attribution.X),
        status=status_counts(attribution),
        method=attribution.method,
        gap=max_additivity_gap(attribution),
        background=len(attribution.background.X),
        head=network.head,
        converted=not isinstance(model, Network),
        outputs=[_output(attribution, k) for k in range(len(attribution.outputs))],
        regions=_regions(attribution),
        regions_met=len(np.unique(attribution.region)),
        regions_listed=LISTED_REGIONS,
        features_shown=SHOWN,
        swarm_rows=SWARM_ROWS,
        chosen=[_row(attribution, row) for row in _chosen(attribution, rows)],
    )


def _shown(value: Any) -> Any:
    """A value as it goes into the page: names of features may hold control characters, which a page may not."""
    return without_control(value) if isinstance(value, str) else value


def _facts(model: ShallowNetwork | StoredNetwork | Network) -> list[tuple[str, str]]:
    """What the model is, as pairs of a name and a phrase."""
    network = model if isinstance(model, Network) else model.network
    widths = " + ".join(str(width) for width in network.widths)
    facts = [
        ("Model", f"{network.source.name} ({network.source.format}), {network.source.dtype} weights"),
        ("SHA-256 of the model file", network.source.sha256 or "not read from a file"),
        ("Inputs and outputs", f"{network.inputs} and {network.outputs}"),
        ("Hidden neurons", f"{network.neurons} ({widths})" if len(network.widths) > 1 else str(network.neurons)),
    ]
    if network.head != "identity":
        facts.append(("Final function, kept apart", f"{network.head}; all values here are before it"))
    if isinstance(model, Network):
        return [*facts, ("Linear regions", "not counted: the model was explained as it is, without converting it")]
    done = model.completeness
    facts.append(("Converted on", describe(model.domain)))
    facts.append(("Linear regions", f"{model.regions:,}" + ("" if done.complete else " (a partial list)")))
    if isinstance(model, ShallowNetwork):
        facts.append(("Half-spaces between them", f"{model.half_spaces:,}"))
    return [*facts, ("Level of proof", f"{done.level}")]


def _output(attribution: Attribution, k: int) -> dict[str, Any]:
    """Global importance for one explained output: two pictures and their numbers."""
    importance = np.abs(attribution.phi[:, k]).mean(axis=0)
    order = np.argsort(-importance, kind="stable")
    features = [(attribution.feature_names[i], float(importance[i])) for i in order]
    return {
        "name": attribution.output_names[k],
        "number": attribution.outputs[k],
        "base": float(attribution.base_value[k]),
        "beeswarm": _data_uri(beeswarm(attribution, k)),
        "bar": _data_uri(bar(attribution, k)),
        "features": features[:LISTED_FEATURES],
        "others": len(features[LISTED_FEATURES:]),
        "others_sum": sum(value for _, value in features[LISTED_FEATURES:]),
    }


def _regions(attribution: Attribution) -> list[dict[str, Any]]:
    """The regions that hold most rows."""
    region, counts = np.unique(attribution.region, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:LISTED_REGIONS]
    return [
        {"region": int(region[i]), "rows": int(counts[i]), "share": counts[i] / len(attribution.region)} for i in most
    ]


def _chosen(attribution: Attribution, rows: Sequence[int]) -> list[int]:
    """The given rows, or those of highest, lowest and most ordinary prediction and of the largest gap."""
    for row in rows:
        if not 0 <= row < len(attribution.X):
            raise DataError(f"there is no row {row} to show: the data has {len(attribution.X)}, counted from 0")
    if len(rows):
        return list(dict.fromkeys(int(row) for row in rows))
    moved = attribution.prediction - attribution.base_value
    first = moved[:, 0]
    picks = [int(first.argmax()), int(first.argmin()), int(np.abs(moved).sum(axis=1).argmin())]
    if LOCAL in attribution.status:
        picks.append(int(np.abs(attribution.gap).max(axis=1).argmax()))
    return list(dict.fromkeys(picks))


def _row(attribution: Attribution, row: int) -> dict[str, Any]:
    """One row: its waterfall and local model, for the output that moved most from its mean."""
    moved = attribution.prediction[row] - attribution.base_value
    k = int(np.abs(moved).argmax())
    phi, alpha = attribution.phi[row, k], attribution.alpha[row, k]
    columns = (attribution.feature_names, attribution.X[row], attribution.background.mean, alpha, phi)
    order = np.argsort(-np.abs(phi), kind="stable")
    lines = [tuple(column[i] for column in columns) for i in order]
    return {
        "row": row,
        "output": attribution.output_names[k],
        "prediction": float(attribution.prediction[row, k]),
        "base": float(attribution.base_value[k]),
        "region": int(attribution.region[row]),
        "status": attribution.status[row],
        "gap": float(attribution.gap[row, k]),
        "distance": number(attribution.distance[row]) if np.isfinite(attribution.distance[row]) else "there is none",
        "formula": _formula(attribution.feature_names, alpha, float(attribution.beta[row, k]), order),
        "constant": float(attribution.beta[row, k]),
        "features": lines[:LISTED_FEATURES],
        "others": len(lines[LISTED_FEATURES:]),
        "others_sum": float(sum(line[4] for line in lines[LISTED_FEATURES:])),
        "predictions": list(zip(attribution.output_names, attribution.prediction[row].tolist(), strict=True))
        if 1 < len(moved) <= ALL_OUTPUTS
        else [],
        "waterfall": _data_uri(waterfall(attribution, row, k)),
    }


def _formula(names: Sequence[str], alpha: np.ndarray, beta: float, order: np.ndarray) -> list[tuple[str, str, str]]:
    """The local model as signed terms (sign, size, feature), the constant first; the leading features only."""
    terms = [("", number(beta), "")]
    terms += [(MINUS if alpha[i] < 0 else "+", number(abs(alpha[i])), names[i]) for i in order[:FORMULA_TERMS]]
    return terms + [("+", "…", "")] * (len(order) > FORMULA_TERMS)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
