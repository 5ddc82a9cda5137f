"""Finding the heads of a live model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from headcheck.live import stand_ins
from headcheck.live.answers import ForwardFailed, Head, HeadError, NoExampleInput
from headcheck.live.inputs import Call, chosen, given, is_detection
from headcheck.live.watching import Failure, uncompiled, watch
from headcheck.tracing import autograd, fx
from headcheck.tracing.kinds import public_name
from headcheck.tracing.observe import Observation

#: Attributes under which a model, or a part that holds its head, keeps the number of classes.
COUNTS = ("num_classes", "num_labels", "n_classes", "num_columns")
#: Names of losses of detection models that depend on the classes. ("loss_mask", "loss_keypoint", "loss_classifier")
_CLASS_LOSSES = ("classif", "mask", "keypoint")
#: How many guesses are tried with numbers and not on the meta device, where they cost nothing.
_REAL = 3
#: Images of detection models are made smaller, so that a pass does not take seconds.
_SIDE = 128


@dataclass(frozen=True)
class Look:
    """What running a model in both modes shows. `call` is what it was called with, on the model's own device."""

    heads: tuple[Head, ...]
    call: Call
    passes: Mapping[bool, Observation]
    failures: Mapping[bool, Failure]


@dataclass(frozen=True)
class _Found:
    """A layer, the outputs it makes, and the shape of its weight."""

    path: str
    keys: frozenset[str]
    weight: tuple[int, ...]
    method: str


def find_heads(model: nn.Module, example_input: object = None) -> tuple[Head, ...]:
    """Return the layers that make the outputs of `model`, in the order they are called; none if it has no head.

    `example_input` is what the model is called with: a tensor, a tuple of positional arguments, or a dict of keyword
    arguments; a detection model takes ``(images, targets)``. Without one, it is chosen by what the model says
    of itself (``example_input_array``, timm's ``pretrained_cfg``, transformers' configuration, ``image_size``) or by
    its first layers.

    The model runs once in train and once in eval mode, on the meta device if it can. Its tensors, modes and hooks and
    the random generators are as before afterwards.

    Raises NoExampleInput if none can be chosen, ForwardFailed if the model runs in neither mode.
    """
    inner, prefix = unwrapped(model)
    found = look(inner, example_input, None)
    if not found.passes:
        raise ForwardFailed(words(inner, found)) from next(iter(found.failures.values())).error
    return tuple(prefixed(head, prefix) for head in found.heads)


def words(model: nn.Module, found: Look) -> str:
    """Say how a model failed."""
    failure = next(iter(found.failures.values()))
    where = f"in {failure.path} ({type(failure.module).__name__})" if failure.path else "in its own forward"
    on_meta = any(tensor.is_meta for tensor in model.parameters())
    numbers = "; it is on the meta device, where nothing has a value that it could look at" if on_meta else ""
    return f"the model does not run on {found.call.origin}: {where}: {first_line(failure.error)}{numbers}"


def first_line(error: Exception) -> str:
    """The error's class and the first line of its text."""
    return f"{type(error).__name__}: {(str(error).strip() or '?').splitlines()[0]}"


def unwrapped(model: nn.Module) -> tuple[nn.Module, str]:
    """Return the model inside DataParallel, DistributedDataParallel and torch.compile, and the path to it."""
    path: list[str] = []
    while type(model).__name__ in _WRAPPERS:
        name = _WRAPPERS[type(model).__name__]
        inner = getattr(model, name)
        if not isinstance(inner, nn.Module):
            break
        model = inner
        path.append(name)
    return model, ".".join(path)


_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}


def prefixed(head: Head, prefix: str) -> Head:
    """The head with its paths in the wrapper."""
    if not prefix:
        return head
    return replace(head, path=joined(prefix, head.path), aliases=tuple(joined(prefix, path) for path in head.aliases))


def joined(*parts: str) -> str:
    """A dotted path of those parts that are not empty."""
    return ".".join(part for part in parts if part)


def look(model: nn.Module, example_input: object, claim: int | None) -> Look:
    """Run `model` in both modes and find its heads: see `find_heads`.

    A layer of so many classes as the `claim` is a head even where an activation follows.

    If the model does not run, the look has no passes; NoExampleInput is raised only where that may be the fault of a
    guess.
    """
    if any(nn.parameter.is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise HeadError("the model has lazy layers that do not know their size yet: run one batch through it first")
    calls = chosen(model) if example_input is None else [given(model, example_input)]
    looks = []
    for make in _makes(model):
        for call in calls:
            found = _look(model, call, make, claim)
            if not found.failures:
                return found
            looks.append(found)
        if not any(asks_for_values(failure.error) for found in looks for failure in found.failures.values()):
            calls = calls[:1]  # What fails without values fails with them; once, for PyTorch's own words.
        calls = calls[:_REAL]
    half = next((found for found in looks if found.passes), None)  # in one mode only
    if half is not None:
        return half
    # The last ones are the real ones, with PyTorch's own words.
    first = next(found for found in reversed(looks) if found.call is looks[0].call)
    tried = [first, *(found for found in looks if found.call is not first.call)]
    if first.call.certain:
        return first
    fault = _same_failure(tried)
    if fault is not None:
        return fault
    raise NoExampleInput(
        f"no input was found that the model runs on (tried {', '.join(found.call.origin for found in tried[:4])}"
        f"{' …' if len(tried) > 4 else ''}); pass example_input=. The first: {words(model, tried[0])}"
    ) from next(iter(tried[0].failures.values())).error


def asks_for_values(error: Exception) -> bool:
    """Whether a pass on the meta device stopped because nothing has a value there."""
    return isinstance(error, NotImplementedError) or "meta" in str(error)


def _same_failure(tried: Sequence[Look]) -> Look | None:
    """Return the look of a model that failed at two sizes of the input with the same features at the same layer: then
    it is not the input that is at fault."""
    deep = [(found, failure) for found in tried if not (failure := next(iter(found.failures.values()))).first]
    features = {(failure.path, *(tensor.shape for tensor in failure.arrived)) for _, failure in deep[:2]}
    return deep[0][0] if len(deep) > 1 and len(features) == 1 else None


def _makes(model: nn.Module) -> list[stand_ins.Make]:
    if is_detection(model):
        return [stand_ins.sharing]  # Which boxes are kept depends on numbers.
    if any(tensor.is_meta for tensor in model.parameters()):
        return [stand_ins.on_meta]
    return [stand_ins.on_meta, stand_ins.sharing]


def _look(model: nn.Module, call: Call, make: stand_ins.Make, claim: int | None) -> Look:
    passes: dict[bool, Observation] = {}
    failures: dict[bool, Failure] = {}
    found: dict[bool, list[_Found]] = {}
    for train in (True, False):
        if is_detection(model) and not train:
            continue  # Its losses tell the heads; without targets it answers boxes.
        # With gradients of the input, or what is computed from it looks like a weight; but a model may refuse that.
        for learns in (True, False):
            with stand_ins.gradients(), stand_ins.stand_ins(model, make), uncompiled(model), small(model):
                seen = watch(model, _prepared(model, call, learns), train)
                if not isinstance(seen, Failure):
                    found[train] = list(_heads(model, seen, call, train, claim))
                    seen.answer = {key: tensor.detach() for key, tensor in seen.answer.items()}
                    passes[train] = seen
                    failures.pop(train, None)
                    break
                failures[train] = seen
    return Look(_together(model, found, passes), call, passes, failures)


def _prepared(model: nn.Module, call: Call, learns: bool) -> Call:
    where = next((item for item in model.parameters() if item.is_floating_point()), None)

    def prepared(tensor: Tensor) -> Tensor:
        if where is not None:
            tensor = tensor.to(where.device)
        if not tensor.is_floating_point():
            return tensor
        if where is not None:
            tensor = tensor.to(where.dtype)
        # A copy, for forward may change it in place, which a leaf forbids.
        return tensor.detach().requires_grad_(learns).clone()

    return call.each(prepared)


@contextlib.contextmanager
def small(model: nn.Module) -> Iterator[None]:
    """Let a detection model look at small images and few boxes. Inside `stand_ins`, which puts its settings back."""
    if is_detection(model):
        for part, names in _SMALL.items():
            module = getattr(model, part, None)
            for name, change in names.items():
                if hasattr(module, name):
                    setattr(module, name, change(getattr(module, name)))
    yield


_SMALL: Mapping[str, Mapping[str, Any]] = {
    "transform": {"min_size": lambda value: (_SIDE,), "max_size": lambda value: _SIDE},
    "rpn": {
        "_pre_nms_top_n": lambda value: dict.fromkeys(value, 64),
        "_post_nms_top_n": lambda value: dict.fromkeys(value, 16),
    },
}


def _heads(model: nn.Module, seen: Observation, call: Call, train: bool, claim: int | None) -> Iterator[_Found]:
    """Yield the heads that one pass shows."""
    if getattr(model, "num_classes", None) == 0:
        return  # timm's way to say that there is none
    outputs = _outputs(seen.answer)
    owners = _owners(model)
    names = {id(parameter): str(id(parameter)) for parameters in owners.values() for parameter in parameters}
    parameters = {str(id(parameter)): parameter for held in owners.values() for parameter in held}
    losses = is_detection(model)
    for key, tensor in outputs.items():
        layers = autograd.nearest(tensor, names)
        if not layers and tensor.grad_fn is None and not losses:
            yield from _by_graph(model, call, key, train)
            continue
        candidates = []
        for layer in layers:
            weights = [parameters[name] for name in layer.weights]
            path = _owner(model, weights, owners, seen)
            weight = max(weights, key=lambda item: (item.dim(), item.numel()))
            size = _sizes(model, path, tuple(weight.shape), tensor)[1]
            claimed = size == claim or _claimed(model, path, size)
            if losses or layer.direct or claimed:
                candidates.append((layer, path, weight, claimed))
        if not losses and _is_stream(candidates):
            continue
        for _, path, weight, _ in candidates:
            yield _Found(path, frozenset({key}), tuple(weight.shape), "losses" if losses else "autograd")


def _outputs(answer: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the outputs that heads make: no loss beside them, and no features beside logits."""
    outputs = {key: tensor for key, tensor in answer.items() if tensor.dim()} or dict(answer)
    logits = {key: tensor for key, tensor in outputs.items() if "logits" in key}
    return logits or outputs


def _owners(model: nn.Module) -> dict[nn.Module, list[nn.Parameter]]:
    modules = stand_ins.modules_of(model)
    return {module: held for module in modules if (held := [p for p in module._parameters.values() if p is not None])}


def _owner(
    model: nn.Module, weights: list[nn.Parameter], owners: Mapping[nn.Module, list[nn.Parameter]], seen: Observation
) -> str:
    """Return the path of the layer that multiplied with these weights: of several that share them, the last called."""
    paths = stand_ins.modules_of(model)
    held = {id(weight) for weight in weights}
    modules = [module for module, own in owners.items() if held & {id(item) for item in own}]
    modules = [module for module in modules if not isinstance(module, nn.Embedding)] or modules
    order = list(seen.inputs)
    modules.sort(key=lambda module: order.index(paths[module]) if paths[module] in order else -1)
    # Of the layers whose weights meet here, as those of an adapter's two factors may, the biggest.
    path = paths[modules[-1]]
    return _layer(model, path)


def _layer(model: nn.Module, path: str) -> str:
    """Return the path of the layer that a parametrization, or the layer inside an adapter, belongs to."""
    path = path.partition(".parametrizations")[0]
    parts = path.split(".")
    for length in range(1, len(parts)):
        above = ".".join(parts[:length])
        module = part_at(model, above)
        if module is not None and isinstance(getattr(module, "base_layer", None), nn.Module):
            return above
    return path


def part_at(model: nn.Module, path: str) -> nn.Module | None:
    """Return the module at a path, None if there is none."""
    for name in path.split(".") if path else ():
        child = model._modules.get(name)
        if child is None:
            return None
        model = child
    return model


def _sizes(model: nn.Module, path: str, weight: tuple[int, ...], output: Tensor | tuple[int, ...]) -> tuple[int, int]:
    """Return how many features a layer takes and gives, by its weight."""
    module = part_at(model, path)
    inside = getattr(module, "base_layer", None)
    if isinstance(inside, nn.Module) and isinstance(getattr(inside, "weight", None), Tensor):
        module, weight = inside, tuple(inside.weight.shape)  # type: ignore[arg-type]
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return weight[0], weight[1] * module.groups
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return weight[1] * module.groups, weight[0]
    if isinstance(module, nn.Linear) or len(weight) < 2:
        return weight[-1], weight[0]
    shape = tuple(output.shape) if isinstance(output, Tensor) else output
    # A layer of one's own, or a parameter: its weight may lie either way.
    return (weight[0], weight[1]) if shape[-1:] == weight[1:2] and shape[-1:] != weight[:1] else (weight[1], weight[0])


def _claimed(model: nn.Module, path: str, size: int) -> bool:
    """Whether the model, or what holds the layer, says that it has so many classes."""
    return any(value == size for _, _, value in counts_on(model, path))


def counts_on(model: nn.Module, path: str) -> Iterator[tuple[str, nn.Module, int]]:
    """Yield what keeps a number of classes on the way to a layer: the attribute's path, its holder, its value."""
    parts = path.split(".") if path else []
    for length in range(len(parts) + 1):
        above = ".".join(parts[:length])
        module = part_at(model, above)
        for name in COUNTS if module is not None else ():
            value = vars(module).get(name)
            if type(value) is int and value > 0:
                assert module is not None
                yield joined(above, name), module, value


def _is_stream(candidates: Sequence[tuple[autograd.Layer, str, Any, bool]]) -> bool:
    """Whether one layer's answer goes into another one: then they are blocks that add to features, and no heads."""
    return any(
        one is not other and paths[0] != paths[1] and not claimed and autograd.feeds(one.function, other.function)
        for one, path, _, claimed in candidates
        for other, second, _, _ in candidates
        if (paths := (path, second))
    )


def _by_graph(model: nn.Module, call: Call, key: str, train: bool) -> Iterator[_Found]:
    """Find heads in the traced graph, for an output that has no gradient at all."""
    traced = None if call.keywords else fx.heads(model, None, train)
    for path, (keys, _) in (traced or {}).items():
        module = part_at(model, path)
        weight = getattr(module, "weight", None)
        if key in keys and isinstance(weight, Tensor):
            yield _Found(path, frozenset({key}), tuple(weight.shape), "fx")


def _together(
    model: nn.Module, found: Mapping[bool, list[_Found]], passes: Mapping[bool, Observation]
) -> tuple[Head, ...]:
    """Return the heads that both modes show, in the order of their calls."""
    merged: dict[str, dict[bool, list[_Found]]] = {}
    for train, heads in found.items():
        for head in heads:
            merged.setdefault(head.path, {}).setdefault(train, []).append(head)
    order = [path for seen in passes.values() for path in seen.inputs]
    paths = sorted(merged, key=lambda path: order.index(path) if path in order else len(order))
    made = [_head(model, path, merged[path], passes) for path in paths]
    return tuple(_of_classes(made) if is_detection(model) else made)


def _head(
    model: nn.Module,
    path: str,
    modes: Mapping[bool, list[_Found]],
    passes: Mapping[bool, Observation],
) -> Head:
    one = next(iter(modes.values()))[0]
    module = part_at(model, path)
    layer = module if module is not None else _hidden(model, path)
    answers = {
        (key, tuple(passes[train].answer[key].shape)): None
        for train in modes
        for head in modes[train]
        for key in head.keys
    }
    taken, given_out = _sizes(model, path, one.weight, next(iter(answers))[1])
    shape = next((seen.inputs[path] for seen in passes.values() if seen.inputs.get(path) is not None), None)
    train, evaluated = (mode in modes or (mode not in passes) for mode in (True, False))
    named = [*(key for key, _ in answers), path]
    same = [name for name, item in model.named_modules(remove_duplicate=False) if item is module and name != path]
    return Head(
        path=path,
        kind=public_name(parametrize.type_before_parametrizations(layer)),
        in_features=taken,
        out_features=given_out,
        shape=None if shape is None else tuple(size or 0 for size in shape),
        answers=tuple(answers),
        auxiliary=any("aux" in name.lower() for name in named) or not evaluated,
        train=train,
        eval=evaluated,
        method=one.method,
        aliases=tuple(same) if path else (),
    )


def _hidden(model: nn.Module, path: str) -> nn.Module:
    return next(module for module, name in stand_ins.modules_of(model).items() if name == path)


def _of_classes(heads: Sequence[Head]) -> list[Head]:
    """Return those layers nearest to a detection model's losses whose size depends on the classes."""
    chosen_heads = [head for head in heads if any(word in key for key, _ in head.answers for word in _CLASS_LOSSES)]
    parents = {head.path.rpartition(".")[0]: head.out_features for head in chosen_heads}
    boxes = [
        head
        for head in heads
        if head not in chosen_heads and parents.get(head.path.rpartition(".")[0], 0) * 4 == head.out_features
    ]
    return [head for head in heads if head in chosen_heads or head in boxes]
