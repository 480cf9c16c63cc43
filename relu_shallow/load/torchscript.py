"""TorchScript archives: the code in the archive is parsed as text and walked over known operations; nothing is run.

`torch.jit.load` is never called on a file, because it runs `__setstate__` methods written in the archive itself. The
attributes (`data.pkl`, `constants.pkl`) are read through inert stand-ins, and the code, which is a subset of Python's
grammar, is followed by the few statements below: an operation that is not on the list is refused by its name.
"""

# ruff: noqa: ARG005  (every entry of a table has the table's signature)

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.aten import apply
from relu_shallow.load.axes import Size
from relu_shallow.load.inert_pickle import StandInType, read_archive_pickle
from relu_shallow.load.layer_state import class_path
from relu_shallow.load.lowering import assemble
from relu_shallow.load.outputs import chosen_output
from relu_shallow.load.reading import Archive, ModelFile, damaged, open_archive
from relu_shallow.load.walk import Vector, Walk, Wanted, most_entries, source_of, start, walked
from relu_shallow.network import Network

DEEPEST_CALL = 40  # modules within modules; real ones stay below ten
MOST_STEPS = 100_000  # expressions followed in all; functions that call one another twice would go on for ever
MALFORMED = (TypeError, ValueError, AttributeError, KeyError, IndexError, ArithmeticError)


def read_torchscript(file: ModelFile, wanted: Wanted) -> Network:
    """The network of a TorchScript archive."""
    archive = open_archive(file)
    root = read_archive_pickle(archive)
    if not isinstance(type(root), StandInType):
        raise damaged(file, "TorchScript", "data.pkl holds no module")
    constants = read_archive_pickle(archive, "constants.pkl", "constants")
    if not isinstance(constants, (tuple, list)):
        raise damaged(file, "TorchScript", "constants.pkl holds no constants")
    walk = Walk(room=most_entries(file), wanted=wanted)
    program = Program(archive, tuple(constants), walk, _paths(root, ""))
    try:
        graph = walked(walk, file.name, lambda: program.output(root))
    except RecursionError as error:
        raise damaged(file, "TorchScript", "its code is nested too deeply") from error
    except MALFORMED as error:
        raise damaged(file, "TorchScript", f"its code does not fit what it holds: {error}") from error
    return assemble(graph, source_of(walk, file.name, "torchscript", file.sha256))


def _paths(module: object, path: str) -> dict[int, str]:
    """The dotted name of every sub-module, by identity; of several the first that is met."""
    found: dict[int, str] = {}
    ahead = [(module, path)]
    while ahead:
        owner, name = ahead.pop()
        if id(owner) not in found:
            found[id(owner)] = name
            parts = [(child, f"{name}.{key}" if name else key) for key, child in vars(owner).items()
                     if isinstance(type(child), StandInType)]  # fmt: skip
            ahead.extend(reversed(parts))
    return found


@dataclass(frozen=True)
class Reference:
    """A function or operation named in the code."""

    path: str


class Returned(Exception):  # noqa: N818
    """A return statement was reached; carries the value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclass
class Program:
    """The archive's code, walked function by function over concrete options and one symbolic tensor."""

    archive: Archive
    constants: tuple[Any, ...]
    walk: Walk
    paths: Mapping[int, str]
    files: dict[str, ast.Module] = field(default_factory=dict)
    depth: int = 0
    steps: int = 0

    def output(self, root: object) -> Any:
        """The output tensor of the model, the one that the user named where there are several."""
        what, taken = self.archive.file.name, self._method(root, "forward").args
        required = len(taken.args) - len(taken.defaults) - 1
        if required != 1:
            raise ModelError(f"the forward of {what} takes {required} inputs; one tensor was expected")
        given = self.call_method(root, "forward", [start(self.walk, None)], {})
        return chosen_output(what, given, self.walk.wanted)

    def call_method(self, owner: object, method: str, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
        """The value of `owner.method(...)`, its code read from the archive."""
        return self._call(self._method(owner, method), [owner, *args], kwargs, self.paths.get(id(owner), ""))

    def _method(self, owner: object, method: str) -> ast.FunctionDef:
        module, _, name = class_path(owner).rpartition(".")
        for node in self._file(module).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return _function(node.body, method, self.archive.file)
        raise damaged(self.archive.file, "TorchScript", f"the code of {class_path(owner)} is missing")

    def call_function(self, path: str, args: list[Any], kwargs: Mapping[str, Any], where: str) -> Any:
        """The value of a free function of the archive."""
        module, _, name = path.rpartition(".")
        return self._call(_function(self._file(module).body, name, self.archive.file), args, kwargs, where)

    def _file(self, module: str) -> ast.Module:
        name = f"code/{module.replace('.', '/')}.py"
        if name not in self.files:
            try:
                self.files[name] = ast.parse(self.archive.read(name).decode())
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise damaged(self.archive.file, "TorchScript", f"{name}: {error}") from error
        return self.files[name]

    def _call(self, node: ast.FunctionDef, args: list[Any], kwargs: Mapping[str, Any], where: str) -> Any:
        names = [argument.arg for argument in node.args.args]
        defaults = node.args.defaults
        frame = Frame(self, where, {})
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            frame.local[name] = frame.value(default)
        frame.local.update(zip(names, args, strict=False))
        frame.local.update(kwargs)
        if self.depth == DEEPEST_CALL or len(args) > len(names):
            raise damaged(self.archive.file, "TorchScript", f"{node.name} cannot be followed")
        self.depth += 1
        try:
            frame.run(node.body)
        except Returned as returned:
            return returned.value
        finally:
            self.depth -= 1
        return None


@dataclass
class Frame:
    """One call being followed: its local names, and the sub-module it belongs to."""

    program: Program
    where: str
    local: dict[str, Any]

    def run(self, body: list[ast.stmt]) -> None:
        """Follows statements; raises Returned at a return."""
        for node in body:
            if isinstance(node, ast.Return):
                raise Returned(None if node.value is None else self.value(node.value))
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._assign(node.targets[0], self.value(node.value))
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._assign(node.target, self.value(node.value))
            elif isinstance(node, ast.Expr):
                self.value(node.value)
            elif isinstance(node, ast.If):
                self.run(node.body if self._condition(node.test) else node.orelse)
            elif isinstance(node, ast.For) and isinstance(node.target, ast.Name) and not node.orelse:
                self._repeat(node.target, self._times(node), node.body)
            elif not isinstance(node, ast.Pass):
                raise self._refused(node)

    def _times(self, node: ast.For) -> int:
        """How often the body of `for i in range(n)` is run."""
        call = node.iter
        named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
        if not isinstance(call, ast.Call) or not named or len(call.args) != 1 or "range" in self.local:
            raise self._refused(node)
        times = self.value(call.args[0])
        if not isinstance(times, int) or times > MOST_STEPS:
            raise self._refused(node)
        return times

    def _repeat(self, counter: ast.Name, times: int, body: list[ast.stmt]) -> None:
        for place in range(times):
            self._count()
            self.local[counter.id] = place
            self.run(body)

    def _count(self) -> None:
        self.program.steps += 1
        if self.program.steps > MOST_STEPS:
            raise damaged(self.program.archive.file, "TorchScript", f"its code takes more than {MOST_STEPS} steps")

    def value(self, node: ast.expr) -> Any:
        """The value of an expression: a number, a tensor, a stand-in, a reference or the symbolic tensor."""
        self._count()
        known = EXPRESSIONS.get(type(node))
        if known is None:
            raise self._refused(node)
        return known(self, node)

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.local[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, (list, tuple)) and len(value) == len(target.elts):
            for part, entry in zip(target.elts, value, strict=True):
                self._assign(part, entry)
        else:
            raise self._refused(target)

    def _condition(self, node: ast.expr) -> bool:
        value = self.value(node)
        if isinstance(value, (Vector, Reference, Size)):
            raise ModelError(f"layer {self.where or 'forward'} decides by a value that depends on the input")
        return bool(value)

    def _refused(self, node: ast.AST) -> ModelError:
        return _unread(f"{self.where or 'forward'} of {self.program.archive.file.name}", node)

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.local:
            return self.local[node.id]
        return Reference(node.id)

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        if isinstance(owner, Reference):
            if owner.path == "CONSTANTS":
                return self._constant(node)
            return Reference(f"{owner.path}.{node.attr}")
        return self.member(owner, node.attr, node)

    def _constant(self, node: ast.Attribute) -> Any:
        place = node.attr[1:]
        if not place.isdigit() or int(place) >= len(self.program.constants):
            raise self._refused(node)
        return self.program.constants[int(place)]

    def member(self, owner: object, key: str, node: ast.AST) -> Any:
        """An attribute of a stand-in; a module is read as in evaluation, whatever mode it was saved in."""
        if key == "training":
            return False
        if isinstance(type(owner), StandInType) and key in vars(owner):
            return vars(owner)[key]
        raise self._refused(node)

    def _call(self, node: ast.Call) -> Any:
        args = [self.value(argument) for argument in node.args]
        kwargs = {word.arg: self.value(word.value) for word in node.keywords if word.arg}
        function = node.func
        if isinstance(function, ast.Attribute):
            owner = self.value(function.value)
            if isinstance(type(owner), StandInType):
                return self.program.call_method(owner, function.attr, args, kwargs)
        return self._called(self.value(function), args, kwargs, node)

    def _called(self, function: Any, args: list[Any], kwargs: dict[str, Any], node: ast.Call) -> Any:
        if not isinstance(function, Reference):
            raise self._refused(node)
        if function.path in ("float", "bool") and any(isinstance(value, (Size, Vector)) for value in args):
            raise ModelError(f"layer {self.where or 'forward'} computes {function.path} of a value that is not known")
        if function.path in BUILT_IN:
            return BUILT_IN[function.path](self, args, node)
        if function.path.startswith("__torch__."):
            return self.program.call_function(function.path, args, kwargs, self.where)
        space, _, op = function.path.rpartition(".")
        if space not in ("torch", "ops.aten", "ops.prim"):
            op = function.path
        return apply(self.program.walk, f"{self.where}:{op}" if self.where else op, op, args, kwargs)


def _getattr(frame: Frame, args: list[Any], node: ast.Call) -> Any:
    return frame.member(args[0], str(args[1]), node)


def _negative(frame: Frame, node: ast.UnaryOp) -> Any:
    value = frame.value(node.operand)
    if not isinstance(node.op, ast.USub) or not isinstance(value, (int, float)):
        raise _unread(frame.where or "forward", node)
    return -value


def _table(frame: Frame, node: ast.Dict) -> Any:
    keys = [None if key is None else frame.value(key) for key in node.keys]
    if not all(isinstance(key, str) for key in keys):
        raise _unread(frame.where or "forward", node)
    return dict(zip(keys, (frame.value(part) for part in node.values), strict=True))


def _item(frame: Frame, node: ast.Subscript) -> Any:
    owner, place = frame.value(node.value), frame.value(node.slice)
    if isinstance(owner, Reference):  # a type such as List[int]
        return Reference("type")
    if isinstance(owner, dict) and isinstance(place, str) and place in owner:
        return owner[place]
    if not isinstance(owner, (list, tuple)) or not isinstance(place, int) or not -len(owner) <= place < len(owner):
        raise _unread(frame.where or "forward", node)
    return owner[place]


EXPRESSIONS: dict[type, Callable[[Frame, Any], Any]] = {
    ast.Name: Frame._name,
    ast.Attribute: Frame._attribute,
    ast.Call: Frame._call,
    ast.Constant: lambda frame, node: node.value,
    ast.Tuple: lambda frame, node: tuple(frame.value(part) for part in node.elts),
    ast.List: lambda frame, node: [frame.value(part) for part in node.elts],
    ast.Dict: _table,
    ast.UnaryOp: _negative,
    ast.Subscript: _item,
}

BUILT_IN: dict[str, Callable[[Frame, list[Any], ast.Call], Any]] = {
    "annotate": lambda frame, args, node: args[1],
    "unchecked_cast": lambda frame, args, node: args[1],
    "uninitialized": lambda frame, args, node: None,
    "getattr": _getattr,
    "int": lambda frame, args, node: args[0] if isinstance(args[0], Size) else int(np.asarray(args[0]).item()),
    "float": lambda frame, args, node: float(np.asarray(args[0]).item()),
    "bool": lambda frame, args, node: bool(np.asarray(args[0]).item()),
}


def _unread(where: str, node: ast.AST) -> ModelError:
    code = " ".join(ast.unparse(node).split())[:100]
    return ModelError(f"layer {where} holds `{code}`, which is not read; export the model to ONNX")


def _function(body: list[ast.stmt], name: str, file: ModelFile) -> ast.FunctionDef:
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise damaged(file, "TorchScript", f"the code of {name} is missing")
