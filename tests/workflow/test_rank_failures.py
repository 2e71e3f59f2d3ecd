"""When one rank fails, for whatever reason, the whole job ends soon, says why, and leaves no record."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from mpirun import mpirun

PROGRAM = """
import os, signal, sys
from deepcam.benchmark import arguments, run, timed_loop
from deepcam import cli
from mpi4py import MPI

real = timed_loop.open_reader

def sabotaged(*of):
    {sabotage}

if MPI.COMM_WORLD.rank == 1:
    timed_loop.open_reader = sabotaged
cli.run(lambda: run.run(arguments.parse(sys.argv[1:])))
"""


def run(folder: Path, sabotage: str) -> subprocess.CompletedProcess[str]:
    np.save(folder / "data-0.npy", np.zeros((16, 24, 16), np.float32))
    np.save(folder / "data-1.npy", np.zeros((16, 24, 16), np.float32))
    (folder / "program.py").write_text(PROGRAM.format(sabotage=sabotage))
    options = "--mode io --reader pread --cache cold --data-dirs . --batch-size 2 --outputfile record.json"
    return mpirun(2, f"program.py {options}", folder, timeout=60)


@pytest.mark.parametrize(
    ("sabotage", "told"),
    [
        (
            "raise OSError(5, 'Input/output error', 'data-1.npy')",
            "error: rank 1: OSError: [Errno 5] Input/output error",
        ),
        ("raise MemoryError()", "error: rank 1: MemoryError"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9 (Killed)"),
        ("os._exit(3)", "Exit code: 3"),
    ],
    ids=["input/output error", "out of memory", "killed", "gone"],
)
def test_one_rank_ends_all(tmp_path: Path, sabotage: str, told: str) -> None:
    ended = run(tmp_path, sabotage)
    assert ended.returncode != 0
    assert told in " ".join((ended.stderr + ended.stdout).split())
    assert not (tmp_path / "record.json").exists()


def test_without_a_fault_there_is_a_record(tmp_path: Path) -> None:
    ended = run(tmp_path, "return real(*of)")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "record.json").exists()
