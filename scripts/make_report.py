"""Makes examples/diabetes-report.html, the page of the example network, from examples/diabetes.pt and diabetes.csv.

The network is converted on the ranges of its data (about 40,000 regions, half a minute), its 442 patients are explained
exactly, and radius and counterfactual of a few are searched for. The page says "progression" where the model file names
no output:

    python scripts/make_report.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import relu_shallow as rs
from relu_shallow.data import match_columns, read_table
from relu_shallow.domain import bounding_box
from relu_shallow.explanation import explain_rows
from relu_shallow.naming import named_by
from relu_shallow.network import named
from relu_shallow.report import Wishes, write_page

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PAGE = EXAMPLES / "diabetes-report.html"
TARGET = "progression"
THRESHOLD = 150.0  # of the output: about the median patient's
SECONDS = 60.0  # for each search, so that a page made on a slow machine says the same


def main() -> None:
    table = read_table(EXAMPLES / "diabetes.csv", drop=(TARGET,))
    network = named_by(rs.load_network(EXAMPLES / "diabetes.pt"), table)
    network = named(network, network.feature_names, (TARGET,))
    X = match_columns(table, network.feature_names)
    shallow = rs.convert(network, bounding_box(np.asarray(X)))
    found = explain_rows(shallow, table)
    wishes = Wishes(nearest=SECONDS, threshold=THRESHOLD, check=True, fixed=("age", "sex"))
    answers = write_page(found, shallow, PAGE, wishes=wishes)
    assert answers.verification is None or answers.verification.ok
    print(f"{PAGE.name}: {PAGE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
