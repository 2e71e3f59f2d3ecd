"""Makes the reader or the engine of a start slower by a known amount, for tests/performance/limits.py.

Python imports this file by its name, because limits.py puts the folder into PYTHONPATH. The environment variables
SLOWED_READER and SLOWED_ENGINE are seconds for each sample and for each batch.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

BLOCK = bytes(1 << 20)


def compute(seconds: float) -> None:
    """Keep a core busy, as a reader does that decodes its samples. Other threads run meanwhile."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        hashlib.sha256(BLOCK)


def slow_reader(seconds: float) -> None:
    """Let `pread`, but not the read-and-discard baseline, compute for this time after it has read a sample."""
    from deepcam.benchmark.readers import preadv

    read = preadv.PreadReader._read

    def slowed(self: Any, *of: Any) -> None:
        read(self, *of)
        if self._slots:
            compute(seconds)

    preadv.PreadReader._read = slowed


def slow_engine(seconds: float) -> None:
    """Let engines compute the mask of a sample once, and then wait for this time for each batch, as for a device."""
    import torch
    from deepcam.benchmark import run

    load = run._engine

    def slowed(*of: Any) -> Callable[[Any], Any]:
        engine = load(*of)
        masks: dict[bytes, Any] = {}

        def call(batch: Any) -> Any:
            end = time.perf_counter() + seconds
            names = [sample[0, :2].numpy().tobytes() for sample in batch]
            if not masks.keys() >= set(names):
                masks.update(zip(names, engine(batch).clone(), strict=True))
            made = torch.stack([masks[name] for name in names])
            time.sleep(max(0.0, end - time.perf_counter()))
            return made

        return call

    run._engine = slowed


if "run_benchmark" in sys.orig_argv:
    if seconds := float(os.environ.get("SLOWED_READER", "0")):
        slow_reader(seconds)
    if seconds := float(os.environ.get("SLOWED_ENGINE", "0")):
        slow_engine(seconds)
