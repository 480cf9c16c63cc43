"""The input box of a VNN-LIB property: the bounds it asserts on X_0, X_1, ...; what it says of outputs is left out."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.domain import Box
from relu_shallow.errors import DomainError

Expression = str | list[Any]  # an atom, or a list in parentheses

_TOKEN = re.compile(r"\|[^|]*\||[()]|[^\s()]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_COMMENT = re.compile(r";[^\n]*")
_INPUT = re.compile(r"\|?X_(0|[1-9][0-9]{0,17})\|?")  # of at most 18 digits: int() refuses thousands
_OUTPUT = re.compile(r"\|?Y_(0|[1-9][0-9]{0,17})\|?")
_OPERATORS = ("and", "or", "not", "=>", "<=", ">=", "<", ">", "=", "+", "-", "*", "/")
_MIRRORED = {"<=": ">=", "<": ">", ">=": "<=", ">": "<", "=": "="}
_DECLARATIONS = ("declare-const", "declare-fun")
_SILENT = ("set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit")  # they assert nothing
LONGEST = 200  # characters of the file that a message shows
_DEEPEST = 100  # nesting of parentheses; properties in use nest three or four deep


def read_input_box(path: str | os.PathLike[str]) -> Box:
    """The box of a property's inputs; raises DomainError where it is not one, or a bound is missing."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # the last: no UTF-8, or a null character in the path
        reason = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or error
        raise DomainError(f"the property {path} cannot be read: {reason}") from error
    try:
        return input_box(text)
    except DomainError as error:
        raise DomainError(f"the property {path} gives no input box: {error}") from error


def input_box(text: str) -> Box:
    """The box of a property given as text."""
    lower: dict[int, float] = {}
    upper: dict[int, float] = {}
    declared: set[int] = set()
    for expression in _parse(text):
        command = str(expression[0]) if expression else ""
        if command in _DECLARATIONS:
            declared |= _declared(expression)
        elif command == "assert" and len(expression) == 2:
            _check_known(expression[1])
            _collect(expression[1], lower, upper)
        elif command not in _SILENT:
            raise DomainError(f"the command `{_show(expression)}` is not read; write its bounds as plain assertions")
    known = declared | set(lower) | set(upper)
    if not known:
        raise DomainError("it declares no input X_0")
    for index in range(max(known) + 1):
        for bounds, side in ((lower, "lower"), (upper, "upper")):
            if index not in bounds:
                raise DomainError(f"input X_{index} has no {side} bound; assert one, or convert on another domain")
    count = range(max(known) + 1)
    return Box(np.array([lower[i] for i in count]), np.array([upper[i] for i in count]))


def _parse(text: str) -> list[list[Expression]]:
    """The file's top-level expressions."""
    stack: list[list[Expression]] = [[]]
    for token in _TOKEN.findall(_COMMENT.sub("", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                raise DomainError("a parenthesis closes that was never opened")
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
        if len(stack) > _DEEPEST:
            raise DomainError(f"its parentheses nest more than {_DEEPEST} deep")
    if len(stack) > 1:
        raise DomainError("a parenthesis is never closed, so the file is cut short")
    if not all(isinstance(expression, list) for expression in stack[0]):
        raise DomainError("it is not a list of commands in parentheses, as VNN-LIB is")
    return stack[0]  # type: ignore[return-value]


def _inputs(expression: Expression) -> set[int]:
    """Numbers of the inputs that an expression names."""
    if isinstance(expression, str):
        found = _INPUT.fullmatch(expression)
        return {int(found[1])} if found else set()
    return set().union(*(_inputs(part) for part in expression))


def _declared(declaration: list[Expression]) -> set[int]:
    """Numbers of the inputs that a declaration names; raises DomainError where it is of no input or output."""
    name = declaration[1] if len(declaration) > 1 else ""
    if not isinstance(name, str) or not (_INPUT.fullmatch(name) or _OUTPUT.fullmatch(name)):
        raise DomainError(f"`{_show(declaration)}` declares neither an input X_0, X_1, ... nor an output Y_0, Y_1, ...")
    return _inputs(name)


def _check_known(body: Expression) -> None:
    """Raises DomainError where an assertion is about anything but inputs X_i and outputs Y_j."""
    atoms = list(_atoms(body))
    strange = [atom for atom in atoms if not (_INPUT.fullmatch(atom) or _OUTPUT.fullmatch(atom))]
    strange = [atom for atom in strange if atom not in _OPERATORS and not _is_number(atom)]
    if strange or not any(_INPUT.fullmatch(atom) or _OUTPUT.fullmatch(atom) for atom in atoms):
        held = f" (`{strange[0]}` is none)" if strange else ""
        raise DomainError(
            f"it asserts `{_show(body)}`, which is not about inputs X_0, X_1, ... and outputs Y_0, Y_1, ... alone{held}"
        )


def _atoms(expression: Expression) -> Iterator[str]:
    if isinstance(expression, str):
        yield expression
        return
    for part in expression:
        yield from _atoms(part)


def _collect(body: Expression, lower: dict[int, float], upper: dict[int, float]) -> None:
    """Tightens the bounds by one assertion; one that names no input is about outputs and is passed over."""
    if not _inputs(body):
        return
    if body[0] == "and" or (body[0] == "or" and len(body) == 2):
        for part in body[1:]:
            _collect(part, lower, upper)
        return
    names = ", ".join(f"X_{index}" for index in sorted(_inputs(body)))
    if body[0] == "or":
        raise DomainError(
            f"it joins several input sets by `or` (over {names}); a domain is one box: convert on each box by itself"
        )
    if body[0] not in list(_MIRRORED) or len(body) != 3:
        raise DomainError(f"it asserts `{_show(body)}`, which is not a bound on one input")
    left, right = body[1], body[2]
    index, bound, operator = _input(left), _number(right), body[0]
    if index is None or bound is None:  # the number may stand first: 0.5 >= X_0
        index, bound, operator = _input(right), _number(left), _MIRRORED[str(body[0])]
    if index is None or bound is None:
        raise DomainError(f"it asserts `{_show(body)}`, which is not a bound on one input")
    if operator in ("<=", "<", "="):  # the closed box stands for an open one
        upper[index] = min(bound, upper.get(index, math.inf))
    if operator in (">=", ">", "="):
        lower[index] = max(bound, lower.get(index, -math.inf))


def _input(expression: Expression) -> int | None:
    found = _INPUT.fullmatch(expression) if isinstance(expression, str) else None
    return int(found[1]) if found else None


def _number(expression: Expression) -> float | None:
    """A literal number, also as (- 0.5)."""
    if isinstance(expression, list):
        inner = _number(expression[1]) if len(expression) == 2 and expression[0] in ("-", "+") else None
        return None if inner is None else (-inner if expression[0] == "-" else inner)
    value = float(expression) if _is_number(expression) else math.nan
    return value if math.isfinite(value) else None


def _is_number(atom: str) -> bool:
    """Whether an atom is a number; Python's own 0.1_0 and words such as nan are none."""
    return _NUMBER.fullmatch(atom) is not None


def _show(expression: Expression) -> str:
    """An expression for a message, its beginning only where it is long."""
    text = " ".join(_written(expression))
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def _written(expression: Expression) -> Iterator[str]:
    if isinstance(expression, str):
        yield expression[:LONGEST]
        return
    room = LONGEST
    parts = (word for part in expression for word in _written(part))
    words = []
    for word in parts:
        words.append(word)
        room -= len(word)
        if room < 0:
            break
    yield f"({' '.join(words)})"
