"""Runs IR over a set of states. Each operation has one handler; a handler answers the states that go on, or None for
"the same state"."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck.interpreter import branches, definitions, expressions, loops, merging, modules
from headcheck.interpreter.budget import STOP, Budget
from headcheck.interpreter.calls import call_value
from headcheck.interpreter.leaving import Left
from headcheck.interpreter.naming import FOREIGN, NAMED
from headcheck.interpreter.state import UNSET, State
from headcheck.interpreter.values import (
    Address,
    Class,
    Library,
    Symbol,
    Value,
    symbol,
)
from headcheck.ir import (
    UNKNOWN,
    Append,
    Binary,
    Block,
    Break,
    Call,
    Compare,
    Continue,
    Define,
    DefineClass,
    DeleteAttribute,
    DeleteItem,
    DeleteName,
    End,
    FormatString,
    GetAttribute,
    GetItem,
    If,
    Import,
    ImportFrom,
    Loop,
    MakeDict,
    MakeSequence,
    MakeSlice,
    Move,
    Operand,
    Operation,
    Raise,
    Return,
    SetAttribute,
    SetItem,
    Try,
    Unary,
    Variable,
    While,
    With,
)

if TYPE_CHECKING:
    from headcheck.execution import FileFacts
    from headcheck.interpreter.changing import Changes
    from headcheck.interpreter.filling import Use
    from headcheck.interpreter.passing import Answers, Tests
    from headcheck.interpreter.quick import Plan
    from headcheck.interpreter.recording import Recorder
    from headcheck.interpreter.resuming import Skip
    from headcheck.interpreter.touching import Reach
    from headcheck.ir.effects import Effects

CONSTANTS = frozenset([bool, float, int, str])  # what a user may switch
MOST_IN_STATEMENT = 2  # times as many paths as are kept may go on with a statement, at the end of which they meet
FEWEST_ENDED = 8  # of the paths that ended early, those that are kept in any case
BUILTINS = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__) | {
    "display"  # of every notebook
}


class Machine:
    """What all paths of a file share.

    `names` gives those that can matter to a model (see `relevance`), by module; `facts` what the whole file says, such
    as the attributes that any code of the project assigns; `project` knows which modules are the project's own, `named`
    are the kinds of values that may be builders it knows;
    `defaults` says whether the run is one "as started without arguments"; `entry` holds the operations of the function
    that is followed though nothing calls it; `turns` the conditions at the start of each loop that is followed for one
    turn that stands for all, None if no test in it tells one item from another; `offers` is set where the script takes
    arguments that have a default, `asked` where something depends on one, `optional` are the lists made of them (see
    `options`); `handed` are the classes that code which is not followed was given, to make of them what it likes;
    `body` is the file's own block;
    `budget` is what the run may cost, `lost` whether some paths were left out for it, `left` what some of these did
    until then, `skips` the calls that were not followed for it, by the function; `supposing`: code is followed for what
    the script may be switched to, `switched` are the operations whose constants are unknown then; `loaded` the modules
    whose code it came to; `recorder` is there, with `handlers` of its own, while a forward is recorded.
    """

    def __init__(
        self,
        names: Callable[[], Mapping[str, frozenset[str]]],
        facts: FileFacts,
        project: modules.Project,
        defaults: bool = False,
        patient: bool = False,
    ) -> None:
        self.names = names
        self.facts = facts
        self.project = project
        self.named = NAMED if project.builders.configured else FOREIGN
        self.defaults = defaults
        self.body: Block = []
        self.definitions: dict[int, Define | DefineClass] = {}
        self.changed_in: dict[int, tuple[tuple[Variable, str], ...]] = {}
        self.set_by_setattr: set[tuple[int, str]] = set()  # classes, each with a name that `setattr` sets; "" is any
        self.effects: dict[int, Effects] = {}  # of functions, and of branches of which no side was run
        self.members: dict[int, tuple[Class, dict[str, list[Value]]]] = {}  # of classes, with those of their bases
        self.reached_from: dict[int, Reach] = {}  # what they came by, when they were last asked for
        self.put_in: dict[int, tuple[tuple[Variable, str, Operand], ...]] = {}
        self.evaluated_in: dict[int, tuple[tuple[Call, Variable], ...]] = {}
        #: The operations of branches for machines without an accelerator, by the node of the test and its truth.
        self.without_accelerator: dict[tuple[int, bool], frozenset[int]] = {}
        self.class_tests: dict[int, Tests | None] = {}
        self.class_answers: dict[tuple[Value, ...], Answers] = {}
        self.globals_declared: tuple[int, frozenset[str]] = 0, frozenset()  # by how many definitions
        self.own_sites: tuple[int, dict[int, int]] | None = None  # and of how many definitions they are
        self.home_of: dict[int, str] = {}  # of functions, the module that they stand in
        self.named_functions: tuple[int, dict[str, list[Define]]] = 0, {}  # by name, and of how many definitions
        self.uses: dict[int, Use | None] = {}  # of functions that modules are given to, one after the other
        self.applied: dict[int, Loop] = {}  # and each as the loop that this makes of it
        self.idle: dict[int, frozenset[tuple[Variable, str]] | None] = {}  # by a loop over parts, what it calls
        self.plans: dict[int, Plan] = {}  # by the body of a loop
        self.called: set[int] = set()
        self.changes: dict[int, Changes] = {}  # by the class, what its methods do that nothing called
        self.handed: set[int] = set()
        self.budget = Budget(patient=patient)
        self.lost = False
        self.left = Left()
        self.skips: dict[int, Skip] = {}
        self.supposing = False
        self.switched: frozenset[int] = frozenset()
        self.handlers = HANDLERS
        self.recorder: Recorder | None = None
        self.loaded: set[str] = set()
        self.entry: frozenset[int] | None = None
        self.asked = False
        self.offers = False
        self.optional: set[Address] = set()
        self.turns: list[tuple[Any, ...] | None] = []
        self.set_on_classes: set[str] = set()  # what the script put into its classes from outside
        self.skipped: dict[int, If] = {}  # branches of which no side was run
        self.patched = False  # whether code that is not followed was given torch itself: modules may have more since
        self.compared: dict[
            int, set[Symbol]
        ] = {}  # by the node of a branch, the names that its test compares with texts
        self.met = 0  # how often paths that had parted met
        self.speaking: dict[int, bool] = {}  # whether the body of a function speaks of models
        self.reached: set[int] = set()  # the operations that put something somewhere, as far as paths came by them
        self.reached_at_home: frozenset[int] | None = None  # the same when the module's body had run
        self.told: set[int] = set()  # those of `reached` that said something of a model, or of what may be one
        self.tests: dict[int, set[bool | None]] = {}  # what those branches were told that are watched: see `supposing`
        self.refused: frozenset[int] = frozenset()  # the operations that no path can come to: their tests are decided

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What is tried in here does not count as run: it is followed in its own time, where its findings are kept."""
        kept = self.called, self.reached, self.told, self.skips, self.lost, self.asked
        self.called, self.reached, self.told = set(self.called), set(self.reached), set(self.told)
        self.skips = dict(self.skips)
        try:
            yield
        finally:
            self.called, self.reached, self.told, self.skips, self.lost, self.asked = kept

    def read_code(self, module: str, size: int) -> None:
        """The run comes to the code of a module, of so many operations."""
        if module not in self.loaded:
            self.loaded.add(module)
            self.budget.add_operations(size)

    def relevant_in(self, module: str) -> frozenset[str]:
        """The names that can matter, as the code of a module sees them."""
        return self.names().get(module, frozenset())

    def matters(self, op: If | Loop) -> bool:
        """Whether any side of a branch can touch a model, or each turn of a loop can do something else to one."""
        self.names()  # which marks every branch and loop, too
        return op.relevant if isinstance(op, If) else op.builds

    def declared_global(self) -> frozenset[str]:
        """The names that functions of the code that was read declare global."""
        count, names = self.globals_declared
        if count != len(self.definitions):
            found = (define.stores_global for define in self.definitions.values() if isinstance(define, Define))
            names = frozenset().union(*found)
            self.globals_declared = len(self.definitions), names
        return names

    def may_be_assigned(self, name: str) -> bool:
        """Whether code that did not run on the way to a function nobody calls may have set an attribute."""
        if self.entry is None:
            return False
        sites = self.facts.assigned_attributes.get(name)
        return sites is not None and not sites <= self.entry

    # -- blocks ------------------------------------------------------------------------------------------------------

    def run(self, block: Block, states: list[State], before: int = 0) -> list[State]:
        """Run a block from each state; what comes back has run to its end or has `ended` early. Where it starts in the
        middle of a statement, there were so many paths `before` that."""
        done: list[State] = []
        width = len(states)
        count = before or width  # where the last statement ended
        budget = self.budget
        enough = STOP * budget.limit
        handlers = self.handlers
        for operation in block:
            budget.spent += width
            if budget.spent > enough and budget.exhausted:
                self.lost = True
                return done + stopped(states)
            kind = type(operation)
            if kind is not End:
                if width == 1:  # as it nearly always is
                    state = states[0]
                    after = handlers[kind](self, operation, state)
                    if after is None:
                        if not state.ended:
                            continue
                        after = states
                    elif len(after) == 1 and not after[0].ended:
                        states = after
                        continue
                else:
                    if width > count and width > MOST_IN_STATEMENT * budget.most_paths():
                        states = self.cut(states, budget.most_paths())
                    after = self.each(handlers[kind], operation, states)
                done += [state for state in after if state.ended]
                states = [state for state in after if not state.ended]
                width = len(states)
                if not width:
                    break
                continue
            temporaries = operation.temporaries  # type: ignore[attr-defined]
            if temporaries != []:
                drop_temporaries(states, temporaries)
            if width > count:
                states = self.merge(states)
                width = len(states)
            count = width
            if len(done) > FEWEST_ENDED and len(done) > 2 * budget.most_paths():
                done = self.cut(done, max(FEWEST_ENDED, 2 * budget.most_paths()))
        return done + states

    def each(self, handler: Handler, operation: Operation, states: list[State]) -> list[State]:
        """Run an operation on several paths."""
        found: list[State] = []
        for state in states:
            after = handler(self, operation, state)
            found += (state,) if after is None else after
        return found

    def merge(self, states: list[State]) -> list[State]:
        """Join the paths that no longer differ in anything that matters, and cut those that are too many."""
        self.met += 1
        kept, compared = merging.merge(self, states, self.relevant_in(states[0].frame.module))
        self.budget.spent += compared
        self.budget.look_at(compared, len(states[0].heap))
        return self.cut(kept, self.budget.most_paths())

    def cut(self, states: list[State], most: int) -> list[State]:
        """So many of some paths. The others end here."""
        kept, others = merging.cut(states, most)
        if others:
            self.lost = True
            self.left.add(stopped(others))
        return kept

    def merge_results(self, states: list[State]) -> list[State]:
        """Merge the paths that come back from a call, where they also agree on the result."""
        by_result: dict[Value, list[State]] = {}
        for state in states:
            by_result.setdefault((state.ended, type(state.result), state.result), []).append(state)
        merged = [self.merge(group) if len(group) > 1 else group for group in by_result.values()]
        kept = [state for rank in zip_longest(*merged) for state in rank if state is not None]
        return self.cut(kept, self.budget.most_paths())

    # -- values ------------------------------------------------------------------------------------------------------

    def read(self, state: State, operand: Operand) -> Value:
        if type(operand) is not Variable:
            return operand
        value = state.env.get(operand, UNKNOWN)
        if value is UNKNOWN and operand not in state.env:
            if operand in state.frame.own and not state.doubtful:  # Python goes no further here
                state.doubtful = state.facts[UNSET] = True
            value = self.read_outer(state, operand)
        return state.resolve(value) if state.pinned and type(value) is Symbol else value

    def peek(self, state: State, operand: Operand) -> Value:
        """Read a variable for an operation that the path does not run."""
        doubtful = state.doubtful
        value = self.read(state, operand)
        if state.doubtful is not doubtful:
            state.doubtful = doubtful
            del state.facts[UNSET]
        return value

    def setting(self, name: str, value: Value, *key: Value) -> Value:
        """A constant as code sees it, from where `key` says: it may be any other where code is followed for what it can
        be switched to. Numbers may as well, since a user changes them together with a name."""
        return symbol("setting", name, *key) if self.supposing and type(value) in CONSTANTS else value

    def read_outer(self, state: State, name: str) -> Value:
        if name in state.frame.closure:
            return state.frame.closure[name]
        module = state.globals[state.frame.module]
        if name in module:
            return self.setting(name, module[name], state.frame.module, name)
        if name in BUILTINS:
            return Library(f"builtins.{name}")
        return symbol("global", name, name)

    def call_quietly(
        self,
        state: State,
        function: Value,
        arguments: tuple[Value, ...],
        keywords: Mapping[str, Value],
        site: Operation,
    ) -> Value:
        """Call something for its value alone, in this state; unknown if the call would split the path or end it."""
        attempt, left = state.fork(), len(self.left.states)
        after = call_value(self, attempt, function, arguments, keywords, site)
        self.left.forget(left)
        if len(after) != 1 or after[0].ended:
            return UNKNOWN
        result = after[0].result
        restore(state, after[0])
        return result


def stopped(states: list[State]) -> list[State]:
    """Paths that end here because the budget does."""
    for state in states:
        state.cut, state.skipped = True, state.skipped or "what comes after"
        state.end("limit", state.ended)
    return states


def restore(state: State, after: State) -> None:
    """Take over what happened in a fork of `state`, its variables and frame kept."""
    at_home = state.at_home()
    state.globals, state.owned = after.globals, after.owned
    if at_home:
        state.go_home()
    state.heap, state.facts, state.flags, state.pinned = after.heap, after.facts, after.flags, after.pinned
    state.events, state.conditions, state.ways = after.events, after.conditions, after.ways
    state.cut, state.skipped, state.refused = after.cut, after.skipped, after.refused
    state.guesses = after.guesses


def drop_temporaries(states: list[State], known: list[Variable] | None) -> None:
    """Drop the temporaries of a statement that ended; where they are not known, all that there are."""
    for state in states:
        env = state.env
        for name in known if known is not None else [name for name in env if name[0] == "%"]:
            if name in env:
                del env[name]


Handler: TypeAlias = "Callable[[Machine, Any, State], list[State] | None]"
HANDLERS: dict[type[Operation], Handler] = {
    End: expressions.on_end,
    Move: expressions.on_move,
    GetAttribute: expressions.on_get_attribute,
    SetAttribute: expressions.on_set_attribute,
    DeleteAttribute: expressions.on_delete_attribute,
    GetItem: expressions.on_get_item,
    SetItem: expressions.on_set_item,
    DeleteItem: expressions.on_delete_item,
    DeleteName: expressions.on_delete_name,
    MakeSlice: expressions.on_make_slice,
    MakeSequence: expressions.on_make_sequence,
    MakeDict: expressions.on_make_dict,
    Append: expressions.on_append,
    FormatString: expressions.on_format_string,
    Binary: expressions.on_binary,
    Unary: expressions.on_unary,
    Compare: expressions.on_compare,
    If: branches.on_if,
    Loop: loops.on_loop,
    While: loops.on_while,
    With: branches.on_with,
    Try: branches.on_try,
    Return: branches.on_return,
    Raise: branches.on_raise,
    Break: branches.on_break,
    Continue: branches.on_continue,
    Define: definitions.on_define,
    DefineClass: definitions.on_define_class,
    Import: definitions.on_import,
    ImportFrom: definitions.on_import_from,
    Call: expressions.on_call,
}
