"""The script's own forward: a straight line of library calls."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from typing import Any

from . import casting
from .allowed import resolve
from .reading import field, keywords_of, module, named_parameter, plain
from .state import MAX_DEPTH, MAX_ITEMS, MAX_TEXT, Refused, Run

NETWORKS: dict[Any, Any] = {}


def network_class(torch: Any) -> Any:
    """The one class of every network of a script."""
    if torch not in NETWORKS:

        class Network(torch.nn.Module):  # type: ignore[misc]
            headcheck_program: Any = None

            def forward(self, *given: Any) -> Any:
                if self.headcheck_program is None:
                    raise Refused("what the forward of a network of the script does")
                return self.headcheck_program(given)

        NETWORKS[torch] = Network
    return NETWORKS[torch]


def follow(run: Run, steps: list[Any], answer: Any, given: tuple[Any, ...]) -> Any:
    """Run the steps of a forward on its inputs, which are the registers 0, -1, -2, …"""
    registers: dict[int, Any] = {-index: value for index, value in enumerate(given)}
    for step in steps:
        do = PROGRAM.get(field(step, "op", str))
        if do is None:
            raise Refused(f"step {step!r:.60}")
        run.line = step.get("line")
        ungraded = run.torch.no_grad() if step.get("ungraded") is True else contextlib.nullcontext()
        with ungraded, casting.region(run, step.get("cast")):
            found = do(run, registers, step)
        if "out" in step:
            registers[field(step, "out", int)] = found
    run.line = None
    return operand(run, registers, answer)


def operand(run: Run, registers: dict[int, Any], value: Any, depth: int = 0) -> Any:
    """What a step of a forward is given: plain values, what earlier steps answered, modules and their parameters."""
    if depth > 2 * MAX_DEPTH:
        raise Refused("a value is nested too deeply")
    if isinstance(value, list) and len(value) <= MAX_ITEMS:
        return [operand(run, registers, item, depth + 1) for item in value]
    if isinstance(value, dict) and len(value) == 1:
        (key, inner), *_ = value.items()
        if key == "reg" and inner in registers:
            return registers[inner]
        if key == "ref":
            return module(run, inner)
        if key == "parameter" and isinstance(inner, list) and len(inner) == 2:
            return named_parameter(module(run, inner[0]), inner[1])
        if key == "dtype" and isinstance(getattr(run.torch, str(inner), None), run.torch.dtype):
            return getattr(run.torch, inner)
        if key == "ellipsis":
            return ...
        if key in ("tuple", "slice") and isinstance(inner, list):
            parts = operand(run, registers, inner, depth + 1)
            return tuple(parts) if key == "tuple" else slice(*parts)
        if key == "dict" and isinstance(inner, dict) and all(len(name) <= MAX_TEXT for name in inner):
            return {name: operand(run, registers, item, depth + 1) for name, item in inner.items()}
    return plain(value)


def call_parts(run: Run, registers: dict[int, Any], step: Any) -> tuple[list[Any], dict[str, Any]]:
    arguments = [operand(run, registers, value) for value in field(step, "args", list)]
    return arguments, {name: operand(run, registers, value) for name, value in keywords_of(step).items()}


def do_module(run: Run, registers: dict[int, Any], step: Any) -> Any:
    arguments, keywords = call_parts(run, registers, step)
    called = operand(run, registers, step.get("of"))
    if not isinstance(called, run.torch.nn.Module):
        raise Refused(f"a call of {step.get('of')!r:.60}")
    if run.simulates:  # transformers looks at the numbers of a mask, which leaves all sizes as they are
        keywords.pop("attention_mask", None)
    return called(*arguments, **keywords)


# Functions of torch that make or join tensors, and are no methods of them.
TENSOR_FUNCTIONS = frozenset(
    "arange block_diag broadcast_tensors cartesian_prod cat column_stack concat concatenate dstack einsum empty eye"
    " full full_like hstack linspace meshgrid normal ones ones_like rand rand_like randint randint_like randn"
    " randn_like randperm stack tensor vstack where zeros zeros_like".split()
)
PLAIN_FUNCTIONS = {"abs": abs, "float": float, "int": int, "len": len, "list": list, "max": max, "min": min, "sum": sum}
MODULE_METHODS = frozenset(
    "encode_image extract_endpoints extract_features features forward forward_features forward_head"
    " forward_intermediates".split()
)
# Methods of tensors that reach out of the process' own numbers, take code, or have a memory.
REFUSED_METHODS = frozenset("apply_ backward map_ module_load register_hook set_ share_memory_ storage".split())


def do_function(run: Run, registers: dict[int, Any], step: Any) -> Any:
    arguments, keywords = call_parts(run, registers, step)
    return tensor_function(run, field(step, "name", str))(*arguments, **keywords)


def tensor_function(run: Run, name: str) -> Any:
    """A function of torch that computes with tensors alone: those that are methods too, and some that make tensors."""
    torch = run.torch
    space, _, last = name.rpartition(".")
    if space == "builtins" and last in PLAIN_FUNCTIONS:
        return PLAIN_FUNCTIONS[last]
    if last.startswith("_") or last in REFUSED_METHODS:
        raise Refused(f"the function {name}")
    if space == "torch" and (last in TENSOR_FUNCTIONS or callable(getattr(torch.Tensor, last, None))):
        found = getattr(torch, last, None)
    elif space in ("torch.nn.functional", "torch.linalg", "torch.fft", "torch.special"):
        found = getattr(resolve(run, space, ("torch.",)), last, None)
        home = getattr(found, "__module__", None) or "torch"
        found = found if str(home).split(".")[0] == "torch" else None
    else:
        raise Refused(f"the function {name}")
    if not callable(found):
        raise Refused(f"the function {name}, which is not in this torch")
    return found


def do_method(run: Run, registers: dict[int, Any], step: Any) -> Any:
    name, of = field(step, "name", str), operand(run, registers, step.get("of"))
    arguments, keywords = call_parts(run, registers, step)
    if isinstance(of, run.torch.nn.Module):
        if name not in MODULE_METHODS or not hasattr(of, name):
            raise Refused(f"the method {name} of a module")
    elif isinstance(of, (run.torch.Tensor, run.torch.Size, dict, list, tuple)):
        if name.startswith("_") or name in REFUSED_METHODS:
            raise Refused(f"the method {name}")
    else:
        raise Refused(f"the method {name} of a {type(of).__name__}")
    return getattr(of, name)(*arguments, **keywords)


def do_attribute(run: Run, registers: dict[int, Any], step: Any) -> Any:
    of, name = operand(run, registers, step.get("of")), field(step, "name", str)
    if name.startswith("_"):
        raise Refused(f"the attribute {name}")
    found = getattr(of, name)
    if callable(found) and not isinstance(found, run.torch.nn.Module):
        raise Refused(f"the attribute {name}")
    return found


def do_item(run: Run, registers: dict[int, Any], step: Any) -> Any:
    return operand(run, registers, step.get("of"))[operand(run, registers, step.get("index"))]


def do_set_item(run: Run, registers: dict[int, Any], step: Any) -> None:
    of, index, value = (operand(run, registers, step.get(name)) for name in ("of", "index", "value"))
    of[index] = value


OPERATORS = {
    "Add": "add", "Subtract": "sub", "Multiply": "mul", "Divide": "truediv", "FloorDivide": "floordiv",
    "Modulo": "mod", "Power": "pow", "MatrixMultiply": "matmul", "BitAnd": "and_", "BitOr": "or_", "BitXor": "xor",
    "LeftShift": "lshift", "RightShift": "rshift", "Equal": "eq", "NotEqual": "ne", "LessThan": "lt",
    "LessThanEqual": "le", "GreaterThan": "gt", "GreaterThanEqual": "ge", "Is": "is_", "IsNot": "is_not",
    "Minus": "neg", "Plus": "pos", "BitInvert": "invert", "Not": "not_",
}  # fmt: skip


def do_operator(run: Run, registers: dict[int, Any], step: Any) -> Any:
    name = OPERATORS.get(field(step, "operator", str))
    if name is None:
        raise Refused(f"the operator {step.get('operator')!r:.60}")
    parts = [operand(run, registers, step[key]) for key in ("of", "left", "right") if key in step]
    if step.get("in_place"):
        name = "i" + name.rstrip("_")
    return getattr(operator, name)(*parts)


PROGRAM: dict[str, Callable[[Run, dict[int, Any], Any], Any]] = {
    "module": do_module,
    "function": do_function,
    "method": do_method,
    "attribute": do_attribute,
    "item": do_item,
    "set_item": do_set_item,
    "binary": do_operator,
    "unary": do_operator,
}
