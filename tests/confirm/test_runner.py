"""What the runner makes of workers that hang, die or talk nonsense; the workers here are stubs that need no torch."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from confirm_plans import build, plan, put

from headcheck.confirm import runner
from headcheck.confirm.runner import Confirmation, confirm, find_interpreter

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stubs are shell scripts")
COLD = True  # see `tests.warm`

# Says hello like the worker; what it does with a plan is the `kind` of it.
STUB = """
    import json, os, signal, sys, time
    channel = os.fdopen(int(sys.argv[3]), "w")
    def say(message):
        channel.write(message if isinstance(message, str) else json.dumps(message) + chr(10))
        channel.flush()
    print("noise")
    say({"hello": 1, "python": "3.11.0", "torch": "2.0", "torchvision": None, "note": "a note"})
    for plan in json.load(sys.stdin)["plans"]:
        answer = {"id": plan["id"], "status": "ran", "total": len(plan["steps"])}
        match plan["kind"]:
            case "hang": time.sleep(60)
            case "die": os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                print("no more memory", file=sys.stderr)
                sys.exit(3)
            case "nonsense": say("{" + chr(10))
            case "number": say(5)
            case "malformed": say({**answer, "status": "fine"})
            case "another": say({**answer, "id": -1})
            case "raise": say({**answer, "status": "raised", "step": 1, "line": 99})
            case "no library": say({**answer, "status": "refused", "error": "there is no timm in /python"})
            case "log":
                with open(plan["root"], "a") as log:
                    log.write(".")
                say(answer)
            case _: say(answer)
"""


def script(folder: Path, text: str) -> str:
    """A shell script to pass for an interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def stub(tmp_path: Path) -> str:
    program = tmp_path / "stub.py"
    program.write_text(textwrap.dedent(STUB))
    return script(tmp_path, f'exec "{sys.executable}" -I "{program}" "$@"')


def run(python: str, *kinds: str, timeout: float = 10.0, **fields: Any) -> Confirmation:
    """Plans of these kinds, all different, with ids from 10 on."""
    plans = [
        {**plan(*[put(str(index), None)] * 2, kind=kind, **fields), "id": 10 + index}
        for index, kind in enumerate(kinds)
    ]
    return confirm(plans, python=python, device="cpu", timeout=timeout)


def outcomes(done: Confirmation) -> list[tuple[int, str, str]]:
    return [(identifier, seen.status, seen.error) for identifier, seen in done.observations.items()]


def test_plans_are_answered_under_their_own_ids(stub: str) -> None:
    done = run(stub, "fine", "fine")
    assert outcomes(done) == [(10, "ran", ""), (11, "ran", "")]
    assert (done.interpreter, done.torch_version, done.notes) == (stub, "2.0", ("a note",))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("die", "the worker died (SIGKILL)"),
        ("exit", "the worker died (exit status 3): no more memory"),
        ("hang", "no answer within 1 seconds"),
        ("nonsense", "the worker's answer is no JSON"),
        ("number", "the worker's answer is no object"),
        ("malformed", "the worker's answer is malformed: status 'fine'"),
        ("another", "the worker answers out of turn"),
    ],
)
def test_a_lost_worker_costs_one_plan(stub: str, kind: str, reason: str) -> None:
    done = run(stub, "fine", kind, "fine", timeout=1.0)
    assert outcomes(done) == [(10, "ran", ""), (11, "lost", reason), (12, "ran", "")]


def test_a_run_is_given_up_after_some_losses(stub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MAX_LOSSES", 2)
    done = run(stub, "die", "fine", "die", "fine", "fine")
    assert [status for _, status, _ in outcomes(done)] == ["lost", "ran", "lost", "lost", "lost"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 1", "the worker died (exit status 1)"),
        ("echo hello", "the worker died (exit status 0)"),
        ('echo "{}" > /dev/fd/$3', "does not run the worker"),
        (
            'echo "{\\"hello\\": 1, \\"torch\\": null, \\"note\\": \\"no torch here\\"}" > /dev/fd/$3',
            "no torch here; use --python",
        ),
        ("sleep 60", "no answer within 0.5 seconds"),
        ("sleep 60 &\nsleep 60", "no answer within 0.5 seconds"),
    ],
)
def test_an_interpreter_that_never_runs_the_worker_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(runner, "IMPORT_SECONDS", 0.0)
    tries = tmp_path / "tries"
    python = script(tmp_path, f'echo once >> "{tries}"\n{text}')
    done = run(python, "fine", "fine", timeout=0.5)
    assert [status for _, status, _ in outcomes(done)] == ["lost", "lost"]
    assert done.torch_version is None
    (note,) = done.notes
    assert note.startswith("not confirmed: ")
    assert reason in note
    assert tries.read_text() == "once\n"


def test_what_is_no_program_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text("")
    done = run(str(path), "fine")
    assert done.notes == (f"not confirmed: {path} does not start: Permission denied",)
    missing = run(str(tmp_path / "none"), "fine")
    assert missing.notes == (f"not confirmed: there is no interpreter {tmp_path / 'none'}",)
    assert [status for _, status, _ in outcomes(missing)] == ["lost"]


def test_without_plans_nothing_starts(tmp_path: Path) -> None:
    done = confirm([], python=script(tmp_path, f'echo started > "{tmp_path}/log"'), device="cpu")
    assert done.observations == {}
    assert not (tmp_path / "log").exists()


def test_equal_plans_run_once(stub: str, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    first, second = plan(put("a", None), kind="log", root=log), plan(put("b", None), kind="log", root=log)
    moved = {**first, "id": 1, "steps": [{**first["steps"][0], "line": 77}], "left_out": "something"}
    progress: list[tuple[int, int]] = []
    done = confirm(
        [first, moved, {**second, "id": 2}],
        python=stub,
        device="cpu",
        on_progress=lambda count, total: progress.append((count, total)),
    )
    assert Path(log).read_text() == ".."
    assert outcomes(done) == [(0, "ran", ""), (1, "ran", ""), (2, "ran", "")]
    assert progress == [(1, 2), (2, 2)]


def test_each_of_equal_plans_has_its_own_line(stub: str) -> None:
    first = plan(build("resnet18"), put("fc", None), kind="raise")
    second = {**first, "id": 1, "steps": [first["steps"][0], {**first["steps"][1], "line": 40}]}
    done = confirm([first, second], python=stub, device="cpu")
    assert [seen.line for seen in done.observations.values()] == [3, 40]


def test_a_big_request_to_a_worker_that_never_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "IMPORT_SECONDS", 0.0)
    done = run(script(tmp_path, "sleep 60"), "fine", timeout=0.2, root="x" * 2_000_000)
    assert done.observations[10].status == "lost"


def test_nothing_is_left_behind(stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    run(stub, "fine", "die", "hang", timeout=1.0)
    assert list((tmp_path / "temporary").iterdir()) == []


# --- which interpreter -----------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to be in, with a `python` that a hostile tree could hold, and no word from the environment."""
    for name in ("HEADCHECK_PYTHON", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    tree = tmp_path / "tree"
    (tree / "venv/bin").mkdir(parents=True)
    script(tree, "exit 1")
    script(tree / "venv/bin", "exit 1")
    monkeypatch.chdir(tree)
    return tree


def test_the_order_in_which_interpreters_are_taken(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_interpreter(None) == sys.executable
    environment = tmp_path / "environment/bin"
    environment.mkdir(parents=True)
    monkeypatch.setenv("VIRTUAL_ENV", str(environment.parent))
    assert find_interpreter(None) == sys.executable  # there is none in it
    active = script(environment, "exit 0")
    assert find_interpreter(None) == active
    named = script(tmp_path, "exit 0")
    monkeypatch.setenv("HEADCHECK_PYTHON", named)
    assert find_interpreter(None) == named
    assert find_interpreter(active) == active


def test_no_name_is_looked_up_in_the_folder_being_checked(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "venv")
    assert find_interpreter(None) == sys.executable
    monkeypatch.setenv("PATH", f".:{os.pathsep}venv/bin")
    with pytest.raises(FileNotFoundError):
        find_interpreter("python")
    monkeypatch.setenv("PATH", f".:{Path(sys.executable).parent}")
    assert find_interpreter(Path(sys.executable).name) == sys.executable


def test_a_path_is_taken_as_given_and_links_are_not_followed(bare: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(sys.executable)
    assert find_interpreter(str(link)) == str(link)
    assert find_interpreter("./python") == str(bare / "python")


# --- the memory budget -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "budget"),
    [
        ({"/proc/meminfo": ["MemTotal: 9 kB", f"MemAvailable: {8 * 2**20} kB"]}, 6 * 2**30),
        (
            {
                "/proc/meminfo": [f"MemAvailable: {8 * 2**20} kB"],
                "/sys/fs/cgroup/memory.max": [str(5 * 2**30)],
                "/sys/fs/cgroup/memory.current": [str(2**30)],
            },
            3 * 2**30,
        ),
        ({"/sys/fs/cgroup/memory.max": ["max"], "/sys/fs/cgroup/memory.current": ["5"]}, 4 * 2**30),
        ({"/proc/meminfo": ["MemAvailable: 1000 kB"]}, 2**30),
        ({}, 4 * 2**30),
    ],
)
def test_the_memory_budget(monkeypatch: pytest.MonkeyPatch, files: dict[str, list[str]], budget: int) -> None:
    monkeypatch.setattr(runner, "_lines", lambda path: files.get(path, []))
    assert runner._memory_budget() == budget


def test_a_library_that_is_not_there_is_said_in_one_line(stub: str) -> None:
    done = run(stub, "no library", "no library", "fine")
    assert done.notes == ("a note", "not all is confirmed: there is no timm in /python")
