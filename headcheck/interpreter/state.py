"""One path of a script: variables, heap, facts assumed, events so far. Copied on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from headcheck.events import SOFT, Event
from headcheck.interpreter.values import Address, Class, Ref, Symbol, Value
from headcheck.ir import UNKNOWN, Operation
from headcheck.records import NamedTuple

Cell: TypeAlias = "tuple[Event, Any, int, Frame, Event | None, tuple[Any, ...]] | None"
NOTHING: frozenset[str] = frozenset()
MADE_UP = ("made up",)  # a fact of paths that start with an object which the script does not make
UNSET = ("unset",)  # a fact of paths that read a variable which nothing has set


class Frame(NamedTuple):
    """Where a function runs: the module whose globals it sees, what it closed over, and for methods `self`.

    `call` is the operation that called it, or imported the module whose body it is, `above` the frame of that. `own`
    are variables of the function that nothing has set while they are missing (see `ir.Define`). `inputs` are what a
    network's forward was given and nobody knows.
    """

    module: str
    closure: dict[str, Value]
    depth: int
    receiver: Value = None
    owner: Class | None = None
    global_names: frozenset[str] = frozenset()
    call: Operation | None = None
    above: Frame | None = None
    own: frozenset[str] = frozenset()
    inputs: tuple[Symbol, ...] = ()


# A test, whether it holds, and whether nobody knows if it can.
Condition: TypeAlias = "tuple[Any, bool, bool]"
# Those of one path, and the same by what is one in all paths.
Way: TypeAlias = "tuple[Condition, ...]"
Sides: TypeAlias = "dict[tuple[Any, bool], Condition]"
#: What answers sizes; None for any.
Sizes: TypeAlias = "Callable[[], frozenset[int | None] | None]"


class Guess(NamedTuple):
    """That a path took one candidate of a choice the script leaves open.

    `kind`: the script lists the candidates (listed), each kind of candidate has a path (all), some have one (some),
    a few of so many that not each was looked at (few).
    `of` is how many candidates the group has paths for; `condition` says the guess among the path's conditions. The
    path of the candidates that have none has no name. `site` is the call that builds the model of a library, `key` says
    what the library is asked for. `sizes` answers those that reach the heads of all candidates, with a path or without;
    it is None where there are others that nobody knows.
    """

    group: int
    name: Any
    kind: str
    of: int
    condition: tuple[Any, bool, bool] | None
    first: bool = False
    site: Any = None
    key: str = ""
    sizes: Sizes | None = None

    @property
    def is_open(self) -> bool:
        """Whether the path took a candidate that the script does not name."""
        return self.kind != "listed" and self.name is not None


class State:
    """Everything in the dicts is immutable, so a shallow copy of each is a copy of the state.

    `ended` is why the current block stops: "", return, raise, break, continue or exit. `events` is a cons list, newest
    first, of (event, rest, count, frame, the newest event so far that is not `SOFT`, the conditions until then).
    `flags` holds ``requires_grad`` by (address, dotted path) where it differs from the module's default. `conditions`
    are the branches taken on something unknown, as (node or text of the test, truth, whether the test is on something
    that is only unknown because paths met or a loop ran); where paths met, those that all of them took. `ways` are the
    conditions of each of the paths that met, if they took others, too.
    `pinned`: `facts` say of some unknown which constant it is (see `pin`).
    `doubtful` marks a path that assumed a failure inside `try`, or two names of one model, or that reads what it never
    set; `cut` one beside which
    others were lost to a limit; `skipped` is what it went past itself for it.
    `guards` and `caught` count the handlers around that catch a missing attribute, and what a state dict refuses;
    `rescued` those that answer something else where a layer refuses what it gets; `refused` is the frame of the forward
    in which PyTorch has raised (see `refusing`);
    `ungraded`: the code around keeps no gradients (``with torch.no_grad():``); `cast`: the autocast around, as in
    `events.Casting`.
    `globals` holds the variables of every module that was imported so far; those of modules that are not in `owned` may
    be shared with other paths, and are copied before they are written to. `walks` is what all paths of a run keep of
    what they found (see `heap.below`).
    """

    __slots__ = (
        "cast",
        "caught",
        "conditions",
        "cut",
        "doubtful",
        "ended",
        "env",
        "events",
        "facts",
        "flags",
        "frame",
        "globals",
        "guards",
        "guesses",
        "heap",
        "owned",
        "pinned",
        "raised",
        "refused",
        "rescued",
        "result",
        "skipped",
        "ungraded",
        "walks",
        "ways",
    )

    def __init__(self, module: str) -> None:
        self.globals: dict[str, dict[str, Value]] = {module: {}}
        self.owned = frozenset((module,))
        self.env: dict[str, Value] = self.globals[module]
        self.frame = Frame(module, {}, 0)
        self.heap: dict[Address, Any] = {}
        self.facts: dict[Any, Any] = {}
        self.pinned = False
        self.flags: dict[tuple[Address, str], bool] = {}
        self.events: Cell = None
        self.conditions: Way = ()
        self.ways: tuple[Way, ...] = ()
        self.guesses: tuple[Guess, ...] = ()
        self.ended = ""
        self.raised = ""
        self.result: Value = None
        self.guards = 0
        self.caught = 0
        self.refused: Frame | None = None
        self.rescued = 0
        self.ungraded = False
        self.cast = ""
        self.doubtful = False
        self.cut = False
        self.skipped = ""
        self.walks: dict[Any, Any] = {}

    def fork(self) -> State:
        other = State.__new__(State)
        other.globals = self.globals.copy()
        other.env = self.env.copy()
        other.frame = self.frame
        if self.at_home():
            other.globals[self.frame.module] = other.env
            self.owned = other.owned = frozenset((self.frame.module,))
        else:
            self.owned = other.owned = NOTHING
        other.heap = self.heap.copy()
        other.facts, other.pinned = self.facts.copy(), self.pinned
        other.flags = self.flags.copy()
        other.events = self.events
        other.conditions, other.ways = self.conditions, self.ways
        other.guesses = self.guesses
        other.ended, other.raised, other.result = self.ended, self.raised, self.result
        other.guards, other.doubtful = self.guards, self.doubtful
        other.refused, other.rescued = self.refused, self.rescued
        other.cut, other.skipped = self.cut, self.skipped
        other.caught, other.ungraded, other.cast = self.caught, self.ungraded, self.cast
        other.walks = self.walks
        return other

    def at_home(self) -> bool:
        """Whether the code that runs is a module's own, in no function or class."""
        return self.env is self.globals[self.frame.module]

    def go_home(self) -> None:
        """Make the variables those of the frame's module, in a dict that no other path writes to."""
        module = self.frame.module
        if module not in self.owned:
            self.globals[module] = self.globals[module].copy()
            self.owned |= {module}
        self.env = self.globals[module]

    def set_global(self, module: str, name: str, value: Value) -> None:
        """Write a variable of a module, from wherever."""
        if module not in self.owned and self.env is not self.globals[module]:
            self.globals[module] = self.globals[module].copy()
            self.owned |= {module}
        self.globals[module][name] = value

    def log(self, event: Event) -> None:
        before = self.events
        count, hard = (before[2] + 1, before[4]) if before is not None else (1, None)
        self.events = event, before, count, self.frame, hard if type(event) in SOFT else event, self.conditions

    def happened(self) -> Iterator[Event]:
        """The events of the path, newest first."""
        return _newest_first(self.events)

    def allocate(self, thing: Any, site: Operation) -> Ref:
        """Put an object on the heap. Addresses come from the site, so that paths which do the same agree on them."""
        key = id(site)
        number = 0 if (key, 0) not in self.heap else self.first_free(key)
        self.heap[key, number] = thing
        return Ref((key, number))

    def first_free(self, key: int) -> int:
        """The number after those of a site that are taken, of which there are as many as turns of a loop."""
        if (key, 0) not in self.heap:
            return 0
        taken, free = 0, 1
        while (key, free) in self.heap:
            taken, free = free, 2 * free
        while free - taken > 1:
            middle = (taken + free) // 2
            taken, free = (middle, free) if (key, middle) in self.heap else (taken, middle)
        return free

    def object(self, value: Value) -> Any:
        """The heap object a value refers to, or None."""
        return self.heap.get(value.address) if type(value) is Ref else None

    def end(self, how: str, raised: str = "") -> None:
        self.ended, self.raised = how, raised

    def pin(self, unknown: Symbol, constant: Value) -> None:
        """From here on an unknown is this constant."""
        self.facts[unknown] = constant
        self.pinned = True

    def resolve(self, value: Value) -> Value:
        """A symbol that is pinned to a constant on this path is that constant."""
        while self.pinned and type(value) is Symbol:  # to look one up, all that it is made of is hashed
            known = self.facts.get(value, UNKNOWN)
            if known is UNKNOWN:
                return value
            value = known
        return value


def go_back(state: State, at_home: bool, env: dict[str, Value], count: int) -> None:
    """Return to the code around a function or class body; `count` is the number of paths that do, each with its own."""
    if at_home:
        state.go_home()
    else:
        state.env = env if count == 1 else env.copy()


def events_of(state: State) -> list[Event]:
    """The events of a path, oldest first."""
    return list(_newest_first(state.events))[::-1]


def frames_of(state: State) -> list[Frame]:
    """Where each event of a path happened, oldest first."""
    frames = []
    cell = state.events
    while cell is not None:
        frames.append(cell[3])
        cell = cell[1]
    return frames[::-1]


def conditions_at(state: State, event: Event) -> tuple[Any, ...]:
    """The conditions of a path when something happened on it."""
    cell = state.events
    while cell is not None and cell[0] is not event:
        cell = cell[1]
    return () if cell is None else tuple(cell[5])


def ways_of(state: State) -> tuple[Way, ...]:
    """The conditions of each of the paths that met in a path, with those that it took since."""
    if not state.ways:
        return (state.conditions,)
    now = sides(state.conditions)
    return tuple(tuple((sides(way) | now).values()) for way in state.ways)


def sides(way: Way) -> Sides:
    """Conditions by their tests, which are compared as objects, and the sides that they took."""
    return {(each[0] if isinstance(each[0], str) else id(each[0]), each[1]): each for each in way}


def since(state: State, start: Cell) -> Iterator[Event]:
    """What happened on a path since a point in time, newest first."""
    cell = state.events
    while cell is not None and cell is not start:
        yield cell[0]
        cell = cell[1]


def _newest_first(cell: Cell) -> Iterator[Event]:
    while cell is not None:
        yield cell[0]
        cell = cell[1]


def tails(one: Cell, other: Cell, longest: int) -> tuple[list[Event], list[Event]] | None:
    """What two paths did since they parted, newest first; None if that is more than `longest` events together."""
    first: list[Event] = []
    second: list[Event] = []
    while one is not other:
        if len(first) + len(second) >= longest:
            return None
        if other is None or (one is not None and one[2] >= other[2]):
            assert one is not None
            first.append(one[0])
            one = one[1]
        else:
            second.append(other[0])
            other = other[1]
    return first, second
