"""A slow reference: all linear regions by exact rationals and Fourier-Motzkin elimination, sharing nothing with us.

The network is read as plain (W, b) pairs of floats, each taken as the rational it is.
"""

from __future__ import annotations

from fractions import Fraction


def strictly_feasible(rows: list[list[Fraction]]) -> bool:
    """Whether some point has a . x + b > 0 for every row (a_1, .., a_n, b): Fourier-Motzkin, one variable at a time."""
    while rows and len(rows[0]) > 1:
        positive = [row for row in rows if row[0] > 0]
        negative = [row for row in rows if row[0] < 0]
        rest = [tuple(row[1:]) for row in rows if row[0] == 0]
        rest += [
            tuple(u / up[0] - d / down[0] for u, d in zip(up[1:], down[1:], strict=True))
            for up in positive
            for down in negative
        ]
        seen = {}
        for row in rest:
            # of parallel rows only the tightest counts
            scale = next((abs(v) for v in row[:-1] if v), None)
            if scale is None:
                if row[-1] <= 0:
                    return False
                continue
            key = tuple(v / scale for v in row[:-1])
            constant = row[-1] / scale
            if key not in seen or constant < seen[key]:
                seen[key] = constant
        rows = [[*key, constant] for key, constant in seen.items()]
        if not rows:
            return True
    return all(row[0] > 0 for row in rows)


def regions(layers, box=None, half_spaces=()) -> set[tuple[int, ...]]:
    """Every activation pattern with a full-dimensional cell, on a box [(lo, hi), ...] or on the whole space.

    Each further half-space (a_1, .., a_n, c) is a . x <= c.
    """
    exact = [([[Fraction(float(v)) for v in row] for row in W], [Fraction(float(v)) for v in b]) for W, b in layers]
    n = len(exact[0][0][0])
    domain = []
    for axis, (lo, hi) in enumerate(box or []):
        unit = [Fraction(int(k == axis)) for k in range(n)]
        domain.append([*unit, -Fraction(float(lo))])
        domain.append([*(-u for u in unit), Fraction(float(hi))])
    domain += [[*(-Fraction(float(a)) for a in row[:-1]), Fraction(float(row[-1]))] for row in half_spaces]
    found: set[tuple[int, ...]] = set()
    if not strictly_feasible(domain):
        return found

    def visit(layer: int, below: list[list[Fraction]], pattern: tuple[int, ...], rows: list[list[Fraction]]) -> None:
        W, b = exact[layer]
        z = [
            [sum((w * h[k] for w, h in zip(row, below, strict=True)), Fraction(0)) for k in range(n)]
            + [sum((w * h[n] for w, h in zip(row, below, strict=True)), bias)]
            for row, bias in zip(W, b, strict=True)
        ]
        split(layer, z, 0, pattern, rows)

    def split(layer, z, neuron, pattern, rows) -> None:
        if neuron == len(z):
            if layer == len(exact) - 2:
                found.add(pattern)
                return
            bits = pattern[-len(z) :]
            visit(layer + 1, [row if bit else [Fraction(0)] * (n + 1) for row, bit in zip(z, bits, strict=True)],
                  pattern, rows)  # fmt: skip
            return
        row = z[neuron]
        if not any(row[:n]):
            split(layer, z, neuron + 1, (*pattern, int(row[n] > 0)), rows)
            return
        for bit, side in ((0, [-v for v in row]), (1, row)):
            if strictly_feasible([*rows, side]):
                split(layer, z, neuron + 1, (*pattern, bit), [*rows, side])

    identity = [[Fraction(int(k == j)) for k in range(n + 1)] for j in range(n)]
    visit(0, identity, (), domain)
    return found
