"""This machine's CPU, memory and GPUs, from /proc, /sys and /dev. Nothing here imports torch, which takes seconds."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

BF16_FLAGS = ("amx_bf16", "avx512_bf16")
"""CPU flags of bfloat16 multiplication in hardware. Without one, oneDNN emulates it, which is slower than float32."""

ISA_FLAGS = (*BF16_FLAGS, "amx_tile", "avx512_fp16", "avx512_vnni", "avx512f", "avx2", "fma")
"""CPU flags that decide which machine code is generated and which kernels run."""

NVIDIA = Path("/proc/driver/nvidia")


def cpu() -> tuple[str, frozenset[str]]:
    """Return the model name and the feature flags of the first CPU, from /proc/cpuinfo ("Features" on Arm)."""
    pairs = [line.partition(":") for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()]
    entries = {key.strip(): value.strip() for key, _, value in reversed(pairs)}
    flags = entries.get("flags", entries.get("Features", ""))
    return entries.get("model name", platform.machine()), frozenset(flags.split())


def boot_id() -> str:
    """Identify the running kernel. Containers on one host share it and its page cache."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


def start_cpu_meter(job: Iterable[int]) -> Callable[[], tuple[float, float]]:
    """Start to measure CPU load. The returned function gives the shares of all cores' time since then, 0 to 1.

    The first share is busy time, the second is busy time outside the processes `job` (process ids of this node).
    Waiting for storage counts as idle, time stolen by the hypervisor as outside the job. Kernel threads count as
    outside the job, even those that carry out its reads and writes.
    """
    processes = [psutil.Process(pid) for pid in job]

    def times() -> tuple[float, float, float]:
        now = psutil.cpu_times()
        busy = now.user + now.nice + now.system + now.irq + now.softirq + now.steal
        return busy, busy + now.idle + now.iowait, cpu_seconds(processes)

    busy_before, all_before, job_before = times()

    def shares() -> tuple[float, float]:
        busy, total, own = times()
        if total <= all_before:  # less than a tick of this clock has passed
            return 0.0, 0.0
        share = (busy - busy_before) / (total - all_before)
        outside = (busy - busy_before - own + job_before) / (total - all_before)
        # The seconds are sums of rounded numbers, so the quotients may exceed their limits.
        return min(1.0, share), min(1.0, max(0.0, outside))

    return shares


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU time of processes and of their ended children. An ended process counts only with its parent."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            now = process.cpu_times()
            total += now.user + now.system + now.children_user + now.children_system
    return total


def peak_rss_bytes(pid: int) -> int:
    """Return the peak resident set size of a process since it started (VmHWM of /proc/PID/status)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


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
