"""Proves, from a converted file alone, that its list of linear regions is right: python check.py FILE, nothing more.

A neuron is active where its pre-activation z > 0; one with equal slopes, or whose z is the zero function under the
pattern below it, counts as inactive. A region is a pattern with interior in the domain (a box's fixed inputs aside).
REAL: a witness in the domain (inside, of a polytope) gives every other z the pattern's sign. NONE MISSING: charts cover
the domain. In a chart (x', x0), where x = x' / x0, is affine in y of [-1, 1]^d; so is every z x0 once the pattern below
is fixed: a row. A tree parts each chart by neurons. Follow a point of a region, off all hyperplanes, down the tree: the
domain's rows are > 0 there, and of each neuron with both branches the row (or its negative) of the one taken: the
cell's rows. Where a branch is left out, weights >= 0 are given for its row and rows of the cell, whose weighted sum is
<= 0 on a box that holds the cell ([-1, 1]^d, tightened by such sums): the point took the other. All leaves are listed.
"""

import json
import sys
from collections import namedtuple
from fractions import Fraction
from itertools import islice, product
from math import lcm
from operator import mul
from pathlib import Path
from struct import error, iter_unpack
from typing import Any

UNIT = 1 << 60  # boxes are kept in multiples of 1 / UNIT
INACTIVE, ACTIVE, INACTIVE_BY, ACTIVE_BY, BOTH, EMPTY, BOUNDS = range(7)  # steps; _BY: by weights of rows
TYPES = {"F64": "<d", "F32": "<f", "I64": "<q", "U16": "<H", "U8": "<B"}
Layer = namedtuple("Layer", "columns slopes switching")  # of [W b; 0 1]; of its inputs; which neurons have two slopes
Entered = namedtuple("Entered", "below factors rows box")  # a layer under one pattern below it; the last row is x0's


class Unproved(Exception):  # noqa: N818
    """The file does not prove what it lists."""


def whole(values: Any) -> list[int]:
    """The values times their least common denominator."""
    ratios = [value.as_integer_ratio() for value in values]
    scale = lcm(*(bottom for _, bottom in ratios))
    return [top * (scale // bottom) for top, bottom in ratios]


def network(shapes: list[Any], inputs: int, values: Any) -> list[Layer]:
    """The hidden layers, in integers: positive factors change no sign."""
    layers, before = [], [(1, 1)] * (inputs + 1)
    for i, shape in enumerate(shapes[:-1]):
        W, bias, width = f"network.affine.{i}.W", [*values(f"network.affine.{i}.b")], len(before) - 1
        cells: Any = product(range(len(bias)), range(width))
        if shape:  # compressed sparse rows
            ends = [*values(W + ".indptr")]
            cells = zip((j for j in range(len(bias)) for _ in range(ends[j], ends[j + 1])), values(W + ".indices"))
        entries: list[Any] = [*zip(cells, values(W + ".data" * bool(shape)), strict=True)]
        entries += [((j, None), b) for j, b in enumerate([*bias, 1])]
        columns: dict[Any, list[Any]] = {k: [] for k in [*range(width), None]}
        for ((j, k), _), number in zip(entries, whole(v for _, v in entries), strict=True):
            columns[k] += [(j, number)] if number else []
        both = whole([*values(f"network.gate.{i}.inactive"), *values(f"network.gate.{i}.active"), 1])
        slopes, before = before, [*zip(both[: len(bias)] + both[-1:], both[len(bias) :], strict=True)]
        layers.append(Layer([*columns.values()], slopes, [a != b for a, b in before[:-1]]))
    return layers


def charts(center: list[Any], scale: list[Any], half_spaces: list[Any], bounded: bool) -> Any:
    """(rows of x' and x0, of the domain, axis, sign): center +- scale and, if not `bounded`, beyond its faces."""
    n, axes = len(center), [*(k for k, s in enumerate(scale) if s > 0), len(center)]  # fixed inputs take none
    for axis, sign in [(n, 1), *product(range(0 if bounded else n), (-1, 1))]:
        t: Any = [k in (axis, n) for k in axes]  # beyond a face, twice: x0 = t, x' = center t + scale u, u_axis = sign
        u: Any = [[(1 + (axis < n)) * (sign * (k == n) if i == axis else k == i) for k in axes] for i in range(n)]
        flat = whole(c * a + s * b for c, s, row in [*zip(center, scale, u), (1, 0, t)] for a, b in zip(t, row))
        rows = [flat[at : at + len(axes)] for at in range(0, len(flat), len(axes))]
        own = [whole(sum(map(mul, h, column)) for column in zip(*rows, strict=True)) for h in half_spaces]
        yield rows, [row for row in own if any(row)], axis, sign


def enter(layer: Layer, below: list[Any], bits: Any, old: Entered, box: list[Any]) -> Entered:
    """A layer's rows: columns times slopes times rows below; from its rows before where only slopes changed."""
    factors = [pair[bit] for pair, bit in zip(layer.slopes, [*bits, 0], strict=True)]
    rows, was = [[0] * len(below[0])] * (len(layer.switching) + 1), [0] * len(factors)
    if old.below is below:
        rows, was = list(old.rows), old.factors
    for column, new, gone, row in zip(layer.columns, factors, was, below, strict=True):
        moved = [(new - gone) * v for v in row]
        for j, w in column if new != gone else ():
            rows[j] = [a + w * m for a, m in zip(rows[j], moved)]
    return Entered(below, factors, rows, list(box))


def highest(terms: Any, box: list[Any]) -> tuple[int, int]:
    """(v, D): on the box, the sum of weight * row is at most v / (D UNIT); rows are scaled to sizes of about 1."""
    parts = [(*weight.as_integer_ratio(), max(map(abs, row)).bit_length(), row) for weight, row in terms if weight > 0]
    D, total = lcm(*(bottom << size for _, bottom, size, _ in parts)), [0] * (len(box) + 1)
    for top, bottom, size, row in parts:
        total = [t + top * (D // (bottom << size)) * a for t, a in zip(total, row)]
    return UNIT * total[-1] + sum(t * (hi if t > 0 else lo) for t, (lo, hi) in zip(total, box)), D


def walk(layers: list[Layer], chart: list[Any], domain: list[Any], steps: Any) -> Any:
    """The leaves of a chart's tree, which grows as `steps` says (a prover that works it out walks here too)."""
    places, d = [(i, j) for i, layer in enumerate(layers) for j in range(len(layer.switching))], len(chart[0]) - 1
    on, rows, path = bytearray(), list(domain), [Entered(0, 0, 0, 0)] * len(layers)  # pattern so far, cell's rows, ...
    todo: list[Any] = [(0, len(rows), [])]  # the active branches still to be taken
    while todo:
        q, count, branch = todo.pop()
        on[q:], rows[count:] = [1] if branch else [], [branch] if branch else []
        for i, j in places[len(on) :]:
            if j == 0:
                below, box = (path[i - 1].rows, path[i - 1].box) if i else (chart, [(-UNIT, UNIT)] * d)
                path[i] = enter(layers[i], below, (on or bytes(len(chart)))[1 - len(below) :], path[i], box)
                for k, terms in enumerate(steps(path[i], len(on), None, rows)[1]):  # y_0 from below, from above, y_1..
                    y, (lo, hi) = [(k % 2 * 2 - 1) * (m == k // 2) for m in range(d + 1)], path[i].box[k // 2]
                    value, D = highest([(2, y), *((weight, rows[at]) for weight, at in terms)], path[i].box)
                    path[i].box[k // 2] = (lo, min(hi, -(-value // D))) if k % 2 else (max(lo, value // -D), hi)
            row = path[i].rows[j]
            step, lists = steps(path[i], len(on), row, rows) if layers[i].switching[j] and any(row) else (None, [])
            active = step in (ACTIVE, ACTIVE_BY)
            if step == BOTH:
                todo.append((len(on), len(rows), row))
                rows.append([-v for v in row])
            elif step is not None:
                given = [(weight, rows[at]) for terms in lists for weight, at in terms]
                given += [(1, [-v for v in row] if active else row)] * (step != EMPTY)
                if not any(weight > 0 for weight, _ in given) or highest(given, path[i].box)[0] > 0:
                    raise Unproved(f"what it says of neuron {len(on)} (is there a proof? convert --proof keeps one)")
            if step == EMPTY:
                break
            on.append(int(active))
        else:
            yield bytes(on), [path[i].rows[j] if layers[i].switching[j] else [] for i, j in places]


def check(about: Any, values: Any, steps: Any, tell: Any) -> str:
    """What is proved, the trees growing as `steps` says; raises Unproved where something is not."""
    n, kind, leaves = len(about["network"]["feature_names"]), about["domain"], 0
    names = ("domain.lo", "domain.hi", "domain.A", "domain.b", "proof.center", "proof.scale")
    lo, hi, A, b, center, scale = ([*map(Fraction, values(name))] for name in names)
    if kind == "box":
        center, scale = ([(h + sign * a) / 2 for a, h in zip(lo, hi, strict=True)] for sign in (1, -1))
    table, alone = about["tables"][0], len(about["tables"]) == 1 and not {"network", "rest"} & {*about["tables"][0]}
    if not (alone and len(center) == len(scale) == n and (kind == "box" or min(scale) > 0)):
        raise Unproved("what is no list of all regions with its charts (convert --proof keeps them)")
    half_spaces = [[-a for a in A[i * n : i * n + n]] + [v] for i, v in enumerate(b) if kind == "polytope"]
    layers, witnesses = network(about["network"]["sparse_shapes"], n, values), [*values("table.0.witnesses")]
    N, text = sum(len(layer.switching) for layer in layers), "".join(f"{byte:08b}" for byte in values("table.0.bits"))
    size = max(-(-N // 8) * 8, 8)
    listed = {bytes(map(int, text[at : at + N])): at // size for at in range(0, len(text), size)}
    missing, free = set(range(len(text) // size)), [k for k in range(n) if scale[k] > 0]
    for r, point in table.get("exact_witnesses", {}).items():
        witnesses[int(r) * n : int(r) * n + n] = [Fraction(*(int(v, 16) for v in text.split("/"))) for text in point]
    for chart, domain, axis, sign in charts(center, scale, half_spaces, kind == "box"):
        for leaf, rows in walk(layers, chart, domain, steps):
            r, leaves = listed.get(leaf, -1), leaves + 1
            if r < 0:
                raise Unproved(f"that {''.join(map(str, leaf))}, which it does not list, is not a region")
            x = [*map(Fraction, witnesses[r * n : r * n + n])]
            far = sign * (x[axis] - center[axis]) / scale[axis] if axis < n else Fraction(1)
            if r in missing and far > 0:  # x lies on the chart's side: x = x' / x0 at y
                y = whole([*(2 / far - 1 if k == axis else (x[k] - center[k]) / far / scale[k] for k in free), 1])
                z = ((2 * bit - 1) * sum(map(mul, row, y)) for bit, row in zip(leaf, rows) if any(row))
                inside = all(sum(map(mul, h, [*x, 1])) > 0 for h in half_spaces if any(h))
                if inside and all(a <= v <= h for a, v, h in zip(lo, x, hi)) and all(value > 0 for value in z):
                    missing.remove(r)
            tell(leaves)
    if not missing:
        return f"{len(listed)} regions, each real, and none is missing (domain: {kind}; {leaves} leaves)"
    raise Unproved(f"that region {min(missing)} is real")


def check_file(path: Any, tell: Any = lambda leaves: None) -> tuple[int, str]:
    """(0, what is proved), (1, what is not) or (2, what is wrong with the file); `tell` hears of the leaves passed."""
    try:
        data = memoryview(Path(path).read_bytes())  # safetensors: the header's length, the header (JSON), the arrays
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(bytes(data[8:start]))
        about = json.loads(header.pop("__metadata__")["relu_shallow"])
        if not all(0 <= a["data_offsets"][0] <= a["data_offsets"][1] <= len(data) - start for a in header.values()):
            raise ValueError("it is cut short")
        parts = {name: (TYPES[a["dtype"]], data[start:][slice(*a["data_offsets"])]) for name, a in header.items()}

        def values(name: str) -> Any:
            return (value for (value,) in iter_unpack(*parts.get(name, ("<B", b""))))

        codes, counts, rows, weights = (values("proof." + name) for name in ("codes", "counts", "rows", "weights"))
        texts = (Fraction(*(int(v, 16) for v in text.split(b"/"))) for text in bytes(values("proof.exact")).split())
        exact = (weight if weight == weight else next(texts, 0) for weight in weights)

        def steps(entered: Entered, *_: Any) -> tuple[int, list[Any]]:
            step = next(codes, -1)
            lists = 2 * len(entered.box) if step == BOUNDS else step in (INACTIVE_BY, ACTIVE_BY, EMPTY)
            return step, [[(w, next(rows, 0)) for w in islice(exact, next(counts, 0))] for _ in range(lists)]

        return 0, check(about, values, steps, tell)
    except Unproved as e:
        return 1, f"not proved: {e}"
    except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError, OSError, RuntimeError, error) as e:
        return 2, f"{path} is not a proper converted file: {e!r:.99}"


if __name__ == "__main__":
    status, said = check_file(sys.argv[1]) if len(sys.argv) == 2 else (2, __doc__)
    sys.exit(sys.stdout.write(f"{said}\n") and status)
