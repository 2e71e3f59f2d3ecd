"""Environment variables that bind threads to cores, or limit their number, are cleared before a library reads them.

If one of those that bind is set, importing torch binds the process to a single core, and all threads and processes that
it starts later inherit that. The ranks bind themselves, and use as many threads as they have cores.
"""

from __future__ import annotations

import os

VARIABLES = (
    "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "OMP_DYNAMIC", "OMP_PLACES", "OMP_PROC_BIND", "OMP_THREAD_LIMIT",
)  # fmt: skip

CLEARED = "DEEPCAM_CLEARED_"
"""Prefix under which the values stay in the environment, so that records can name them. Processes inherit it."""


def clear() -> None:
    """Move the variables that are set to names with the prefix CLEARED."""
    for name in VARIABLES:
        if (value := os.environ.pop(name, None)) is not None:
            os.environ[CLEARED + name] = value
