"""What one benchmark job measures, and with what."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from deepcam.benchmark.timed_loop import Settings
from deepcam.data.dataset import Dataset
from deepcam.grid import Cell


@dataclasses.dataclass(frozen=True)
class Training:
    """What mode train trains: channels of a sample, their ranges in the dataset, and the width of the network."""

    channels: tuple[int, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    width_multiplier: float


@dataclasses.dataclass(frozen=True)
class Job:
    """One cell to measure, and with what.

    `devices` are a node's (cpu, or cuda:0, cuda:1, ...), taken in turn by its ranks; `engine_files` and
    `accuracy_files` are for each of them, in the same order, or none in modes io and train. `required` maps an option
    to a field of the engine's fingerprint and the value that it insists on; `visualization` is a folder to draw to.
    """

    cell: Cell
    dataset: Dataset
    devices: list[str]
    engine_files: list[Path]
    training: Training | None
    required: dict[str, tuple[str, Any]]
    accuracy_files: list[Path]
    settings: Settings
    output: Path
    visualization: Path | None
