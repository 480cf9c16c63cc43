"""The documentation does what it says: its Python runs, its commands parse, its links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from command_line import run_json

from relu_shallow.cli.program import COMMANDS, command_line

ROOT = Path(__file__).resolve().parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.exists()]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ENDS_A_COMMAND = ("|", "||", "&", "&&", ";", ">", ">>", "2>", "<")


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def python_blocks(page: Path) -> list[tuple[str, str | None]]:
    """Each Python block of a page with the output that the page shows right after it, if any."""
    found = blocks(page)
    after = [*found[1:], ("", "")]  # the block after each
    return [(text, following[1] if following[0] == "text" else None)
            for (language, text), following in zip(found, after, strict=False) if language == "python"]  # fmt: skip


def commands(text: str) -> list[list[str]]:
    """The words of every relu-shallow command in a shell block, without the program's name."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for place, word in enumerate(words):
            if word.split("/")[-1] == "relu-shallow":
                rest = words[place + 1 :]
                stop = next((i for i, part in enumerate(rest) if part in ENDS_A_COMMAND), len(rest))
                found.append(rest[:stop])
    return found


def refused(words: list[str]) -> str:
    """Why the command line does not understand the words; empty where it does."""
    try:
        if not words or words[0].startswith("-"):
            command_line.make_context("relu-shallow", list(words))
            return ""
        context = click.Context(command_line, info_name="relu-shallow")
        command = command_line.get_command(context, words[0])
        if command is None:
            return f"there is no command {words[0]}"
        command.make_context(words[0], words[1:], parent=context)
    except click.exceptions.Exit:  # --help, --version
        return ""
    except click.ClickException as error:
        return str(error)
    return ""


def broken(page: Path, target: str) -> str:
    """What is wrong with a relative link; empty where nothing is."""
    name, _, anchor = target.partition("#")
    where = (page.parent / name).resolve() if name else page
    if not where.exists():
        return f"{name} does not exist"
    titles = re.findall(r"^#+ (.*)$", where.read_text(encoding="utf-8"), re.M) if where.suffix == ".md" else []
    known = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return f"{where.name} has no heading #{anchor}" if anchor and anchor not in known else ""


def links(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(text) if not re.match(r"\w+:", target)]


SHELL = [(page.name, words) for page in PAGES for language, text in blocks(page) if language == "sh"
         for words in commands(text)]  # fmt: skip
LINKS = [(page, target) for page in PAGES for target in links(page)]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder with the examples and what a batch leaves in gate/."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results_of_a_batch(folder: Path) -> None:
    """gate/results.jsonl as scripts/batch.py writes it, of the example network near three patients."""
    out = folder / "gate"
    out.mkdir()
    rows = np.loadtxt(folder / "examples" / "diabetes.csv", delimiter=",", skiprows=1)[:3, :10]
    np.save(folder / "rows.npy", rows)
    model, converted = folder / "examples" / "diabetes.pt", out / "diabetes.pt.shallow.safetensors"
    line = {
        "model": "diabetes.pt", "ok": True, "error": None,
        "convert": run_json("convert", model, "-o", converted, "--domain", f"data:{folder / 'rows.npy'}"),
        "verify": run_json("verify", converted, "--model", model),
        "explain": run_json("explain", converted, folder / "rows.npy", "-o", out / "shap.csv"),
    }  # fmt: skip
    (out / "results.jsonl").write_text(json.dumps(line) + "\n")


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_and_prints_what_the_page_shows(page, workplace):
    if page.name == "ci.md":
        results_of_a_batch(workplace)
    state: dict[str, object] = {"__name__": "__main__"}
    for number, (text, shown) in enumerate(python_blocks(page), start=1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, f"{page.name}, Python block {number}", "exec"), state)
        if shown is not None:
            assert printed.getvalue() == shown, f"{page.name}, Python block {number}"


@pytest.mark.parametrize(("page", "words"), SHELL, ids=[f"{page}: {' '.join(words[:2])}" for page, words in SHELL])
def test_a_command_that_a_page_shows_parses(page, words):
    assert refused(words) == ""


@pytest.mark.parametrize(("page", "target"), LINKS, ids=[f"{page.name}: {target}" for page, target in LINKS])
def test_a_relative_link_leads_somewhere(page, target):
    assert broken(page, target) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_script_that_a_page_names_exists(page):
    named = set(re.findall(r"(?<![\w.])scripts/[\w.]+", page.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name.rstrip(".")).exists()] == []


def test_every_page_is_on_the_map():
    mapped = set(links(ROOT / "docs" / "index.md"))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= mapped


def test_every_command_is_shown_somewhere_in_the_pages():
    assert {words[0] for _, words in SHELL if words} >= {"convert", "verify", "explain", "inspect", "export"}
    assert set(COMMANDS) >= {words[0] for _, words in SHELL if words and not words[0].startswith("-")}


@pytest.mark.parametrize("line", [
    "relu-shallow convert", "relu-shallow convert m.onnx --domian all", "relu-shallow konvert m.onnx",
    "relu-shallow explain m.onnx d.csv --method best", "relu-shallow verify s --exactly",
])  # fmt: skip
def test_a_wrong_command_would_be_noticed(line):
    (words,) = commands(line)
    assert refused(words) != ""


def test_a_link_to_nowhere_would_be_noticed():
    page = ROOT / "docs" / "index.md"
    assert broken(page, "nowhere.md") != ""
    assert broken(page, "models.md#nowhere") != ""
    assert broken(page, "models.md#the-converted-file") == ""


def test_commands_are_read_up_to_where_the_shell_takes_over():
    assert commands("relu-shallow inspect m.pt | head  # see") == [["inspect", "m.pt"]]
    assert commands(".venv/bin/relu-shallow verify a \\\n  --json > out.json") == [["verify", "a", "--json"]]
