"""The lock of a Snakemake that was killed is removed, and that of one that may be alive is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deepcam import run_lock
from deepcam.errors import InputError

SNAKEMAKE = """
import sys, time
from pathlib import Path
from deepcam import run_lock
run_lock.LOCKS.mkdir(parents=True)
(run_lock.LOCKS / "0.output.lock").write_text("results/x")
run_lock.hold()
print("running", flush=True)
time.sleep(100)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def snakemake(folder):
    """A process that takes the locks as Snakemake does it."""
    program = Path(run_lock.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SNAKEMAKE], env=os.environ | {"PYTHONPATH": str(program)}, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"running\n"
    yield process
    process.kill()
    process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def locked():
    return (run_lock.LOCKS / "0.output.lock").exists()


def test_the_lock_of_a_live_process_stays(snakemake):
    with pytest.raises(InputError, match=r"remove its lock with: rm -r \.snakemake/locks"):
        run_lock.remove_stale()
    assert locked()


def test_the_lock_of_a_killed_process_is_removed(snakemake):
    kill(snakemake)
    run_lock.remove_stale()
    assert not locked()


def test_the_lock_of_another_snakemake_in_the_same_folder_stays(snakemake):
    run_lock.hold()
    kill(snakemake)
    with pytest.raises(InputError):
        run_lock.remove_stale()


@pytest.mark.parametrize(
    "change",
    [
        lambda: run_lock.HOLDER.unlink(),
        lambda: run_lock.HOLDER.write_text("the boot of another machine"),
        lambda: run_lock.HOLDER.write_text(""),
        lambda: os.utime(run_lock.LOCKS / "0.output.lock", (time.time() + 9,) * 2),
    ],
    ids=["unknown to this workflow", "another machine", "a file system without locks", "a later lock"],
)
def test_a_lock_stays_when_its_process_is_in_doubt(snakemake, change):
    kill(snakemake)
    change()
    with pytest.raises(InputError):
        run_lock.remove_stale()
    assert locked()


def test_without_a_lock_there_is_nothing_to_do(folder):
    run_lock.remove_stale()
    assert not list(folder.iterdir())
