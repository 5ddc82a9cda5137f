"""Which names and branches can matter to a model: a backward closure by name over a script and the modules it imports.

Only what matters keeps two paths apart; everything else becomes unknown where paths meet. The closure ignores flow and
scope, so it can only err by keeping too much. Names of variables are those of one file, and pass from one to another
only where they are imported; names of attributes are everybody's.
"""

from __future__ import annotations

from collections.abc import Mapping

from headcheck.ir import Call, GetAttribute, Operation
from headcheck.ir.index import CHANGING, Index
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
# Too common, as names of methods, to say anything of what is called in another file.
COMMON = CHANGING | frozenset(
    ["close", "copy", "get", "items", "join", "keys", "main", "open", "read", "split", "values", "write"]
)


class Link(NamedTuple):
    """A name of one file that stands for something of another: `name` of the module `key`, or ("" or "*") all of it."""

    key: str
    name: str


def analyse(index: Index) -> frozenset[str]:
    """The names that can matter in a script; also marks every `If` and `Loop` of it with whether it can."""
    return analyse_all({"": index}, {})[""]


def analyse_all(
    indexes: Mapping[str, Index], links: Mapping[str, Mapping[str, tuple[Link, ...]]]
) -> dict[str, frozenset[str]]:
    """The names that can matter in each file; `links` says of each what its imported names (and ``*``) stand for."""
    closure = _Closure(indexes, links)
    closure.spread_seeds()
    closure.grow()
    return closure.finish()


class _Closure:
    """The names that matter grow until nothing is added. A name with a dot before it is an attribute's."""

    def __init__(self, indexes: Mapping[str, Index], links: Mapping[str, Mapping[str, tuple[Link, ...]]]) -> None:
        for index in indexes.values():
            index.link()
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
        """Mark an operation, what it stands in and what makes the temporaries it reads; the names that these read are
        to be followed."""
        marked, names, attributes = self.marked, self.names[key], self.attributes
        makers, parents, todo = index.makers, index.parents, self.todo
        pending = [operation]
        while pending:
            one = pending.pop()
            if id(one) in marked:
                continue
            marked.add(id(one))
            above = parents[id(one)]
            if above:
                pending.append(above[-1])
            for name in variables(one):
                if name not in names:
                    names.add(name)
                    if name[0] == "%":
                        pending += makers.get(name, ())
                    else:
                        todo.append((key, name))
            kind = type(one)
            if kind is GetAttribute or kind is Call:
                # The value a keyword passes may come back under the parameter's name.
                spoken = [one.name] if kind is GetAttribute else [k for k, _ in one.keywords if k]  # type: ignore[attr-defined]
                for word in spoken:
                    attribute = "." + word
                    if attribute not in attributes:
                        attributes.add(attribute)
                        todo.append((key, attribute))

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
