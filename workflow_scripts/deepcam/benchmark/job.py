"""The description of one benchmark job."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from deepcam.data.dataset import Dataset
from deepcam.grid import Cell
from deepcam.record.schema import Settings, Start


@dataclasses.dataclass(frozen=True)
class Training:
    """What mode train trains: the width of the network, its channels, and their ranges in the dataset."""

    channels: tuple[int, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    width_multiplier: float


@dataclasses.dataclass(frozen=True)
class Job:
    """A cell to measure, and everything that this takes.

    The ranks of a node take its `devices` (cpu, or cuda:0, cuda:1, ...) in turn. There is one of `engine_files` and of
    `accuracy_files` for each device, in the same order, or none if the mode uses no engine. `required` maps an option
    to a field of the engine's fingerprint and the value that the option requires. Masks are drawn to the folder
    `visualization`. `run_length` is that of `timed_loop.Workload`.
    """

    cell: Cell
    dataset: Dataset
    devices: list[str]
    engine_files: list[Path]
    training: Training | None
    required: dict[str, tuple[str, Any]]
    accuracy_files: list[Path]
    settings: Settings
    start: Start | None
    run_length: int | None
    output: Path
    visualization: Path | None
