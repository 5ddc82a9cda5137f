"""Models chosen by a name that is not known: which builders are left, and one path for each of them.

A model built by such a name stays open until something is asked of it that depends on which one it is. Then the path
splits: by the names that the script itself lists (a dict of builders, the choices of an argument), or by what is left
of the library's builders, narrowed by what the path has tested and by what it asks for.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck import catalog
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import Guess, Sizes, State
from headcheck.interpreter.trying import agreeing, formula, inner, is_same, leaf_of, speaking_of, text_method
from headcheck.interpreter.values import (
    Chosen,
    Library,
    Ref,
    Symbol,
    Tuple,
    Value,
    class_unknown,
    is_invented,
    is_plain,
    label,
    name_of_class,
)
from headcheck.ir import UNKNOWN
from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

KEPT = 1_000  # answers
MOST_LISTED = 12
MOST_LEFT = 6
MOST_SAMPLED = 4
# What every model has: asking for it does not depend on which one it is.
COMMON = frozenset(
    [
        "__class__", "_modules", "apply", "bfloat16", "buffers", "cpu", "cuda", "double", "eval", "float", "forward",
        "half", "load_state_dict", "parameters", "requires_grad", "requires_grad_", "share_memory", "state_dict", "to",
        "train", "training", "zero_grad",
    ]
)  # fmt: skip

#: The unknown in a text, and what it is.
Solution: TypeAlias = "tuple[Symbol | None, Any]"

groups = itertools.count()


# -- what a path knows of a name -------------------------------------------------------------------------------------


def consistent(state: State, key: Value, names: Iterable[Any]) -> list[Any]:
    """Those of some names that a value may be on a path, by all that the path has tested about it."""
    if type(key) is not Symbol:
        return [name for name in names if name == key] if is_plain(key) else list(names)
    leaf = leaf_of(key)
    about = speaking_of(state.facts, leaf) if leaf is not None else ()
    return list(fitting(key, leaf, about, tuple(names)))


@functools.lru_cache(KEPT)
def fitting(
    key: Symbol, leaf: Symbol | None, about: tuple[tuple[Any, Any], ...], names: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Those of some names that all facts about a value leave; the same is asked on path after path."""
    tests = [] if leaf is None else [agreeing(fact, known, leaf) for fact, known in about]
    if key == leaf and inner(key) is None:
        for test in tests:
            names = tuple(filter(test, names))
        return names
    solve = solver(key)
    return tuple(name for name in names if fits(solve(name), key, leaf, tests))


def fits(solution: Solution | None, key: Symbol, leaf: Symbol | None, tests: list[Callable[[Any], bool]]) -> bool:
    """Whether a key can be what `solution` says, by what is known of the unknown in it."""
    if solution is None:
        return False
    symbol, text = solution
    if leaf is None or not is_same(symbol, leaf):
        return True
    # Of a text that an f-string or ``str()`` made, the part may have been a number.
    values = [text, int(text)] if isinstance(text, str) and text.isdigit() and symbol != key else [text]
    return any(all(test(value) for test in tests) for value in values)


def solver(key: Value) -> Callable[[Any], Solution | None]:
    """What tells what the unknown in a derived text must be for the text to be another; None if it cannot be that.

    (None, …) stands for no unknown, or for one that is not told from others. What the text is made of is looked at
    once, however many others are tried.
    """
    if type(key) is not Symbol:
        return lambda text: (None, text) if key == text else None
    parts = inner(key)
    if parts is None:
        return lambda text: (key, text)
    if text_method(key) is not None:
        leaf = leaf_of(key)
        return of_texts(key, by_trying(formula(key, leaf), leaf) if leaf is not None else by_trying(no_formula, None))
    unknowns = [part for part in parts if not is_plain(part)]
    if len(unknowns) != 1:
        return of_texts(key, by_pieces([str(part) for part in parts if is_plain(part)]))
    place = parts.index(unknowns[0])
    before, after = ("".join(map(str, side)) for side in (parts[:place], parts[place + 1 :]))
    return of_texts(key, between(before, after, solver(unknowns[0])))


def of_texts(key: Symbol, solve: Callable[[str], Solution | None]) -> Callable[[Any], Solution | None]:
    """The same for all there is: what is no text is not taken apart."""
    return lambda text: solve(text) if isinstance(text, str) else (key, text)


def no_formula(text: Any) -> Any:
    return UNKNOWN


def by_trying(formula: Callable[[Any], Any], leaf: Symbol | None) -> Callable[[str], Solution | None]:
    """A text that methods of texts make: the unknown in it may be what they leave as it is."""

    def solve(text: str) -> Solution | None:
        value = formula(text)
        return (leaf, text) if value == text else (None, text) if value is UNKNOWN else None

    return solve


def by_pieces(pieces: list[str]) -> Callable[[str], Solution | None]:
    """A text that has some pieces in it."""
    return lambda text: (None, text) if all(piece in text for piece in pieces) else None


def between(before: str, after: str, inside: Callable[[Any], Solution | None]) -> Callable[[str], Solution | None]:
    """A text that has an unknown between two known ends."""
    ends, least = len(before), len(before) + len(after)

    def solve(text: str) -> Solution | None:
        if not text.startswith(before) or not text.endswith(after) or len(text) < least:
            return None
        return inside(text[ends : len(text) - len(after)])

    return solve


# -- splitting a path ------------------------------------------------------------------------------------------------


class Builder(NamedTuple):
    """A builder that a name may stand for.

    `heads` are (path, layer, input features) of its model's heads, `attributes` all that its model has; `build` puts
    the model on a path in the place of the open one, and answers whether its structure is known; `kind` is its class.
    """

    name: str
    heads: tuple[tuple[str, str, int | None], ...]
    attributes: frozenset[str]
    build: Callable[[Machine, State, Ref, Chosen], bool]
    kind: str = ""


#: For each library, what lists the builders of one of its namespaces, the best known first.
LIBRARIES: dict[str, Callable[[str], tuple[Builder, ...]]] = {}
#: For a library with too many builders to look at each, what lists those that a name may stand for on a path, and
#: whether there are others.
SAMPLED: dict[str, Callable[[State, Value], tuple[list[Builder], bool]]] = {}


#: For such a library, what answers the sizes that reach the heads of all models that a name may stand for on a path;
#: None if these are too many to look at each.
SIZES: dict[str, Callable[[State, Value], frozenset[int | None] | None]] = {}


def sizes_of(builders: Iterable[Builder]) -> frozenset[int | None]:
    """The sizes that reach the heads of some builders' models."""
    return frozenset(size for builder in builders for _, _, size in builder.heads)


def is_open(state: State, value: Value) -> bool:
    """Whether a value is a model of which it is not known yet which builder made it."""
    thing = state.heap.get(value.address) if type(value) is Ref else None
    return type(thing) is Module and thing.chosen is not None


def settle(machine: Machine, state: State, ref: Ref, asked: str) -> list[State]:
    """Paths on each of which an open model is that of one builder, and one more for those that were left out, if any.

    `asked` is the attribute that is read or set: where the script lists no names, those are meant that have it.
    """
    chosen: Chosen = state.heap[ref.address].chosen
    again = chosen.known >= 0
    if chosen.known == len(state.facts) or state.heap[ref.address].children:
        return [state]
    key = chosen.choice.key
    library = chosen.choice.namespace.split(".", 1)[0]
    others = False
    if library in SAMPLED:
        builders, others = SAMPLED[library](state, key)
        if others:
            builders = [builder for builder in builders if asked in builder.attributes]
            if not builders:
                return [state]
    else:
        every = LIBRARIES[library](chosen.choice.namespace)
        machine.budget.spent += len(every) // 4
        names = set(consistent(state, key, [builder.name for builder in every]))
        builders = [builder for builder in every if builder.name in names]
    told = tests_of_class(state, ref, max(chosen.known, 0))
    builders = of_tested_class(state, ref, builders)
    if not is_listed(state, key) and asked and is_odd(asked) and not any(asked in b.attributes for b in builders):
        return [state]
    if len(builders) == 1 and not others and builders[0].build(machine, state, ref, chosen):
        pin(state, key, builders[0].name)
        return [state]
    if (again and not told) or not builders:
        return [left_open(state, ref)]
    return one_each(machine, state, ref, builders, asked, others)


def of_tested_class(state: State, ref: Ref, builders: list[Builder]) -> list[Builder]:
    """Those builders whose model is of the classes that the path has tested the open one for:
    ``isinstance(model, (ResNet, Inception3))``, ``"resnet" in model.__class__.__name__.lower()``."""
    by_name = tests_of_class(state, ref)
    if by_name:
        builders = [b for b in builders if not b.kind or all(test(b.kind.rpartition(".")[2]) for test in by_name)]
    for fact, known in state.facts.items():
        if is_of_class(fact, ref):
            names = {kind.name.rpartition(".")[2] for kind in classes_in(fact[1].key[4])}
            builders = [b for b in builders if not b.kind or (b.kind.rpartition(".")[2] in names) is known]
    return builders


def is_of_class(fact: Any, ref: Ref) -> bool:
    """Whether a fact of a path is that a model is one of some classes of a library, or that it is none of them."""
    test = fact[1] if type(fact) is tuple and fact[0] == "truth" else None
    made = test.key if type(test) is Symbol and isinstance(test.key, tuple) else ()
    asked = made[:2] == ("call", "builtins.isinstance") and len(made) == 5 and made[3] == ref
    return asked and tests_class(made[4:])


def tests_of_class(state: State, ref: Ref, since: int = 0) -> list[Callable[[Any], bool]]:
    """What a path has tested of the name of a model's class, but for so many of its facts, as tests of such a name."""
    name = name_of_class(class_unknown(ref))
    facts = state.facts if not since else dict(itertools.islice(state.facts.items(), since, None))
    return [agreeing(fact, known, name) for fact, known in speaking_of(facts, name)]


def classes_in(kinds: Value) -> tuple[Value, ...]:
    return kinds.items if type(kinds) is Tuple else (kinds,)


def tests_class(given: tuple[Value, ...]) -> bool:
    """Whether `isinstance` is asked for classes of a library's models: which model it is, is not settled by that."""
    return len(given) == 1 and all(
        type(kind) is Library and kind.name.startswith(("torchvision.models.", "timm.models."))
        for kind in classes_in(given[0])
    )


def is_odd(name: str) -> bool:
    """Whether a name is none that parts of models have: it says nothing of which model is meant."""
    return name not in FOREIGN_HEADS and name not in catalog.part_names()


FOREIGN_HEADS = frozenset(["_fc", "last_linear"])  # what other libraries call their heads


def put_in_place(state: State, ref: Ref, made: Module) -> None:
    """Make an open model the one that it turned out to be, with what the script has set on it since."""
    before: Module = state.heap[ref.address]
    parts = made.node.children if made.node is not None else {}
    children = {name: value for name, value in before.values.items() if name in parts and not is_plain(value)}
    state.heap[ref.address] = made._replace(
        trainable=before.trainable,
        training=before.training,
        children=children,
        values={name: value for name, value in before.values.items() if name not in children},
    )


def one_each(
    machine: Machine, state: State, ref: Ref, builders: list[Builder], asked: str, others: bool
) -> list[State]:
    """A path for each of some builders, or for one of each kind; `others`: the name may be that of yet another."""
    chosen: Chosen = state.heap[ref.address].chosen
    key = chosen.choice.key
    listed = is_listed(state, key) and not others
    having = [builder for builder in builders if asked in builder.attributes]
    if not listed:
        builders = having or builders
    taken, stands = representatives(builders, MOST_LISTED if listed else MOST_LEFT)
    if stands == "few" and asked and not having:  # what none of them has
        stands = "some"
    kind = "listed" if listed else "few" if others else stands
    sizes: Sizes | None = functools.partial(sizes_of, tuple(builders))
    if others:
        of_names = SIZES.get(chosen.choice.namespace.split(".", 1)[0])
        sizes = functools.partial(of_names, state.fork(), key) if of_names is not None else None
    group = next(groups)
    paths: list[State] = []
    for builder in taken:
        path = state.fork()
        if builder.build(machine, path, ref, chosen):
            take(path, key, builder.name, (group, kind, len(taken), not paths), chosen.site, sizes)
            paths.append(path)
    if len(paths) < len(builders) or others:
        if paths:
            rule_out(state, key, [builder.name for builder in taken])
            state.guesses = (*state.guesses, Guess(group, None, kind, len(taken), None))
        paths.append(left_open(state, ref))
    return paths


def take(
    state: State,
    key: Value,
    name: Any,
    group: tuple[int, str, int, bool],
    site: Any = None,
    sizes: Sizes | None = None,
) -> None:
    """Go on with one of the names that a value may be. `group`: its number, kind and size, and if this is its first;
    `site`: where a library builds the model; `sizes`: see `Guess`."""
    beside = chosen_beside(state, leaf_of(key))
    pin(state, key, name)
    if ("chosen", key) in state.facts and any(other != name for other in beside):
        state.doubtful = True
    if any(type(fact) is tuple and fact[0] == "truth" and is_looked_up(fact[1], key) for fact in state.facts):
        state.doubtful = True  # nobody asked whether what was decided before goes with this name
    number, kind, size, first = group
    condition = (f"{label(key)} == {name!r}", True, is_invented(key))
    state.conditions = (*state.conditions, condition)
    state.guesses = (*state.guesses, Guess(number, name, kind, size, condition, first, site, label(key), sizes))


def is_looked_up(value: Value, name: Value) -> bool:
    """Whether an unknown comes of what stands under a name in a list or dict."""
    if type(value) is not Symbol or not isinstance(value.key, tuple):
        return False
    kind, *parts = value.key
    return (kind == "item" and parts[-1] == name) or any(is_looked_up(part, name) for part in parts)


def pin(state: State, key: Value, name: Any) -> None:
    if type(key) is not Symbol or key in state.facts:
        return
    settled_on(state, key, name)
    state.pin(key, name)
    leaf, text = solver(key)(name) or (None, None)
    if text_method(key) is not None and leaf is not None and leaf not in state.facts:
        state.pin(leaf, text)


def disagrees(state: State, test: Value, wanted: bool) -> bool:
    """Whether a branch asks for another model's name than that of the one that the path has built.

    Two names that the script does not relate may still be one, as what a checkpoint was saved under and an argument.
    """
    leaf = leaf_of(test) if is_chosen(state) else None
    if leaf is None or leaf is test:  # an unknown that nothing is asked of
        return False
    others = chosen_beside(state, leaf)
    answer = formula(test, leaf)
    if all(answer(name) in (wanted, UNKNOWN) for name in others):
        return False
    return fits_some(test, leaf, wanted)


@functools.lru_cache(KEPT)
def fits_some(test: Value, leaf: Symbol, wanted: bool) -> bool:
    """Whether a test can have come out so for the name of some model."""
    answer = formula(test, leaf)
    return any(answer(name) is wanted for name in catalog.registered())


def is_chosen(state: State) -> bool:
    return any(type(fact) is tuple and fact[0] == "chosen" for fact in state.facts)


def chosen_beside(state: State, leaf: Symbol | None) -> list[str]:
    """The names of models that a path has settled on for other unknowns than this one; none if it has for this one."""
    chosen = {fact[1]: name for fact, name in state.facts.items() if type(fact) is tuple and fact[0] == "chosen"}
    own = [key for key in chosen if leaf is None or is_same(leaf_of(key), leaf)]
    return [] if own else list(chosen.values())


def settled_on(state: State, key: Symbol, name: Any) -> None:
    """Note that a path takes an unknown for the name of a model."""
    if isinstance(name, str) and catalog.model_builder(name) is not None:
        state.facts["chosen", key] = name


def rule_out(state: State, key: Value, names: list[Any]) -> None:
    if type(key) is Symbol:
        state.facts["not", key] = (*state.facts.get(("not", key), ()), *names)


def left_open(state: State, ref: Ref) -> State:
    """The path on which a model is not known, until more is known of its name."""
    thing: Module = state.heap[ref.address]
    assert thing.chosen is not None
    state.heap[ref.address] = thing._replace(chosen=thing.chosen._replace(known=len(state.facts)))
    return state


def is_listed(state: State, key: Value) -> bool:
    """Whether the script itself lists what a value may be, few enough to try each."""
    leaf = leaf_of(key)
    return leaf is not None and 0 < len(state.facts.get(("in", leaf), ())) <= MOST_LISTED


def representatives(builders: list[Builder], most: int) -> tuple[list[Builder], str]:
    """At most so many builders that stand for all, and the kind of guess that each is: whether each kind of head among
    them is there (all), each place where one is (some), or not even that (few)."""
    if len(builders) <= most:
        return builders, "all"
    kinds: dict[Any, Builder] = {}
    for builder in builders:
        kinds.setdefault(builder.heads, builder)
    if len(kinds) <= most:
        return list(kinds.values()), "all"
    places: dict[Any, Builder] = {}
    for builder in kinds.values():
        places.setdefault(tuple(head[:2] for head in builder.heads), builder)
    first = list(places.values())
    taken = [*first, *(b for b in kinds.values() if b not in first)][:MOST_SAMPLED]
    return taken, "some" if len(first) <= MOST_SAMPLED else "few"


# -- dicts of builders -----------------------------------------------------------------------------------------------
