"""What a page asks beside the attributions: effects, rules, monotony, checks, nearest points and radii of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.certify import Verification, verify
from relu_shallow.covering import Coverage, coverage
from relu_shallow.domain import bounding_box
from relu_shallow.explanation.attribution import Attribution
from relu_shallow.explanation.groups import one_hot_groups
from relu_shallow.network import Network
from relu_shallow.questions.constraints import Constraints
from relu_shallow.questions.counterfactual import Counterfactual, counterfactual
from relu_shallow.questions.distance import spread_weights
from relu_shallow.questions.effects import Effects, effects
from relu_shallow.questions.features import feature_numbers
from relu_shallow.questions.monotone import Monotone, monotone
from relu_shallow.questions.radius import Radii, robust_radii
from relu_shallow.questions.rules import Rule, rules
from relu_shallow.questions.source import Source, network_of
from relu_shallow.report.modules import ByModule, ask_modules
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork, is_sum

EFFORT = 4e10  # weights times neurons times rows that one feature's effect may cost: a few seconds
FEWEST_ROWS, MOST_ROWS = 10, 1000  # of the data that an effect is a mean over
RULE_INPUTS = 40  # a rule of more features is not read by anybody
RULE_NEURONS = 2000  # each is a linear program
SLOPE_NUMBERS = 1 << 27  # regions times inputs times outputs whose slopes are looked at


@dataclass(frozen=True)
class Wishes:
    """How much a page asks. `nearest` are the seconds that each row's radius, and its counterfactual, may take.

    Without `nearest` (None) neither is looked for. `threshold` makes the question about an output that must not cross
    it (`output` counts among the explained ones), instead of about the class; a network that tells no class gets the
    mean prediction over the background. `scale` is the unit of distances (counterfactual.SCALES); `fixed` features do
    not change. `check` has a converted network verified again.
    """

    features: int = 6
    regions: int = 5
    nearest: float | None = None
    threshold: float | None = None
    scale: str = "sd"
    fixed: tuple[str, ...] = ()
    check: bool = False


@dataclass(frozen=True, eq=False)
class Goal:
    """What must change for a nearest point: the class (`output` None), or an output's side of the threshold."""

    output: int | None
    threshold: float
    words: str


@dataclass(frozen=True, eq=False)
class Near:
    """One row's certified radius and its nearest counterfactual."""

    radius: Radii
    counterfactual: Counterfactual


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers; `left_out` says, by question, why one is not there."""

    effects: tuple[tuple[Effects, ...], ...]  # for each explained output, of the features that matter most for it
    effect_rows: int
    rules: tuple[Rule, ...]
    monotone: Monotone | None
    monotone_where: str
    verification: Verification | None
    coverage: Coverage | None
    goal: Goal | None
    whole: tuple[int, ...]
    near: dict[int, Near]
    modules: ByModule | None
    left_out: dict[str, str]


def ask(
    attribution: Attribution,
    source: Source,
    rows: Sequence[int],
    wishes: Wishes,
    progress: Callable[[int], None] | None = None,
) -> Answers:
    """Asks everything that the wishes want; raises UsageError for a wish that makes no sense."""
    network = network_of(source)
    left_out: dict[str, str] = {}
    found, effect_rows = _effects(attribution, network, wishes.features)
    slopes, where = _monotone(attribution, source, wishes, left_out)
    whole, goal, near = _nearest(attribution, source, rows, wishes, progress) if wishes.nearest else ((), None, {})
    return Answers(
        found, effect_rows, _rules(attribution, source, wishes.regions, left_out), slopes, where,
        verify(source) if wishes.check and not isinstance(source, Network) else None,
        None if isinstance(source, Network) or source.completeness.complete else coverage(source),
        goal, whole, near, ask_modules(attribution, source), left_out,
    )  # fmt: skip


def _effects(
    attribution: Attribution, network: Network, features: int
) -> tuple[tuple[tuple[Effects, ...], ...], int]:
    """The effects of the most important features on each explained output, and over how many rows."""
    weights = sum(layer.W.size if isinstance(layer.W, np.ndarray) else layer.W.nnz for layer in network.affine)
    worth = int(EFFORT / max(weights * max(network.neurons, 1), 1))
    count = min(len(attribution.X), max(FEWEST_ROWS, min(MOST_ROWS, worth)))
    rows = attribution.X[np.linspace(0, len(attribution.X) - 1, count).astype(np.int64)]
    free = np.ptp(rows, axis=0) > 0
    known: dict[int, Effects] = {}
    chosen = []
    for k in range(len(attribution.outputs)):
        size = np.abs(attribution.phi[:, k]).mean(axis=0)
        order = [j for j in np.argsort(-size, kind="stable").tolist() if free[j] and size[j] > 0][:features]
        for j in order:
            if j not in known:
                known[j] = effects(network, rows, j)
        chosen.append(tuple(known[j] for j in order))
    return tuple(chosen), count


def _one_table(source: Source) -> bool:
    return isinstance(source, StoredNetwork) or (isinstance(source, ShallowNetwork) and not is_sum(source))


def _rules(attribution: Attribution, source: Source, top: int, left_out: dict[str, str]) -> tuple[Rule, ...]:
    """The rules of the regions with most rows."""
    if isinstance(source, Network):
        left_out["rules"] = "the model was not converted, so there is no list of regions to describe"
    elif not _one_table(source):
        left_out["rules"] = "the network was split into modules, whose sums have no list of regions of their own"
    elif source.network.inputs > RULE_INPUTS or source.network.neurons > RULE_NEURONS:
        left_out["rules"] = (f"inequalities over {source.network.inputs:,} features are not for reading; "
                             "relu-shallow rules writes them")  # fmt: skip
    elif top:
        return rules(source, data=attribution.X, top=top)
    return ()


def _monotone(
    attribution: Attribution, source: Source, wishes: Wishes, left_out: dict[str, str]
) -> tuple[Monotone | None, str]:
    """In which features the outputs are monotone: by the regions, or within the data's ranges by a search."""
    if isinstance(source, Network):
        if wishes.nearest and np.isfinite(attribution.X).all() and source.inputs <= RULE_INPUTS:
            box = bounding_box(attribution.X)
            return monotone(source, domain=box, time_limit=wishes.nearest), "within the ranges of the data"
        left_out["monotone"] = "the model was not converted; relu-shallow monotone asks with a domain of its own"
        return None, ""
    if not _one_table(source):
        left_out["monotone"] = "the network was split into modules"
    elif source.regions * source.network.inputs * source.network.outputs > SLOPE_NUMBERS:
        left_out["monotone"] = f"{source.regions:,} regions are for relu-shallow monotone, which may take its time"
    else:
        return monotone(source), "on the whole converted domain"
    return None, ""


# --- nearest points ---------------------------------------------------------------------------------------------


def goal_of(attribution: Attribution, network: Network, threshold: float | None) -> Goal:
    """What must change: the class, or the side of the threshold where one is given or no class is told."""
    k = attribution.outputs[0]
    if threshold is None and (network.outputs > 1 or network.head != "identity"):
        return Goal(None, 0.0, "another class")
    at = float(attribution.base_value[0]) if threshold is None else threshold
    return Goal(k, at, network.output_names[k])


def _nearest(
    attribution: Attribution,
    source: Source,
    rows: Sequence[int],
    wishes: Wishes,
    progress: Callable[[int], None] | None,
) -> tuple[tuple[int, ...], Goal, dict[int, Near]]:
    """The whole-number features, the goal, and each row's radius and counterfactual."""
    network = network_of(source)
    X, seconds = attribution.X, float(wishes.nearest or 0.0)
    goal = goal_of(attribution, network, wishes.threshold)
    weights = spread_weights(X, wishes.scale)
    whole = whole_features(X)
    fixed = feature_numbers(wishes.fixed, network.feature_names)
    plausible = _plausible(attribution, whole, fixed)
    near = {}
    for done, row in enumerate(rows):
        x = X[row]
        radius = robust_radii(source, x[None], weights=weights, output=goal.output,
                              threshold=goal.threshold, time_limit=seconds)  # fmt: skip
        found = counterfactual(source, x, constraints=plausible,
                               weights=weights, output=goal.output, threshold=goal.threshold,
                               time_limit=seconds)  # fmt: skip
        near[row] = Near(radius, found)
        if progress is not None:
            progress(done + 1)
    return whole, goal, near


def whole_features(X: Float[np.ndarray, "rows inputs"]) -> tuple[int, ...]:
    """The features that are whole numbers in every row, and not constant."""
    whole = (np.rint(X) == X).all(axis=0) & (np.ptp(X, axis=0) > 0)
    return tuple(np.flatnonzero(whole).tolist())


def _plausible(attribution: Attribution, whole: tuple[int, ...], fixed: tuple[int, ...]) -> Constraints:
    """Within the data's ranges, whole numbers whole, of one-hot columns one."""
    X = attribution.X
    groups = tuple(g for g in one_hot_groups(X, attribution.feature_names).values() if not {*g} & {*fixed})
    members = {i for group in groups for i in group}
    ranges = {j: (float(X[:, j].min()), float(X[:, j].max())) for j in range(X.shape[1])}
    return Constraints(fixed=fixed, whole=tuple(j for j in whole if j not in members), groups=groups, ranges=ranges)
