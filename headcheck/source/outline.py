"""What a file imports, defines and speaks of, from its `ast` tree alone: enough to tell which other files it needs."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from headcheck.records import NamedTuple
from headcheck.source import guard

BODY, MAIN = "", "__main__"
_Definition: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef"


class Binding(NamedTuple):
    """An import: `name` of a module, or the module itself where it is None."""

    module: str
    level: int
    name: str | None = None


class Outline(NamedTuple):
    """`words` are the dotted names of the file that each function and class uses, in order of the alphabet; `BODY`
    stands for the module's own code and `MAIN` for what it does only as the main program. `speaking` are those of them
    that speak of models, `building` those that make one of a library's. `names` are set by the module's own code,
    `bases` are those of the classes, `folders` what is added to `sys.path`. `replaces`: something that looks like a new
    head is put into a model.
    """

    bindings: Mapping[str, tuple[Binding, ...]]
    stars: tuple[Binding, ...]
    words: Mapping[str, tuple[str, ...]]
    speaking: frozenset[str]
    building: frozenset[str]
    names: frozenset[str]
    bases: Mapping[str, frozenset[str]]
    folders: tuple[str, ...]
    replaces: bool = False

    def has(self, name: str) -> bool:
        return name in self.words or name in self.names or name in self.bindings


# Packages that make models: whoever uses what comes from them speaks of models.
LIBRARIES = (
    "torchvision.models.", "torch.hub.", "timm.", "transformers.", "pretrainedmodels.", "efficientnet_pytorch.",
    "segmentation_models_pytorch.", "pytorch_pretrained_vit.", "fastai.", "resnest.",
)  # fmt: skip

# What reads the command line: whoever calls it is told which model is meant, and with how many classes.
ARGUMENTS = frozenset([".add_argument", ".parse_args", ".parse_known_args"])


def outline(tree: ast.Module, filename: str, seeds: frozenset[str]) -> Outline:
    """The outline of a file (absolute name); `seeds` are names that only speak of models, most of them attributes."""
    bindings: dict[str, list[Binding]] = {}
    stars: list[Binding] = []
    words: dict[str, set[str]] = {BODY: set(), MAIN: set()}
    names: set[str] = set()
    bases: dict[str, frozenset[str]] = {}
    replaces = False
    for statement, owner in _statements(tree.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            owner = statement.name
            if isinstance(statement, ast.ClassDef):
                bases[owner] = frozenset(filter(None, map(_dotted, statement.bases)))
        else:
            names.update(_stored(statement))
        said = words.setdefault(owner, set())
        inner: set[ast.AST] = set()  # what an attribute was read from
        for node in _below(statement):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                _note_import(node, bindings, stars)
            elif isinstance(node, ast.Attribute):
                said.add("." + node.attr)
                inner.add(node.value)
                if node not in inner:
                    said.add(_dotted(node))
            elif isinstance(node, ast.Name) and node not in inner:
                said.add(node.id)
            elif isinstance(node, ast.Call) and _dotted(node.func) == "eval":
                said.update(_named_in_texts(node))
            elif isinstance(node, ast.Assign):
                replaces = replaces or _puts_a_head(node)
    wanted = ARGUMENTS | {"." + seed for seed in seeds} | {seed for seed in seeds if not seed.islower() or "_" in seed}
    makers = {name for name, found in bindings.items() if any(map(_is_library, found))}
    building = frozenset(
        name for name, said in words.items() if any(_makes_models(word, makers, bindings) for word in said)
    )
    speaking = building.union(name for name, said in words.items() if not said.isdisjoint(wanted))
    known = {*bindings, *words, *names}
    linked = {
        name: tuple(sorted(w for w in said if w[:1] != "." and (stars or w.partition(".")[0] in known)))
        for name, said in words.items()
    }
    imported = {name: tuple(dict.fromkeys(found)) for name, found in bindings.items()}
    folders = tuple(_added_folders(tree, filename)) if "sys" in bindings or "path" in bindings else ()
    return Outline(imported, tuple(stars), linked, speaking, building, frozenset(names), bases, folders, replaces)


#: The classes of what looks like a new head.
HEAD_LAYERS = frozenset(["Linear", "LazyLinear", "Sequential", "FastRCNNPredictor", "MaskRCNNPredictor"])


def _puts_a_head(node: ast.Assign) -> bool:
    """Whether a new layer is assigned to a part of something that is not `self`."""
    if not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in HEAD_LAYERS and any(
        isinstance(target, ast.Subscript)
        or (isinstance(target, ast.Attribute) and getattr(target.value, "id", "") != "self")
        for target in node.targets
    )


def _is_library(binding: Binding) -> bool:
    first = binding.module.partition(".")[0] + "."
    return not binding.level and any(library.startswith(first) for library in LIBRARIES)


def _makes_models(word: str, makers: set[str], bindings: Mapping[str, list[Binding]]) -> bool:
    """Whether a dotted name stands for something of a library of models."""
    head, _, rest = word.partition(".")
    if head not in makers:
        return False
    meant = (".".join(filter(None, (b.module, b.name, rest))) + "." for b in bindings[head])
    return any(name.startswith(LIBRARIES) for name in meant)


def _statements(body: Iterable[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    """The statements of a module's own code, those in its branches too, with whether they are in the main program's."""
    pending = [(statement, BODY) for statement in body]
    while pending:
        statement, owner = pending.pop()
        yield statement, owner
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        inside = MAIN if isinstance(statement, ast.If) and _asks_for_main(statement.test) else owner
        for name in ("body", "handlers", "orelse", "finalbody"):
            for child in getattr(statement, name, ()):
                if isinstance(child, ast.ExceptHandler):
                    pending.extend((each, owner) for each in child.body)
                elif isinstance(child, ast.stmt):
                    pending.append((child, inside if name == "body" else owner))


def _below(statement: ast.stmt) -> Iterator[ast.AST]:
    """Every node of a function or class; of another statement those that are in no statement inside it."""
    whole = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        yield node
        for name in guard.child_fields(type(node)):
            child = getattr(node, name, None)
            if isinstance(child, list):
                if whole or not (child and isinstance(child[0], (ast.stmt, ast.ExceptHandler))):
                    pending.extend(each for each in child if isinstance(each, ast.AST))
            elif isinstance(child, ast.AST):
                pending.append(child)


def _asks_for_main(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and isinstance(test.ops[0], ast.Eq)
    )


def _named_in_texts(call: ast.Call) -> Iterator[str]:
    """What the texts start with that a call of `eval` is given: ``models`` of ``eval("models.{}()".format(name))``."""
    nodes = (node for argument in call.args for node in ast.walk(argument))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    starts = (text.partition("(")[0].rpartition(".")[0].strip() for text in texts)
    yield from (start for start in starts if start and all(part.isidentifier() for part in start.split(".")))


def _stored(statement: ast.stmt) -> Iterator[str]:
    targets = [*(getattr(statement, "targets", None) or [getattr(statement, "target", None)])]
    while targets:
        target = targets.pop()
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, (ast.Tuple, ast.List)):
            targets = [*targets, *target.elts]


def _dotted(node: ast.AST) -> str:
    """``a.b.c`` as text; "" for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def _note_import(node: ast.Import | ast.ImportFrom, bindings: dict[str, list[Binding]], stars: list[Binding]) -> None:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            module, level = node.module or "", node.level
            if alias.name == "*":
                stars.append(Binding(module, level))
            else:
                bindings.setdefault(alias.asname or alias.name, []).append(Binding(module, level, alias.name))
        elif alias.asname:
            bindings.setdefault(alias.asname, []).append(Binding(alias.name, 0))
        else:
            first = alias.name.partition(".")[0]
            bindings.setdefault(first, []).append(Binding(first, 0))


# --- sys.path --------------------------------------------------------------------------------------------------------


def _added_folders(tree: ast.Module, filename: str) -> Iterator[str]:
    """The folders of ``sys.path.append(…)`` and ``sys.path.insert(0, …)`` that can be told from the text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func) in ("sys.path.append", "sys.path.insert", "path.append"):
            folder = _path_of(node.args[-1], filename) if node.args else None
            if folder is not None:
                yield os.path.normpath(os.path.join(os.path.dirname(filename), folder))


def _path_of(node: ast.expr, filename: str) -> str | None:
    """The path that an expression gives; None where it is not plain."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and node.id == "__file__":
        return filename
    if isinstance(node, ast.Attribute) and node.attr == "parent":
        inner = _path_of(node.value, filename)
        return None if inner is None else os.path.dirname(inner)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
        left, right = _path_of(node.left, filename), _path_of(node.right, filename)
        if left is None or right is None:
            return None
        return left + right if isinstance(node.op, ast.Add) else os.path.join(left, right)
    if not isinstance(node, ast.Call):
        return None
    name = _dotted(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("resolve", "absolute", "as_posix") and not node.args:
        return _path_of(node.func.value, filename)
    known = [part for part in (_path_of(argument, filename) for argument in node.args) if part is not None]
    if not known or len(known) < len(node.args):
        return None
    last = name.rpartition(".")[2]
    if last == "dirname":
        return os.path.dirname(known[0])
    if last == "join":
        return os.path.join(*known)
    return known[0] if last in ("abspath", "realpath", "normpath", "str", "Path", "fspath", "expanduser") else None
