"""The process that `tests.warm` forks workers from. It imports what a worker imports first, and does nothing else."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import socket
import sys
import warnings
from typing import Any

LARGEST = 2**20
DESCRIPTORS = 4


def serve() -> None:
    """Fork a worker for each message, until there are none to come."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        __import__("torch")
        __import__("torchvision")
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, LARGEST, DESCRIPTORS)
        if not message:
            break
        if os.fork() == 0:
            _attend(channel, json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _reap()
    _reap(wait=True)


def _reap(wait: bool = False) -> None:
    try:
        while os.waitpid(-1, 0 if wait else os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _attend(channel: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    """Fork the worker, and say how it ended to who waits for it."""
    channel.close()
    request, noise, answers, telling = descriptors
    worker = os.fork()
    if worker == 0:
        try:
            _become(message, request, noise, answers, telling)
        except SystemExit as end:
            if isinstance(end.code, str):
                os.write(2, end.code.encode())
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    for descriptor in (request, noise, answers):
        os.close(descriptor)
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # where nobody waits
        os.write(telling, b"%d\n" % status)
    os._exit(0)


def _become(message: dict[str, Any], request: int, noise: int, answers: int, telling: int) -> None:
    """Be a worker as `headcheck.confirm.runner` starts it."""
    os.setsid()
    os.write(telling, b"%d\n" % os.getpid())
    os.close(telling)
    os.chdir(message["folder"])
    os.environ.clear()
    os.environ.update(message["environment"])
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor, number in ((request, 0), (nowhere, 1), (noise, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = [message["worker"], str(answers)]
    runpy.run_path(message["worker"], run_name="__main__")
