"""One self-contained HTML page about an explanation: the model, its regions, what matters, and chosen rows."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np

from relu_shallow.atomic import replacing
from relu_shallow.data import without_control
from relu_shallow.explanation.attribution import (
    EXACT,
    LOCAL,
    Attribution,
    columns_of,
    max_additivity_gap,
    status_counts,
)
from relu_shallow.network import Network
from relu_shallow.plot.attribution import SHOWN, SWARM_ROWS, bars, beeswarm, importance
from relu_shallow.plot.dependence import LOOKS, dependence, parallel
from relu_shallow.plot.lettering import number
from relu_shallow.questions.effects import Effects
from relu_shallow.questions.rules import Rule, rule_lines
from relu_shallow.questions.source import Source, network_of
from relu_shallow.report.answers import Answers, Wishes, ask
from relu_shallow.report.facts import (
    INTEGRATED,
    LEVELS,
    MEANING,
    certificate_facts,
    fidelity_facts,
    model_facts,
)
from relu_shallow.report.modules import modules_shown
from relu_shallow.report.rows import LISTED_FEATURES, chosen_rows, row_in_full, table_of_rows
from relu_shallow.shallow.table import ShallowNetwork

LISTED_REGIONS = 10
FULL_SWARMS = 3  # outputs; more get fewer dots each
MONOTONE_FEATURES = 40


def write_page(
    attribution: Attribution,
    source: Source,
    path: str | os.PathLike[str],
    rows: Sequence[int] = (),
    wishes: Wishes | None = None,
    progress: Callable[[int], None] | None = None,
) -> Answers:
    """Writes the page, with the given rows in full (or a few that stand out), and returns the answers in it.

    It loads nothing, and reads without its script, which is for searching. `wishes` say what is asked beside the
    attributions; `progress` is told how many rows' nearest points are known. Raises DataError for a row that is not in
    the data, UsageError for a wish that makes no sense.
    """
    chosen = chosen_rows(attribution, rows)
    answers = ask(attribution, source, chosen, wishes or Wishes(), progress)
    with replacing(path) as temporary:
        temporary.write_text(render(attribution, source, answers, chosen, wishes or Wishes()), encoding="utf-8")
    return answers


def render(
    attribution: Attribution, source: Source, answers: Answers, chosen: Sequence[int], wishes: Wishes
) -> str:
    """The page as text; its only script stands in it and is allowed by its hash."""
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
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    script = files("relu_shallow.report").joinpath("page.js").read_text(encoding="utf-8")
    network = network_of(source)
    status = status_counts(attribution)
    return environment.get_template("page.html").render(
        inf=float("inf"),
        title=network.source.name if network.source.sha256 else "a network",
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        facts=model_facts(source),
        certificate=certificate_facts(source, answers),
        level="" if isinstance(source, Network) else LEVELS.get(str(source.completeness.level), ""),
        verification=answers.verification,
        rows=len(attribution.X),
        status=status,
        meaning={name: _meaning(attribution, name) for name in status},
        fidelity=fidelity_facts(attribution, network),
        method=attribution.method,
        integrated=attribution.method == "integrated",
        gap=max_additivity_gap(attribution),
        exact=status.get(EXACT, 0),
        local=LOCAL in status,
        background=len(attribution.background.X),
        head=network.head,
        converted=not isinstance(source, Network),
        regions=None if isinstance(source, Network) else source.regions,
        tables=len(source.tables) if isinstance(source, ShallowNetwork) else 1,
        modules=modules_shown(answers.modules, attribution, source),
        outputs=[_output(attribution, answers, k) for k in range(len(attribution.outputs))],
        effect_rows=answers.effect_rows,
        held=_regions(attribution),
        models=_models(attribution, answers, wishes.regions),
        monotone=_monotone(attribution, answers),
        left_out=answers.left_out,
        features_shown=SHOWN,
        swarm_rows=_dots(attribution),
        goal=answers.goal,
        scale=wishes.scale,
        seconds=wishes.nearest,
        whole=[network.feature_names[j] for j in answers.whole],
        fixed=wishes.fixed,
        chosen=[row_in_full(attribution, network, answers, row) for row in chosen],
        table=table_of_rows(attribution),
    )


def _shown(value: Any) -> Any:
    """A value as it goes into the page: names of features may hold control characters, which a page may not."""
    return type(value)(without_control(value)) if isinstance(value, str) else value  # what macros made stays markup


def _meaning(attribution: Attribution, status: str) -> str:
    return INTEGRATED if attribution.method == "integrated" and status == EXACT else MEANING[status]


def _dots(attribution: Attribution) -> int:
    return SWARM_ROWS if len(attribution.outputs) <= FULL_SWARMS else SWARM_ROWS // FULL_SWARMS


def _output(attribution: Attribution, answers: Answers, k: int) -> dict[str, Any]:
    """Global importance for one explained output, with the effects of the features that matter most."""
    columns = columns_of(attribution)
    size, order = importance(columns, k)
    features = [(columns.names[i], float(size[i])) for i in order.tolist()]
    return {
        "name": attribution.output_names[k],
        "number": attribution.outputs[k],
        "base": float(attribution.base_value[k]),
        "beeswarm": beeswarm(attribution, k, _dots(attribution)),
        "bars": bars(attribution, k),
        "features": features[:LISTED_FEATURES],
        "others": len(features[LISTED_FEATURES:]),
        "others_sum": sum(value for _, value in features[LISTED_FEATURES:]),
        "effects": [_effect(attribution, found, k) for found in answers.effects[k]],
    }


def _effect(attribution: Attribution, found: Effects, k: int) -> Any:
    j = attribution.feature_names.index(found.feature)
    shown = attribution.base_value[k] + attribution.phi[:, k, j]
    return dependence(found, attribution.outputs[k], attribution.X[:, j], shown)


# --- regions ----------------------------------------------------------------------------------------------------


def _regions(attribution: Attribution) -> dict[str, Any]:
    """How the rows are spread over regions: the ones that hold most, and how many hold half and nine tenths."""
    region, counts = np.unique(attribution.region, return_counts=True)
    most = np.argsort(-counts, kind="stable")
    total = np.cumsum(counts[most])
    return {
        "met": len(region),
        "half": int(np.searchsorted(total, 0.5 * total[-1])) + 1,
        "most": int(np.searchsorted(total, 0.9 * total[-1])) + 1,
        "listed": [
            {"region": int(region[i]), "rows": int(counts[i]), "share": counts[i] / len(attribution.region)}
            for i in most[:LISTED_REGIONS].tolist()
        ],
    }


def _models(attribution: Attribution, answers: Answers, most: int) -> dict[str, Any]:
    """The local models of the regions with most rows, in one chart for each output, and their rules."""
    region, first, counts = np.unique(attribution.region, return_index=True, return_counts=True)
    top = np.argsort(-counts, kind="stable")[: min(most, LOOKS)]
    rules = {rule.region: rule for rule in answers.rules}
    spread = attribution.X.std(axis=0)
    charts = []
    for k, name in enumerate(attribution.output_names):
        slopes = attribution.alpha[first[top], k] * spread
        features = np.argsort(-np.abs(slopes).max(axis=0, initial=0.0), kind="stable")[:SHOWN]
        charts.append((name, parallel(tuple(attribution.feature_names[i] for i in features), slopes[:, features])))
    listed = []
    for place, i in enumerate(top.tolist()):
        rule = rules.get(int(region[i]))
        listed.append({
            "region": int(region[i]),
            "look": place,
            "rows": int(counts[i]),
            "share": counts[i] / len(attribution.region),
            **_rule(rule),
        })  # fmt: skip
    return {"charts": charts if len(top) else [], "regions": listed, "features": attribution.X.shape[1]}


def _rule(rule: Rule | None) -> dict[str, Any]:
    """A rule's inequalities: those of neurons, and those that are the domain's own."""
    if rule is None:
        return {"own": [], "domain": [], "needless": 0, "radius": 0.0}
    own, domain = (
        rule_lines(replace(rule, A=rule.A[rows], b=rule.b[rows], neuron=rule.neuron[rows]), rule.digits)
        for rows in (rule.neuron >= 0, rule.neuron < 0)
    )
    return {"own": own, "domain": domain, "needless": rule.proved_needless, "radius": rule.radius}


# --- monotony ---------------------------------------------------------------------------------------------------

WORDS = {
    ("proved", "proved"): ("no effect at all", "proved"),
    ("proved", "refuted"): ("never falls when it grows", "proved"),
    ("refuted", "proved"): ("never rises when it grows", "proved"),
    ("refuted", "refuted"): ("rises in places, falls in others", "shown"),
}


def _monotone(attribution: Attribution, answers: Answers) -> dict[str, Any] | None:
    """For the explained outputs and the features that matter most: how the output moves with the feature."""
    found = answers.monotone
    if found is None:
        return None
    tables = []
    for k, number_of_output in enumerate(attribution.outputs):
        size = np.abs(attribution.phi[:, k]).mean(axis=0)
        order = np.argsort(-size, kind="stable")[:MONOTONE_FEATURES].tolist()
        lines = []
        for j in order:
            rising, falling = (str(found.status[sense, number_of_output, j]) for sense in (0, 1))
            words, how = WORDS.get((rising, falling), _half(rising, falling))
            low, high = found.slopes[:, number_of_output, j].tolist()
            lines.append({"name": found.features[j], "words": words, "how": how, "low": low, "high": high,
                          "bounded": bool(np.isfinite([low, high]).all())})  # fmt: skip
        proved = sum(line["how"] == "proved" for line in lines)
        tables.append({"output": found.outputs[number_of_output], "lines": lines, "proved": proved})
    return {"tables": tables, "where": answers.monotone_where, "features": len(found.features),
            "shown": MONOTONE_FEATURES}  # fmt: skip


def _half(rising: str, falling: str) -> tuple[str, str]:
    """What is said where one of the two senses is undecided."""
    if rising == "proved":
        return "never falls when it grows", "proved"
    if falling == "proved":
        return "never rises when it grows", "proved"
    if "refuted" in (rising, falling):
        seen = "falls" if rising == "refuted" else "rises"
        return f"{seen} in places; the rest is undecided", "undecided"
    return "undecided", "undecided"
