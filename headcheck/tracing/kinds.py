"""The public name of a class or function of a library."""

from __future__ import annotations

import importlib

#: Namespaces whose names are shorter than the defining module's and stable across versions.
_PUBLIC = ("torch.nn", "torchvision.ops")
#: Classes that do what their base class does, with other types of numbers or under other compilers.
_SAME = {"timm.layers.linear.Linear": "torch.nn.Linear"}


def public_name(item: type) -> str:
    """Return the dotted name under which users import `item`: ``torch.nn.Linear``, not where torch defines it."""
    module, name = item.__module__, item.__qualname__
    for namespace in _PUBLIC:
        if module.startswith(namespace) and getattr(importlib.import_module(namespace), name, None) is item:
            return f"{namespace}.{name}"
    return _SAME.get(f"{module}.{name}", f"{module}.{name}")
