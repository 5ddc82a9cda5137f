"""Starts the worker, hands it the plans and takes its answers. Needs no torch, and survives whatever the worker does.

One worker runs all plans of a run, so torch is imported once. A plan that it hangs or dies on costs that plan alone:
the rest goes to a fresh worker. The worker's own file says how it is kept from doing harm.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeAlias

from headcheck.confirm.observation import MalformedAnswer, Observation, lost, parse

Plan: TypeAlias = Mapping[str, Any]
Progress: TypeAlias = Callable[[int, int], None]

WORKER = Path(__file__).with_name("worker").resolve() / "__main__.py"
VERSION = 1
IMPORT_SECONDS = 60.0  # what the first answer may take on top, for importing torch from a cold disk
MAX_LOSSES = 5  # workers lost before the run is given up: each costs the imports, and perhaps a whole time limit
MISSING = re.compile(r"there is no \w+ in |\w+ does not import in ")  # a library of models
MAX_LINE = 16 * 2**20
SMALLEST_BUDGET = 2**30
BUDGET_WITHOUT_FACTS = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What running the plans showed: an observation for each plan's id, and where they ran.

    `notes` are single lines for standard error, such as why nothing could be confirmed.
    """

    observations: Mapping[int, Observation]
    interpreter: str
    torch_version: str | None
    notes: tuple[str, ...] = ()


class _Lost(Exception):
    """The worker says no more; the text is why."""


def confirm(
    plans: Sequence[Plan],
    *,
    python: str | None,
    device: str,
    timeout: float = 60.0,
    memory_bytes: int | None = None,
    on_progress: Progress | None = None,
) -> Confirmation:
    """Run every plan and say what was seen of each.

    `plans` have ids of their own each. `python` is the interpreter asked for (see `find_interpreter` for what is taken
    without one), `device` one of ``auto``, ``cpu``, ``cuda[:n]``, ``mps``, ``meta``. `timeout` is in seconds for each
    plan; the first has a minute more. `memory_bytes` bounds what one model may take (default: three quarters of what is
    free). `on_progress` is called with the number of different plans done and that of all of them. Nothing that the
    worker does raises here: a plan without an answer has an observation that says why.
    """
    groups = _equal_plans(plans)
    try:
        interpreter = find_interpreter(python)
    except FileNotFoundError as error:
        return _nothing(plans, python or "", f"not confirmed: {error}", device)
    if not groups:
        return Confirmation({}, interpreter, None)
    budget = memory_bytes if memory_bytes is not None else _memory_budget()
    session = _Session(interpreter, device, timeout, budget, on_progress)
    observations = session.run([group[0] for group in groups])
    by_id = {
        plan["id"]: _with_own_line(observations[index], plan) for index, group in enumerate(groups) for plan in group
    }
    missing = (seen.error for seen in observations if seen.status == "refused" and MISSING.match(seen.error))
    notes = dict.fromkeys([*session.notes, *(f"not all is confirmed: {error}" for error in missing)])
    return Confirmation(by_id, interpreter, session.torch_version, tuple(notes))


# --- the interpreter -------------------------------------------------------------------------------------------------


def find_interpreter(python: str | None) -> str:
    """The absolute path of the interpreter to confirm with. Raises FileNotFoundError if the one asked for is not there.

    In this order: `python`, the variable HEADCHECK_PYTHON, that of the active virtual environment, headcheck's own. All
    are the user's to choose. Nothing here looks at the folder being checked, and a bare name is never found there.
    """
    asked = python or os.environ.get("HEADCHECK_PYTHON")
    if asked:
        return _executable(asked)
    environment = os.environ.get("VIRTUAL_ENV", "")
    if os.path.isabs(environment):
        inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        found = os.path.join(environment, *inside)
        if os.path.isfile(found):
            return found
    return sys.executable


def _executable(asked: str) -> str:
    """The absolute path of an interpreter given as a path, or as a name on PATH.

    Links are not followed: a virtual environment's interpreter is one, and knows its packages by its own place.
    """
    if os.path.dirname(asked):
        found: str | None = os.path.abspath(os.path.expanduser(asked))
    else:
        absolute = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(folder)]
        found = shutil.which(asked, path=os.pathsep.join(absolute))
    if found is None or not os.path.isabs(found) or not os.path.isfile(found):
        raise FileNotFoundError(f"there is no interpreter {asked}")
    return found


# --- equal plans -----------------------------------------------------------------------------------------------------


def _equal_plans(plans: Sequence[Plan]) -> list[list[Plan]]:
    """The plans in groups that differ in nothing but their ids and the lines of the script they come from."""
    groups: dict[str, list[Plan]] = {}
    for plan in plans:
        what = {
            key: value for key, value in plan.items() if key not in ("id", "left_out", "taken", "shortened", "built")
        }
        groups.setdefault(json.dumps(_without_lines(what), sort_keys=True), []).append(plan)
    return list(groups.values())


def _without_lines(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_lines(inner) for key, inner in value.items() if key != "line"}
    return [_without_lines(inner) for inner in value] if isinstance(value, list | tuple) else value


def _with_own_line(observation: Observation, plan: Plan) -> Observation:
    """The observation of an equal plan, with the line that the step has in this one."""
    if observation.step is None or not 0 <= observation.step < len(plan["steps"]):
        return observation
    return replace(observation, line=plan["steps"][observation.step].get("line"))


# --- memory ----------------------------------------------------------------------------------------------------------


def _memory_budget() -> int:
    """Three quarters of the memory that is free, in bytes; a gibibyte at least."""
    free = [value for value in (_available(), _control_group_room()) if value is not None]
    return max(SMALLEST_BUDGET, min(free) * 3 // 4) if free else BUDGET_WITHOUT_FACTS


def _available() -> int | None:
    """What Linux says is available, in bytes."""
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _control_group_room() -> int | None:
    """What is left of a container's limit, in bytes."""
    limit, used = (_lines(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if not (limit and used and limit[0].isdigit() and used[0].isdigit()):
        return None
    return max(0, int(limit[0]) - int(used[0]))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return []  # not this system


# --- the worker ------------------------------------------------------------------------------------------------------


class _Session:
    """The workers of one run, one after another, and what they said."""

    def __init__(
        self, interpreter: str, device: str, timeout: float, memory_bytes: int, on_progress: Progress | None
    ) -> None:
        self.interpreter = interpreter
        self.request = {"version": VERSION, "device": device, "memory_bytes": memory_bytes, "seconds": timeout}
        self.device = device
        self.timeout = timeout
        self.on_progress = on_progress
        self.torch_version: str | None = None
        self.notes: list[str] = []

    def run(self, plans: Sequence[Plan]) -> list[Observation]:
        """An observation for each plan, in order."""
        observations: list[Observation] = []
        for _ in range(MAX_LOSSES):
            try:
                for observation in self._answers(plans[len(observations) :], len(observations)):
                    observations.append(observation)
                    if self.on_progress is not None:
                        self.on_progress(len(observations), len(plans))
                return observations
            except _Lost as loss:
                reason = str(loss)
                if self.torch_version is None:  # it never got as far as a plan: another would fare no better
                    self.notes.append(f"not confirmed: {reason}")
                    break
                observations.append(lost(reason, self.device))
        rest = len(plans) - len(observations)
        return observations + [lost(reason, self.device)] * rest

    def _answers(self, plans: Sequence[Plan], first: int) -> Iterator[Observation]:
        """The answers of one worker. Raises _Lost at the first plan that it does not answer."""
        if not plans:
            return
        # The worker's id of a plan is its place, whatever the caller's is.
        numbered = [{**plan, "id": first + index} for index, plan in enumerate(plans)]
        with _worker(self.interpreter, {**self.request, "plans": numbered}) as lines:
            self._greet(lines(self.timeout + IMPORT_SECONDS))
            for plan in numbered:
                answer = lines(self.timeout)
                if answer.get("id") != plan["id"]:
                    raise _Lost("the worker answers out of turn")
                try:
                    yield parse(answer)
                except MalformedAnswer as error:
                    raise _Lost(f"the worker's answer is malformed: {error}") from error

    def _greet(self, hello: dict[str, Any]) -> None:
        """Take the worker's first line. Raises _Lost if it says that there is no torch, or not the device asked for."""
        if hello.get("hello") != VERSION:
            raise _Lost(f"{self.interpreter} does not run the worker")
        note = hello.get("note")
        version = hello.get("torch")
        if not isinstance(version, str):
            raise _Lost(f"{note or 'no torch in ' + self.interpreter}; use --python")
        if hello.get("device_error"):
            raise _Lost(str(hello["device_error"]))
        self.torch_version = version
        if note:
            self.notes.append(str(note))


@contextmanager
def _worker(interpreter: str, request: dict[str, Any]) -> Iterator[Callable[[float], dict[str, Any]]]:
    """A worker at work on `request`; gives the function that waits so many seconds for its next line."""
    with tempfile.TemporaryDirectory(prefix="headcheck-") as folder, tempfile.TemporaryFile() as noise:
        with tempfile.TemporaryFile() as file:
            # A file, not a pipe: a process that never reads must not keep us from writing.
            file.write(json.dumps(request).encode("ascii"))
            file.seek(0)
            process, answers = _start(interpreter, folder, file, noise)
        received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(answers, received), daemon=True)
        reader.start()
        try:
            yield lambda seconds: _next(process, received, noise, seconds)
        finally:
            _end(process)


def _start(
    interpreter: str, folder: str, request: IO[bytes], noise: IO[bytes]
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start a worker in `folder`; gives the process and the file its answers come from.

    They come over a descriptor of their own, for anything may be printed to standard output. Windows passes on no
    others, so there the worker takes standard output for itself before it imports anything.
    """
    own = os.name == "posix"
    reading, writing = os.pipe() if own else (-1, 1)
    command = [interpreter, "-I", str(WORKER), str(writing)]
    try:
        process = subprocess.Popen(
            command,
            stdin=request,
            stdout=subprocess.DEVNULL if own else subprocess.PIPE,
            stderr=noise,
            cwd=folder,
            pass_fds=(writing,) if own else (),
            start_new_session=own,
        )
    except OSError as error:
        if own:
            os.close(reading)
        raise _Lost(f"{interpreter} does not start: {error.strerror}") from error
    finally:
        if own:
            os.close(writing)
    answers = os.fdopen(reading, "rb") if own else process.stdout
    assert answers is not None
    return process, answers


def _read(answers: IO[bytes], received: queue.SimpleQueue[bytes]) -> None:
    """Hand on each line; an empty one at the end."""
    with answers:
        line = b"-"
        while line:
            line = answers.readline(MAX_LINE)
            received.put(line)


def _next(
    process: subprocess.Popen[bytes], received: queue.SimpleQueue[bytes], noise: IO[bytes], seconds: float
) -> dict[str, Any]:
    """The next line, decoded. Raises _Lost if it does not come, or is no JSON object."""
    try:
        line = received.get(timeout=seconds)
    except queue.Empty:
        raise _Lost(f"no answer within {seconds:g} seconds") from None
    if not line:
        raise _Lost(_obituary(process, noise))
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Lost("the worker's answer is no JSON") from error
    if not isinstance(answer, dict):
        raise _Lost("the worker's answer is no object")
    return answer


def _obituary(process: subprocess.Popen[bytes], noise: IO[bytes]) -> str:
    """How the worker ended, and the last line of what it printed."""
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return "the worker closed its channel"
    how = f"exit status {code}"
    if code < 0:
        how = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    noise.seek(max(0, noise.seek(0, os.SEEK_END) - 4096))
    last = noise.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    said = "".join(character for character in "".join(last) if character.isprintable())[:200]
    return f"the worker died ({how})" + (f": {said}" if said else "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker and whatever it started; it has nothing to tidy up."""
    if process.poll() is None:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _nothing(plans: Sequence[Plan], interpreter: str, note: str, device: str) -> Confirmation:
    """A confirmation that confirms nothing."""
    return Confirmation({plan["id"]: lost(note, device) for plan in plans}, interpreter, None, (note,))
