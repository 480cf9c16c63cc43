"""relu-shallow merge: the parts of a search that was shared out, as one folder."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import click

from relu_shallow.cli.options import json_option, out_option


@click.command("merge")
@click.argument("parts", nargs=-1, required=True, type=click.Path())
@out_option("The folder to write, DIR.regions.", required=True)
@json_option
def command(parts: tuple[str, ...], out: str, as_json: bool) -> None:
    """Put the PARTS that convert --shard I/K made into one folder.

    Files are linked where the disk allows it, else copied; the parts stay as they are.

    \b
    Example:
      relu-shallow merge part-*.regions -o model.regions
    """
    began = perf_counter()
    from relu_shallow.archive import FOLDER
    from relu_shallow.cli.convert import describe_folder
    from relu_shallow.cli.output import count, print_json
    from relu_shallow.errors import UsageError
    from relu_shallow.regions.gathering import merge_folders

    if Path(out).suffix != FOLDER:
        raise UsageError(f"{out}: parts are put together in a folder whose name ends in {FOLDER}")
    folder = merge_folders([Path(part) for part in parts], Path(out))
    report = {**describe_folder(folder), "seconds": perf_counter() - began}
    if as_json:
        print_json(report)
    else:
        click.echo(f"{count(folder.regions, 'region')} of {count(len(parts), 'part')} "
                   f"({'all of them' if folder.complete else 'a partial list'}, {folder.level})")  # fmt: skip
        click.echo(f"{out} written; {report['seconds']:.2f} s")
