"""The process: what it may do, what it imports, and its talk with the one that started it."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import re
import sys
import warnings
from typing import Any

from .plan import answer_plan
from .state import REFUSAL, VERSION, Libraries


def refuse_sockets() -> None:
    """No network for anything in this process; an audit hook cannot be taken back, and sees C code's calls too."""

    def refuse(event: str, _: Any) -> None:
        if event.startswith("socket.") and event != "socket.gethostname":
            raise PermissionError(f"{REFUSAL} network access ({event})")

    sys.addaudithook(refuse)
    here = os.getcwd()
    os.environ.update(HF_HUB_OFFLINE="1", TORCH_HOME=here, HF_HOME=here, XDG_CACHE_HOME=here)


def limit_memory(memory_bytes: int) -> None:
    """Let the process have its budget on top of what it holds now: the net under the counting on meta."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/statm", encoding="ascii") as file:
            held = int(file.read().split()[5]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = held + memory_bytes
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    except (ImportError, OSError, ValueError, IndexError):
        return  # no such limit on this system


def give_back_memory() -> None:
    """Let the system have what imports took and do not need any longer, where the C library can do so."""
    import ctypes  # torch has imported it already

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def end_if_orphaned(seconds: float) -> None:
    """The parent ends a plan that takes too long. Should the parent itself be gone, the system's alarm does it."""
    try:
        import signal

        signal.alarm(int(seconds))
    except (ImportError, AttributeError):
        return


def load_torch() -> tuple[Any, str | None]:
    """torch, or None and why it is not there."""
    if importlib.util.find_spec("torch") is None:
        import site

        user = site.getusersitepackages()
        if os.path.isdir(os.path.join(user, "torch")):
            return None, f"no torch in {sys.executable} but in {user}, which isolated interpreters do not use"
        return None, f"no torch in {sys.executable}"
    try:
        return importlib.import_module("torch"), None
    except Exception as error:
        return None, f"torch does not import in {sys.executable}: {error!r:.200}"


def load_torchvision(torch: Any) -> tuple[Any, str | None]:
    """torchvision, or None and why it is not there. One whose compiled operators do not load still builds models."""
    if importlib.util.find_spec("torchvision") is None:
        return None, f"no torchvision in {sys.executable}"
    note = None
    try:
        torchvision = importlib.import_module("torchvision")
    except Exception as first:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        try:
            define_operators(torch)
            torchvision = importlib.import_module("torchvision")
        except Exception:
            return None, f"torchvision does not import in {sys.executable}: {first!r:.200}"
    if not importlib.import_module("torchvision.extension")._has_ops():
        note = "torchvision's compiled operators do not load: detection models cannot be run"
    return torchvision, note


LIBRARIES_DEFINED: list[Any] = []  # a torch.library.Library takes its definitions with it when it is collected


def define_operators(torch: Any) -> None:
    """Declare the operators that torchvision expects its compiled part to have declared before it imports."""
    library = torch.library.Library("torchvision", "DEF")
    LIBRARIES_DEFINED.append(library)
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def choose_device(torch: Any, wanted: Any) -> tuple[str, str | None]:
    """The device to run on, and why if it cannot be used. `auto` takes an accelerator if there is one."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda", None
        return ("mps" if torch.backends.mps.is_available() else "cpu"), None
    if not isinstance(wanted, str) or not re.fullmatch(r"cpu|meta|mps|(cuda|xpu)(:\d+)?", wanted):
        return "cpu", f"device {wanted!r:.60}"
    try:
        if wanted not in ("cpu", "meta"):
            torch.empty(1, device=wanted)
    except Exception as error:
        return wanted, f"device {wanted} cannot be used: {str(error).strip().splitlines()[0]:.200}"
    return wanted, None


def needs_torchvision(plans: Any) -> bool:
    return '"torchvision.' in json.dumps(plans)


def load_libraries(request: Any) -> tuple[Libraries | None, str | None]:
    """What the request needs; without torch, None and why."""
    warnings.simplefilter("ignore")
    torch, note = load_torch()
    if torch is None:
        return None, note
    torchvision = None
    if needs_torchvision(request.get("plans")):
        torchvision, note = load_torchvision(torch)
    device, device_error = choose_device(torch, request.get("device", "cpu"))
    return Libraries(torch, torchvision, device, device_error), note


def say_hello(answers: Any, libraries: Libraries | None, note: str | None) -> None:
    torch = libraries and libraries.torch
    torchvision = libraries and libraries.torchvision
    hello = {
        "hello": VERSION,
        "python": ".".join(map(str, sys.version_info[:3])),
        "torch": str(torch.__version__) if torch else None,
        "torchvision": str(getattr(torchvision, "__version__", "unknown")) if torchvision else None,
        "note": note,
        "device_error": libraries and libraries.device_error,
    }
    write(answers, hello)


def write(answers: Any, message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def private_channel(descriptor: int) -> Any:
    """The file that answers go to. Standard output is sent to standard error: what libraries print is noise."""
    answers = os.fdopen(os.dup(descriptor), "w", encoding="utf-8")
    if descriptor > 2:
        os.close(descriptor)
    os.dup2(2, 1)
    return answers


def main() -> None:
    answers = private_channel(int(sys.argv[1]))
    request = json.load(sys.stdin)
    if request.get("version") != VERSION:
        raise SystemExit(f"version {request.get('version')!r} of the protocol, not {VERSION}")
    refuse_sockets()
    gc.set_threshold(2_000, 10, 1_000)  # imports make some garbage, but none worth a search of everything there is
    libraries, note = load_libraries(request)
    say_hello(answers, libraries, note)
    if libraries is not None:
        memory_bytes = int(request["memory_bytes"])
        if libraries.device in ("cpu", "meta"):
            limit_memory(memory_bytes)
        gc.disable()
        if libraries.device != "meta":  # where there are no numbers
            libraries.torch.manual_seed(0)
        give_back_memory()
        gc.freeze()
        for plan in request["plans"]:
            end_if_orphaned(2 * request.get("seconds", 300) + 10)
            write(answers, answer_plan(libraries, plan, memory_bytes))
            gc.collect()  # modules with gradients are cycles; the next model needs their memory
    answers.flush()
    os._exit(0)  # torch takes long to tear down
