"""relu-shallow export: a converted network in a form that other programs read."""

from __future__ import annotations

import click

from relu_shallow.cli.options import EXPORT_FORMS, out_option


@click.command("export")
@click.argument("shallow", type=click.Path())
@out_option("The file to write: a table as .parquet, .csv, .npz or .json, the literal network as .pt2.", required=True)
@click.option("--form", type=click.Choice(EXPORT_FORMS), help="What to write; by default what OUT's ending stands for.")
def command(shallow: str, out: str, form: str | None) -> None:
    """Write a converted network in a form that other programs read.

    OUT's ending chooses what it holds. A folder of regions is written as .parquet or .csv, file by file.

    \b
      .parquet  a row per region: pattern, radius, witness, slopes alpha, constants beta, box around it
      .csv      the same without the box
      .json     the same, and names, domain, completeness, rows H and c, each region's rows and signs
      .npz      the same as arrays, and the decision tree; no domain and no completeness
      .pt2      the literal network of three hidden layers, a torch.export program

    \b
    Example:
      relu-shallow export model.shallow.safetensors -o regions.parquet
      relu-shallow export model.shallow.safetensors -o model.pt2 --form literal
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.output import say
    from relu_shallow.export import choose_writer, export_shallow
    from relu_shallow.shallow.stored import is_regions, open_converted

    check_apart({"the output": out}, {"the converted network": shallow})
    choose_writer(out, form, streamed=is_regions(shallow))
    export_shallow(open_converted(shallow), out, form)
    say(f"{out} written")
