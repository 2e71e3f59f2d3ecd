"""A group keeps the records that it has, makes those that are missing, and says what became of each configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import record_example
from deepcam import grid, paths
from deepcam.benchmark import arguments
from deepcam.benchmark.job import Job
from deepcam.benchmark.run import describe_subject
from deepcam.config import Config, parse
from deepcam.data import dataset
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.record import rounds
from deepcam.record.schema import Record
from deepcam.rounds import group, probe, process

SHAPE = (32, 32, 16)
NAMES = [f"data-{number}.npy" for number in range(4)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a dataset, in which this process works."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        np.save(tmp_path / name, np.zeros(SHAPE, np.float32))
    samples = [
        dataset.Sample(data=Path(name), label=Path(f"label-{name}"), bytes=os.path.getsize(name), sha256=None)
        for name in NAMES
    ]
    dataset.Dataset(
        source="synthetic",
        sample_shape=SHAPE,
        num_samples=len(samples),
        total_bytes=sum(sample.bytes for sample in samples),
        samples=tuple(samples),
        statistics=None,
        channels=None,
        class_fractions=None,
    ).write(tmp_path / "dataset.json")
    return tmp_path


def config_of(**keys: object) -> Config:
    benchmark = {
        "modes": ["io"], "readers": ["pread"], "cache": ["warm"], "ranks": [1], "local_batch_sizes": [1],
        "inter_threads": [1, 2], "min_starts": 3, "max_starts": 4, "per_mode": {"io": {}},
    }  # fmt: skip
    return parse({"data": {"num_files": 4, "height": 32, "width": 32}, "benchmark": benchmark | keys})


class Starts:
    """In place of real starts: writes the records that they would leave, in which runs take a second."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.answer: Callable[[Job, Path], int] = lambda job, log: self.write(job)

    def run(self, command: Sequence[str], log: Path, timeout: float, environment: Mapping[str, str]) -> int:
        job = arguments.parse(command[command.index("run_benchmark") + 1 :])
        self.jobs.append(job)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        return self.answer(job, log)

    def write(self, job: Job) -> int:
        made = record_example.measurement(record_example.cell_content(1.0, ranks=1))
        made = made.model_copy(update={**describe_subject(job), "start": job.start})
        job.output.parent.mkdir(parents=True, exist_ok=True)
        job.output.write_text(record_example.judged(made.model_dump(mode="json")).model_dump_json())
        return 0

    @property
    def numbers(self) -> list[int]:
        return sorted(int(job.output.stem) for job in self.jobs)


@pytest.fixture(name="starts")
def _starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    made = Starts()
    monkeypatch.setattr(process, "run", made.run)
    return made


def measure(config: Config) -> dict[str, str]:
    """Measure all cells, write the rounds file if none failed, and return the reasons of failures by threads."""
    measured = group.Group(config, grid.cells(config), {"": Path("dataset.json")}, "").measure(60)
    failures = {one.cell.id: one.failure for one in measured if one.failure}
    if not failures:
        group.write(Path(paths.rounds("nodes-1")), measured)
    return failures


def all_records() -> list[Record]:
    return [Record.model_validate_json(path.read_bytes()) for path in paths.existing_records(Path("results"))]


def test_each_start_leaves_a_record_that_knows_its_place(starts: Starts) -> None:
    assert not measure(config_of())
    found = all_records()
    assert sorted((record.cell.inter_threads, record.start.number) for record in found) == [
        (threads, number) for threads in (1, 2) for number in range(3)
    ]
    assert sorted((record.start.round, record.start.position) for record in found) == [
        (number, position) for number in range(3) for position in range(2)
    ]
    assert len({record.start.seed for record in found}) == 1
    assert all(record.start.probe.storage_bytes_per_second > 0 for record in found)


def test_starts_of_all_places_are_in_the_same_rounds_and_read_their_own_copies(
    starts: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy").mkdir()
    for name in [*NAMES, "dataset.json"]:
        (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    probed: list[str] = []
    opener = probe._open_direct
    monkeypatch.setattr(probe, "_open_direct", lambda path, flags: (probed.append(str(path)), opener(path, flags))[1])
    made = config_of()
    config = made.model_copy(update={"data": made.data.model_copy(update={"dir": {"nvme": "a", "lustre": "copy"}})})
    datasets = {"nvme": Path("dataset.json"), "lustre": Path("copy/dataset.json")}
    measured = group.Group(config, grid.cells(config), datasets, "").measure(60)
    assert len(measured) == 4 and not [one.failure for one in measured if one.failure]
    found = [record.start.round for record in all_records()]
    assert {number: found.count(number) for number in found} == {0: 4, 1: 4, 2: 4}
    for job, path in zip(starts.jobs, probed, strict=True):
        folder = "copy/" if job.cell.storage == "lustre" else ""
        assert str(job.dataset.files[0]) == f"{folder}{NAMES[0]}"
        assert os.path.dirname(path) == folder.rstrip("/")


def test_the_rounds_file_says_why_measuring_ended(starts: Starts) -> None:
    config = config_of()
    measure(config)
    content = json.loads(Path(paths.rounds("nodes-1")).read_text())
    assert set(content["configurations"]) == {cell.id for cell in grid.cells(config)}
    assert all(one == {"starts": 3, "stopped": "precise"} for one in content["configurations"].values())


def test_what_has_a_record_is_not_measured_again(starts: Starts) -> None:
    measure(config_of())
    starts.jobs.clear()
    measure(config_of())
    assert not starts.jobs


def test_a_deleted_record_is_measured_again(starts: Starts) -> None:
    config = config_of()
    measure(config)
    starts.jobs.clear()
    deleted = paths.records_of(grid.cells(config)[1].id)[1]
    deleted.unlink()
    assert not rounds.is_complete(Path(paths.rounds("nodes-1")), grid.cells(config))
    measure(config)
    assert [job.output for job in starts.jobs] == [deleted]
    assert starts.jobs[0].start.round == 3
    assert rounds.is_complete(Path(paths.rounds("nodes-1")), grid.cells(config))


def test_a_damaged_rounds_file_is_made_again(starts: Starts) -> None:
    measure(config_of())
    Path(paths.rounds("nodes-1")).write_text("{")
    assert not rounds.is_complete(Path(paths.rounds("nodes-1")), grid.cells(config_of()))


def test_a_group_with_another_cell_is_not_complete(starts: Starts) -> None:
    measure(config_of(inter_threads=[1]))
    assert not rounds.is_complete(Path(paths.rounds("nodes-1")), grid.cells(config_of()))


@pytest.mark.parametrize("keys", [{"runs": 2}, {"min_seconds": 0.4}, {"shuffle": "rank"}, {"warmup_runs": 2}], ids=str)
def test_records_of_other_settings_are_measured_again(
    starts: Starts, keys: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    measure(config_of())
    starts.jobs.clear()
    measure(config_of(**keys))
    assert starts.numbers == [0, 0, 1, 1, 2, 2]
    assert "measured with other settings" in capsys.readouterr().out


def test_records_of_another_dataset_are_measured_again(starts: Starts, folder: Path) -> None:
    measure(config_of())
    starts.jobs.clear()
    other = json.loads((folder / "dataset.json").read_text()) | {"source": "nersc"}
    (folder / "dataset.json").write_text(json.dumps(other))
    measure(config_of())
    assert starts.numbers == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("keys", [{"precision": 0.2}, {"min_starts": 2}, {"minutes": 1}], ids=str)
def test_the_stopping_rule_is_no_reason_to_measure_again(starts: Starts, keys: dict[str, object]) -> None:
    measure(config_of())
    starts.jobs.clear()
    measure(config_of(**keys))
    assert not starts.jobs


def test_more_starts_are_added_to_those_that_there_are(starts: Starts) -> None:
    measure(config_of())
    starts.jobs.clear()
    measure(config_of(min_starts=4))
    assert starts.numbers == [3, 3]


def test_the_length_of_a_run_is_found_once(starts: Starts) -> None:
    measure(config_of(inter_threads=[1]))
    assert [job.run_length for job in starts.jobs] == [None, 1, 1]


def test_a_failure_names_its_log_and_stops_no_other(starts: Starts) -> None:
    def answer(job: Job, log: Path) -> int:
        if job.cell.inter_threads == 1:
            log.write_text("something\nerror: rank 1: the reason\n")
            return 1
        return starts.write(job)

    starts.answer = answer
    failures = measure(config_of())
    assert [*failures.values()] == [f"results/logs/run_benchmark/{next(iter(failures))}/0.log: rank 1: the reason"]
    assert [record.cell.inter_threads for record in all_records()] == [2, 2, 2]
    starts.answer, starts.jobs = lambda job, log: starts.write(job), []
    assert not measure(config_of())
    assert starts.numbers == [0, 1, 2]


def test_a_start_that_takes_too_long_is_told(starts: Starts) -> None:
    def answer(job: Job, log: Path) -> int:
        raise process.TimeLimitError

    starts.answer = answer
    [failure, _] = measure(config_of(timeout_seconds=7)).values()
    assert failure.endswith("0.log: took longer than 7 s; see benchmark.timeout_seconds")


def test_what_cannot_be_measured_is_told_before_anything_is(starts: Starts, folder: Path) -> None:
    description = json.loads((folder / "dataset.json").read_text())
    description |= {"samples": description["samples"][:1], "num_samples": 1}
    (folder / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match="dataset has 1 samples, fewer than the global batch size 2"):
        measure(config_of(local_batch_sizes=[2]))
    assert not starts.jobs


def test_a_launcher_that_does_not_exist_is_told_before_anything_is_measured(starts: Starts) -> None:
    config = config_of()
    with pytest.raises(InputError, match=r"no-such-program .*: there is no such program"):
        group.Group(config, grid.cells(config), {"": Path("dataset.json")}, "no-such-program -n {ranks}").measure(60)
    assert not starts.jobs


@pytest.mark.parametrize(("mode", "kept"), [("io", False), ("compute", True), ("inference", True), ("train", True)])
def test_freed_memory_stays_in_processes_that_compute(monkeypatch: pytest.MonkeyPatch, mode: str, kept: bool) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    found = group._environment(Cell(mode, "none", "none", "none", 1, 1, 1, 1))
    assert ("glibc.malloc.trim_threshold" in found.get("GLIBC_TUNABLES", "")) is kept
