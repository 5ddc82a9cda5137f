"""Reading a step. A malformed one is refused, so that an error of ours never passes for one of PyTorch's."""

from __future__ import annotations

import collections
from typing import Any

from .allowed import layer_class
from .state import MAX_DEPTH, MAX_INT, MAX_ITEMS, MAX_TEXT, Refused, Run


def field(step: Any, name: str, kind: Any, missing: Any = None) -> Any:
    """`step[name]`, or `missing`, which must be of `kind`; `bool` is not taken for a number."""
    value = step.get(name, missing) if isinstance(step, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise Refused(f"{name} {value!r:.60} in step {step!r:.60}")
    return value


def keywords_of(step: Any) -> dict[str, Any]:
    """The step's keyword arguments as they were sent; none is no dictionary or no value."""
    return {} if step.get("kwargs") is None else dict(field(step, "kwargs", dict))


def attribute_name(run: Run, name: Any) -> str:
    """A name that may be read, set or deleted: neither a dunder nor one of nn.Module's own tables."""
    if not isinstance(name, str) or len(name) > MAX_TEXT or name.startswith("__"):
        raise Refused(f"attribute {name!r:.60}")
    if name.startswith("_") and name in vars(run.torch.nn.Module()):
        raise Refused(f"attribute {name!r:.60}")
    return name


def index_of(step: Any) -> Any:
    """The place in a container (a number) or in a ModuleDict (a string)."""
    return plain(field(step, "index", (int, str)))


def module(run: Run, identifier: Any) -> Any:
    """The nn.Module that an earlier step made."""
    found = run.objects.get(identifier) if type(identifier) is int else None
    if not isinstance(found, run.torch.nn.Module):
        raise Refused(f"object {identifier!r:.60} is not a module that an earlier step made")
    return found


def keep(run: Run, step: Any, made: Any) -> None:
    """Name what a step made."""
    run.objects[field(step, "out", int)] = made


def keep_module(run: Run, step: Any, made: Any) -> None:
    if not isinstance(made, run.torch.nn.Module):
        raise Refused(f"step {step.get('op')!r} gives a {type(made).__name__}, not a module")
    keep(run, step, made)


def plain(value: Any, depth: int = 0) -> Any:
    """A bounded plain value: None, a bool, a number, a short string, a shallow list or ``{"tuple": […]}`` of such."""
    if depth > MAX_DEPTH:
        raise Refused("a value is nested too deeply")
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and abs(value) <= MAX_INT:
        return value
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, list) and len(value) <= MAX_ITEMS:
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict) and list(value) == ["tuple"] and isinstance(value["tuple"], list):
        return tuple(plain(value["tuple"], depth + 1))
    raise Refused(f"value {value!r:.60}")


def argument(run: Run, value: Any, depth: int = 0) -> Any:
    """A layer's argument: a plain value, ``{"ref": ID}``, ``{"class": name}``, or a list, tuple or dict of such."""
    if depth > MAX_DEPTH:
        raise Refused("an argument is nested too deeply")
    if isinstance(value, list) and len(value) <= MAX_ITEMS:
        return [argument(run, item, depth + 1) for item in value]
    if isinstance(value, dict) and len(value) == 1:
        (key, inner), *_ = value.items()
        if key == "ref":
            return module(run, inner)
        if key == "class":
            return layer_class(run, inner)
        if key == "tuple" and isinstance(inner, list):
            return tuple(argument(run, inner, depth + 1))
        if key == "dict" and isinstance(inner, dict) and all(len(name) <= MAX_TEXT for name in inner):
            return collections.OrderedDict((name, argument(run, item, depth + 1)) for name, item in inner.items())
    return plain(value, depth)


def assigned(run: Run, value: Any) -> Any:
    """What a step assigns: the module of an ID, the value of ``{"plain": …}``, or None."""
    if value is None:
        return None
    if isinstance(value, dict) and list(value) == ["plain"]:
        return plain(value["plain"])
    return module(run, value)


def chosen_parameters(run: Run, step: Any) -> list[Any]:
    """The parameters of the step's module: all, or those it names."""
    owner, wanted = module(run, step.get("of")), step.get("parameters")
    if wanted == "all":
        return list(owner.parameters())
    if not isinstance(wanted, list):
        raise Refused(f"parameters {wanted!r:.60}")
    return [named_parameter(owner, name) for name in wanted]


def named_parameter(owner: Any, name: Any) -> Any:
    """The parameter of a dotted path. A plan names only those it knows, so a missing one is the plan's mistake."""
    *path, last = str(name).split(".")
    for part in path:
        owner = getattr(owner, "_modules", {}).get(part)
    parameter = getattr(owner, "_parameters", {}).get(last)
    if parameter is None:
        raise Refused(f"there is no parameter {name!r:.60}")
    return parameter
