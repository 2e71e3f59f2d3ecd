"""Starts of a tiny dataset, in which a reader or an engine may do something wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepcam.benchmark import measure, ranks, timed_loop
from deepcam.grid import Cell
from deepcam.record import delivery_checks
from deepcam.record.schema import Measurement, Settings
from record_example import content, measurement, verdict

SHAPE = (16, 24, 16)
VALUES = 16 * 24 * 16


def samples(folder: Path) -> tuple[Path, ...]:
    """Six files with random samples."""
    paths = tuple(folder / f"data-{number}.npy" for number in range(6))
    for number, path in enumerate(paths):
        np.save(path, np.random.default_rng(number).random(SHAPE, np.float32) + 0.5)
    return paths


def masks_of(batch: Any) -> torch.Tensor:
    """In place of an engine: a class for each pixel, which depends on all channels."""
    return (torch.from_dlpack(batch).mean(3) > 1).to(torch.uint8)


def measured(
    files: tuple[Path, ...],
    mode: str,
    cache: str,
    reader: str = "pread",
    engine: Callable[[Any], Any] = masks_of,
    device: str = "cpu",
    judged_masks: Mapping[str, np.ndarray] | None = None,
    **changes: int,
) -> Measurement:
    """The measurement of a start with two runs. Warm ones have two epochs each, and cold ones have one."""
    given = {"warmup_runs": 1, "runs": 2, "min_seconds": 0.0, "drop_caches": False, "shuffle": "none"} | changes
    cell, load_engine = Cell(mode, reader, cache, "none", 1, 2, 2, 1), None if mode == "io" else lambda: engine
    workload = timed_loop.Workload(
        cell, files, SHAPE, Settings(**given), device, load_engine, run_length=2, judged_masks=judged_masks or {}
    )
    found = measure.measure(workload, ranks.init_ranks(1))
    assert found is not None
    example = content(ranks=1, mode=mode, reader=reader, cache=cache)
    example["environment"]["ranks"] = [example["environment"]["ranks"][0] | {"device": device}]
    sizes = [path.stat().st_size for path in files]
    example["dataset"] |= {"bytes": sum(sizes), "sample_shape": SHAPE, "samples": [path.name for path in files]}
    example["runs"] = [run.model_dump(mode="json") for run in found.runs]
    example["verification"] = [rank.model_dump(mode="json") for rank in found.verification or []]
    if judged_masks:
        example["engine"] = {"precision": "fp32", "accuracy": [verdict()]}
    return measurement(example)


def failed(made: Measurement) -> set[str]:
    return {check.name for check in delivery_checks.checks(made) if not check.ok and check.level == "error"}
