"""The configurations of a group as jobs, and the command that measures one of them once."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deepcam import launch, paths
from deepcam.benchmark import arguments
from deepcam.benchmark.job import Job
from deepcam.config import Config
from deepcam.data.dataset import Dataset
from deepcam.grid import MODES, NONE, Cell
from deepcam.record.schema import Settings

SHUFFLE: dict[str, list[str]] = {"none": [], "rank": ["--shuffle"], "global": ["--global-shuffle"]}


def jobs(config: Config, cells: Iterable[Cell], datasets: Mapping[str, Dataset]) -> list[Job]:
    """What the starts of each cell do, without their place among all starts. `datasets` are those of `data.places`."""
    devices = launch.device_names(config.devices)
    return [_job(config, cell, datasets[place(cell, datasets)], devices) for cell in cells]


def place(cell: Cell, places: Iterable[str]) -> str:
    """The place that a cell reads; for one that reads nothing, the first one, which has its samples, too."""
    return cell.storage or next(iter(places))


def settings(config: Config, cell: Cell) -> Settings:
    """How a start of a cell measures."""
    benchmark = config.benchmark.of_mode(cell.mode)
    return Settings(
        warmup_runs=benchmark.warmup_runs,
        runs=benchmark.runs,
        min_seconds=benchmark.min_seconds,
        drop_caches=benchmark.drop_caches and cell.cache == "cold",
        shuffle=benchmark.shuffle,
    )


def _job(config: Config, cell: Cell, dataset: Dataset, devices: Sequence[str]) -> Job:
    has_engine = cell.engine != NONE
    return Job(
        cell=cell,
        dataset=dataset,
        devices=[launch.torch_device(device) for device in devices],
        engine_files=[Path(paths.engine(cell.engine, device)) for device in devices] if has_engine else [],
        training=arguments.training(config.model.width_multiplier, config.model.channels, dataset)
        if MODES[cell.mode].trains
        else None,
        required={},
        accuracy_files=[Path(paths.accuracy(cell.engine, device)) for device in devices] if has_engine else [],
        settings=settings(config, cell),
        start=None,
        run_length=None,
        output=Path(),
        visualization=None,
    )


def command(job: Job, dataset: Path, launcher: str, ranks_per_node: int) -> list[str]:
    """The command that runs a job on the dataset that `dataset` describes. `launcher` is not used for one rank."""
    cell, settings = job.cell, job.settings
    words = [
        "--dataset", dataset, "--outputfile", job.output,
        "--mode", cell.mode, "--reader", cell.reader, "--cache", cell.cache, "--engine", cell.engine,
        "--ranks", cell.ranks, "--batch-size", cell.ranks * cell.local_batch_size,
        "--max-inter-threads", cell.inter_threads, "--max-intra-threads", cell.intra_threads,
        *(["--storage", cell.storage] if cell.storage else []),
        "--num-warmup-runs", settings.warmup_runs, "--num-runs", settings.runs, "--min-seconds", settings.min_seconds,
        *(["--drop-fs-cache"] if settings.drop_caches else []),
        *SHUFFLE[settings.shuffle],
        "--devices", *job.devices,
        *(["--engine-files", *job.engine_files] if job.engine_files else []),
        *(["--accuracy-files", *job.accuracy_files] if job.accuracy_files else []),
    ]  # fmt: skip
    if job.training:
        words += ["--width-multiplier", job.training.width_multiplier, "--channels", *job.training.channels]
    if job.run_length is not None:
        words += ["--run-length", job.run_length]
    if job.start is not None:
        words += ["--start", job.start.model_dump_json()]
    program = ["-m", "run_benchmark", *map(str, words)]
    if cell.ranks == 1:
        return [sys.executable, *program]
    # mpi4py as the main program ends all ranks if one of them fails.
    return [
        *shlex.split(launch.fill_launcher(launcher, cell.ranks, ranks_per_node)),
        sys.executable,
        "-m",
        "mpi4py",
        *program,
    ]
