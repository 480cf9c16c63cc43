"""Three real tables explained end to end, beside shap's explainers on the same networks: docs/real-tables.md.

    python scripts/real_tables.py --write docs/real-tables.md
    python scripts/real_tables.py --table diabetes --rows 5

For each table a small network is trained, test rows are explained against weighted background rows by every method of
this project and by shap's Exact (where it can run), Kernel, Deep and Gradient explainers, and all are compared with the
exact values. Needs torch and shap; the tables are looked for in the folder RELU_SHALLOW_DATA. One thread each.
"""

from __future__ import annotations

import os

for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_library] = "1"  # before NumPy is imported

import argparse  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass, replace  # noqa: E402
from math import comb  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from benchmark.cases import MissingData  # noqa: E402
from benchmark.measure import Settings  # noqa: E402
from benchmark.report import seconds, surroundings  # noqa: E402
from benchmark.shapley import layers  # noqa: E402
from benchmark.tables import named_table  # noqa: E402

from relu_shallow.explanation import Background  # noqa: E402
from relu_shallow.explanation.attribution import Attribution, status_counts  # noqa: E402
from relu_shallow.explanation.background import shrink  # noqa: E402
from relu_shallow.explanation.exact import exact_values  # noqa: E402
from relu_shallow.explanation.groups import Groups, group_sums, groups_of  # noqa: E402
from relu_shallow.explanation.methods import explain_rows  # noqa: E402
from relu_shallow.load import load_network  # noqa: E402
from relu_shallow.network import Network  # noqa: E402

HIDDEN = (16, 16)
ROWS, SAMPLE, POINTS = 50, 200, 50
EPOCHS, BATCH, RATE = 60, 128, 3e-3
ROUNDING = 1e-9  # of the values' size: differences below it are shown as none
LIMIT = 10.0  # seconds for the method bounds
MOST_LISTED = 12  # features up to which shap's ExactExplainer is run, and every pair is enumerated
SHRUNK_ROWS = 10  # explained against the whole sample where there are more features than that

PIMA = ("pregnancies", "glucose", "pressure", "skin", "insulin", "bmi", "pedigree", "age", "diabetes")
CENSUS_WORDS = ("workclass", "marital-status", "occupation", "relationship", "race", "sex", "native-country")


@dataclass(frozen=True)
class Table:
    """A table of the data folder: what it predicts, its columns where the file does not name them, its categories."""

    file: str
    target: str
    titles: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


TABLES = {
    "credit": Table("carla_heloc.csv", "RiskPerformance"),
    "diabetes": Table("pima-indians-diabetes.csv", "diabetes", PIMA),
    "census": Table("carla_adult_test.csv", "income", (), CENSUS_WORDS),
}


@dataclass(frozen=True, eq=False)
class Case:
    """A trained network, the rows explained, a sample of training rows, and that sample shrunk to weighted rows."""

    title: str
    about: str
    module: Any
    network: Network
    X: np.ndarray
    sample: np.ndarray
    background: Background
    groups: Groups

    @property
    def repeated(self) -> np.ndarray:
        """The background without weights: each row as often as it weighs."""
        counts = np.rint(self.background.weights * len(self.sample)).astype(int)
        return np.repeat(self.background.X, counts, axis=0)

    def columns(self, phi: np.ndarray) -> np.ndarray:
        """Values (rows, inputs) with categories summed."""
        if not self.groups:
            return phi
        return group_sums(phi[:, None], self.network.feature_names, self.groups)[0][:, 0]


def case_of(name: str, rows: int, epochs: int = EPOCHS) -> Case:
    """Trains the table's network: 80 % of the rows to train on, the explained ones from the rest."""
    import torch

    table = TABLES[name]
    X, y, names = named_table(table.file, table.target, table.titles)
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[: len(X) * 4 // 5], order[len(X) * 4 // 5 :]
    spread = X[train].std(axis=0)
    X = (X - X[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    torch.manual_seed(0)
    module = layers(X.shape[1], *HIDDEN, 1)
    train_classifier(module, X[train], y[train], epochs)
    with torch.no_grad():
        right = float(((module(torch.from_numpy(X[test]))[:, 0].numpy() > 0) == (y[test] > 0.5)).mean())
    common = max(y[test].mean(), 1 - y[test].mean())
    network = replace(load_network(module, input_shape=(X.shape[1],)), feature_names=names)
    sample = X[np.random.default_rng(1).choice(train, SAMPLE, replace=False)]
    groups = groups_of(request(name) or [], names)
    widths = "-".join(map(str, (X.shape[1], *HIDDEN, 1)))
    columns = X.shape[1] - sum(map(len, groups.values())) + len(groups)
    summed = f" ({columns} columns once categories are summed)" if groups else ""
    about = (f"{len(X):,} rows, {X.shape[1]} inputs{summed}; network {widths}; right on {100 * right:.1f} % of the "
             f"{len(test):,} test rows (the more frequent class: {100 * common:.1f} %)")  # fmt: skip
    return Case(name, about, module, network, X[test[:rows]], sample, shrink(sample, POINTS), groups)


def request(name: str) -> list[str] | None:
    """What is asked of the explanation: the sums over each category's columns."""
    return [f"{word}={word}_*" for word in TABLES[name].categories] or None


def train_classifier(module: Any, X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    import torch

    optimizer = torch.optim.Adam(module.parameters(), RATE, weight_decay=1e-4)
    inputs, wanted = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(module(inputs[batch])[:, 0], wanted[batch]).backward()
            optimizer.step()


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method gave: values (rows, inputs), seconds of CPU time, the statuses, and what else is to be said."""

    phi: np.ndarray
    took: float
    status: str
    note: str = ""


def own(case: Case, method: str) -> tuple[Answer, Attribution]:
    """A method of this project, through the function that people call."""
    begin = time.process_time()
    found = explain_rows(case.network, case.X, background=case.background, method=method, groups=request(case.title),
                         time_limit=LIMIT if method == "bounds" else None, workers=1)  # fmt: skip
    took = time.process_time() - begin
    phi, size = found.phi[:, 0], np.abs(found.phi).sum(axis=(1, 2))
    width = np.median((found.hi - found.lo).sum(axis=(1, 2)) / size)
    error = np.median(np.nan_to_num(found.se).sum(axis=(1, 2)) / size)
    note = {"bounds": f"intervals {percent(width)} wide, all hold the exact values",
            "estimate": f"standard errors {percent(error)}"}  # fmt: skip
    return Answer(phi, took, statuses(status_counts(found)), note.get(method, "")), found


def statuses(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def evaluated(case: Case) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    def f(points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return case.module(torch.from_numpy(np.ascontiguousarray(points, dtype=np.float64)))[:, 0].numpy()

    return f


def shap_exact(case: Case) -> np.ndarray:
    import shap

    masker = shap.maskers.Independent(case.repeated, max_samples=len(case.repeated))
    explainer = shap.explainers.ExactExplainer(evaluated(case), masker)
    return explainer(case.X, max_evals=2 ** case.X.shape[1] + 1, silent=True).values


def shap_kernel(case: Case) -> np.ndarray:
    import shap
    from shap.utils._legacy import DenseData

    names = list(case.network.feature_names)
    points = DenseData(case.background.X, names, None, case.background.weights)
    return shap.KernelExplainer(evaluated(case), points).shap_values(case.X, silent=True)


def shap_deep(case: Case) -> np.ndarray:
    import shap
    import torch

    return shap.DeepExplainer(case.module, torch.from_numpy(case.repeated)).shap_values(torch.from_numpy(case.X))


def shap_gradient(case: Case) -> np.ndarray:
    """GradientExplainer's values; it draws points in float32, so the module must be in float32."""
    from copy import deepcopy

    import shap
    import torch

    explainer = shap.GradientExplainer(deepcopy(case.module).float(), torch.from_numpy(case.repeated).float())
    return explainer.shap_values(torch.from_numpy(case.X).float(), rseed=0)


SHAP = {"Exact": shap_exact, "Kernel": shap_kernel, "Deep": shap_deep, "Gradient": shap_gradient}


def of_shap(case: Case, name: str) -> Answer:
    if name == "Exact" and case.X.shape[1] > MOST_LISTED:
        evaluations = 2.0 ** case.X.shape[1] * len(case.repeated)
        return Answer(np.full(case.X.shape, np.nan), np.nan, "-", f"not run: {evaluations:.1g} evaluations a row")
    np.random.seed(0)  # noqa: NPY002  # KernelExplainer draws from it
    begin = time.process_time()
    try:
        phi, note = SHAP[name](case), ""
    except AssertionError as error:  # an additivity check that failed
        return Answer(np.full(case.X.shape, np.nan), time.process_time() - begin, "-", str(error)[:80])
    return Answer(np.asarray(phi, np.float64).reshape(case.X.shape), time.process_time() - begin, "-", note)


def off(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The sum of a row's absolute differences over the sum of its absolute exact values."""
    return np.abs(found - exact).sum(axis=1) / np.abs(exact).sum(axis=1)


def percent(part: float) -> str:
    if part < ROUNDING:
        return "0 %"
    return f"{100 * part:.3g} %" if part >= 1 else f"{100 * part:.2g} %"


def enumerated(network: Network, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The values of one pair from the network at every hybrid, the hybrids made one by one: nothing is shared."""
    n, v = len(x), np.empty(1 << len(x))
    for begin in range(0, 1 << n, 1 << 14):
        masks = np.arange(begin, min(begin + (1 << 14), 1 << n))
        v[masks] = network(np.where(masks[:, None] >> np.arange(n) & 1, x, y))[:, 0]
    size = np.bitwise_count(np.arange(1 << n))
    weight = np.array([1 / (n * comb(n - 1, s)) for s in range(n)])
    phi = np.empty(n)
    for i in range(n):
        without = np.flatnonzero(~np.arange(1 << n) >> i & 1)
        phi[i] = (weight[size[without]] * (v[without | 1 << i] - v[without])).sum()
    return phi


def checked(case: Case, exact: np.ndarray) -> str:
    """How far the exact values are from those by enumeration: of all pairs, or of the first row and three points."""
    if case.X.shape[1] <= MOST_LISTED:
        B = case.background
        found = np.array([sum(w * enumerated(case.network, x, y) for w, y in zip(B.weights, B.X, strict=True))
                          for x in case.X])  # fmt: skip
        return f"all {len(case.X)} rows, {np.abs(found - exact).max() / np.abs(exact).max():.0e}"
    B = Background(case.background.X[:3], np.ones(3))
    found = np.mean([enumerated(case.network, case.X[0], y) for y in B.X], axis=0)
    again = exact_values(case.network, case.X[:1], B, [0], workers=1)[0, 0]
    return f"one row against three background rows, {np.abs(found - again).max() / np.abs(again).max():.0e}"


def section(case: Case, say: Callable[[str], None]) -> str:
    f = case.network(case.X)[:, 0]
    gained = f - case.background.weights @ case.network(case.background.X)[:, 0]
    exact_answer = own(case, "exact")[0]
    exact = case.columns(exact_answer.phi)
    lines = ["| method | rows by status | CPU time | additivity gap | off, median | off, most | |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip

    def line(title: str, answer: Answer) -> None:
        known = np.isfinite(answer.phi).all()
        gap = f"{np.abs(answer.phi.sum(axis=1) - gained).max() / np.abs(gained).max():.0e}" if known else "-"
        errors = off(case.columns(answer.phi), exact) if known else None
        shown = (percent(np.median(errors)), percent(errors.max())) if errors is not None else ("-", "-")
        if errors is not None and errors.max() < ROUNDING:
            shown = ("0", f"{errors.max():.0e}" if errors.max() else "0")
        took = seconds(answer.took) if np.isfinite(answer.took) else "-"
        lines.append(f"| {title} | {answer.status} | {took} | {gap} | {shown[0]} | {shown[1]} | {answer.note} |")
        say("  " + lines[-1])

    line("relu-shallow, exact", exact_answer)
    for method in ("auto", "bounds", "estimate", "local", "integrated"):
        answer, found = own(case, method)
        wrong = (found.lo[:, 0] > exact_answer.phi + slack(exact)) | (found.hi[:, 0] < exact_answer.phi - slack(exact))
        if method in ("auto", "bounds") and wrong.any():
            raise SystemExit(f"{case.title}, {method}: {wrong.sum()} intervals do not hold the exact value")
        line(f"relu-shallow, {method}", answer)
    for name in SHAP:
        line(f"shap's {name}", of_shap(case, name))
    return (f"## {case.title.capitalize()}\n\n{case.about}. {len(case.X)} test rows, {len(case.background.X)} weighted "
            f"background rows. Exact values against the enumeration of all hybrids: "
            f"{checked(case, exact_answer.phi)}.\n\n"
            + "\n".join(lines))  # fmt: skip


def slack(exact: np.ndarray) -> float:
    """What rounding may do to the exact values that intervals are compared with."""
    return float(1e-12 * np.abs(exact).max())


def shrunk(cases: list[Case], say: Callable[[str], None]) -> str:
    """How far off the values are when the sample is shrunk, with weights and without."""
    lines = ["| table | background of 200 rows shrunk to | off with weights, median (most) "
             "| off without, median (most) | times as far |", "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for case in cases:
        rows = case.X if case.X.shape[1] <= MOST_LISTED else case.X[:SHRUNK_ROWS]

        def values(B: Background, rows: np.ndarray = rows, case: Case = case) -> np.ndarray:
            return case.columns(exact_values(case.network, rows, B, [0], workers=1)[:, 0])

        whole = values(Background(case.sample, np.ones(len(case.sample))))
        for points in (10, POINTS):
            centres = shrink(case.sample, points)
            with_weights = off(values(centres), whole)
            without = off(values(Background(centres.X, np.ones(len(centres.X)))), whole)
            lines.append(f"| {case.title}, {len(rows)} rows | {len(centres.X)} | {spread(with_weights)} "
                         f"| {spread(without)} | {np.median(without) / np.median(with_weights):.2g} |")  # fmt: skip
            say("  " + lines[-1])
    return "## Weights of a shrunk background\n\n" + WEIGHTS + "\n\n" + "\n".join(lines)


def spread(errors: np.ndarray) -> str:
    return f"{percent(np.median(errors))} ({percent(errors.max())})"


INTRODUCTION = """\
# Three real tables, explained end to end

A network is trained on each table, and test rows are explained by every method of this project and by shap's
explainers, side by side on the same network in float64 (GradientExplainer takes float32 only). The values are of the
output before the sigmoid.

- *Rows by status* is what the answer itself says of its rows (see [explanations.md](explanations.md)).
- *CPU time* is for all rows of the line, on one thread; compiled code is compiled beforehand.
- The *additivity gap* is the largest `|sum(phi) - (f(x) - E f(b))|` over the largest `|f(x) - E f(b)|`.
- *Off* is, for a row, the sum of the absolute differences from the exact values over the sum of these values' sizes:
  its median and its largest over the rows. Integrated gradients answer another question, so theirs is no error.
- The background is a sample of 200 training rows, shrunk to weighted k-means centres. shap's Exact, Deep and Gradient
  explainers know no weights and get each centre as often as it weighs, which is the same; Kernel gets the weights.
  They run with their defaults. `bounds` has 10 seconds of wall time in all, of which other programs may take a part.
- On the census table every word of a category is a column; values are summed by category before they are compared."""
WEIGHTS = """\
How far the exact values are from those against all rows of the sample, when it is shrunk to k-means centres: with the
centres weighted by the rows they stand for, as this project does, and with equal weights."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="append", choices=tuple(TABLES), help="only this table (repeatable)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows explained; by default {ROWS}")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page there too")
    parser.add_argument("--beside", default="", metavar="WORDS", help="what else ran on the machine, for the page")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="shap")

    def say(message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    try:
        cases = [case_of(name, given.rows, given.epochs) for name in given.table or TABLES]
    except MissingData as error:
        parser.error(str(error))
    warm(min(cases, key=lambda case: case.X.shape[1]))  # the one for which most explainers run
    around = surroundings("python scripts/real_tables.py", Settings((), 1, 0.0, ""))
    parts = [INTRODUCTION, around + (f"\n- Beside it: {given.beside}" if given.beside else "")]
    for case in cases:
        say(f"{case.title}: {case.about}")
        parts.append(section(case, say))
    parts.append(shrunk(cases, say))
    text = "\n\n".join(parts) + "\n"
    print(text)
    if given.write:
        given.write.write_text(text)


def warm(case: Case) -> None:
    """Loads or compiles what is compiled, by one row of everything."""
    one = replace(case, X=case.X[:1])
    for method in ("exact", "auto", "estimate", "local", "integrated"):
        own(one, method)
    explain_rows(one.network, one.X, background=one.background, method="bounds", time_limit=1.0, workers=1)
    for name in SHAP:
        of_shap(one, name)


if __name__ == "__main__":
    main()
