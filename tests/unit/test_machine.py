"""The CPU load of a node and of processes outside the job."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from deepcam import machine


def times(user: float, idle: float, iowait: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(user=user, nice=0.0, system=1.0, idle=idle, iowait=iowait, irq=0.0, softirq=0.0, steal=0.0)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (times(10.0, 10.0), times(13.0, 11.0), 0.75),
        (times(10.0, 10.0), times(11.0, 10.0, iowait=3.0), 0.25),
        (times(10.0, 10.0), times(10.0, 10.0), 0.0),
        # Sums of rounded seconds may differ by more than the elapsed time.
        (times(22783.51, 27431.07), times(22783.53, 27431.07), 1.0),
    ],
    ids=["busy", "waiting for storage", "no tick", "rounded"],
)
def test_the_busy_share_of_a_node(
    before: SimpleNamespace, after: SimpleNamespace, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((before, after))
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(now))
    found, others = machine.start_cpu_meter([])()
    assert found == pytest.approx(share)
    assert others == found  # there is no job
    assert 0 <= found <= 1


SPIN = "import time\nwhile time.process_time() < 0.4: pass"


def spinning() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SPIN])


def test_the_jobs_processes_and_their_ended_children_are_not_background_load(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(user=10.0, nice=0, system=1.0, idle=10.0, iowait=0, irq=0, softirq=0, steal=0)
    monkeypatch.setattr(psutil, "cpu_times", lambda: clock)
    child = spinning()
    shares = machine.start_cpu_meter([os.getpid(), child.pid])
    child.wait()
    clock.user, clock.idle = clock.user + 1.0, clock.idle + 1.0
    share, others = shares()
    assert share == 0.5
    assert others == pytest.approx(0.5 - 0.4 / 2, abs=0.1)  # starting and ending take some time too
