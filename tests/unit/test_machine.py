"""The CPU time of a node's cores, of processes, and of the kernel's threads."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deepcam import cgroup, machine
from deepcam.machine import CpuTime

CORES = sorted(os.sched_getaffinity(0))
SPIN = "import sys, time\nwhile time.process_time() < float(sys.argv[1]): pass\n"


@contextlib.contextmanager
def started(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python program, which is stopped in the end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class Kernel:
    """A made-up /proc of two cores and some kernel threads, and the clocks of processes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.wall, self.clocks = folder, 100.0, dict.fromkeys((10, 2), 0.0)
        self.idle = {0: 50.0, 1: 50.0}
        self.status(2, flags=machine.PF_KTHREAD)
        self.status(10)
        self.write()
        monkeypatch.setattr(machine, "PROC", folder)
        monkeypatch.setattr(machine, "_cpu_clock", self.clocks.get)
        monkeypatch.setattr(machine.time, "perf_counter", lambda: self.wall)

    def status(self, process: int, core: int = 0, flags: int = 0) -> None:
        fields = ["S", *["0"] * 49]
        fields[machine.FLAGS], fields[machine.PROCESSOR] = str(flags), str(core)
        (self.proc / str(process)).mkdir(exist_ok=True)
        (self.proc / f"{process}/stat").write_text(f"{process} (a) b (c)) {' '.join(fields)}\n")

    def thread(self, process: int, core: int, seconds: float) -> None:
        """A kernel thread that ran on a core last, and for so long in all."""
        self.status(process, core, machine.PF_KTHREAD)
        self.clocks[process] = seconds

    def write(self) -> None:
        # As in /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice.
        lines = [
            f"cpu{core} 1 2 3 {seconds * 50:.0f} {seconds * 50:.0f} 6 7 8 9 10" for core, seconds in self.idle.items()
        ]
        (self.proc / "stat").write_text("\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *lines, "intr 1 2 3", "ctxt 5", ""]))
        children = self.proc / "2/task/2/children"
        children.parent.mkdir(parents=True, exist_ok=True)
        children.write_text(" ".join(str(process) for process in self.clocks if process not in (2, 10)))

    def passes(self, seconds: float, idle: tuple[float, float], job: float) -> None:
        """Let time pass, in which each core is idle for so long, and the job works on them."""
        self.wall += seconds
        self.idle = {core: before + more for (core, before), more in zip(self.idle.items(), idle, strict=True)}
        self.clocks[10] += job
        self.write()


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def test_what_the_jobs_cores_did_besides_the_job_is_background_load(kernel: Kernel) -> None:
    since = machine.start_cpu_meter([10], {1})
    kernel.passes(1.0, idle=(0.0, 0.4), job=0.35)
    used = since()
    assert used.node_utilisation == pytest.approx(0.8)
    assert used.background_load == pytest.approx(0.25)


def test_load_on_other_cores_is_not_the_jobs(kernel: Kernel) -> None:
    since = machine.start_cpu_meter([10], {1})
    kernel.passes(1.0, idle=(0.0, 0.5), job=0.5)
    assert since().background_load == pytest.approx(0.0)


def test_two_busy_cores_of_many_are_seen_if_they_are_the_jobs(kernel: Kernel) -> None:
    kernel.idle = dict.fromkeys(range(64), 10.0)
    kernel.write()
    since = machine.start_cpu_meter([10], {62, 63})
    kernel.passes(1.0, idle=(*[1.0] * 62, 0.0, 0.0), job=0.0)
    used = since()
    assert used.node_utilisation == pytest.approx(2 / 64)
    assert used.background_load == 1.0


def test_kernel_threads_on_the_jobs_cores_work_for_the_job(kernel: Kernel) -> None:
    kernel.thread(11, core=1, seconds=5.0)
    kernel.thread(12, core=0, seconds=5.0)
    kernel.write()
    since = machine.start_cpu_meter([10], {1})
    kernel.thread(11, core=1, seconds=5.2)
    kernel.thread(12, core=0, seconds=5.4)
    kernel.thread(13, core=1, seconds=0.1)  # new
    kernel.passes(1.0, idle=(0.6, 0.1), job=0.2)
    assert since().background_load == pytest.approx(0.9 - 0.2 - 0.2 - 0.1)


def test_a_process_2_that_is_no_kernel_thread_has_ordinary_children(kernel: Kernel) -> None:
    """In a container the kernel's threads are invisible, and the number belongs to another process."""
    kernel.status(2)
    kernel.thread(11, core=1, seconds=5.0)
    kernel.write()
    since = machine.start_cpu_meter([10], {1})
    kernel.thread(11, core=1, seconds=5.5)
    kernel.passes(1.0, idle=(1.0, 0.5), job=0.0)
    assert since().background_load == pytest.approx(0.5)


def test_a_core_that_goes_offline_is_left_out(kernel: Kernel) -> None:
    since = machine.start_cpu_meter([10], {0, 1})
    kernel.passes(1.0, idle=(0.76, 0.0), job=0.0)
    del kernel.idle[1]
    kernel.write()
    assert since() == CpuTime(pytest.approx(0.24), 1.0, pytest.approx(0.24), 1.0)


def test_time_without_cpu_for_want_of_quota_is_that_of_the_period(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "throttled_seconds", iter([5.0, 5.5]).__next__)
    since = machine.start_cpu_meter([10], {1})
    kernel.passes(1.0, idle=(0.0, 0.5), job=0.5)
    assert since().throttled == 0.5


def test_time_without_cpu_is_unknown_if_the_control_groups_are(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "throttled_seconds", lambda: None)
    used = machine.start_cpu_meter([10], {1})()
    assert used.throttled is None
    assert (CpuTime(node=1.0) + used).throttled is None


def test_shares_of_several_periods_are_those_of_their_sum() -> None:
    """The steps of the kernel's clock, which make a short period's time negative or too long, cancel out."""
    used = CpuTime(busy=0.9, node=2.0, background=-0.1, own=1.0) + CpuTime(busy=0.3, node=2.0, background=0.2, own=1.0)
    assert used.node_utilisation == pytest.approx(0.3)
    assert used.background_load == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("used", "share"),
    [(CpuTime(), 0.0), (CpuTime(-0.01, 1, -0.01, 1), 0.0), (CpuTime(1.01, 1, 1.01, 1), 1.0)],
    ids=["no time", "negative", "too long"],
)
def test_shares_are_within_0_and_1(used: CpuTime, share: float) -> None:
    assert used.node_utilisation == used.background_load == share


def test_a_busy_process_on_the_jobs_core_is_background_load() -> None:
    with started(SPIN, 60) as stranger:
        os.sched_setaffinity(stranger.pid, {CORES[0]})
        since, before = machine.start_cpu_meter([os.getpid()], {CORES[0]}), machine.cpu_seconds([stranger.pid])
        time.sleep(0.5)
        taken = machine.cpu_seconds([stranger.pid]) - before
        used = since()
    assert taken > 0.01
    # Other programs on this core may have taken more of it.
    assert taken - 0.05 < used.background < used.own + 0.05


def test_a_process_of_the_job_is_no_background_load() -> None:
    with started(SPIN, 60) as worker:
        os.sched_setaffinity(worker.pid, {CORES[0]})
        of_stranger = machine.start_cpu_meter([os.getpid()], {CORES[0]})
        of_worker, before = (
            machine.start_cpu_meter([os.getpid(), worker.pid], {CORES[0]}),
            machine.cpu_seconds([worker.pid]),
        )
        time.sleep(0.5)
        taken = machine.cpu_seconds([worker.pid]) - before
        difference = of_stranger().background - of_worker().background
    assert difference == pytest.approx(taken, abs=0.05)


def test_the_cpu_time_of_another_process_is_exact() -> None:
    code = SPIN + "print(time.process_time(), flush=True)\nsys.stdin.read()"
    for seconds in (0.013, 0.037):
        with started(code, seconds) as process:
            told = float(process.stdout.readline())
            wait_until_asleep(process.pid)
            assert told <= machine.cpu_seconds([process.pid]) < told + 0.002


def test_an_ended_process_counts_until_its_parent_has_waited_and_then_with_the_parent() -> None:
    before = machine.cpu_seconds([os.getpid()])
    with started(SPIN, 0.1) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert machine.cpu_seconds([process.pid]) >= 0.1
        ours = machine.cpu_seconds([os.getpid()])
        process.wait()
        assert machine.cpu_seconds([process.pid]) == 0.0
    assert ours < before + 0.1 <= machine.cpu_seconds([os.getpid()])


def test_ended_children_of_another_process_count_with_it() -> None:
    code = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN!r}, '0.2'])\nprint(flush=True)\ninput()"
    )
    with started(code) as process:
        process.stdout.readline()
        assert machine.cpu_seconds([process.pid]) >= 0.2


def wait_until_asleep(process: int) -> None:
    """Until it has used all the time that it is going to use."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < deadline
        time.sleep(0.001)
