"""cuFile's own statistics: which way GPUDirect Storage took for each read of this process.

Structures and functions are those of NVIDIA's "GDS cuFile API Reference Guide", sections 4.1.1 and 5.6.
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import sys

from deepcam.errors import InputError

LIBRARY = "libcufile.so.0"
"""The name by which DALI loads cuFile, so that both get the same library."""

ALLOW_COMPAT_MODE, FORCE_COMPAT_MODE = 1, 2
"""Places in CUFileBoolConfigParameter_t. In compatibility mode, cuFile reads into host memory and copies."""

PER_GPU_LEVEL = 3

_TRIAL = f"""
import sys
import torch
from {__name__} import InputError, start_counting
try:
    start_counting()
except InputError as error:
    sys.exit(str(error))
"""
"""PyTorch is imported first, as in a benchmark, because it may bring cuFile."""

_COUNTERS_OF_LEVEL_1 = 21
"""Number of CUfileOpCounter_t, of two 64-bit numbers each, in CUfileStatsLevel1_t."""

_NUMBERS_OF_LEVEL_1 = 22
"""Number of its other 64-bit numbers."""


class _Error(ctypes.Structure):
    _fields_ = (("status", ctypes.c_int), ("cuda", ctypes.c_int))


class _PerGpu(ctypes.Structure):
    """CUfilePerGpuStats_t."""

    _fields_ = (
        ("uuid", ctypes.c_char * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "read_bytes", "read_bw_bytes_per_sec", "read_utilization", "read_duration_us", "n_total_reads",
                "n_p2p_reads", "n_nvfs_reads", "n_posix_reads", "n_unaligned_reads", "n_dr_reads", "n_sparse_regions",
                "n_inline_regions", "n_reads_err", "writes_bytes", "write_bw_bytes_per_sec", "write_utilization",
                "write_duration_us", "n_total_writes", "n_p2p_writes", "n_nvfs_writes", "n_posix_writes",
                "n_unaligned_writes", "n_dr_writes", "n_writes_err", "n_mmap", "n_mmap_ok", "n_mmap_err",
                "n_mmap_free", "reg_bytes",
            )
        ),
    )  # fmt: skip


class _Statistics(ctypes.Structure):
    """CUfileStatsLevel3_t. What it has from the lower levels is not used."""

    _fields_ = (
        ("level_1", ctypes.c_uint64 * (2 * _COUNTERS_OF_LEVEL_1 + _NUMBERS_OF_LEVEL_1)),
        ("histograms", ctypes.c_uint64 * (2 * 32)),
        ("num_gpus", ctypes.c_uint32),
        ("gpus", _PerGpu * 16),
        ("reserve", ctypes.c_uint64 * 4096),  # for what a later version may append
    )


@functools.cache
def start_counting() -> None:
    """Forbid compatibility mode, open the driver, and let cuFile count this process's reads per GPU.

    The driver stays open, because its closing ends the counts. Further users, such as DALI, share it. Raises InputError
    if the driver cannot be opened, or if cuFile is missing or too old to have these functions.
    """
    _call("cuFileSetParameterBool", ctypes.c_int(FORCE_COMPAT_MODE), ctypes.c_bool(False))
    _call("cuFileSetParameterBool", ctypes.c_int(ALLOW_COMPAT_MODE), ctypes.c_bool(False))
    _call("cuFileSetStatsLevel", ctypes.c_int(PER_GPU_LEVEL))
    _call("cuFileDriverOpen")
    _call("cuFileStatsStart")


def check() -> None:
    """Raise InputError like `start_counting`. Another process tries it, so that the driver does not stay open here."""
    ended = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, text=True)
    if ended.returncode != 0:
        raise InputError(ended.stderr.strip().splitlines()[-1])


def reads() -> dict[str, int]:
    """Count the reads of this process since `start_counting`, by the way that they took. Raises InputError like it.

    Those of kind `posix` went through host memory, and those of kind `failed` delivered nothing.
    """
    statistics = _Statistics()
    _call("cuFileGetStatsL3", ctypes.byref(statistics))
    gpus = statistics.gpus[: statistics.num_gpus]
    return {
        name: sum(getattr(gpu, field) for gpu in gpus)
        for name, field in {
            "nvidia_fs": "n_nvfs_reads",
            "p2pdma": "n_p2p_reads",
            "posix": "n_posix_reads",
            "failed": "n_reads_err",
        }.items()
    }


def _call(name: str, *arguments: object) -> None:
    try:
        function = getattr(ctypes.CDLL(LIBRARY), name)
    except (OSError, AttributeError) as error:
        raise InputError(
            f"dali-gds: {error}; install cuFile 1.15 or later, which can tell how it read, or remove dali-gds from "
            "benchmark.readers"
        ) from None
    function.restype = _Error
    status = function(*arguments).status
    if status != 0:
        raise InputError(
            f"dali-gds: {name} failed with error {status} (CUfileOpError), so GPUDirect Storage does not work here; "
            "see cufile.log, or remove dali-gds from benchmark.readers"
        )
