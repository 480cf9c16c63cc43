"""The table of regions as .csv (a line per region), .json and .npz (with rows H, c and every region's path)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.data import json_number
from relu_shallow.data import write_csv as write_rows
from relu_shallow.domain import Box, Domain, Polytope
from relu_shallow.export.blocks import blocks, column_names, numbers_of, texts
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork
from relu_shallow.shallow.trie import paths


def write_csv(shallow: ShallowNetwork | StoredNetwork, path: Path) -> None:
    """One line per region: region, pattern, radius, the witness, alpha and beta of every output.

    A pattern is a text of 0s and 1s; readers that guess types must be told so, or leading zeros are lost.
    """
    network = shallow.network
    names = column_names(network)
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_rows(stream, names, [[]] * len(names))  # the header, names made harmless for spreadsheets
        writer = csv.writer(stream, lineterminator="\n")
        for block in blocks(shallow):
            patterns, numbers = texts(block, network.neurons), numbers_of(block)
            for row, (pattern, radius) in enumerate(zip(patterns, block.radii.tolist(), strict=True)):
                writer.writerow([block.start + row, pattern, radius, *numbers[row].tolist()])


def write_json(shallow: ShallowNetwork, path: Path) -> None:
    """One object: names, domain, completeness, rows H and c, and a list of regions with their rows and signs."""
    table, network, known = shallow.table, shallow.network, shallow.completeness
    start, rows, signs = paths(table.trie)
    head = {
        "feature_names": network.feature_names,
        "output_names": network.output_names,
        "head": network.head,
        "domain": _domain(shallow.domain),
        "complete": known.complete,
        "level": known.level,
        "H": table.H.tolist(),
        "c": table.c.tolist(),
    }
    patterns = [pattern for block in blocks(shallow) for pattern in texts(block, network.neurons)]
    with path.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head, allow_nan=False)[:-1] + ', "regions": [')
        for region, (pattern, radius) in enumerate(zip(patterns, table.radii.tolist(), strict=True)):
            own = slice(start[region], start[region + 1])
            entry = {
                "pattern": pattern,
                "radius": json_number(radius),
                "witness": table.witnesses[region].tolist(),
                "alpha": table.alpha[region].tolist(),
                "beta": table.beta[region].tolist(),
                "rows": rows[own].tolist(),
                "signs": signs[own].tolist(),
            }
            stream.write((",\n" if region else "\n") + json.dumps(entry, allow_nan=False))
        stream.write("\n]}\n")


def write_npz(shallow: ShallowNetwork, path: Path) -> None:
    """Arrays: patterns, witnesses, radii, H, c, alpha, beta, the tree, and rows and signs of region w's path.

    Region w owns `rows[start[w]:start[w + 1]]` and the same part of `signs`.
    """
    table, network = shallow.table, shallow.network
    start, rows, signs = paths(table.trie)
    arrays: dict[str, Any] = {
        "patterns": table.patterns,
        "witnesses": table.witnesses,
        "radii": table.radii,
        "H": table.H,
        "c": table.c,
        "alpha": table.alpha,
        "beta": table.beta,
        "start": start,
        "rows": rows,
        "signs": signs,
        "trie_row": table.trie.row,
        "trie_child": table.trie.child,
        "trie_root": np.array(table.trie.root),
        "feature_names": np.array(network.feature_names),
        "output_names": np.array(network.output_names),
    }
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _domain(domain: Domain) -> dict[str, Any]:
    """The domain's kind and its numbers."""
    if isinstance(domain, Box):
        return {"kind": "box", "lo": domain.lo.tolist(), "hi": domain.hi.tolist()}
    if isinstance(domain, Polytope):
        return {"kind": "polytope", "A": domain.A.tolist(), "b": domain.b.tolist()}
    return {"kind": "all"}
