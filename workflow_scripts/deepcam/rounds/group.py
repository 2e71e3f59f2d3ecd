"""Measures a group of configurations: the records that there are, the starts that are missing, and the rounds file."""

from __future__ import annotations

import dataclasses
import os
import random
import shlex
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deepcam import allocator, files, job_log, paths
from deepcam.benchmark.job import Job
from deepcam.benchmark.run import check_job, describe_subject
from deepcam.config import Config
from deepcam.data import dataset as dataset_file
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.record import precision, store
from deepcam.record.rounds import FORMAT_VERSION, Finished, Rounds
from deepcam.record.schema import Record, Start
from deepcam.rounds import command, process, schedule
from deepcam.rounds.probe import MachineProbe
from deepcam.rounds.progress import Progress


class Group:
    """The configurations of one Snakemake job, and how their starts are made."""

    def __init__(self, config: Config, cells: Sequence[Cell], datasets: Mapping[str, Path], launcher: str) -> None:
        self._config, self._datasets, self._launcher = config, datasets, launcher
        self._samples = {place: dataset_file.from_description(path) for place, path in datasets.items()}
        self._jobs = {job.cell: job for job in command.jobs(config, cells, self._samples)}
        self._probe = MachineProbe({place: dataset.files for place, dataset in self._samples.items()})
        self._run_lengths: dict[Cell, int] = {}
        self._last_round = -1

    def measure(self, seconds: float) -> list[schedule.Configuration]:
        """Make the starts that are missing, for about so many seconds, and return what all configurations have then."""
        for dataset in self._samples.values():
            dataset_file.require_distinct_files(dataset)
        for job in self._jobs.values():
            check_job(job)
        if self._launcher and shutil.which(shlex.split(self._launcher)[0]) is None:
            raise InputError(
                f"launcher {self._launcher!r}: there is no such program on this machine; see benchmark.launcher and "
                "cluster.launcher"
            )
        configurations = [self._existing(job) for job in self._jobs.values()]
        limits = schedule.Limits(self._config.benchmark, seconds)
        with Progress(configurations, limits) as progress:
            schedule.run(
                configurations,
                limits,
                self._start,
                progress.tell,
                seed=random.SystemRandom().getrandbits(32),
                first_round=self._last_round + 1,
                clock=time.monotonic,
            )
        return configurations

    def _existing(self, job: Job) -> schedule.Configuration:
        """The starts that have a record. Records of another dataset, engine or other settings are removed."""
        subject = describe_subject(job)
        found = schedule.Configuration(job.cell, {})
        for path in paths.records_of(job.cell.id):
            [record] = store.read([path])
            if record.start is None or any(getattr(record, field) != value for field, value in subject.items()):
                path.unlink()
                print(f"removed {path}: measured with other settings, another dataset or another engine", flush=True)
                continue
            found.rates[int(path.stem)] = self._seen(record)
        return found

    def _seen(self, record: Record) -> float:
        """The throughput of a start. What the next starts must know of it is kept."""
        if record.cell.cache != "cold":
            run = record.runs[-1]
            self._run_lengths[record.cell] = run.epochs or run.ranks[0].num_batches
        if record.start is not None:
            self._last_round = max(self._last_round, record.start.round)
        return precision.start_median(record)

    def _start(self, configuration: schedule.Configuration, place: schedule.Place) -> float:
        cell, number = configuration.cell, configuration.next_number
        record, log = Path(paths.record(cell.id, number)), Path(paths.log(f"run_benchmark/{cell.id}/{number}"))
        read_place = command.place(cell, self._datasets)
        start = Start(number=number, probe=self._probe(read_place), **dataclasses.asdict(place))
        job = dataclasses.replace(self._jobs[cell], output=record, start=start, run_length=self._run_lengths.get(cell))
        benchmark = self._config.benchmark
        words = command.command(job, self._datasets[read_place], self._launcher, benchmark.ranks_per_node)
        try:
            status = process.run(words, log, benchmark.timeout_seconds, _environment(cell))
        except process.TimeLimitError:
            raise schedule.StartFailedError(
                f"{log}: took longer than {benchmark.timeout_seconds} s; see benchmark.timeout_seconds"
            ) from None
        if status or not record.is_file():
            raise schedule.StartFailedError(f"{log}: {job_log.reasons(log)[0].removeprefix('error: ')}")
        return self._seen(store.read([record])[0])


def _environment(cell: Cell) -> Mapping[str, str]:
    """This process's environment; for a cell that computes, with settings with which a process keeps its heap."""
    return os.environ if cell.mode == "io" else allocator.keeping_heap(os.environ)


def write(path: Path, configurations: Iterable[schedule.Configuration]) -> None:
    """Write the rounds file of configurations that have all stopped."""
    finished = {
        one.cell.id: Finished(starts=len(one.rates), stopped=one.stopped) for one in configurations if one.stopped
    }
    files.write_json(path, Rounds(schema_version=FORMAT_VERSION, configurations=finished).model_dump(mode="json"))
