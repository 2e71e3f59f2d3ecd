"""This machine as /proc, /sys and /dev show it: CPU, memory, GPUs. Asking torch would take seconds."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

BF16_FLAGS = ("amx_bf16", "avx512_bf16")
"""CPU flags of hardware that multiplies bfloat16; without one, oneDNN emulates it, slower than float32."""

ISA_FLAGS = (*BF16_FLAGS, "amx_tile", "avx512_fp16", "avx512_vnni", "avx512f", "avx2", "fma")
"""CPU flags that decide which machine code is compiled and which kernels run."""

NVIDIA = Path("/proc/driver/nvidia")


def cpu() -> tuple[str, frozenset[str]]:
    """Model name and feature flags of the first CPU, from /proc/cpuinfo ("Features" on Arm)."""
    pairs = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    entries = {key.strip(): value.strip() for key, _, value in reversed(pairs)}
    flags = entries.get("flags", entries.get("Features", ""))
    return entries.get("model name", platform.machine()), frozenset(flags.split())


def boot_id() -> str:
    """Of the kernel, and so of its page cache: alike in all containers of a machine, and nowhere else."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def cpu_meter(job: Iterable[int]) -> Callable[[], tuple[float, float]]:
    """A function that returns which share of all cores' time since now was busy, and which with others than the job.

    `job` are process ids of this node. Waiting for storage is idle; what the hypervisor took away is others'. The
    kernel's own threads count as others: those that carry a job's reads and writes too.
    """
    processes = [psutil.Process(pid) for pid in job]

    def times() -> tuple[float, float, float]:
        now = psutil.cpu_times()
        busy = now.user + now.nice + now.system + now.irq + now.softirq + now.steal
        return busy, busy + now.idle + now.iowait, cpu_seconds(processes)

    busy_before, all_before, job_before = times()

    def shares() -> tuple[float, float]:
        busy, total, own = times()
        # Of a time shorter than a tick of that clock nothing is known. The seconds are rounded sums: 1 is the most.
        share = (busy - busy_before) / (total - all_before) if total > all_before else 0.0
        others = (busy - busy_before - own + job_before) / (total - all_before) if total > all_before else 0.0
        return min(1.0, share), min(1.0, max(0.0, others))

    return shares


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU time of processes and of their children that have ended; one that has ended counts with its parent."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            now = process.cpu_times()
            total += now.user + now.system + now.children_user + now.children_system
    return total


def peak_memory_bytes(pid: int) -> int:
    """Highest resident set of a process since it started (VmHWM of /proc/PID/status)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def isa() -> list[str]:
    """Those of ISA_FLAGS that this CPU has, sorted."""
    return sorted(cpu()[1].intersection(ISA_FLAGS))


def governor() -> str | None:
    """What sets the first CPU's clock; None where the kernel does not, as in most virtual machines."""
    file = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return file.read_text().strip() if file.is_file() else None


def numa_nodes() -> int:
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1


def nvidia_driver() -> str | None:
    """Version of the NVIDIA kernel module; None where there is none or the kernel does not tell (WSL)."""
    version = Path("/sys/module/nvidia/version")
    return version.read_text().strip() if version.is_file() else None


def gpu_models() -> list[str]:
    """Models of this machine's NVIDIA GPUs, in the order of their bus addresses."""
    return [
        line.partition(":")[2].strip()
        for path in sorted(NVIDIA.glob("gpus/*/information"))
        for line in path.read_text().splitlines()
        if line.startswith("Model:")
    ]


def gpu_indices() -> list[int]:
    """Indices of this node's NVIDIA GPUs, from their device files: asking torch would take seconds."""
    names = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted(int(name) for name in names if name.isdigit())


def identity(device: str) -> list[str]:
    """What an engine for `device` is bound to on this machine: the CPU, and for a GPU all GPUs' models and the driver.

    Which GPU has which index is not told here; on a machine with different GPUs loading the engine compares that.
    """
    name, _ = cpu()
    if not device.startswith("cuda"):
        return [name, *isa()]
    return [name, *isa(), *gpu_models(), f"driver {nvidia_driver()}"]
