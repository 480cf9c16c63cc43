"""The table of regions as .csv (a line per region), .json and .npz (with rows H, c and every region's path)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from relu_shallow.data import json_number
from relu_shallow.data import write_csv as write_rows
from relu_shallow.domain import Box, Domain, Polytope
from relu_shallow.export.blocks import blocks, column_names, in_modules, numbers_of, pattern_texts, texts
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork, Table
from relu_shallow.shallow.trie import paths


def write_csv(shallow: ShallowNetwork | StoredNetwork, path: Path) -> None:
    """One line per region: module (of a sum), region, pattern, radius, the witness, alpha and beta of every output.

    A pattern is a text of 0s and 1s; readers that guess types must be told so, or leading zeros are lost.
    """
    names, several = column_names(shallow), in_modules(shallow)
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_rows(stream, names, [[]] * len(names))  # the header, names made harmless for spreadsheets
        writer = csv.writer(stream, lineterminator="\n")
        for block in blocks(shallow):
            numbers, module = numbers_of(block), [block.table] if several else []
            for row, (pattern, radius) in enumerate(zip(texts(block), block.radii.tolist(), strict=True)):
                writer.writerow([*module, block.start + row, pattern, radius, *numbers[row].tolist()])


def write_json(shallow: ShallowNetwork, path: Path) -> None:
    """One object: names, domain, completeness, rows H and c, and a list of regions with their rows and signs.

    Of a sum the last three are those of each of its `modules`, which also have the numbers of their `neurons`.
    """
    network, known = shallow.network, shallow.completeness
    head = {
        "feature_names": network.feature_names,
        "output_names": network.output_names,
        "head": network.head,
        "domain": _domain(shallow.domain),
        "complete": known.complete,
        "level": known.level,
    }
    with path.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head, allow_nan=False)[:-1])
        stream.write(', "modules": [' if in_modules(shallow) else "")
        for number, table in enumerate(shallow.tables):
            if table.module is not None:
                stream.write(f'{"," if number else ""}\n{{"neurons": {table.module.neurons.tolist()}')
            _write_regions(stream, table)
            stream.write("}" if in_modules(shallow) else "")
        stream.write("]}\n" if in_modules(shallow) else "}\n")


def _write_regions(stream: TextIO, table: Table) -> None:
    """The fields of a table: its rows, and a line for each region."""
    start, rows, signs = paths(table.trie)
    fields = json.dumps({"H": table.H.tolist(), "c": table.c.tolist()}, allow_nan=False)[1:-1]
    stream.write(f', {fields}, "regions": [')
    for region, pattern in enumerate(pattern_texts(table.bits, table.network.neurons)):
        own = slice(start[region], start[region + 1])
        entry = {
            "pattern": pattern,
            "radius": json_number(float(table.radii[region])),
            "witness": table.witnesses[region].tolist(),
            "alpha": table.alpha[region].tolist(),
            "beta": table.beta[region].tolist(),
            "rows": rows[own].tolist(),
            "signs": signs[own].tolist(),
        }
        stream.write((",\n" if region else "\n") + json.dumps(entry, allow_nan=False))
    stream.write("\n]")


def write_npz(shallow: ShallowNetwork, path: Path) -> None:
    """Arrays: patterns, witnesses, radii, H, c, alpha, beta, the tree, and rows and signs of region w's path.

    Region w owns `rows[start[w]:start[w + 1]]` and the same part of `signs`. Of a sum each module has these arrays,
    and the numbers of its `neurons`, under names that begin with its number: 0_H.
    """
    arrays: dict[str, Any] = {
        "feature_names": np.array(shallow.network.feature_names),
        "output_names": np.array(shallow.network.output_names),
    }
    for number, table in enumerate(shallow.tables):
        prefix = f"{number}_" if in_modules(shallow) else ""
        arrays |= {prefix + name: array for name, array in _arrays(table).items()}
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _arrays(table: Table) -> dict[str, np.ndarray]:
    """A table by name."""
    start, rows, signs = paths(table.trie)
    return {
        **({} if table.module is None else {"neurons": table.module.neurons}),
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
    }


def _domain(domain: Domain) -> dict[str, Any]:
    """The domain's kind and its numbers."""
    if isinstance(domain, Box):
        return {"kind": "box", "lo": domain.lo.tolist(), "hi": domain.hi.tolist()}
    if isinstance(domain, Polytope):
        return {"kind": "polytope", "A": domain.A.tolist(), "b": domain.b.tolist()}
    return {"kind": "all"}
