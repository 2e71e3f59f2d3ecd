"""One lock for the machine, whatever the temporary folder, the host name and the user are."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from deepcam.benchmark import arguments, machine_lock, run

ROOT = Path(__file__).parents[3]
NOBODY = 65534
PROGRAM = """
import logging, os, sys
from deepcam.benchmark import machine_lock
logging.basicConfig(stream=sys.stdout, format="%(message)s")
machine_lock.NAME = sys.argv[1]
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
with machine_lock.held():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """A lock of this test alone."""
    monkeypatch.setattr(machine_lock, "NAME", f"deepcam-test-{os.getpid()}")
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return machine_lock.NAME


@contextlib.contextmanager
def another(*words: object, before: Sequence[str] = (), **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that takes the lock, started by the command `before`. It ends in the end."""
    command = [*before, sys.executable, "-u", "-c", PROGRAM, machine_lock.NAME, *map(str, words)]
    paths = {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    with subprocess.Popen(
        command, env=os.environ | paths | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout
    assert select.select([process.stdout], [], [], 20)[0], "it prints nothing"
    return process.stdout.readline().strip()


def test_a_process_with_another_temporary_folder_waits_and_says_for_whom(tmp_path: Path) -> None:
    with machine_lock.held(), another(TMPDIR=str(tmp_path)) as waiting:
        told = line(waiting)
        assert told.startswith(f"waiting for another benchmark on this machine, process {os.getpid()} of user ")


def test_the_lock_is_free_once_its_holder_is_killed() -> None:
    with another() as holder:
        assert line(holder) == "held"
        with another() as waiting:
            assert f"process {holder.pid} " in line(waiting)
            holder.kill()
            assert line(waiting) == "held"


@pytest.mark.skipif(os.geteuid() != 0, reason="taking another user's place needs root")
def test_another_user_waits_and_then_holds_it() -> None:
    with contextlib.ExitStack() as stack:
        with machine_lock.held():
            waiting = stack.enter_context(another(NOBODY))
            assert line(waiting).endswith("of user root")
        assert line(waiting) == "held"


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_a_container_of_another_name_waits() -> None:
    container = ["unshare", "--uts", "--pid", "--fork", "sh", "-c", 'hostname of-a-container && exec "$@"', "sh"]
    with machine_lock.held(), another(before=container) as waiting:
        assert line(waiting).startswith(
            "waiting for another benchmark on this machine, a process outside of this container"
        )


def test_nodes_that_slurm_plays_on_one_machine_for_a_job_do_not_wait_for_each_other() -> None:
    first_node, second_node = ({"SLURM_JOB_ID": "7", "SLURMD_NODENAME": name} for name in ("n1", "n2"))
    with another(**first_node) as first, another(**second_node) as second:
        assert (line(first), line(second)) == ("held", "held")
        with another(**second_node) as waiting:
            assert "waiting" in line(waiting)


@pytest.mark.parametrize("job", ["7", "8", None])
def test_a_name_of_the_node_alone_gives_no_other_lock(job: str | None) -> None:
    with another(SLURMD_NODENAME="n1", SLURM_JOB_ID="7") as first:
        assert line(first) == "held"
        name = "n1" if job == "7" else "n2"
        with another(SLURMD_NODENAME=name, **({"SLURM_JOB_ID": job} if job else {})) as second:
            assert "waiting" in line(second)


def test_a_node_that_has_its_hosts_name_in_slurm_is_the_machine() -> None:
    with machine_lock.held(), another(SLURMD_NODENAME=os.uname().nodename.partition(".")[0]) as waiting:
        assert "waiting" in line(waiting)


def test_a_job_holds_the_lock_while_it_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class MeasuringError(Exception):
        pass

    def measure(*_: object) -> NoReturn:
        with socket.socket(socket.AF_UNIX) as another_one, pytest.raises(OSError, match="Address already in use"):
            another_one.bind(f"\0{machine_lock.NAME}")
        raise MeasuringError

    monkeypatch.setattr(run, "_measure", measure)
    np.save(tmp_path / "data-0.npy", np.zeros((16, 64, 16), np.float32))
    options = ["--mode", "io", "--reader", "pread", "--cache", "warm", "--batch-size", "1"]
    places = ["--data-dirs", str(tmp_path), "--outputfile", str(tmp_path / "record.json")]
    with pytest.raises(MeasuringError):
        run.run(arguments.parse([*options, *places]))


def test_a_network_of_its_own_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(machine_lock, "HOST_NETWORK", Path("/nowhere"))
    assert machine_lock.scope() == "network namespace"
    with machine_lock.held():
        assert "covers this container only" in caplog.text
