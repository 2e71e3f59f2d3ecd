"""Runs one command at a time, and leaves none behind."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

KILL_AFTER_SECONDS = 30
"""Time in which a command that was asked to end may do so."""

_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent dies."""

_libc = ctypes.CDLL(None, use_errno=True)


class TimeLimitError(Exception):
    """The command took longer than its limit, and was ended."""


def run(command: Sequence[str], log: Path, timeout_seconds: float, environment: Mapping[str, str]) -> int:
    """Run a command with its output in `log`, and return its exit status, as subprocess gives it.

    The command ends with this process, however that ends. Raises TimeLimitError if it takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            preexec_fn=functools.partial(_end_with, os.getpid()),
        )
        try:
            return process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise TimeLimitError from None
        finally:
            _end(process)


def _end_with(parent: int) -> None:
    """In the child: ask the kernel to end it when its parent dies, and end it if that has happened already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(KILL_AFTER_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
