"""What a file does where, looked up once: who sets, reads and calls what, and in which branches and loops."""

from __future__ import annotations

import builtins
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
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

CHANGING = frozenset(["append", "extend", "insert", "pop", "remove", "update", "setdefault", "clear", "add", "reverse"])
# Doing these several times is something else than doing them once.
BUILDERS = frozenset(
    ["Linear", "Conv1d", "Conv2d", "Conv3d", "Sequential", "ModuleList", "add_module", "register_module"]
)
CONTAINERS = frozenset(["Sequential", "ModuleList"])
# What a turn of a loop that ends early leaves undone.
TURNED = frozenset(["requires_grad", "requires_grad_", "add_param_group", "load_state_dict", *BUILDERS])
# Methods that change a model and are too common as those of tensors to say that something is one.
MOVING = frozenset(["to", "cuda", "cpu", "half", "float", "double", "bfloat16"])
BUILTINS = frozenset(dir(builtins))

#: What an operation stands in, outermost first: branches and loops.
Above = tuple[Operation, ...]


class Index:
    """What is asked of a file, looked up once.

    `makers` are the operations that set or change a name, `spoken` those that reach an attribute or call a function of
    a name, `parents` the branches and loops around an operation; `growing` are the operations that change a list or
    dict; `scopes` are the names of functions and classes with what is spoken in them; `size` is how many operations
    there are.
    """

    def __init__(self, block: Block) -> None:
        self.block = block
        self.size = 0
        self.makers: dict[str, list[Operation]] = defaultdict(list)
        self.parents: dict[int, Above] = {}
        self.spoken: dict[str, list[Operation]] = defaultdict(list)
        self.scopes: list[tuple[str, set[str]]] = []
        self.branches: dict[int, Branch] = {}
        self.growing: list[Operation] = []
        self.reads: dict[str, GetAttribute] = {}
        self.sets: list[SetAttribute] = []
        self.set_items: list[SetItem] = []
        self.imported: set[str] = set()
        self.new_layers: list[Operation] = []
        self.calls: list[Call] = []
        self.linked = False
        self._look(block)

    def _look(self, block: Block) -> None:
        pending: list[tuple[Block, Above, set[str]]] = [(block, (), set())]
        within: list[tuple[set[str], set[str]]] = []
        parents, makers, spoken, reads, calls = self.parents, self.makers, self.spoken, self.reads, self.calls
        while pending:
            inner, above, words = pending.pop()
            self.size += len(inner)
            for operation in inner:
                kind = type(operation)
                if kind is End:
                    continue
                parents[id(operation)] = above
                if kind is GetAttribute:  # most are of these two kinds
                    target, word = operation.target, operation.name  # type: ignore[attr-defined]
                    makers[target].append(operation)
                    reads[target] = operation  # type: ignore[assignment]
                    spoken[word].append(operation)
                    words.add(word)
                elif kind is Call:
                    makers[operation.target].append(operation)  # type: ignore[attr-defined]
                    calls.append(operation)  # type: ignore[arg-type]
                    word = operation.function  # type: ignore[attr-defined]
                    if type(word) is Variable and word and word[0] != "%":
                        spoken[word].append(operation)
                        words.add(word)
                else:
                    if kind in MAKERS:
                        makers[operation.target].append(operation)  # type: ignore[attr-defined]
                    note = NOTES.get(kind)
                    if note is not None:
                        note(self, operation, above, words)
                    if kind in FUNCTIONS:
                        own: set[str] = set()
                        self.scopes.append((operation.name, own))  # type: ignore[attr-defined]
                        within.append((words, own))
                        pending.append((operation.body, above, own))  # type: ignore[attr-defined]
                    elif kind in OPENING:
                        below = (*above, operation)
                        pending += [(each, below, words) for each in blocks(operation) if each]
        for around, spoken_inside in reversed(within):
            around |= spoken_inside

    def _change(self, of: Operand, operation: Operation) -> None:
        if type(of) is Variable:
            self.makers[of].append(operation)

    def _note_set(self, operation: SetAttribute, above: Above, words: set[str]) -> None:
        self.sets.append(operation)
        self.makers["." + operation.name].append(operation)
        self._note_delete(operation, above, words)

    def _note_delete(self, operation: SetAttribute | DeleteAttribute, above: Above, words: set[str]) -> None:
        self.spoken[operation.name].append(operation)
        words.add(operation.name)
        self._change(operation.of, operation)

    def _note_growing(self, operation: Append | SetItem | DeleteItem, above: Above, words: set[str]) -> None:
        self.growing.append(operation)
        self._change(operation.of, operation)

    def _note_item(self, operation: SetItem, above: Above, words: set[str]) -> None:
        self.set_items.append(operation)
        self._note_growing(operation, above, words)

    def _note_import(self, operation: ImportFrom, above: Above, words: set[str]) -> None:
        self.imported.add(operation.name)

    def _note_move(self, operation: Move, above: Above, words: set[str]) -> None:
        for parent in above:
            if type(parent) is Loop and operation.value == parent.element:
                self.branches[id(parent)].turns.add(operation.target)

    def _note_branch(self, operation: If | Loop, above: Above, words: set[str]) -> None:
        self.branches[id(operation)] = Branch(operation)
        if type(operation) is Loop:
            self.makers[operation.element].append(operation)

    def _note_define(self, operation: Define, above: Above, words: set[str]) -> None:
        self.makers[operation.name].append(operation)

    def _note_return(self, operation: Return, above: Above, words: set[str]) -> None:
        for branch in self._around(above):
            branch.leaves = branch.returns = True

    def _note_break(self, operation: Break, above: Above, words: set[str]) -> None:
        for branch in self._around(above):
            branch.leaves = True
        self._note_continue(operation, above, words)

    def _note_continue(self, operation: Break | Continue, above: Above, words: set[str]) -> None:
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

    def link(self) -> None:
        """Note what takes knowing which attribute a temporary was read from: methods that change, layers, arguments."""
        if self.linked:
            return
        self.linked = True
        reads = self.reads
        layers: set[str] = set()
        packed: set[str] = set()
        for call in self.calls:
            method = reads.get(call.function) if type(call.function) is Variable else None
            if method is not None and method.name in CHANGING and isinstance(method.of, Variable):
                # ``sizes.append(n)`` changes `sizes`, ``self.sizes.append(n)`` the attribute.
                owner = reads.get(method.of)
                self.growing.append(call)
                self.makers[method.of if owner is None else f".{owner.name}"].append(call)
            if (method.name if method is not None else call.function) in BUILDERS:
                layers.add(call.target)
                if (method.name if method is not None else call.function) in CONTAINERS:
                    packed |= {o for _, o in call.arguments if type(o) is Variable}
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
        self._note_packing(packed)
        # A new layer may go under any name: ``model.fc2 = nn.Linear(…)``.
        self.new_layers += [put for put in self.sets if put.value in layers and put.of != "self"]

    def _note_packing(self, packed: set[str]) -> None:
        """Note the loops that fill a list of which a container of layers is made, by the list's name or attribute."""
        reads = self.reads
        names = packed | {f".{reads[name].name}" for name in packed if name in reads}
        for operation in self.growing if names else ():
            owner = reads[operation.function].of if type(operation) is Call else operation.of  # type: ignore[attr-defined]
            if owner in names or (owner in reads and f".{reads[owner].name}" in names):
                for branch in self._around(self.parents[id(operation)]):
                    branch.packs = True


class Branch:
    """An `If` or `Loop`: what decides if it matters, whatever the names that do.

    `handed` are the names that a call in it hands to code that may do anything to them (``unfreeze(model)``), `turns`
    those that hold a loop's element, `ends_turn_of` the loops of which it may end a turn early.
    """

    __slots__ = ("builds", "ends_turn_of", "handed", "leaves", "operation", "packs", "returns", "turns")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.handed: set[str] = set()
        self.ends_turn_of: set[int] = set()
        self.turns: set[str] = {operation.element} if isinstance(operation, Loop) else set()
        self.returns = False
        self.leaves = False
        self.builds = False
        self.packs = False

    def mark(self, names: set[str], marked: bool, changing: set[int]) -> None:
        """Write down whether the operation matters if these names do."""
        operation = self.operation
        if isinstance(operation, If):
            decides = self.returns or not changing.isdisjoint(self.ends_turn_of)
            operation.relevant = marked or decides or not names.isdisjoint(self.handed)
        elif isinstance(operation, Loop):
            operation.builds = self.builds or self.leaves or not names.isdisjoint(self.turns)
            operation.packs = self.packs


FUNCTIONS = frozenset([Define, DefineClass])
OPENING = FUNCTIONS | {If, Loop, While, With, Try}
MAKERS = frozenset(
    [
        Move, GetAttribute, GetItem, MakeSlice, Call, MakeSequence, MakeDict, FormatString, Binary, Unary, Compare,
        Define, DefineClass, Import, ImportFrom,
    ]
)  # fmt: skip
NOTES: dict[type, Callable[[Index, Any, Above, set[str]], None]] = {
    SetAttribute: Index._note_set,
    DeleteAttribute: Index._note_delete,
    Append: Index._note_growing,
    SetItem: Index._note_item,
    DeleteItem: Index._note_growing,
    ImportFrom: Index._note_import,
    Move: Index._note_move,
    If: Index._note_branch,
    Loop: Index._note_branch,
    Define: Index._note_define,
    Return: Index._note_return,
    Break: Index._note_break,
    Continue: Index._note_continue,
}
