"""relu-shallow interactions: which pairs of features never interact over a domain, proved."""

from __future__ import annotations

from typing import Any

import click

from relu_shallow.cli.options import MODEL_OPTIONS, data_options, json_option, model_options, taken_out

MANY = 12  # pairs listed for people


@click.command("interactions")
@click.argument("shallow_or_model", type=click.Path())
@click.option("--domain", metavar="SPEC", help="Where: box:LO,HI, box:FILE, data:FILE, vnnlib:FILE, ball:EPS@FILE:ROW "
              "or all; by default that of a converted network.")  # fmt: skip
@model_options
@data_options
@json_option
def command(shallow_or_model: str, domain: str | None, as_json: bool, **options: Any) -> None:
    """Say which pairs of features never interact: every output is a sum of a function of each, proved.

    The proof is from the weights (with neurons that are stable on the domain taken out) and, for a converted network,
    from its regions. Other pairs do interact, shown by four points, or may.

    \b
    Example:
      relu-shallow interactions model.onnx --domain box:-1,1
    """
    from relu_shallow.cli.opening import domain_over, open_any
    from relu_shallow.cli.output import print_aligned, print_json
    from relu_shallow.questions.interactions import interactions

    source = open_any(shallow_or_model, taken_out(options, MODEL_OPTIONS))
    source, asked = domain_over(domain, source, options)
    found = interactions(source, domain=asked)
    pairs = found.pairs
    if as_json:
        print_json({"features": found.features, "proved_by": found.proved_by, **pairs})
        return
    words = {"never": "never interact (proved)", "interact": "do interact", "may": "may interact"}
    print_aligned([(words[status], _listed(names)) for status, names in pairs.items()])


def _listed(pairs: list[tuple[str, str]]) -> str:
    shown = "; ".join(f"{one} and {other}" for one, other in pairs[:MANY])
    more = f"; and {len(pairs) - MANY} more" if len(pairs) > MANY else ""
    return f"{len(pairs)}: {shown}{more}" if pairs else "none"
