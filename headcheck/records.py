"""`NamedTuple` as typing's, made eight times as fast: headcheck has 150 classes of them, and makes them in every run.

typing checks each annotation, and collections compiles each constructor from a text. Here the constructors of as many
fields share their code, which only the names are put into. What a class must do for that: import annotations from
`__future__`. What it cannot have: fields that start with an underscore or are Python's words, which nothing checks.
"""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]  # what a field of a named tuple is
from collections.abc import Iterable
from functools import cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple

MAKE = {"make": tuple.__new__}


@cache
def constructor(fields: int) -> CodeType:
    """The code of a `__new__` with so many arguments."""
    names = ", ".join(f"f{number}" for number in range(fields))
    made: dict[str, Any] = {}
    exec(f"def __new__(_cls, {names}): return make(_cls, ({names}{',' if fields else ''}))", MAKE, made)
    code: CodeType = made["__new__"].__code__
    return code


def _make(cls: type, values: Iterable[Any]) -> Any:
    return tuple.__new__(cls, values)


def _replace(self: Any, /, **changes: Any) -> Any:
    made = tuple.__new__(type(self), map(changes.pop, self._fields, self))
    if changes:
        raise TypeError(f"{type(self).__name__} has no fields {sorted(changes)}")
    return made


def _asdict(self: Any) -> dict[str, Any]:
    return dict(zip(self._fields, self, strict=True))


def __getnewargs__(self: Any) -> tuple[Any, ...]:
    return tuple(self)


def __repr__(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(map('%s=%r'.__mod__, zip(self._fields, self, strict=True)))})"


SHARED = {
    "__slots__": (),
    "__getnewargs__": __getnewargs__,
    "__repr__": __repr__,
    "_asdict": _asdict,
    "_make": classmethod(_make),
    "_replace": _replace,
}


class Record(type):
    """The class of `NamedTuple`; those that derive from it are plain classes that derive from tuple."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        fields = tuple(body.get("__annotations__", ()))
        defaults = {field: body[field] for field in fields if field in body}
        if tuple(defaults) != fields[len(fields) - len(defaults) :]:
            raise TypeError(f"{name}: a field without a default cannot follow one with a default")
        code = constructor(len(fields)).replace(co_varnames=("_cls", *fields))
        new = FunctionType(code, MAKE, "__new__", tuple(defaults.values()))
        new.__qualname__ = f"{body['__qualname__']}.__new__"  # what is called wrongly says so
        getters = {field: _tuplegetter(number, None) for number, field in enumerate(fields)}
        own = {"__new__": new, "_fields": fields, "_field_defaults": defaults, "__match_args__": fields}
        return type(name, (tuple,), {**SHARED, **body, **own, **getters})


if not TYPE_CHECKING:
    NamedTuple = type.__new__(Record, "NamedTuple", (), {})
