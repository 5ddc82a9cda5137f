"""Going over all modules of a model. Those of a library's model that have no address yet get one, all at once or only
those that something is done to: a model has hundreds, and each that has an address is gone through ever after."""

from __future__ import annotations

from typing import Protocol

from headcheck import events
from headcheck.catalog.entry import Node
from headcheck.interpreter import heap
from headcheck.interpreter.heap import EMPTY, Module
from headcheck.interpreter.state import State, since
from headcheck.interpreter.values import Address, Parameter, Ref, Value
from headcheck.ir import Operation
from headcheck.records import NamedTuple


class Wanted(Protocol):
    """Which modules are asked for: of those on the heap, of the catalog's, and whether there is one in a part."""

    def module(self, ref: Ref) -> bool: ...

    def node(self, node: Node) -> bool: ...

    def within(self, node: Node) -> bool: ...

    @property
    def rows(self) -> dict[tuple[Node, bool], list[Row]]:
        """What `rows_of` found for it."""
        ...

    @property
    def key(self) -> tuple[Value, ...]:
        """What tells the answers for the catalog's modules from those of others."""
        ...


class Every:
    """All of them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Node, bool], list[Row]] = {}

    def module(self, ref: Ref) -> bool:
        return True

    def node(self, node: Node) -> bool:
        return True

    def within(self, node: Node) -> bool:
        return True

    @property
    def key(self) -> tuple[Value, ...]:
        return ()


EVERY = Every()


def take_all(state: State, ref: Ref, site: Operation, wanted: Wanted = EVERY) -> list[tuple[str, Ref]]:
    """The modules below (and with) one that are wanted, and the last of all, each with its dotted path and an address
    of its own from here on. All are known, as `iterate.count_modules` says."""
    taking = _Taking(state, site, wanted)
    taking.below(ref, "", True)
    if taking.owners and state.flags:
        for address, path in [key for key in state.flags if key[0] in taking.owners]:
            heap.set_flag(state, Parameter(Ref(address), path), state.flags.pop((address, path)))
    return taking.found


class _Taken(NamedTuple):
    """What going over a module did of which nothing had an address: paths that do the same take the same parts."""

    module: Module
    children: dict[str, Ref]
    found: list[tuple[str, Ref]]
    parts: dict[Address, Module]
    events: list[events.Event]


class _Taking:
    """`owners` are the modules that have parts with an address which had none; `free` is the next number that is free
    among the addresses of the site."""

    def __init__(self, state: State, site: Operation, wanted: Wanted) -> None:
        self.state = state
        self.site = site
        self.wanted = wanted
        self.found: list[tuple[str, Ref]] = []
        self.owners: set[Address] = set()
        self.free = state.first_free(id(site))

    def below(self, ref: Ref, path: str, last: bool) -> None:
        """Go over a module on the heap and all below it. `last`: the last of all is among them."""
        module: Module = self.state.heap[ref.address]
        names = heap.child_names(module)
        if self.wanted.module(ref) or (last and not names):
            self.found.append((path, ref))
        taken = self.untouched(ref, module, path, last) if not module.children else self.rest(ref, module, path, last)
        if taken:
            self.owners.add(ref.address)
            self.state.heap[ref.address] = module._replace(children={**module.children, **taken})

    def untouched(self, ref: Ref, module: Module, path: str, last: bool) -> dict[str, Ref]:
        """Take the parts of a module none of which has an address."""
        known = self.state.walks
        same = module.trainable, module.training, module.home, id(module.node), id(module.site), module.build is None
        key = id(self.site), self.free, ref.address, same, path, last, self.wanted.key
        taken: _Taken | None = known.get(key)
        if taken is None:
            start, before, found = self.free, self.state.events, len(self.found)
            children = self.rest(ref, module, path, last)
            parts = {(key[0], n): self.state.heap[key[0], n] for n in range(start, self.free)}
            events = list(since(self.state, before))[::-1]
            taken = known[key] = _Taken(module, children, self.found[found:], parts, events)
            return children
        self.state.heap.update(taken.parts)
        self.free += len(taken.parts)
        self.found += taken.found
        for event in taken.events:
            self.state.log(event)
        return taken.children

    def rest(self, ref: Ref, module: Module, path: str, last: bool) -> dict[str, Ref]:
        """Go over the parts of a module; those are answered that are taken for it."""
        prefix = f"{path}." if path else ""
        names = heap.child_names(module)
        taken: dict[str, Ref] = {}
        for name in names:
            ends = last and name == names[-1]
            if name in module.children:
                self.below(module.children[name], prefix + name, ends)
                continue
            assert module.node is not None
            node = module.node.children[name]
            if ends or self.wanted.within(node):
                home = heap.home_below(ref, module, name)
                taken[name] = self.part(node, module, (ref.address, name), home, prefix + name, ends)
        return taken

    def part(
        self,
        node: Node,
        above: Module,
        place: tuple[Address, str],
        home: tuple[Address, str] | None,
        path: str,
        last: bool,
    ) -> Ref:
        """Take a part of the catalog's tree, which was as all of the module on the heap `above`, and those below it
        that are wanted."""
        key, start = id(self.site), self.free
        made: list[dict[str, Ref]] = []
        for number, row in enumerate(rows_of(node, self.wanted, last), start):
            address = key, number
            ref = Ref(address)
            if row.above is not None:
                place = (key, start + row.above), row.name
                made[row.above][row.name] = ref
            self.state.log(events.Taken(self.site, address, *place))
            if row.wanted:
                self.found.append((path + row.below, ref))
            made.append({})
            self.state.heap[address] = Module(
                row.node.kind,
                above.site,
                None,
                row.node,
                None,
                (home[0], home[1] + row.below) if home is not None else None,
                EMPTY,
                made[-1] if row.holds else EMPTY,
                EMPTY,
                above.trainable,
                above.training,
            )
        self.free += len(made)
        return Ref((key, start))


class Row(NamedTuple):
    """A module of a part of the catalog's tree: the number of the row of what holds it (None: of the part itself), its
    name there, its path below the part (with a dot before it), and whether it holds others that are taken."""

    node: Node
    above: int | None
    name: str
    below: str
    wanted: bool
    holds: bool


MOST_ROWS = 256  # parts whose rows are kept


def rows_of(node: Node, wanted: Wanted, last: bool) -> list[Row]:
    """The modules of a part that are taken, each after what holds it; `last`: with the last of all."""
    rows = wanted.rows.get((node, last))
    if rows is None:
        if len(wanted.rows) >= MOST_ROWS:
            wanted.rows.clear()
        rows = wanted.rows[node, last] = []
        _add_rows(rows, node, wanted, last, None, "", "")
    return rows


def _add_rows(
    rows: list[Row], node: Node, wanted: Wanted, last: bool, above: int | None, name: str, below: str
) -> None:
    names = list(node.children)
    final = names[-1] if last and names else None
    inside = [each for each in names if each == final or wanted.within(node.children[each])]
    number = len(rows)
    rows.append(Row(node, above, name, below, wanted.node(node) or (last and not names), bool(inside)))
    for each in inside:
        _add_rows(rows, node.children[each], wanted, each == final, number, each, f"{below}.{each}")
