"""Which names and branches can matter to a model: a backward closure by name over the whole file.

Only what matters keeps two paths apart; everything else becomes unknown where paths meet. The closure ignores flow and
scope, so it can only err by keeping too much.
"""

from __future__ import annotations

import builtins
from collections import defaultdict

from headcheck.ir import (
    Append,
    Block,
    Break,
    Call,
    Define,
    DefineClass,
    DeleteAttribute,
    DeleteItem,
    GetAttribute,
    If,
    Loop,
    Move,
    Operation,
    Return,
    SetAttribute,
    SetItem,
    Variable,
    blocks,
    walk,
)
from headcheck.ir.lower import variables

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


def analyse(block: Block) -> frozenset[str]:
    """The names that can matter; also marks every `If` and `Loop` of the file with whether it can."""
    makers: dict[str, list[Operation]] = defaultdict(list)
    operations: list[tuple[Operation, tuple[Operation, ...]]] = []
    _index(block, (), makers, operations)
    reads = {o.target: o for o, _ in operations if isinstance(o, GetAttribute)}
    _index_methods(operations, makers, reads)
    names: set[str] = set()
    marked: set[int] = set()
    todo: list[str] = []

    def mark(operation: Operation, parents: tuple[Operation, ...]) -> None:
        for one in (operation, *parents):
            if id(one) in marked:
                continue
            marked.add(id(one))
            for name in _reads(one):
                if name not in names:
                    names.add(name)
                    todo.append(name)

    parents_of: dict[int, tuple[Operation, ...]] = {id(operation): parents for operation, parents in operations}
    seeds = _seeds(operations)
    layers = {o.target for o, _ in operations if isinstance(o, Call) and _called(o, reads) in BUILDERS}
    for operation, parents in operations:
        # A new layer may go under any name: ``model.fc2 = nn.Linear(…)``.
        holds = isinstance(operation, SetAttribute) and operation.value in layers and operation.of != "self"
        if holds or _is_seed(operation, seeds):
            mark(operation, parents)
    while todo:
        for maker in makers.get(todo.pop(), ()):
            mark(maker, parents_of[id(maker)])
    for operation, _ in operations:
        if isinstance(operation, If):
            inner = [o for side in blocks(operation) for o in walk(side)]
            operation.relevant = any(
                id(o) in marked or isinstance(o, Return) or hands_over(o, names, reads) for o in inner
            )
        elif isinstance(operation, Loop):
            inner = list(walk(operation.body))
            turns = {
                operation.element,
                *(o.target for o in inner if isinstance(o, Move) and o.value == operation.element),
            }
            leaves = any(isinstance(o, (Break, Return)) for o in inner)
            operation.builds = bool(turns & names) or leaves or any(_spoken(o) in BUILDERS for o in inner)
    return frozenset(names)


def _index(
    block: Block,
    parents: tuple[Operation, ...],
    makers: dict[str, list[Operation]],
    operations: list[tuple[Operation, tuple[Operation, ...]]],
) -> None:
    stack = [(operation, parents) for operation in block]
    while stack:
        operation, above = stack.pop()
        operations.append((operation, above))
        if isinstance(operation, Define):
            makers[operation.name].append(operation)
            inside: list[Operation] = operation.body
            below: tuple[Operation, ...] = above
            for parameter in operation.parameters:
                makers["(" + parameter.name].append(operation)
        elif isinstance(operation, DefineClass):
            inside, below = operation.body, above
        else:
            inside = [o for inner in blocks(operation) for o in inner]
            below = (*above, operation) if inside else above
        stack.extend((inner, below) for inner in inside)
        target = getattr(operation, "target", None)
        if target is not None:
            makers[target].append(operation)
        if isinstance(operation, Loop):
            makers[operation.element].append(operation)
        if isinstance(operation, SetAttribute):
            makers["." + operation.name].append(operation)
        for name in _changed(operation):
            makers[name].append(operation)


def _index_methods(
    operations: list[tuple[Operation, tuple[Operation, ...]]],
    makers: dict[str, list[Operation]],
    reads: dict[Variable, GetAttribute],
) -> None:
    """``sizes.append(n)`` changes `sizes`, ``self.sizes.append(n)`` the attribute."""
    for operation, _ in operations:
        method = reads.get(operation.function) if isinstance(operation, Call) else None
        if method is not None and method.name in CHANGING and isinstance(method.of, Variable):
            owner = reads.get(method.of)
            makers[method.of if owner is None else f".{owner.name}"].append(operation)


def hands_over(operation: Operation, names: set[str], reads: dict[Variable, GetAttribute]) -> bool:
    """Whether a call gives something that can matter to code that may do anything to it: ``unfreeze(model)``."""
    if not isinstance(operation, Call) or operation.function in BUILTINS:
        return False
    given = [operand for _, operand in (*operation.arguments, *operation.keywords) if type(operand) is Variable]
    return any(v in names or (v in reads and f".{reads[v].name}" in names) for v in given)


BUILTINS = frozenset(dir(builtins))


def _changed(operation: Operation) -> tuple[str, ...]:
    """The variables whose object an operation changes in place."""
    if isinstance(operation, (SetItem, DeleteItem, Append, SetAttribute, DeleteAttribute)):
        return (operation.of,) if isinstance(operation.of, Variable) else ()
    return ()


def _reads(operation: Operation) -> list[str]:
    names = list(variables(operation))
    if isinstance(operation, GetAttribute):
        names.append("." + operation.name)
    if isinstance(operation, Call):
        # The value a keyword passes may come back under the parameter's name.
        names.extend("." + keyword for keyword, _ in operation.keywords if keyword)
    return names


def _seeds(operations: list[tuple[Operation, tuple[Operation, ...]]]) -> frozenset[str]:
    """`SEEDS` and the names of the functions and classes of the file whose bodies hold one, or call one that does."""
    scopes = [(o.name, o.body) for o, _ in operations if isinstance(o, (Define, DefineClass))]
    held = {index: {_spoken(o) for o in walk(body)} for index, (_, body) in enumerate(scopes)}
    seeds = set(SEEDS)
    grown = True
    while grown:
        grown = False
        for index, (name, _) in enumerate(scopes):
            if name not in seeds and not name.startswith("__") and held[index] & seeds:
                seeds.add(name)
                grown = True
    return frozenset(seeds)


def _spoken(operation: Operation) -> str:
    """The name by which an operation reaches an attribute or calls a function."""
    if isinstance(operation, (GetAttribute, SetAttribute, DeleteAttribute)):
        return operation.name
    if isinstance(operation, Call) and isinstance(operation.function, Variable):
        return operation.function
    return ""


def _called(call: Call, reads: dict[Variable, GetAttribute]) -> str:
    """The last name of what is called: `Linear` for ``nn.Linear(…)``."""
    read = reads.get(call.function) if isinstance(call.function, Variable) else None
    return read.name if read is not None else str(call.function)


def _is_seed(operation: Operation, seeds: frozenset[str]) -> bool:
    return _spoken(operation) in seeds
