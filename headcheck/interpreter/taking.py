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
    def key(self) -> tuple[Value, ...]:
        """What tells the answers for the catalog's modules from those of others."""
        ...


class Every:
    """All of them."""

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
        """Take a part of the catalog's tree, which was as all of the module on the heap `above`."""
        address = id(self.site), self.free
        self.free += 1
        ref = Ref(address)
        self.state.log(events.Taken(self.site, address, *place))
        below = node.children
        if self.wanted.node(node) or (last and not below):
            self.found.append((path, ref))
        children: dict[str, Ref] = {}
        final = list(below)[-1] if last and below else None
        for name, child in below.items() if below else ():
            if name == final or self.wanted.within(child):
                inside = (home[0], f"{home[1]}.{name}") if home is not None else None
                children[name] = self.part(child, above, (address, name), inside, f"{path}.{name}", name == final)
        self.state.heap[address] = Module(
            node.kind,
            above.site,
            None,
            node,
            None,
            home,
            EMPTY,
            children or EMPTY,
            EMPTY,
            above.trainable,
            above.training,
        )
        return ref
