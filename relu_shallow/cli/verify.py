"""relu-shallow verify: is the shallow network the same function as the deep one?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from relu_shallow.cli.options import data_options, json_option

EQUAL = "the shallow network equals the deep one in every check"
LOOKED = "; that no region is missing is checked by sampling and search, not proved: for that give --exact"
PROVED = "; every region is real and none is missing, both proved"
PARTIAL = "the list is partial; the shallow network equals the deep one in every check on the regions that it holds"
REAL = ", each of which is real, which is proved"
SAMPLED = "; of the regions sampled, every one is real and is surrounded by listed ones, both proved"
WHOLE = "every file of the folder is read, and each of its regions proved to be real"
ADVICE = "to prove it for a random sample of the regions only, give --sample K"
ALL_REAL_SAMPLED = "; every region is real, and those sampled are surrounded by listed ones, both proved"
ALL_REAL_LOOKED = "; every region is real, which is proved" + LOOKED
STORED_PROOF_ADVICE = "without --exact the stored proof is not checked"


@click.command("verify")
@click.argument("shallow", type=click.Path())
@click.option("--model", metavar="MODEL", type=click.Path(), help="Compare with this model, not with the stored copy.")
@click.option("--data", metavar="FILE", type=click.Path(), help="Compare on these rows too.")
@click.option("--exact", is_flag=True, help="Prove that every region is real and none is missing.")
@click.option("--sample", metavar="K", type=click.IntRange(min=1), help="Prove it for K regions chosen at random.")
@click.option("--workers", metavar="W", type=click.IntRange(min=1), help="Threads; by default one per usable core.")
@data_options
@json_option
def command(
    shallow: str, model: str | None, data: str | None, exact: bool, sample: int | None, workers: int | None,
    as_json: bool, **options: Any,
) -> int:  # fmt: skip
    """Check that a converted network equals the original.

    SHALLOW is a converted file, or a folder of regions, which is gone through file by file. Exits 1 where the two
    differ. Without --model it is compared with the copy of the original that it holds. With --exact it is proved, by
    code that shares nothing with the search, that the regions listed are all there are; a proof that the file holds
    (convert --proof) is checked too.

    \b
    Example:
      relu-shallow verify model.shallow.safetensors --model model.onnx --data test.csv
    """
    from relu_shallow.certify import Check, verify
    from relu_shallow.cli import DONE, NO
    from relu_shallow.cli.output import print_json, say
    from relu_shallow.cli.progress import progress_of
    from relu_shallow.cli.tables import say_how_matched
    from relu_shallow.data import match_columns, read_table
    from relu_shallow.errors import printable
    from relu_shallow.load import load_network, reading_of
    from relu_shallow.proof.check import check_file
    from relu_shallow.shallow.stored import StoredNetwork, open_converted

    converted = open_converted(shallow)
    stored = isinstance(converted, StoredNetwork)
    proof = None if isinstance(converted, StoredNetwork) else converted.proof
    original = load_network(model, **reading_of(converted.network.source)) if model else None
    rows = None
    if data:
        table = read_table(data, **options)
        rows = match_columns(table, converted.network.feature_names)
        say_how_matched(table, converted.network.feature_names)
    known = converted.completeness
    sample = None if sample is None or sample >= converted.regions else sample
    if exact or stored:
        from relu_shallow.compilation import ensure_check_compiled

        ensure_check_compiled(converted, say)
    with progress_of("region", ADVICE if exact else WHOLE) as progress:
        result = verify(converted, original, rows, exact=exact, sample=sample, workers=workers, progress=progress)
    if exact and proof and sample is not None:
        result = replace(result, left_out=(*result.left_out, "stored proof: only a sample is looked at"))
    elif exact and proof:
        with progress_of("leaf of the stored proof", STORED_PROOF_ADVICE) as progress:
            status, said = check_file(shallow, progress)
        result = replace(result, checks=(*result.checks, Check("stored proof", status == 0, said)))
    if as_json:
        checks = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in result.checks]
        about = {"complete": known.complete, "level": known.level}
        print_json({"ok": result.ok, **about, "checks": checks, "left_out": result.left_out})
    else:
        for check in result.checks:
            click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {printable(check.detail)}")
        for reason in result.left_out:
            click.echo(f"--    left out: {printable(reason)}")
        same = _verdict(known.complete, exact, sample, stored)
        click.echo(same if result.ok else "the two are NOT the same function")
    return DONE if result.ok else NO


def _verdict(complete: bool, exact: bool, sample: int | None, stored: bool) -> str:
    """What a list without faults is, in a sentence."""
    if not complete:
        return PARTIAL + (REAL if exact or stored else "")
    if exact:
        return EQUAL + (PROVED if sample is None else ALL_REAL_SAMPLED if stored else SAMPLED)
    return EQUAL + (ALL_REAL_LOOKED if stored else LOOKED)
