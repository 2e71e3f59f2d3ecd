"""Running a program's ranks under mpirun, as the default profile does, with this checkout's code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def mpirun(ranks: int, program: str, folder: Path, timeout: int) -> subprocess.CompletedProcess[str]:
    """`program` is what follows `python -m mpi4py`; its output is kept. It has `timeout` seconds."""
    places = {
        "PYTHONPATH": str(ROOT / "workflow_scripts"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    launcher = f"mpirun --allow-run-as-root --bind-to none --map-by :OVERSUBSCRIBE -n {ranks} python -m mpi4py"
    command = [*launcher.split(), *program.split()]
    return subprocess.run(
        command, cwd=folder, env=os.environ | places, capture_output=True, text=True, timeout=timeout, check=False
    )
