"""Processes whose time and memory are measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run(command: Sequence[Any], **more: Any) -> tuple[str, dict[str, Any]]:
    """What a command prints, and its seconds, its CPU seconds and its peak memory, with those of its children."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
    assert process.stdout is not None
    with process.stdout:
        printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"{command} failed")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return printed, {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": usage.ru_maxrss * 1024}


def worker(folder: Path, step: str, number: int, launcher: Sequence[str] = ()) -> dict[str, Any]:
    """What a step of scale.py finds in a process of its own, and the peak memory of that process."""
    program = Path(__file__).with_name("scale.py")
    module = ["-m", "mpi4py"] if launcher else []
    command = [*launcher, sys.executable, *module, program, "--dir", folder, "--worker", step, str(number)]
    printed, measured = run(command)
    found = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {**(found[-1] if found else {}), f"{step}_peak_bytes": measured["peak_bytes"]}
