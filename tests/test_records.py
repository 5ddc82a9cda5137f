"""Named tuples of headcheck's own do what typing's do."""

from __future__ import annotations

import copy
import typing
from typing import Any

import pytest

from headcheck import records


def classes(base: Any) -> Any:
    class Point(base):  # type: ignore[misc]
        """A place."""

        x: int
        cls: str | None
        y: tuple[int, ...] = ()

        @property
        def far(self) -> bool:
            return bool(self.x > 9)

    class Nothing(base):  # type: ignore[misc]
        pass

    return Point, Nothing


@pytest.mark.parametrize("base", [records.NamedTuple, typing.NamedTuple])
def test_as_typing_has_it(base: Any) -> None:
    point, nothing = classes(base)
    made = point(11, cls="a")
    assert made == (11, "a", ()) and hash(made) == hash((11, "a", ())) and isinstance(made, tuple)
    assert (made.x, made.cls, made.y, made.far) == (11, "a", (), True)
    assert repr(made).endswith("Point(x=11, cls='a', y=())")
    assert made._replace(cls=None, y=(1,)) == point(11, None, (1,)) and type(made._replace(x=1)) is point
    assert point._make([1, 2, 3]) == (1, 2, 3) and made._asdict() == {"x": 11, "cls": "a", "y": ()}
    assert (point._fields, point._field_defaults, nothing._fields) == (("x", "cls", "y"), {"y": ()}, ())
    assert nothing() == () and point.__doc__ == "A place." and copy.deepcopy(made) == made
    assert not hasattr(made, "__dict__")
    match made:
        case point(x, cls):
            assert (x, cls) == (11, "a")


@pytest.mark.parametrize("base", [records.NamedTuple, typing.NamedTuple])
def test_what_is_refused(base: Any) -> None:
    point, _ = classes(base)
    for arguments, keywords in (((), {}), ((1,), {}), ((1, 2, 3, 4), {}), ((1, 2), {"z": 3}), ((1, 2), {"x": 1})):
        with pytest.raises(TypeError, match="Point"):
            point(*arguments, **keywords)
    with pytest.raises((TypeError, ValueError), match="z"):
        point(1, 2)._replace(z=3)
    with pytest.raises(TypeError, match="cannot follow"):

        class Wrong(base):  # type: ignore[misc]
            x: int = 1
            y: int
