"""Variables that bind threads are cleared before a library reads them, and records say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deepcam.benchmark import environment, run, thread_binding
from deepcam.errors import InputError

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json, os
from deepcam.benchmark import environment, thread_binding
import torch
variables = environment.describe(1)["variables"]
left = [name for name in thread_binding.VARIABLES if name in os.environ]
print(json.dumps([sorted(os.sched_getaffinity(0)), left, variables]))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="binding to one of several cores needs two")
def test_torch_is_not_bound_to_a_core_by_a_preset_variable() -> None:
    preset = {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores", "GOMP_CPU_AFFINITY": "0", "OMP_THREAD_LIMIT": "1"}
    paths = {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | preset | paths, capture_output=True, text=True, check=True
    )
    cores, left, variables = json.loads(ended.stdout)
    assert cores == sorted(os.sched_getaffinity(0)) and not left
    assert variables.items() >= {thread_binding.CLEARED + name: value for name, value in preset.items()}.items()


def test_variables_of_libraries_are_recorded_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "ATEN_CPU_CAPABILITY", "CUFILE_LOGFILE_PATH", "DALI_AFFINITY_MASK", "DNNL_VERBOSE", "GLIBC_TUNABLES",
        "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KVIKIO_NTHREADS", "MALLOC_CONF", "MKL_DYNAMIC", "OMP_WAIT_POLICY",
        "ONEDNN_MAX_CPU_ISA",
    ]  # fmt: skip
    for name in [*names, "SECRET_OMP_TOKEN"]:
        monkeypatch.setenv(name, "x")
    variables = environment.describe(1)["variables"]
    assert {name for name, value in variables.items() if value == "x"} == set(names)


def test_a_rank_that_computes_says_how_many_threads_it_has_before_it_imports_libraries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")

    def stop(job: object) -> None:
        raise InputError("this is enough")

    monkeypatch.setattr(run, "check_job", stop)
    monkeypatch.setattr(run.ranks, "init_ranks", lambda number: SimpleNamespace(cores=(0, 1, 2)))
    job: Any = SimpleNamespace(cell=SimpleNamespace(ranks=1), training=None, engine_files=[Path("cuda0.pt2")])
    with pytest.raises(InputError, match="this is enough"):
        run.run(job)
    assert os.environ["OMP_NUM_THREADS"] == "3"
