"""The changes: each is a function that goes over a script's syntax and yields edits of its text."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torchvision


@dataclass(frozen=True)
class Mutant:
    """A script with one thing changed on row `row`: `before` became `after`."""

    script: str
    kind: str
    row: int
    before: str
    after: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.script}:{self.row} {self.kind}: {shortened(self.before)} -> {shortened(self.after)}"


def shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) < 70 else words[:67] + "..."


@dataclass(frozen=True)
class Edit:
    """`after` in the place of what stands from `start` to `stop` (offsets into the text)."""

    start: int
    stop: int
    after: str


class Source:
    """A script's text with its syntax, and what each node's text, parent and statement are."""

    def __init__(self, name: str, text: str, chance: random.Random) -> None:
        self.name, self.text, self.chance = name, text, chance
        self.tree = ast.parse(text)
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.modules = {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(self.tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
            if isinstance(node, ast.Import) or alias.name in NAMESPACES
        }

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.starts[node.lineno - 1] + node.col_offset,  # type: ignore[attr-defined]
            self.starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[attr-defined]
        )

    def of(self, node: ast.AST) -> str:
        start, stop = self.span(node)
        return self.text[start:stop]

    def all(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def statement(self, node: ast.AST) -> ast.stmt:
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def replace(self, node: ast.AST, after: str) -> Edit:
        return Edit(*self.span(node), after)

    def blocks(self) -> Iterator[list[ast.stmt]]:
        for node in ast.walk(self.tree):
            for name in ("body", "orelse"):
                block = getattr(node, name, None)
                if isinstance(block, list) and block and not isinstance(node, ast.ClassDef):
                    yield block

    def lines(self, statement: ast.stmt) -> tuple[int, int]:
        """A whole statement with its indentation and the end of its last line."""
        return self.starts[statement.lineno - 1], self.starts[statement.end_lineno or 0]


NAMESPACES = {"nn", "models", "optim", "functional", "transforms", "segmentation", "detection", "video"}
Change = Callable[[Source], Iterator[Edit]]
CHANGES: dict[str, list[Change]] = {}


def change(kind: str) -> Callable[[Change], Change]:
    def register(function: Change) -> Change:
        CHANGES.setdefault(kind, []).append(function)
        return function

    return register


# -- numbers ---------------------------------------------------------------------------------------------------------

NEIGHBOURS = {
    64: 128, 128: 64, 256: 512, 512: 2048, 768: 1024, 960: 1280, 1024: 2048, 1280: 960, 1664: 1024, 1920: 2048,
    2048: 512, 4096: 25088, 25088: 4096, 7: 14,
}  # fmt: skip


def numbers(source: Source) -> Iterator[ast.Constant]:
    for node in source.all(ast.Constant):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield node


def in_subscript(source: Source, node: ast.AST) -> bool:
    parent = source.parents[node]
    if isinstance(parent, (ast.UnaryOp, ast.Slice)):
        return in_subscript(source, parent)
    return isinstance(parent, ast.Subscript) and parent.slice is node


@change("size")
def another_number(source: Source) -> Iterator[Edit]:
    for node in numbers(source):
        value = node.value
        assert isinstance(value, int)
        if in_subscript(source, node):
            continue
        others = [value + 1, value - 1, NEIGHBOURS.get(value, 2 * value)] if value > 9 else [value + 1]
        for other in others:
            yield source.replace(node, str(other))


@change("size")
def read_instead_of_written(source: Source) -> Iterator[Edit]:
    """The size of another layer: ``x.in_features`` becomes a number that is often right elsewhere."""
    for node in source.all(ast.Attribute):
        if node.attr in ("in_features", "in_channels", "last_channel") and isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]
            for other in source.chance.sample([256, 512, 1024, 1280, 2048, 4096], 2):
                yield source.replace(node, str(other))


@change("index")
def another_index(source: Source) -> Iterator[Edit]:
    for node in numbers(source):
        if in_subscript(source, node) and "argv" not in source.of(source.statement(node)):
            assert isinstance(node.value, int)
            for other in (node.value + 1, node.value - 1):
                if other >= 0:
                    yield source.replace(node, str(other))


@change("index")
def whole_list(source: Source) -> Iterator[Edit]:
    """``list(m.children())[:-1]`` without the slice."""
    for node in source.all(ast.Subscript):
        if isinstance(node.slice, ast.Slice):  # type: ignore[attr-defined]
            yield source.replace(node, source.of(node.value))  # type: ignore[attr-defined]


# -- names -----------------------------------------------------------------------------------------------------------

HEAD_NAMES = ("fc", "classifier", "head", "heads", "last_linear")
SIZE_NAMES = {
    "in_features": ("in_channels", "in_feature", "out_features"),
    "out_features": ("out_channels", "in_features"),
    "in_channels": ("in_features", "in_channel", "out_channels"),
}


def root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def without_a_letter(word: str, chance: random.Random) -> str:
    index = chance.randrange(1, len(word)) if len(word) > 2 else len(word)
    return word[:index] + word[index + 1 :] if index < len(word) else word + word[-1]


def rename(source: Source, node: ast.Attribute, name: str) -> Edit:
    stop = source.span(node)[1]
    return Edit(stop - len(node.attr), stop, name)


@change("attribute")
def another_attribute(source: Source) -> Iterator[Edit]:
    for node in source.all(ast.Attribute):
        assert isinstance(node, ast.Attribute)
        if node.attr in HEAD_NAMES:
            for other in source.chance.sample([n for n in HEAD_NAMES if n != node.attr], 2):
                yield rename(source, node, other)
        for other in SIZE_NAMES.get(node.attr, ()):
            yield rename(source, node, other)


@change("misspelling")
def misspelt_attribute(source: Source) -> Iterator[Edit]:
    """Of what is not a library's own namespace: those names a linter that imports the library would know."""
    for node in source.all(ast.Attribute):
        assert isinstance(node, ast.Attribute)
        known = node.attr in ("requires_grad", "requires_grad_") or is_builder(node.attr)
        if root(node) not in source.modules and not known and not node.attr.startswith("__"):
            yield rename(source, node, without_a_letter(node.attr, source.chance))


@change("typo")
def misspelt_flag(source: Source) -> Iterator[Edit]:
    for node in source.all(ast.Attribute):
        assert isinstance(node, ast.Attribute)
        if node.attr == "requires_grad":
            for wrong in source.chance.sample(["require_grad", "requires_gard", "required_grad", "requires_grads"], 2):
                yield rename(source, node, wrong)
        elif node.attr == "requires_grad_":
            yield rename(source, node, "requires_grad")
            yield rename(source, node, "require_grad_")


@change("typo")
def compared_flag(source: Source) -> Iterator[Edit]:
    """``p.requires_grad == False``, and ``requires_grad_(False)`` as an assignment."""
    for node in source.all(ast.Assign):
        target = node.targets[0]  # type: ignore[attr-defined]
        if isinstance(target, ast.Attribute) and target.attr == "requires_grad":
            yield source.replace(node, source.of(node).replace(" = ", " == ", 1))
    for node in source.all(ast.Expr):
        if source.of(node).endswith((".requires_grad_(False)", ".requires_grad_(True)")):
            owner, _, value = source.of(node).rpartition(".requires_grad_(")
            yield source.replace(node, f"{owner}.requires_grad = {value[:-1]}")


def is_builder(name: str) -> bool:
    return name in BUILDERS


BUILDERS = frozenset(torchvision.models.list_models()) | {
    torchvision.models.get_model_builder(name).__name__ for name in torchvision.models.list_models()
}


def builder_words(source: Source) -> Iterator[tuple[int, int, str]]:
    """Every place where a builder is named in code or as a text."""
    for node in source.all(ast.Attribute, ast.Name, ast.Constant, ast.alias):
        word = {
            ast.Attribute: lambda n: n.attr,
            ast.Name: lambda n: n.id,
            ast.Constant: lambda n: n.value,
            ast.alias: lambda n: n.name,
        }[type(node)](node)
        if isinstance(word, str) and is_builder(word) and not is_choice(source, node):
            stop = source.span(node)[1] - (1 if isinstance(node, ast.Constant) else 0)
            yield stop - len(word), stop, word


def is_choice(source: Source, node: ast.AST) -> bool:
    """Whether a text is what the command line gives, rather than what the library is asked for."""
    if not isinstance(node, ast.Constant):
        return False
    parent = source.parents[node]
    if isinstance(parent, (ast.keyword, ast.Compare)):
        return True
    return isinstance(parent, (ast.List, ast.Dict))


@change("builder")
def misspelt_builder(source: Source) -> Iterator[Edit]:
    for start, stop, word in builder_words(source):
        forms = [word[:-1], word + "x", word.replace("_", "", 1), word.replace("net", "Net")]
        for wrong in source.chance.sample([form for form in forms if not is_builder(form)], 1):
            yield Edit(start, stop, wrong)


@change("model")
def another_model(source: Source) -> Iterator[Edit]:
    """Another model of the same family, and one of another, wherever the script names the first."""
    for word in sorted({word for _, _, word in builder_words(source)}):
        if torchvision.models.get_model_builder(word).__module__.count(".") > 2:  # of a namespace of its own
            continue
        plain = re.match(r"[a-z]+", word)
        assert plain is not None
        family = [n for n in FAMILIES if n.startswith(plain[0]) and n != word]
        strangers = [n for n in FAMILIES if not n.startswith(plain[0])]
        for other in source.chance.sample(family, min(2, len(family))) + source.chance.sample(strangers, 1):
            text = re.sub(rf"\b{word}\b", other, source.text)
            before, after = (torchvision.models.get_model_weights(name).__name__ for name in (word, other))
            text = re.sub(rf"\b{before}\.\w+\b", f"{after}.DEFAULT", text)
            text = re.sub(rf"\b{before}\b", after, text)
            yield Edit(0, len(source.text), text)


FAMILIES = [
    "alexnet", "vgg11", "vgg16", "vgg19_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "densenet121", "densenet169", "densenet201", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "efficientnet_b0", "efficientnet_b3", "efficientnet_b7", "efficientnet_v2_s", "convnext_tiny",
    "convnext_base", "swin_t", "swin_b", "vit_b_16", "vit_b_32", "vit_l_16", "regnet_y_400mf", "regnet_y_16gf",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "squeezenet1_0", "squeezenet1_1", "mnasnet0_5", "mnasnet1_0",
    "googlenet", "wide_resnet50_2", "resnext50_32x4d",
]  # fmt: skip


@change("text")
def another_name(source: Source) -> Iterator[Edit]:
    """A head's name in a test or a table."""
    for node in source.all(ast.Constant):
        value = node.value  # type: ignore[attr-defined]
        if isinstance(value, str) and value.rstrip(".") in HEAD_NAMES:
            for other in source.chance.sample([n for n in HEAD_NAMES if n != value], 2):
                yield source.replace(node, repr(other))
            yield source.replace(node, repr(without_a_letter(value, source.chance)))


# -- order -----------------------------------------------------------------------------------------------------------

FIXED = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Return)


def moved(source: Source, block: list[ast.stmt], origin: int, target: int) -> Edit:
    """Statement `origin` of a block put where `target` stands."""
    order = list(range(len(block)))
    order.insert(target, order.pop(origin))
    low, high = min(origin, target), max(origin, target)
    start, stop = source.lines(block[low])[0], source.lines(block[high])[1]
    texts = [source.text[slice(*source.lines(block[i]))] for i in order[low : high + 1]]
    return Edit(start, stop, "".join(texts))


def is_about(source: Source, statement: ast.stmt, words: tuple[str, ...]) -> bool:
    return not isinstance(statement, FIXED) and any(word in source.of(statement) for word in words)


@change("order")
def neighbours(source: Source) -> Iterator[Edit]:
    for block in source.blocks():
        for index in range(len(block) - 1):
            if not any(isinstance(s, FIXED) or is_docstring(s) for s in block[index : index + 2]):
                yield moved(source, block, index, index + 1)


@change("order")
def freeze_last(source: Source) -> Iterator[Edit]:
    for block in source.blocks():
        for index, statement in enumerate(block):
            if is_about(source, statement, ("requires_grad", "freeze(")):
                last = len(block) - 1 - isinstance(block[-1], ast.Return)
                ends = [
                    last,
                    *[i - 1 for i, s in enumerate(block) if is_about(source, s, ("optim",)) and i > index + 1],
                ]
                yield from (moved(source, block, index, end) for end in dict.fromkeys(ends) if end > index + 1)


@change("order")
def optimizer_first(source: Source) -> Iterator[Edit]:
    for block in source.blocks():
        for index, statement in enumerate(block):
            if is_about(source, statement, ("optim.", "SGD(", "Adam")) and isinstance(statement, ast.Assign):
                for target in range(1, index - 1):
                    if not isinstance(block[target - 1], FIXED[:4]) or target > 1:
                        yield moved(source, block, index, target)


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@change("order")
def swapped_arguments(source: Source) -> Iterator[Edit]:
    for call in calls(source):
        if source.of(call.func).endswith(("Linear", "Predictor", "FCNHead", "DeepLabHead")) and len(call.args) == 2:
            first, second = call.args
            start, stop = source.span(first)[0], source.span(second)[1]
            yield Edit(start, stop, f"{source.of(second)}, {source.of(first)}")


# -- left out --------------------------------------------------------------------------------------------------------


def calls(source: Source) -> Iterator[ast.Call]:
    for node in source.all(ast.Call):
        assert isinstance(node, ast.Call)
        yield node


def in_forward(source: Source, node: ast.AST) -> bool:
    while node in source.parents:
        node = source.parents[node]
        if isinstance(node, ast.FunctionDef):
            return node.name in ("forward", "encode")
    return False


@change("dropped")
def step_of_forward(source: Source) -> Iterator[Edit]:
    """What a call in `forward` was given, instead of the call; what a tensor's method was called on."""
    for call in calls(source):
        if not in_forward(source, call) or isinstance(source.parents[call], ast.Expr):
            continue
        function = call.func
        if (
            isinstance(function, ast.Attribute)
            and function.attr in TENSOR_STEPS
            and root(function) not in source.modules
        ):
            yield source.replace(call, source.of(function.value))
        elif call.args and isinstance(call.args[0], (ast.Name, ast.Call, ast.BinOp)):
            yield source.replace(call, source.of(call.args[0]))


TENSOR_STEPS = ("view", "reshape", "flatten", "mean", "squeeze")


@change("dropped")
def layer_of_stack(source: Source) -> Iterator[Edit]:
    for call in calls(source):
        if source.of(call.func).endswith("Sequential") and len(call.args) > 1:
            for index, argument in enumerate(call.args):
                if index + 1 < len(call.args):
                    yield Edit(source.span(argument)[0], source.span(call.args[index + 1])[0], "")
                else:
                    yield Edit(source.span(call.args[index - 1])[1], source.span(argument)[1], "")


@change("dropped")
def identity(source: Source) -> Iterator[Edit]:
    """The line that takes the old head out."""
    for node in source.all(ast.Assign):
        if source.of(node).endswith("Identity()"):
            yield source.replace(node, "pass")


@change("parentheses")
def uncalled(source: Source) -> Iterator[Edit]:
    for call in calls(source):
        if not call.args and not call.keywords and isinstance(call.func, (ast.Name, ast.Attribute)):
            yield source.replace(call, source.of(call.func))


@change("layer")
def another_layer(source: Source) -> Iterator[Edit]:
    """A convolution for a Linear and the other way round."""
    for call in calls(source):
        name = source.of(call.func)
        arguments = [source.of(argument) for argument in (*call.args, *(k.value for k in call.keywords))]
        if name.endswith("nn.Linear") and len(arguments) == 2:
            yield source.replace(call, f"nn.Conv2d({arguments[0]}, {arguments[1]}, kernel_size=1)")
        elif name.endswith("nn.Conv2d") and len(arguments) > 2:
            yield source.replace(call, f"nn.Linear({arguments[0]}, {arguments[1]})")


# -- all of them -----------------------------------------------------------------------------------------------------


def mutants(name: str, text: str, rows: frozenset[int], seed: int = 0) -> list[Mutant]:
    """Every change of a script, of what stands in a statement on one of `rows`; the same ones for the same seed."""
    made: dict[str, Mutant] = {}
    for kind, functions in CHANGES.items():
        for function in functions:
            source = Source(name, text, random.Random(f"{seed}-{name}-{function.__name__}"))
            for edit in function(source):
                changed = text[: edit.start] + edit.after + text[edit.stop :]
                row = text.count("\n", 0, first_difference(text, changed)) + 1
                if changed == text or changed in made or not is_python(changed) or not touched(source, row, rows):
                    continue
                made[changed] = Mutant(name, kind, row, *words(text, changed, edit), changed)
    return list(made.values())


def words(text: str, changed: str, edit: Edit) -> tuple[str, str]:
    """What was written before and after, as far as it differs, for people to read."""
    if edit.stop - edit.start < 200:
        return text[edit.start : edit.stop], edit.after
    pairs = zip(text.split(), changed.split(), strict=False)
    return next((one, other) for one, other in pairs if one != other)


def first_difference(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def touched(source: Source, row: int, rows: frozenset[int]) -> bool:
    """Whether the innermost statement over a row was run."""
    over = [s for s in source.all(ast.stmt) if s.lineno <= row <= (s.end_lineno or 0)]  # type: ignore[attr-defined]
    inner = max(over, key=lambda s: s.lineno, default=None)  # type: ignore[attr-defined]
    return inner is not None and bool(rows & set(range(inner.lineno, (inner.end_lineno or 0) + 1)))  # type: ignore[attr-defined]
