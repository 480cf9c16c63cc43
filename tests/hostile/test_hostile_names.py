"""Names made of markup, escape codes or formulas: what they do to a terminal, a page and a spreadsheet is nothing."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from command_line import random_layers, run, run_json, write_onnx

from relu_shallow.domain import Box
from relu_shallow.network import from_layers, named
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.store import save_shallow

NAMES = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b]0;title\x07\x9b2J",
    "two\nlines and \u2028 a third\u202ereversed",
    '=HYPERLINK("http://evil","x")',
    "'><img src=x onerror=alert(1)>",
)
OUTPUTS = ("=cmd|'/c calc'!A0", "\x1b[2J<b>y</b>")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A converted network with hostile names in every place, and a table with the same header."""
    path = tmp_path_factory.mktemp("names")
    network = named(from_layers(random_layers(5, 4, 2), "softmax"), NAMES, OUTPUTS)
    source = replace(network.source, name="<i>m</i>\x1b[31m.pt", format="<b>", sha256="<u>", assumed="\x1b[5m<blink>")
    network = replace(network, source=source)
    save_shallow(shallow_network(enumerate_regions(network, Box(-1, 1))), path / "m.shallow.safetensors")
    with (path / "d.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(NAMES)
        writer.writerows(np.random.default_rng(0).uniform(-1, 1, (6, 5)).tolist())
    write_onnx(path / "m.onnx", random_layers(5, 4, 2))
    return path


COMMANDS = {
    "inspect": ["inspect", "m.shallow.safetensors"],
    "inspect as JSON": ["inspect", "m.shallow.safetensors", "--json"],
    "verify": ["verify", "m.shallow.safetensors", "--data", "d.csv"],
    "verify as JSON": ["verify", "m.shallow.safetensors", "--data", "d.csv", "--json"],
    "explain": ["explain", "m.shallow.safetensors", "d.csv"],
    "predict": ["predict", "m.shallow.safetensors", "d.csv"],
    "convert": ["convert", "m.onnx", "--domain", "data:d.csv", "-o", "new"],
    "convert as JSON": ["convert", "m.onnx", "--domain", "data:d.csv", "-o", "new", "--json"],
    "a column that is missing": ["predict", "m.shallow.safetensors", "d.csv", "--drop", NAMES[1]],
    "a column unknown": ["predict", "m.shallow.safetensors", "d.csv", "--columns", "\x1b[31m"],
    "a domain not understood": ["convert", "m.onnx", "--domain", "box:\x1b[31m"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_control_code_of_a_name_reaches_the_terminal(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = run(*COMMANDS[name])
    assert result.exit_code in (0, 2), repr(result.exception)
    assert not CONTROL.search(result.stdout)
    assert not CONTROL.search(result.stderr)


def test_names_in_a_table_are_no_formulas_and_numbers_stay_numbers(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    assert run("explain", "m.shallow.safetensors", "d.csv", "-o", tmp_path / "s.csv").exit_code == 0
    assert run("export", "m.shallow.safetensors", "-o", tmp_path / "t.csv").exit_code == 0
    assert run("predict", "m.shallow.safetensors", "d.csv", "-o", tmp_path / "p.csv").exit_code == 0
    negative = 0
    for name in ("s.csv", "t.csv", "p.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as stream:
            for row in csv.reader(stream):
                for cell in row:
                    assert not CONTROL.search(cell)
                    if cell.lstrip().startswith(("=", "+", "-", "@")):
                        negative += float(cell) < 0
    assert negative


def test_names_are_text_on_the_page(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    result = run("explain", "m.shallow.safetensors", "d.csv", "-o", tmp_path / "s.csv", "--html", tmp_path / "p.html")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;i&gt;m&lt;/i&gt;" in page
    tags: set[str] = set()
    attributes: set[str] = set()
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, pairs: (tags.add(tag), attributes.update(name for name, _ in pairs))
    reader.feed(page)
    assert {"html", "svg", "table"} <= tags
    assert not tags & {"img", "iframe", "object"}
    assert not tags & {"i", "u", "blink", "object", "iframe", "form"}
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert page.count("<script") == len(scripts) == 1  # the page's own, which holds no name
    assert not [name for name in NAMES if name in scripts[0]]
    assert not {name for name in attributes if name.startswith("on")}
    assert not CONTROL.search(page.replace("\t", " "))


def test_json_holds_the_names_as_they_are(folder):
    assert tuple(run_json("inspect", folder / "m.shallow.safetensors")["feature_names"]) == NAMES
