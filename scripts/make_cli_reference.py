"""Writes docs/cli.md from the commands' own --help; with --check, says whether it is up to date instead."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from click.testing import CliRunner

from relu_shallow.cli.program import COMMANDS, command_line

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
WIDTH = 100
HEAD = """# The command line

Generated from `--help` by `scripts/make_cli_reference.py`; a test fails when they differ.

Results go to stdout, messages and progress to stderr. With `--json`, stdout holds exactly one JSON object, and nothing
where the command fails. Exit status: 0 done; 1 the answer is no (not equivalent, or below `--require`); 2 bad usage or
bad input, with one message; 130 interrupted; 143 terminated. An interrupted or failed run leaves either the old output
or the new one.

In `convert --json`, `seconds` has `load` (the model and the domain), `compile` (the kernel: compiling it on first use,
else loading it), `enumerate` (the search), `store` (making the table and writing it) and `total`; with `--proof` also
`prove`. `proof` is the size of the proof kept, in bytes (0: none). A partial list has `coverage`: the `fraction` of
the domain's volume that it covers, with `low` and `high` of a 95 % interval (null where the domain has no finite
volume). For a folder `half_spaces` is null, and there are `files`, `unfinished` (subtrees still to be searched) and
`shard` ([I, K]).
"""


def reference() -> str:
    """The whole page."""
    pages = [HEAD]
    for words in ([], *(words for name in COMMANDS for words in own_words(name))):
        title = " ".join(["relu-shallow", *words])
        pages.append(f"## {title}\n\n```\n{shown([*words, '--help'])}```\n")
    return "\n".join(pages)


def own_words(name: str) -> list[list[str]]:
    """A command's words, and those of each of its own commands."""
    command = command_line.get_command(None, name)
    return [[name], *([name, part] for part in getattr(command, "commands", {}))]


def shown(arguments: list[str]) -> str:
    """What a command prints at a fixed width."""
    result = CliRunner().invoke(command_line, arguments, prog_name="relu-shallow", terminal_width=WIDTH)
    return "\n".join(line.rstrip() for line in result.stdout.splitlines()) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if current != reference():
            print(
                f"{os.path.relpath(TARGET)} is out of date; run: python scripts/make_cli_reference.py", file=sys.stderr
            )
            return 1
        return 0
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
