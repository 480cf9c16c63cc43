"""The input box of a VNN-LIB property: the bounds it asserts on X_0, X_1, ...; what it says of outputs is left out."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.domain import Box
from relu_shallow.errors import DomainError

Expression = str | list[Any]  # an atom, or a list in parentheses

_TOKEN = re.compile(r"\|[^|]*\||[()]|[^\s()]+")
_COMMENT = re.compile(r";[^\n]*")
_INPUT = re.compile(r"\|?X_(\d+)\|?")
_DEEPEST = 100  # nesting of parentheses; properties in use nest three or four deep


def read_input_box(path: str | os.PathLike[str]) -> Box:
    """The box of a property's inputs; raises DomainError where it is not one, or a bound is missing."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DomainError(f"the property {path} cannot be read: {error}") from error
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
        if expression[:1] == ["declare-const"] or expression[:1] == ["declare-fun"]:
            declared |= _inputs(expression)
        elif expression[:1] == ["assert"]:
            for body in expression[1:]:
                _collect(body, lower, upper)
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


def _collect(body: Expression, lower: dict[int, float], upper: dict[int, float]) -> None:
    """Tightens the bounds by one assertion; one that names no input is about outputs and is passed over."""
    if not _inputs(body):
        return
    if body[0] == "and":
        for part in body[1:]:
            _collect(part, lower, upper)
        return
    names = ", ".join(f"X_{index}" for index in sorted(_inputs(body)))
    if body[0] == "or":
        raise DomainError(
            f"it joins several input sets by `or` (over {names}); a domain is one box: convert on each box by itself"
        )
    if body[0] not in ("<=", ">=", "=") or len(body) != 3:
        raise DomainError(f"it asserts `{_show(body)}`, which is not a bound on one input")
    left, right = body[1], body[2]
    index, bound, operator = _input(left), _number(right), body[0]
    if index is None or bound is None:  # the number may stand first: 0.5 >= X_0
        index, bound, operator = _input(right), _number(left), {"<=": ">=", ">=": "<=", "=": "="}[str(body[0])]
    if index is None or bound is None:
        raise DomainError(f"it asserts `{_show(body)}`, which is not a bound on one input")
    if operator in ("<=", "="):
        upper[index] = min(bound, upper.get(index, math.inf))
    if operator in (">=", "="):
        lower[index] = max(bound, lower.get(index, -math.inf))


def _input(expression: Expression) -> int | None:
    found = _INPUT.fullmatch(expression) if isinstance(expression, str) else None
    return int(found[1]) if found else None


def _number(expression: Expression) -> float | None:
    """A literal number, also as (- 0.5)."""
    if isinstance(expression, list):
        inner = _number(expression[1]) if len(expression) == 2 and expression[0] in ("-", "+") else None
        return None if inner is None else (-inner if expression[0] == "-" else inner)
    try:
        value = float(expression)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _show(expression: Expression) -> str:
    return expression if isinstance(expression, str) else f"({' '.join(_show(part) for part in expression)})"
