"""Names and numbers as pictures and pages show them."""

from __future__ import annotations

import re

LINE, LINES = 26, 8  # a feature's name is broken into at most so many lines of so many characters
MINUS = "\u2212"


def label(name: str) -> str:
    """A feature's name as matplotlib should draw it: broken into lines, and never read as mathematics."""
    plain = "".join(c if c.isprintable() else " " for c in name).strip() or "(no name)"
    lines = [""]
    for word in re.findall(r".+?(?:[\s_./-]+|$)", plain):  # names break after spaces and underscores first
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > LINE:
            lines.append("")
        pieces = [word[i : i + LINE] for i in range(0, len(word.rstrip()), LINE)]
        lines[-1] += pieces[0]
        lines += pieces[1:]
    shown = [*lines[:LINES], "…"] if len(lines) > LINES else lines
    return "\n".join(line.strip() for line in shown).replace("$", r"\$")


def short(name: str, most: int = LINE) -> str:
    """A name on one line, its end left out where it is long."""
    plain = "".join(c if c.isprintable() else " " for c in name).strip() or "(no name)"
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def number(value: float | int) -> str:  # beartype does not read an int as a float
    """A number for reading: four significant digits, a true minus sign."""
    text = f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 and value == round(value) else f"{value:.4g}"
    return text.replace("-", MINUS)


def fonts() -> list[str]:
    """Matplotlib's own font, then what is installed for scripts that it does not cover."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    wide = ("Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Arabic", "Noto Sans Devanagari",
            "WenQuanYi Zen Hei", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS")  # fmt: skip
    return ["DejaVu Sans", *(name for name in wide if name in installed)]
