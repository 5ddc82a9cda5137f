"""Whether the data of a catalog file that somebody else wrote are what `headcheck.catalog.own` says they are.

Every check answers what is wrong, or "". What was checked can be decoded: indexes are there, children stand before
their parents, heads are layers with sizes, texts can be printed, and no model is larger than any real one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from headcheck.catalog.files import library_of

Check: TypeAlias = Callable[[Any, "_File"], str]

MOST_MODULES = 50_000  # of one model, each counted as often as it is there
LARGEST = 2**48
LONGEST = 400  # characters of a name
DEEPEST = 40  # modules in one another
DEEPEST_VALUE = 4
METHODS = ("fx", "autograd", "detection")
#: Values that are sizes wherever they stand, and those that layers have in any case.
SIZES = frozenset(["in_features", "out_features", "in_channels", "out_channels", "num_features"])
LAYERS = {
    "torch.nn.Linear": ("in_features", "out_features"),
    "torch.nn.Conv1d": ("in_channels", "out_channels"),
    "torch.nn.Conv2d": ("in_channels", "out_channels"),
    "torch.nn.Conv3d": ("in_channels", "out_channels"),
    "torch.nn.BatchNorm1d": ("num_features",),
    "torch.nn.BatchNorm2d": ("num_features",),
}


def fault(data: Any) -> str:
    """What is wrong with the data of a catalog file; "" for nothing."""
    from headcheck.catalog.own import FORMAT

    if not isinstance(data, dict):
        return "no object"
    if data.get("format") != FORMAT:
        return f"its format is {_shown(data.get('format'))}, and {FORMAT} is read"
    file = _File()
    return _fields(TOP)(data, file)


class _File:
    """What was seen of a file so far."""

    def __init__(self) -> None:
        self.names = 0
        self.sizes: list[int] = []
        self.depths: list[int] = []
        self.nodes: list[Any] = []
        self.counts: set[str] | None = None


def _shown(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"


# -- small checks ----------------------------------------------------------------------------------------------------


def _text(value: Any, file: _File) -> str:
    good = isinstance(value, str) and len(value) <= LONGEST and value.isprintable()
    return "" if good else f"{_shown(value)} is no name"


def _names_text(value: Any, file: _File) -> str:
    return "" if isinstance(value, str) and value.isprintable() else f"{_shown(value)} is no list of names"


def _flag(value: Any, file: _File) -> str:
    return "" if isinstance(value, bool) else f"{_shown(value)} is neither true nor false"


def _number(value: Any, file: _File) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST
    return "" if good else f"{_shown(value)} is no size"


def _count(value: Any, file: _File) -> str:
    """A size, or how it follows a count."""
    return _scaled(value, file) if isinstance(value, dict) else _number(value, file)


def _scaled(value: dict[str, Any], file: _File) -> str:
    ((name, line),) = value.items() if len(value) == 1 else (("", None),)
    line_is_right = (
        isinstance(line, list) and len(line) == 2 and all(type(n) is int and abs(n) <= LARGEST for n in line)
    )
    known = file.counts is None or name in file.counts
    return "" if line_is_right and known and not _text(name, file) else "a number that follows no count"


def _open_size(value: Any, file: _File) -> str:
    return "" if value is None else _count(value, file)


def _plain(value: Any, file: _File, deep: int = 0) -> str:
    if isinstance(value, list):
        return _first(_plain(item, file, deep + 1) for item in value) if deep < DEEPEST_VALUE else "a value too deep"
    if isinstance(value, dict):
        return _scaled(value, file)
    if isinstance(value, str):
        return _text(value, file)
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number too large"
    return "" if value is None or isinstance(value, (bool, int, float)) else f"{_shown(value)} is no value"


def _default(value: Any, file: _File) -> str:
    """A value that follows no count."""
    inner = value if isinstance(value, list) else ()
    return (
        f"{_shown(value)} is no value"
        if isinstance(value, dict)
        else _plain(value, file) or _first(_default(item, file) for item in inner)
    )


def _first(found: Any) -> str:
    return next((wrong for wrong in found if wrong), "")


def _list(check: Check) -> Check:
    def of_list(value: Any, file: _File) -> str:
        if not isinstance(value, list):
            return f"{_shown(value)} is no list"
        return _first(check(item, file) for item in value)

    return of_list


def _map(check: Check) -> Check:
    def of_map(value: Any, file: _File) -> str:
        if not isinstance(value, dict):
            return f"{_shown(value)} is no object"
        return _first(_text(name, file) or _under(name, check(item, file)) for name, item in value.items())

    return of_map


def _under(name: str, wrong: str) -> str:
    return f"{name}: {wrong}" if wrong else ""


def _fields(fields: dict[str, Check]) -> Check:
    def of_fields(value: Any, file: _File) -> str:
        if not isinstance(value, dict):
            return f"{_shown(value)} is no object"
        missing = next((name for name in fields if name not in value), None)
        if missing is not None or len(value) > len(fields):
            return f"no {missing}" if missing is not None else "more than belongs there"
        return _first(_under(name, check(value[name], file)) for name, check in fields.items())

    return of_fields


# -- the parts of a file ---------------------------------------------------------------------------------------------


def _format(value: Any, file: _File) -> str:
    return ""


def _name_lists(value: Any, file: _File) -> str:
    wrong = _list(_names_text)(value, file)
    file.names = 0 if wrong else len(value)
    return wrong


def _nodes(value: Any, file: _File) -> str:
    if not isinstance(value, list):
        return "no list"
    for number, node in enumerate(value):
        wrong = _node(node, file)
        if wrong:
            return f"{number}: {wrong}"
        below = [file.sizes[child] for child in node[4].values()]
        file.sizes.append(1 + sum(below))
        file.depths.append(1 + max((file.depths[child] for child in node[4].values()), default=0))
        file.nodes.append(node)
        if file.sizes[-1] > MOST_MODULES or file.depths[-1] > DEEPEST:
            return f"{number}: more modules than a model has"
    return ""


def _node(node: Any, file: _File) -> str:
    if not isinstance(node, list) or len(node) != 5:
        return "no module"
    kind, attributes, values, parameters, children = node
    return (
        _text(kind, file)
        or _number(attributes, file)
        or ("" if attributes < file.names else "no such names")
        or _values(kind, values, file)
        or _map(_list(_count))(parameters, file)
        or _map(_node_before)(children, file)
    )


def _values(kind: str, values: Any, file: _File) -> str:
    wrong = _map(_plain)(values, file)
    missing = None if wrong else next((name for name in LAYERS.get(kind, ()) if name not in values), None)
    if wrong or missing is not None:
        return wrong or f"a {kind} without {missing}"
    return _first(_under(name, _count(values[name], file)) for name in sorted(SIZES & values.keys()))


def _node_before(value: Any, file: _File) -> str:
    good = type(value) is int and 0 <= value < len(file.nodes)
    return "" if good else f"{_shown(value)} is no module before it"


def _builders(value: Any, file: _File) -> str:
    if not isinstance(value, dict):
        return "no object"
    return _first(_text(name, file) or _under(name, _one_builder(name, facts, file)) for name, facts in value.items())


def _one_builder(name: str, facts: Any, file: _File) -> str:
    if library_of(name) is not None:
        return "it is a library's, of which headcheck has a catalog"
    counts = facts.get("counts") if isinstance(facts, dict) else None
    wrong = _map(_number)(counts, file)
    if wrong:
        return f"counts: {wrong}"
    file.counts = set(counts or ())
    wrong = _fields(BUILDER)(facts, file) or _follows(facts["root"], file, set())
    return wrong or _first(
        _under(head["path"], _is_layer(facts["root"], head["path"], file)) for head in facts["heads"]
    )


def _follows(index: int, file: _File, seen: set[int]) -> str:
    """Whether every number of a model that follows a count follows one that its builder has."""
    if index in seen:
        return ""
    seen.add(index)
    _, _, values, parameters, children = file.nodes[index]
    wrong = _map(_plain)(values, file) or _map(_list(_count))(parameters, file)
    return wrong or _first(_follows(child, file, seen) for child in children.values())


def _is_layer(root: int, path: str, file: _File) -> str:
    node = file.nodes[root]
    for part in path.split("."):
        if part not in node[4]:
            return "no such module"
        node = file.nodes[node[4][part]]
    values = node[2]
    prefix = "features" if "in_features" in values else "channels"
    sizes = (values.get(f"in_{prefix}"), values.get(f"out_{prefix}"))
    return _first(_count(size, file) for size in sizes)


def _method(value: Any, file: _File) -> str:
    return "" if value in METHODS else f"{_shown(value)} is no way to trace"


HEAD: dict[str, Check] = {
    "path": _text,
    "shape": _list(_open_size),
    "auxiliary": _flag,
    "train": _flag,
    "eval": _flag,
    "outputs": _list(_text),
}
BUILDER: dict[str, Check] = {
    "target": _text,
    "aliases": _list(_text),
    "parameters": _map(_default),
    "weights": _list(_text),
    "offline": _list(_text),
    "counts": _map(_number),
    "sources": _map(_text),
    "frozen": _flag,
    "training": _flag,
    "root": _node_before,
    "heads": _list(_fields(HEAD)),
    "inputs": _map(_list(_open_size)),
    "outputs": _map(_list(_open_size)),
    "used": _list(_text),
    "input": _list(_number),
    "method": _method,
}
TOP: dict[str, Check] = {"format": _format, "names": _name_lists, "nodes": _nodes, "builders": _builders}
