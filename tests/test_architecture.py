"""Data flows one way, and nothing heavy is imported before it is needed."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import random_layers, write_onnx

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "relu_shallow"

# From the source of the flow to its mouth. A module imports only from lines above its own, or from its own.
FLOW = [
    "errors machine polygons",
    "network domain atomic",
    "vnnlib precision data archive layout structure modules",
    "load lp slices relaxation",
    "factorisation",
    "modular",
    "regions",
    "shallow",
    "proof covering",
    "naming checks",
    "domain_spec certify explanation questions",
    "export plot",
    "report compilation",
    "conversion",
    "estimation",
    "cli",
    "__main__",
]
RANK = {name: rank for rank, line in enumerate(FLOW) for name in line.split()}


def parts():
    """Every file of the package with the part it belongs to and its syntax tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if part != "__init__":  # the lazy public names
            yield path, part, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree):
    """The full names of all modules that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_part_has_its_place_in_the_flow():
    assert {part for _, part, _ in parts()} == set(RANK)


def test_a_module_imports_only_from_nearer_to_the_source():
    against = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, part, tree in parts()
        for name in imported(tree)
        if name.startswith("relu_shallow.")
        and (other := name.split(".")[1]) in RANK
        and other != part
        and RANK[other] >= RANK[part]
    ]
    assert not against, "\n".join(against)


def test_the_flow_can_be_broken():
    """The test above sees an import that runs upstream, also inside a function."""
    tree = ast.parse("def f():\n    from relu_shallow import cli\n    import relu_shallow.report.page")
    assert {"relu_shallow.cli", "relu_shallow.report.page"} <= set(imported(tree))


def test_the_package_imports_nothing_from_scripts_tests_or_examples():
    for path, _, tree in parts():
        for name in imported(tree):
            assert name.split(".")[0] not in ("scripts", "tests", "examples", "conftest"), path


def test_only_the_command_line_prints_on_stdout():
    for path, part, tree in parts():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                assert part == "cli" or any(keyword.arg == "file" for keyword in node.keywords), path


def test_no_file_is_a_drawer_for_all_sorts():
    assert not {path.stem for path, _, _ in parts()} & {"utils", "helpers", "common", "base", "core", "misc"}


# --- what is in memory ------------------------------------------------------------------------------------------

HEAVY = ("torch", "shap", "cvxpy", "pandas", "matplotlib", "sklearn")
ANYTHING = (*HEAVY, "numba", "numpy", "scipy", "onnx", "rich", "jinja2", "safetensors", "jaxtyping")


def loaded_after(code, *arguments):
    """The top-level packages that a fresh process holds after running the code."""
    code += "\nimport sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


COMMAND = """
import sys
from relu_shallow.cli import main
try:
    main()
except SystemExit as stop:
    assert stop.code == 0, stop.code
"""


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_after("import relu_shallow") & set(ANYTHING)


HELP = [["--help"], ["convert", "--help"], ["explain", "--help"], ["plot", "--help"], ["--version"]]


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_asking_for_help_loads_nothing_but_click(arguments):
    loaded = loaded_after(COMMAND, *arguments)
    assert "click" in loaded
    assert not loaded & set(ANYTHING)


def test_converting_a_small_onnx_file_loads_only_what_it_takes(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 3, 1))
    loaded = loaded_after(COMMAND, "convert", model)
    assert {"numpy", "numba", "onnx"} <= loaded
    assert not loaded & set(HEAVY)


def test_predicting_loads_no_compiler(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 3, 1))
    (tmp_path / "data.csv").write_text("a,b\n0,1\n")
    loaded_after(COMMAND, "convert", model, "-o", tmp_path / "s")
    loaded = loaded_after(COMMAND, "predict", tmp_path / "s", tmp_path / "data.csv")
    assert not loaded & {*HEAVY, "numba", "onnx"}
