"""Which of a path's conditions tell it from other paths, and how they are said.

A condition is (the test's node, or its words, whether it holds, whether nobody knows if it can). Those of a path are
the branches that it took, so that a path with the other side of one of them cannot be had under it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.execution import Execution
    from headcheck.interpreter.state import Condition, Way


# -- which are needed ------------------------------------------------------------------------------------------------


def deciding(execution: Execution, others: Iterable[Execution], alike: Iterable[Execution]) -> list[Condition]:
    """The conditions of a path that rule out each of some others, and none that is not needed for it; ``a or b`` where
    `alike` paths came of the other one.

    Where what all its ways have in common does not rule out what one of them does, it is that way which is told. Where
    paths were left out, those beside may have shown that it takes more than one: what alone rules out a path is needed,
    and of several nobody knows which one.
    """
    against = ways(others)
    way, all_ = execution.conditions, oppositions(execution, execution.conditions, against)
    if not all(all_):
        each = ((way, oppositions(execution, way, against)) for way in sorted(execution.ways, key=len))
        way, all_ = next((found for found in each if all(found[1])), (way, all_))
    opposed = [each for each in all_ if each]
    needed = [condition for condition in way if any(condition in each for each in opposed)]
    for condition in () if execution.cut else reversed(needed):
        rest = [other for other in needed if other is not condition]
        if all(any(other in each for other in rest) for each in opposed):
            needed = rest
    return widened(execution, needed, [pair for pair, each in zip(against, all_, strict=True) if each], alike)


def widened(
    execution: Execution, needed: list[Condition], against: Sequence[tuple[Execution, Way]], alike: Iterable[Execution]
) -> list[Condition]:
    """Some conditions, with ``a or b`` in the place of `a` where this rules out the same paths."""
    taken = [way for _, way in ways(alike)]
    for place, condition in enumerate(needed):
        for whole in wholes(condition, taken):
            wider = [*needed[:place], whole, *needed[place + 1 :]]
            if whole not in needed and all(oppositions(execution, tuple(wider), against)):
                return widened(execution, wider, against, alike)
    return needed


def wholes(condition: Condition, taken: Iterable[Way]) -> Iterator[Condition]:
    """What other paths took instead of a condition, of which it is a part."""
    test, held, _ = condition
    for way in taken:
        if any(other[0] is test and other[1] is not held for other in way):
            for other in way:
                sides = parts(other[0], other[1], ())
                if any(type(s).__name__ == "BooleanOperation" and s.left is test and h is held for s, h in sides):
                    yield other


def decided_alone(execution: Execution, others: Iterable[Execution], alike: Iterable[Execution]) -> list[Condition]:
    """The conditions of a path each of which alone tells it from one of some others: of what paths that are `alike` it
    take either side of, nothing depends."""
    way = execution.conditions
    either = [condition for found in oppositions(execution, way, ways(alike)) for condition in found]
    told = ([c for c in found if c not in either] for found in oppositions(execution, way, ways(others)))
    alone = [found[0] for found in told if len(found) == 1]
    return [condition for condition in way if condition in alone and not condition[2]]


def ways(executions: Iterable[Execution]) -> list[tuple[Execution, Way]]:
    return [(execution, way) for execution in executions for way in execution.ways]


def oppositions(execution: Execution, way: Way, against: Iterable[tuple[Execution, Way]]) -> list[list[Condition]]:
    """Those of a way's conditions of which each of some others took the other side. A guess at what the script leaves
    open is not one of its conditions."""
    guesses = {guess.condition: guess for guess in execution.guesses}
    own = sides_of(way)
    said = [c for c in way if c not in guesses or guesses[c].kind == "listed"]
    said = [c for c in said if (name_of(c[0]), not c[1]) not in own]  # in the turns of a loop it is now so, now so
    found = []
    for other, taken in against:
        sides = sides_of(taken)
        names = {guess.group: guess.condition for guess in other.guesses}
        found.append([c for c in said if is_opposed(c, guesses.get(c), sides, names)])
    return found


def is_opposed(condition: Condition, guess: Any, sides: Set[Any], names: Mapping[int, Any]) -> bool:
    if guess is not None:  # where several names met, nobody knows which ones
        return names.get(guess.group) != condition
    test, held, _ = condition
    return (name_of(test), not held) in sides and (name_of(test), held) not in sides


def sides_of(way: Way) -> set[tuple[Any, bool]]:
    return {(name_of(test), held) for test, held, _ in way}


def name_of(test: Any) -> Any:
    """What is the same where a test is."""
    return test if isinstance(test, str) else id(test)


# -- how they are said -----------------------------------------------------------------------------------------------


def words(conditions: Iterable[Any], code: Callable[[Any], str]) -> tuple[str, ...]:
    """Conditions as source text, taken apart, each once, and without those that another one brings with it."""
    given = list(conditions)
    held: list[tuple[Any, bool]] = []
    for condition in given:
        if not isinstance(condition, str):
            held += [part for part in parts(condition[0], condition[1], held) if part not in held]
    every = list(dict.fromkeys((text_of(test, code), holds) for test, holds in held))
    texts = [each for place, each in enumerate(every) if not is_implied(place, every)]
    said = [written(text, holds, len(texts) > 1) for text, holds in texts]
    return tuple(dict.fromkeys([*said, *(each for each in given if isinstance(each, str))]))


def parts(test: Any, holds: bool, held: Sequence[tuple[Any, bool]]) -> Iterator[tuple[Any, bool]]:
    """What a test says of what it is made of: both sides of ``a and b`` if it holds, and the other one if it does not
    though one of them does."""
    kind = type(test).__name__
    if kind == "UnaryOperation" and type(test.operator).__name__ == "Not":
        yield from parts(test.expression, not holds, held)
    elif kind == "BooleanOperation":
        settled = (type(test.operator).__name__ == "And") is holds  # both sides are as the whole is
        left = list(parts(test.left, holds, held))
        if settled:
            yield from left
            yield from parts(test.right, holds, [*held, *left])
        elif all(part in held for part in parts(test.left, not holds, held)):
            yield from parts(test.right, holds, held)
        elif not any(part in held for part in left):
            yield test, holds
    else:
        yield test, holds


def text_of(test: Any, code: Callable[[Any], str]) -> str:
    if isinstance(test, str):
        return test
    if type(test).__name__ == "MatchCase":  # the node has all that is done in this case, too
        guard = f" if {code(test.guard)}" if test.guard is not None else ""
        return f"case {code(test.pattern)}{guard}"
    text = code(test)
    for _ in getattr(test, "lpar", ()):  # its own brackets
        text = text[1:-1].strip()
    return text


def written(text: str, holds: bool, several: bool) -> str:
    """A test as it is said, beside others that hold, too."""
    tree = parsed(text)
    if holds:
        is_either = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.Or)
        return f"({text})" if several and (is_either or isinstance(tree, LOOSE)) else text
    return f"not {text}" if isinstance(tree, CLOSE) else f"not ({text})"


# What `and` would part, and what `not` is said of as a whole.
LOOSE = (ast.IfExp, ast.Lambda, ast.NamedExpr)
CLOSE = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)


@lru_cache
def parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None


class Asked(NamedTuple):
    """A value, as source text, and what a test asks of it: if it `is` one of some constants, if it `has` one in it, or
    if it is `true`."""

    subject: str
    kind: str
    constants: tuple[Any, ...] = ()

    def holds_for(self, value: Any) -> bool:
        if self.kind == "is":
            return any(value == constant and type(value) is type(constant) for constant in self.constants)
        if self.kind == "has":
            return isinstance(value, str) and any(constant in value for constant in self.constants)
        return bool(value)


def is_implied(place: int, said: Sequence[tuple[str, bool]]) -> bool:
    """Whether one of the others says a test, too: ``name == "b"`` says that `name` is not "a"."""
    text, holds = said[place]
    one = asked(text)
    for number, (other_text, other_holds) in enumerate(said):
        other = asked(other_text)
        if number == place or not other_holds or other.subject != one.subject:
            continue
        if other.kind == "is" and all(one.holds_for(value) is holds for value in other.constants):
            alike = holds and one.kind == "is" and all(other.holds_for(value) for value in one.constants)
            if not alike or number < place:
                return True
        # Who asks if a name has one word in it or else another picks by words that no name has together.
        if not holds and one.constants and not any(other.holds_for(value) for value in one.constants):
            return True
    return False


@lru_cache
def asked(text: str) -> Asked:
    tree = parsed(text)
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1:
        left, operator, right = tree.left, tree.ops[0], tree.comparators[0]
        if isinstance(operator, (ast.Eq, ast.Is)) and constants_of(right) is not None:
            return Asked(ast.unparse(left), "is", constants_of(right) or ())
        if isinstance(operator, (ast.Eq, ast.Is)) and constants_of(left) is not None:
            return Asked(ast.unparse(right), "is", constants_of(left) or ())
        if isinstance(operator, ast.In) and isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            each = [constants_of(element) for element in right.elts]
            if each and all(found is not None for found in each):
                return Asked(ast.unparse(left), "is", tuple(value for found in each for value in found or ()))
        if isinstance(operator, ast.In) and isinstance(left, ast.Constant) and isinstance(left.value, str):
            return Asked(ast.unparse(right), "has", (left.value,))
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute) and len(tree.args) == 1:
        found = constants_of(tree.args[0])
        if tree.func.attr in ("startswith", "endswith") and found is not None and isinstance(found[0], str):
            return Asked(ast.unparse(tree.func.value), "has", found)
    return Asked(text if tree is None else ast.unparse(tree), "true")


def constants_of(tree: ast.expr) -> tuple[Any, ...] | None:
    return (tree.value,) if isinstance(tree, ast.Constant) else None
