"""This machine's CPU, memory and GPUs, from /proc, /sys and /dev. Nothing here imports torch, which takes seconds."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import platform
import resource
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from deepcam import cgroup

BF16_FLAGS = ("amx_bf16", "avx512_bf16")
"""CPU flags of bfloat16 multiplication in hardware. Without one, oneDNN emulates it, which is slower than float32."""

ISA_FLAGS = (*BF16_FLAGS, "amx_tile", "avx512_fp16", "avx512_vnni", "avx512f", "avx2", "fma")
"""CPU flags that decide which machine code is generated and which kernels run."""

NVIDIA = Path("/proc/driver/nvidia")

PROC = Path("/proc")

TICKS = os.sysconf("SC_CLK_TCK")
"""Steps per second in which /proc tells CPU times: 100 on every common system."""

FLAGS, CUTIME, CSTIME, PROCESSOR = 6, 13, 14, 36
"""Fields of /proc/PID/stat, counted from the state, see proc_pid_stat(5)."""

KTHREADD, PF_KTHREAD = 2, 0x00200000
"""The kernel thread that starts the others, and the flag of kernel threads."""


def cpu() -> tuple[str, frozenset[str]]:
    """Return the model name and the feature flags of the first CPU, from /proc/cpuinfo ("Features" on Arm)."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        pairs = [line.partition(":") for line in itertools.takewhile(str.strip, lines)]  # an empty line ends the first
    entries = {key.strip(): value.strip() for key, _, value in pairs}
    flags = entries.get("flags", entries.get("Features", ""))
    return entries.get("model name", platform.machine()), frozenset(flags.split())


def boot_id() -> str:
    """Identify the running kernel. Containers on one host share it and its page cache."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


@dataclasses.dataclass(frozen=True)
class CpuTime:
    """How the time of a node's cores was used, in seconds. The times of several periods can be added up.

    Add up before taking shares: the kernel counts the idle time of each core in steps of 10 ms, so that shares of short
    periods are inexact, and `background` can be slightly negative.
    """

    busy: float = 0.0
    """Time in which cores of the node were not idle. A core that waits for storage is idle."""
    node: float = 0.0
    """Time of all cores of the node."""
    background: float = 0.0
    """Time that processes outside the job took on the job's own cores."""
    own: float = 0.0
    """Time of the job's own cores."""
    throttled: float | None = 0.0
    """Time for which the kernel held back this process's control groups, for their CPU quota, on all cores; None if
    no group is visible."""

    def __add__(self, other: CpuTime) -> CpuTime:
        return CpuTime(
            busy=self.busy + other.busy,
            node=self.node + other.node,
            background=self.background + other.background,
            own=self.own + other.own,
            throttled=_total(self.throttled, other.throttled),
        )

    @property
    def node_utilisation(self) -> float:
        """Share of the time of all cores in which they were busy, 0 to 1."""
        return _share(self.busy, self.node)

    @property
    def background_load(self) -> float:
        """Share of the time of the job's own cores that processes outside the job took, 0 to 1."""
        return _share(self.background, self.own)


def _total(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _share(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole else 0.0


def start_cpu_meter(job: Iterable[int], cores: Collection[int]) -> Callable[[], CpuTime]:
    """Start to measure the load of this node. The returned function gives the times since then.

    `job` are the ids of the job's processes on this node, `cores` the numbers of their cores. What these cores did
    other than idle, run the job, and run kernel threads was done by processes outside the job, or by the hypervisor.
    Kernel threads work for the job itself, for example when they write back files or receive from the network. In a
    container they are invisible, and count as processes outside the job.

    Idle time is used because it is exact but for the 10 ms steps in which it is told. Busy time in /proc/stat is
    sampled, and misses or exaggerates work that comes in short bursts.
    """
    job = tuple(job)
    before = _read_clocks(job)

    def since() -> CpuTime:
        after = _read_clocks(job)
        elapsed = after.wall - before.wall
        busy = {core: elapsed - after.idle[core] + before.idle[core] for core in after.idle.keys() & before.idle.keys()}
        own = busy.keys() & cores
        job_seconds = after.job - before.job + _kernel_seconds(before, after, cores)
        return CpuTime(
            busy=sum(busy.values()),
            node=elapsed * len(busy),
            background=sum(busy[core] for core in own) - job_seconds,
            own=elapsed * len(own),
            throttled=_total(after.throttled, -before.throttled if before.throttled is not None else None),
        )

    return since


class _Clocks(NamedTuple):
    """Seconds on several clocks at one time."""

    wall: float
    idle: dict[int, float]
    """Of each core that is online."""
    job: float
    kernel: dict[int, float]
    """Of each kernel thread."""
    throttled: float | None


def _read_clocks(job: tuple[int, ...]) -> _Clocks:
    wall, throttled = time.perf_counter(), cgroup.throttled_seconds()
    return _Clocks(wall, _idle_seconds(), cpu_seconds(job), _kernel_clocks(), throttled)


def _idle_seconds() -> dict[int, float]:
    """Return how long each online core has been idle, waiting for storage included (cpuN in /proc/stat)."""
    found = {}
    with open(PROC / "stat", encoding="ascii") as lines:
        for line in itertools.takewhile(lambda line: line.startswith("cpu"), lines):
            name, _, _, _, idle, iowait, *_ = line.split()
            if name != "cpu":  # all cores together
                found[int(name.removeprefix("cpu"))] = (int(idle) + int(iowait)) / TICKS
    return found


def _kernel_clocks() -> dict[int, float]:
    """Return the CPU time of each kernel thread; empty if they are invisible, as in a container.

    With 2,000 of them this takes about 3 ms, because a clock is read without opening a file.
    """
    try:
        if not int(_status(KTHREADD)[FLAGS]) & PF_KTHREAD:
            return {}
        threads = map(int, (PROC / f"{KTHREADD}/task/{KTHREADD}/children").read_text(encoding="ascii").split())
    except OSError:
        return {}
    clocks = ((thread, _cpu_clock(thread)) for thread in threads)
    return {thread: seconds for thread, seconds in clocks if seconds is not None}


def _kernel_seconds(before: _Clocks, after: _Clocks, cores: Collection[int]) -> float:
    """Return the CPU time of kernel threads on `cores`. All time of a thread counts for the core that it ran on last.

    The kernel keeps most of its threads on one core.
    """
    used = {thread: seconds - before.kernel.get(thread, 0.0) for thread, seconds in after.kernel.items()}
    return sum(seconds for thread, seconds in used.items() if seconds > 0 and _last_core(thread) in cores)


def _last_core(process: int) -> int | None:
    with contextlib.suppress(OSError):
        return int(_status(process)[PROCESSOR])
    return None


def _status(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third, the state: the second, the name, may contain spaces."""
    return (PROC / f"{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def cpu_seconds(processes: Iterable[int]) -> float:
    """Return the CPU time of processes and of their ended children, in seconds. `processes` are process ids.

    A process that has ended counts only with its parent, once that has waited for it. The time of a thread that runs
    at this moment, other than the caller's, may lag by a tick of the scheduler, at most 10 ms.
    """
    clocks = ((process, _cpu_clock(process)) for process in processes)
    return sum(seconds + _seconds_of_children(process) for process, seconds in clocks if seconds is not None)


def _cpu_clock(process: int) -> float | None:
    """Return the CPU time of a process without that of its children, in seconds; None if it has ended."""
    # How the C library makes the number of a process's clock, see clock_getcpuclockid(3).
    try:
        return time.clock_gettime(~process << 3 | 2)
    except OSError:
        return None


def _seconds_of_children(process: int) -> float:
    """Return the CPU time of a process's ended children: exact for our own, else in steps of 10 ms."""
    if process == os.getpid():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime
    with contextlib.suppress(OSError):
        status = _status(process)
        return (int(status[CUTIME]) + int(status[CSTIME])) / TICKS
    return 0.0


def peak_rss_bytes(process: int) -> int:
    """Return the peak resident set size of a process since it started (VmHWM of /proc/PID/status)."""
    status = (PROC / f"{process}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def bytes_read_from_storage(process: int) -> int:
    """Return how many bytes the kernel has read from storage for a process (read_bytes of /proc/PID/io)."""
    return _io_count(process, "read_bytes")


def bytes_returned_by_reads(process: int) -> int:
    """Return how many bytes read calls have returned to a process, wherever they came from (rchar of /proc/PID/io)."""
    return _io_count(process, "rchar")


def _io_count(process: int, name: str) -> int:
    counts = (PROC / f"{process}/io").read_text(encoding="ascii")
    return int(f"\n{counts}".partition(f"\n{name}:")[2].split()[0])


def page_faults() -> int:
    """Return how many page faults this process has had: pages that were mapped, cleared or read in when touched."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def isa() -> list[str]:
    """Return the ISA_FLAGS that this CPU has, sorted."""
    return sorted(cpu()[1].intersection(ISA_FLAGS))


def governor() -> str | None:
    """Return the frequency governor of the first CPU; None if the kernel has none, as in most virtual machines."""
    file = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def numa_nodes() -> int:
    """Return the number of NUMA nodes, at least 1."""
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1


def nvidia_driver() -> str | None:
    """Return the version of the NVIDIA kernel module; None if it is not loaded or not visible (WSL)."""
    version = Path("/sys/module/nvidia/version")
    return version.read_text(encoding="utf-8").strip() if version.is_file() else None


def gpu_models() -> list[str]:
    """Return the models of this machine's NVIDIA GPUs, in the order of their bus addresses."""
    return [
        line.partition(":")[2].strip()
        for path in sorted(NVIDIA.glob("gpus/*/information"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("Model:")
    ]


def gpu_indices() -> list[int]:
    """Return the indices of this node's NVIDIA GPUs, from their device files."""
    names = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted(int(name) for name in names if name.isdigit())


def identity(device: str) -> list[str]:
    """Return what an engine for `device` depends on: the CPU, and for a GPU also all GPUs' models and the driver.

    The result does not say which GPU has which index. Loading an engine compares that.
    """
    name, _ = cpu()
    if not device.startswith("cuda"):
        return [name, *isa()]
    return [name, *isa(), *gpu_models(), f"driver {nvidia_driver()}"]
