"""Measures the explanations beside what people use today, one thread each, and prints the tables.

    python scripts/bench_explain.py --quick             every part in small
    python scripts/bench_explain.py --part gradients    exact integrated gradients beside rules of n steps
    python scripts/bench_explain.py --part exact        exact Shapley values beside shap's ExactExplainer
    python scripts/bench_explain.py --part bounds       certified intervals beside VeriSHAP's published method
    python scripts/bench_explain.py --part local        local values of 100,000 rows, step by step
    python scripts/bench_explain.py --part modular      networks in 1 to 16 modules: conversion, exact values

captum is never a dependency: run this with the Python of an environment that has it and this package. Real data are
looked for in the folder RELU_SHALLOW_DATA.
"""

from __future__ import annotations

import os

for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_library] = "1"  # before NumPy is imported

import argparse  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

from benchmark import gradients, intervals, local, modular, shapley  # noqa: E402
from benchmark.measure import Settings  # noqa: E402
from benchmark.report import surroundings  # noqa: E402

Section = Callable[[bool, int, Callable[[str], None]], str]  # (quick, rounds, say) -> Markdown

PARTS: dict[str, Section] = {
    "exact": shapley.section,
    "bounds": intervals.section,
    "local": local.section,
    "gradients": gradients.section,
    "modular": modular.section,
}
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=tuple(PARTS), help="only this part (repeatable)")
    parser.add_argument("--quick", action="store_true", help="fewer rows, one round")
    parser.add_argument("--runs", type=int, default=ROUNDS, metavar="K", help=f"rounds; by default {ROUNDS}")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page there too")
    parser.add_argument("--beside", default="", metavar="WORDS", help="what else ran on the machine, for the page")
    given = parser.parse_args()
    parts = given.part or list(PARTS)
    words = ["python scripts/bench_explain.py", *(f"--part {part}" for part in given.part or ()),
             *(["--quick"] if given.quick else [])]  # fmt: skip
    around = surroundings(" ".join(words), Settings((), given.runs, 0.0, ""))
    sections = ["# Explanations, measured", around + (f"\n- Beside it: {given.beside}" if given.beside else "")]
    sections += [PARTS[part](given.quick, given.runs, say) for part in parts]
    text = "\n\n".join(sections) + "\n"
    print(text)
    if given.write:
        given.write.write_text(text)


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
