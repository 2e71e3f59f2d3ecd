"""Ranks with the MPI library of a site, for which MPICH stands, and launchers that belong to another library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = "--mode io --reader pread --cache warm --data-dirs . --ranks 2 --batch-size 2 --outputfile record.json"
OPEN_MPI = "mpirun --allow-run-as-root --bind-to none --map-by :OVERSUBSCRIBE -n 2"


def run(folder: Path, launcher: str, library: Path | str | None) -> subprocess.CompletedProcess[str]:
    """Two ranks that read two samples, and that load this library, or the environment's."""
    for number in range(2):
        np.save(folder / f"data-{number}.npy", np.zeros((16, 24, 16), np.float32))
    places = {
        "PYTHONPATH": f"{ROOT / 'workflow_scripts'}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **({"MPI4PY_LIBMPI": f"{library}"} if library else {}),
    }
    command = [*launcher.split(), sys.executable, *["-m", "mpi4py", "-m", "run_benchmark"], *OPTIONS.split()]
    return subprocess.run(
        command, cwd=folder, env=os.environ | places, capture_output=True, text=True, timeout=120, check=False
    )


def errors(ended: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in ended.stderr.splitlines() if line.startswith("error:")]


def test_ranks_run_with_the_library_and_the_launcher_of_a_site(tmp_path: Path, mpich: Path) -> None:
    ended = run(tmp_path, f"{mpich / 'bin/mpiexec'} -n 2", mpich / "lib/libmpi.so.12")
    assert ended.returncode == 0, ended.stderr
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["environment"]["mpi"].startswith("MPICH Version: ")
    assert len(record["environment"]["ranks"]) == 2


def test_a_launcher_of_another_library_is_told_with_its_cure(tmp_path: Path, mpich: Path) -> None:
    ended = run(tmp_path, f"{mpich / 'bin/mpiexec'} -n 2", None)
    assert ended.returncode != 0
    told = (
        "ranks: 2 asked for but 1 started; the launcher does not belong to the MPI library that the ranks loaded "
        "(Open MPI v"
    )
    assert errors(ended) and all(told in line and "srun --mpi=pmix, or mpirun" in line for line in errors(ended))
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("library", ["/nowhere/libmpi.so", os.devnull])
def test_a_library_that_cannot_be_loaded_is_told_in_one_line(tmp_path: Path, library: str) -> None:
    ended = run(tmp_path, OPEN_MPI, library)
    assert ended.returncode != 0
    told = "the MPI library cannot be loaded ("
    assert errors(ended) and all(told in line and library in line for line in errors(ended))
    assert "Traceback" not in ended.stderr
