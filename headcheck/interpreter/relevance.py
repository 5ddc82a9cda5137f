"""Which names and branches can matter to a model: a backward closure by name over a script and the modules it imports.

Only what matters keeps two paths apart; everything else becomes unknown where paths meet. The closure ignores flow and
scope, so it can only err by keeping too much. Names of variables are those of one file, and pass from one to another
only where they are imported; names of attributes are everybody's.
"""

from __future__ import annotations

import builtins
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from headcheck.ir import (
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
    Return,
    SetAttribute,
    SetItem,
    Try,
    Unary,
    Variable,
    While,
    With,
    blocks,
)
from headcheck.ir.scopes import variables
from headcheck.records import NamedTuple

# Attribute and function names that only speak of models, their layers, parameters and optimizers.
SEEDS = frozenset(
    [
        "parameters",
        "named_parameters",
        "children",
        "named_children",
        "modules",
        "named_modules",
        "requires_grad",
        "requires_grad_",
        "in_features",
        "out_features",
        "in_channels",
        "out_channels",
        "fc",
        "classifier",
        "head",
        "heads",
        "aux_classifier",
        "AuxLogits",
        "features",
        "last_channel",
        "load_state_dict",
        "state_dict",
        "add_module",
        "register_module",
        "add_param_group",
        "Linear",
        "Conv2d",
        "Sequential",
        "ModuleList",
        "ModuleDict",
        "Identity",
        "Parameter",
        "DataParallel",
        "DistributedDataParallel",
        "deepcopy",
        "create_model",
        "get_model",
        "from_pretrained",
        "weights",
        "FastRCNNPredictor",
        "MaskRCNNPredictor",
        "box_predictor",
        "roi_heads",
        "setattr",
        "getattr",
        "delattr",
        "reset_classifier",
        "eval",
        "train",
        "SGD",
        "Adam",
        "AdamW",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "Adamax",
    ]
)
CHANGING = frozenset(["append", "extend", "insert", "pop", "remove", "update", "setdefault", "clear", "add", "reverse"])
# Doing these several times is something else than doing them once.
BUILDERS = frozenset(
    ["Linear", "Conv1d", "Conv2d", "Conv3d", "Sequential", "ModuleList", "add_module", "register_module"]
)


# What a turn of a loop that ends early leaves undone.
TURNED = frozenset(["requires_grad", "requires_grad_", "add_param_group", "load_state_dict", *BUILDERS])
# Methods that change a model and are too common as those of tensors to say that something is one.
MOVING = frozenset(["to", "cuda", "cpu", "half", "float", "double", "bfloat16"])
BUILTINS = frozenset(dir(builtins))
# Too common, as names of methods, to say anything of what is called in another file.
COMMON = CHANGING | frozenset(
    ["close", "copy", "get", "items", "join", "keys", "main", "open", "read", "split", "values", "write"]
)


class Link(NamedTuple):
    """A name of one file that stands for something of another: `name` of the module `key`, or ("" or "*") all of it."""

    key: str
    name: str


def analyse(block: Block) -> frozenset[str]:
    """The names that can matter in a script; also marks every `If` and `Loop` of it with whether it can."""
    return analyse_all({"": Index(block)}, {})[""]


def analyse_all(
    indexes: Mapping[str, Index], links: Mapping[str, Mapping[str, tuple[Link, ...]]]
) -> dict[str, frozenset[str]]:
    """The names that can matter in each file; `links` says of each what its imported names (and ``*``) stand for."""
    closure = _Closure(indexes, links)
    closure.spread_seeds()
    closure.grow()
    return closure.finish()


class Around(NamedTuple):
    """What an operation stands in: branches and loops, and the words that the function or class speaks."""

    parents: tuple[Operation, ...]
    words: set[str]


class Index:
    """What the closure asks of a file, looked up once.

    `makers` are the operations that set or change a name, `spoken` those that reach an attribute or call a function of
    a name, `parents` the branches and loops around an operation; `growing` are the operations that change a list or
    dict; `scopes` are the names of functions and classes with what is spoken in them.
    """

    def __init__(self, block: Block) -> None:
        self.makers: dict[str, list[Operation]] = defaultdict(list)
        self.parents: dict[int, tuple[Operation, ...]] = {}
        self.spoken: dict[str, list[Operation]] = defaultdict(list)
        self.scopes: list[tuple[str, set[str]]] = []
        self.branches: dict[int, Branch] = {}
        self.growing: list[Operation] = []
        self.reads: dict[str, GetAttribute] = {}
        self.sets: list[SetAttribute] = []
        self.new_layers: list[Operation] = []
        self.calls: list[Call] = []
        self._look(block)
        self._link_temporaries()

    def _look(self, block: Block) -> None:
        pending: list[tuple[Block, Around]] = [(block, Around((), set()))]
        within: list[tuple[set[str], set[str]]] = []
        parents, makers = self.parents, self.makers
        while pending:
            inner, around = pending.pop()
            above = around.parents
            for operation in inner:
                kind = type(operation)
                if kind is End:
                    continue
                parents[id(operation)] = above
                if kind in MAKERS:
                    makers[operation.target].append(operation)  # type: ignore[attr-defined]
                note = NOTES.get(kind)
                if note is not None:
                    note(self, operation, around)
                elif kind not in OPENING:
                    continue
                if kind in FUNCTIONS:
                    words: set[str] = set()
                    self.scopes.append((operation.name, words))  # type: ignore[attr-defined]
                    within.append((around.words, words))
                    pending.append((operation.body, Around(above, words)))  # type: ignore[attr-defined]
                elif kind in OPENING:
                    below = Around((*above, operation), around.words)
                    pending += [(each, below) for each in blocks(operation) if each]
        for words, spoken_inside in reversed(within):
            words |= spoken_inside

    def _speak(self, word: str, operation: Operation, around: Around) -> None:
        self.spoken[word].append(operation)
        around.words.add(word)

    def _change(self, of: Operand, operation: Operation) -> None:
        if type(of) is Variable:
            self.makers[of].append(operation)

    def _note_read(self, operation: GetAttribute, around: Around) -> None:
        self.reads[operation.target] = operation
        word = operation.name  # as `_speak` does, for the kind of operation that there is most of
        self.spoken[word].append(operation)
        around.words.add(word)

    def _note_call(self, operation: Call, around: Around) -> None:
        self.calls.append(operation)
        function = operation.function
        if type(function) is Variable and function and function[0] != "%":
            self._speak(function, operation, around)

    def _note_set(self, operation: SetAttribute, around: Around) -> None:
        self.sets.append(operation)
        self.makers["." + operation.name].append(operation)
        self._note_delete(operation, around)

    def _note_delete(self, operation: SetAttribute | DeleteAttribute, around: Around) -> None:
        self._speak(operation.name, operation, around)
        self._change(operation.of, operation)

    def _note_growing(self, operation: Append | SetItem | DeleteItem, around: Around) -> None:
        self.growing.append(operation)
        self._change(operation.of, operation)

    def _note_move(self, operation: Move, around: Around) -> None:
        for parent in around.parents:
            if type(parent) is Loop and operation.value == parent.element:
                self.branches[id(parent)].turns.add(operation.target)

    def _note_branch(self, operation: If | Loop, around: Around) -> None:
        self.branches[id(operation)] = Branch(operation)
        if type(operation) is Loop:
            self.makers[operation.element].append(operation)

    def _note_define(self, operation: Define, around: Around) -> None:
        self.makers[operation.name].append(operation)

    def _note_return(self, operation: Return, around: Around) -> None:
        for branch in self._around(around.parents):
            branch.leaves = branch.returns = True

    def _note_break(self, operation: Break, around: Around) -> None:
        for branch in self._around(around.parents):
            branch.leaves = True
        self._note_early_end(around.parents)

    def _note_continue(self, operation: Continue, around: Around) -> None:
        self._note_early_end(around.parents)

    def _note_early_end(self, above: tuple[Operation, ...]) -> None:
        """A branch that ends the turn of a loop decides on the rest of it."""
        branches: list[Branch] = []
        for parent in reversed(above):
            if isinstance(parent, (Loop, While)):
                for branch in branches:
                    branch.ends_turn_of.add(id(parent))
                return
            if id(parent) in self.branches:
                branches.append(self.branches[id(parent)])

    def changing_loops(self, marked: set[int]) -> set[int]:
        """The loops whose turns change a model, its flags, or a list that can matter to one."""
        changes = [operation for word in TURNED for operation in self.spoken.get(word, ())]
        changes += [operation for operation in self.growing if id(operation) in marked]
        around = (parent for operation in changes for parent in self.parents[id(operation)])
        return {id(parent) for parent in around if isinstance(parent, (Loop, While))}

    def _around(self, parents: Iterable[Operation]) -> Iterator[Branch]:
        return (self.branches[id(parent)] for parent in parents if id(parent) in self.branches)

    def _link_temporaries(self) -> None:
        """What takes knowing which attribute a temporary was read from: methods that change, layers, arguments."""
        reads = self.reads
        layers: set[str] = set()
        for call in self.calls:
            method = reads.get(call.function) if type(call.function) is Variable else None
            if method is not None and method.name in CHANGING and isinstance(method.of, Variable):
                # ``sizes.append(n)`` changes `sizes`, ``self.sizes.append(n)`` the attribute.
                owner = reads.get(method.of)
                self.growing.append(call)
                self.makers[method.of if owner is None else f".{owner.name}"].append(call)
            if (method.name if method is not None else call.function) in BUILDERS:
                layers.add(call.target)
            above = self.parents[id(call)]
            if not above or call.function in BUILTINS:
                continue
            given = [o for _, o in (*call.arguments, *call.keywords) if type(o) is Variable]
            if method is not None and method.name in MOVING and type(method.of) is Variable:
                given.append(method.of)
            if given:
                handed = {*given, *(f".{reads[o].name}" for o in given if o in reads)}
                for branch in self._around(above):
                    branch.handed |= handed
        for word in BUILDERS:
            for operation in self.spoken.get(word, ()):
                for branch in self._around(self.parents[id(operation)]):
                    branch.builds = True
        # A new layer may go under any name: ``model.fc2 = nn.Linear(…)``.
        self.new_layers += [put for put in self.sets if put.value in layers and put.of != "self"]


class Branch:
    """An `If` or `Loop`: what decides if it matters, whatever the names that do.

    `handed` are the names that a call in it hands to code that may do anything to them (``unfreeze(model)``), `turns`
    those that hold a loop's element, `ends_turn_of` the loops of which it may end a turn early.
    """

    __slots__ = ("builds", "ends_turn_of", "handed", "leaves", "operation", "returns", "turns")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.handed: set[str] = set()
        self.ends_turn_of: set[int] = set()
        self.turns: set[str] = {operation.element} if isinstance(operation, Loop) else set()
        self.returns = False
        self.leaves = False
        self.builds = False

    def mark(self, names: set[str], marked: bool, changing: set[int]) -> None:
        """Write down whether the operation matters if these names do."""
        operation = self.operation
        if isinstance(operation, If):
            decides = self.returns or not changing.isdisjoint(self.ends_turn_of)
            operation.relevant = marked or decides or not names.isdisjoint(self.handed)
        elif isinstance(operation, Loop):
            operation.builds = self.builds or self.leaves or not names.isdisjoint(self.turns)


FUNCTIONS = frozenset([Define, DefineClass])
OPENING = FUNCTIONS | {If, Loop, While, With, Try}
MAKERS = frozenset(
    [
        Move, GetAttribute, GetItem, MakeSlice, Call, MakeSequence, MakeDict, FormatString, Binary, Unary, Compare,
        Define, DefineClass, Import, ImportFrom,
    ]
)  # fmt: skip
NOTES: dict[type, Callable[[Index, Any, Around], None]] = {
    GetAttribute: Index._note_read,
    Call: Index._note_call,
    SetAttribute: Index._note_set,
    DeleteAttribute: Index._note_delete,
    Append: Index._note_growing,
    SetItem: Index._note_growing,
    DeleteItem: Index._note_growing,
    Move: Index._note_move,
    If: Index._note_branch,
    Loop: Index._note_branch,
    Define: Index._note_define,
    Return: Index._note_return,
    Break: Index._note_break,
    Continue: Index._note_continue,
}


class _Closure:
    """The names that matter grow until nothing is added. A name with a dot before it is an attribute's."""

    def __init__(self, indexes: Mapping[str, Index], links: Mapping[str, Mapping[str, tuple[Link, ...]]]) -> None:
        self.indexes = indexes
        self.links = links
        self.seeds: dict[str, set[str]] = {key: set(SEEDS) for key in indexes}
        self.defined = {key: {name for name, _ in index.scopes} for key, index in indexes.items()} if links else {}
        self.names: dict[str, set[str]] = {key: set() for key in indexes}
        self.attributes: set[str] = set()
        self.marked: set[int] = set()
        self.todo: list[tuple[str, str]] = []
        # Files whose variables are read as attributes: ``config.N``.
        self.as_modules = {
            link.key for own in links.values() for linked in own.values() for link in linked if link.name == ""
        }

    def spread_seeds(self) -> None:
        """Add the names of the functions and classes whose bodies hold a seed, or call one that does."""
        grown = True
        while grown:
            grown = any(self._spread_in(key) for key in self.indexes)

    def _spread_in(self, key: str) -> bool:
        seeds, before = self.seeds[key], len(self.seeds[key])
        for name, linked in self.links.get(key, {}).items():
            for link in linked:
                theirs = self.seeds[link.key]
                if link.name in theirs:
                    seeds.add(name)
                seeds |= (theirs & self.defined[link.key]) - COMMON
        grown = True
        while grown:
            grown = False
            for name, words in self.indexes[key].scopes:
                if name not in seeds and not name.startswith("__") and not words.isdisjoint(seeds):
                    seeds.add(name)
                    grown = True
        return len(seeds) > before

    def grow(self) -> None:
        for key, index in self.indexes.items():
            for operation in index.new_layers:
                self._mark(key, index, operation)
            for word in self.seeds[key] & index.spoken.keys():
                for operation in index.spoken[word]:
                    self._mark(key, index, operation)
        while self.todo:
            key, name = self.todo.pop()
            if name[0] == ".":
                self._follow_attribute(name)
                continue
            index = self.indexes[key]
            for maker in index.makers.get(name, ()):
                self._mark(key, index, maker)
            linked = self.links.get(key)
            if linked:
                for link in linked.get(name, linked.get("*", ())):
                    if link.name:
                        self._add(link.key, name if link.name == "*" else link.name)

    def _follow_attribute(self, name: str) -> None:
        for key, index in self.indexes.items():
            for maker in index.makers.get(name, ()):
                self._mark(key, index, maker)
            if key in self.as_modules and name[1:] in index.makers:
                self._add(key, name[1:])

    def _mark(self, key: str, index: Index, operation: Operation) -> None:
        """Mark an operation and what it stands in; where one was marked before, so was what that stands in."""
        marked = self.marked
        if id(operation) in marked:
            return
        for one in (operation, *reversed(index.parents[id(operation)])):
            if id(one) in marked:
                return
            marked.add(id(one))
            for name in _reads(one):
                self._add(key, name)

    def _add(self, key: str, name: str) -> None:
        names = self.attributes if name[0] == "." else self.names.get(key)
        if names is not None and name not in names:
            names.add(name)
            self.todo.append((key, name))

    def finish(self) -> dict[str, frozenset[str]]:
        found = {}
        for key, index in self.indexes.items():
            names = self.names[key] | self.attributes
            changing = index.changing_loops(self.marked)
            for branch in index.branches.values():
                branch.mark(names, id(branch.operation) in self.marked, changing)
            found[key] = frozenset(names)
        return found


def _reads(operation: Operation) -> list[str]:
    names = variables(operation)
    if isinstance(operation, GetAttribute):
        names.append("." + operation.name)
    if isinstance(operation, Call):
        # The value a keyword passes may come back under the parameter's name.
        names.extend("." + keyword for keyword, _ in operation.keywords if keyword)
    return names
