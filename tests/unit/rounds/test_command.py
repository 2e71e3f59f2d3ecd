"""The command of a start asks for exactly the job that it stands for."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from deepcam import grid, paths
from deepcam.benchmark import arguments
from deepcam.benchmark.job import Job
from deepcam.config import parse
from deepcam.data import dataset
from deepcam.record.schema import Start
from deepcam.rounds import command
from record_example import start

CONFIG = {
    "data": {"num_files": 4, "height": 32, "width": 32},
    "benchmark": {
        "modes": ["io", "compute", "inference", "train"],
        "readers": ["pread", "dali-mmap", "pread-discard"],
        "local_batch_sizes": [2],
        "drop_caches": True,
        "shuffle": "global",
        "min_seconds": 0.25,
    },
}


@pytest.fixture(name="description")
def _description(tmp_path: Path) -> Path:
    samples = []
    for number in range(4):
        for kind in ("data", "label"):
            np.save(tmp_path / f"{kind}-{number}.npy", np.zeros((32, 32, 16), np.float32))
        path = Path(f"data-{number}.npy")
        size = (tmp_path / path).stat().st_size
        samples.append(dataset.Sample(data=path, label=Path(f"label-{number}.npy"), bytes=size, sha256=None))
    channel = dataset.Channel(name="TMQ", minimum=0, maximum=1, mean=0.5, mean_square=0.3, nonfinite=0)
    found = dataset.Dataset(
        source="synthetic",
        sample_shape=(32, 32, 16),
        num_samples=4,
        total_bytes=sum(sample.bytes for sample in samples),
        samples=tuple(samples),
        statistics="computed",
        channels=(channel,) * 16,
        class_fractions=None,
    )
    found.write(tmp_path / "dataset.json")
    return tmp_path / "dataset.json"


def made_jobs(description: Path, **changes: object) -> list[Job]:
    config = parse({**CONFIG, **changes})
    return command.jobs(
        config, grid.cells(config), dict.fromkeys(config.data.places, dataset.from_description(description))
    )


def test_the_command_of_every_job_is_parsed_to_that_job(description: Path) -> None:
    jobs = made_jobs(description)
    assert {job.cell.mode for job in jobs} == {"io", "compute", "inference", "train"}
    place = Start.model_validate(start(3))
    for job, more in itertools.product(jobs, [{}, {"run_length": 5, "start": place, "output": Path("a b/3.json")}]):
        asked = dataclasses.replace(job, **more)
        words = command.command(asked, description, "mpirun -n {ranks}", 8)
        assert arguments.parse(words[words.index("run_benchmark") + 1 :]) == asked


def test_a_job_reads_the_dataset_of_its_place_and_says_its_name(description: Path) -> None:
    folders = {"lustre": "/lustre/data", "nvme": "/nvme/data"}
    config = parse({**CONFIG, "data": CONFIG["data"] | {"dir": folders}})
    samples = dataset.from_description(description)
    datasets = {place: samples.model_copy(update={"source": place}) for place in folders}
    for job in command.jobs(config, grid.cells(config), datasets):
        assert job.dataset.source == (job.cell.storage or "lustre")
        words = command.command(job, description, "mpirun -n {ranks}", 8)
        assert arguments.parse(words[words.index("run_benchmark") + 1 :]).cell == job.cell


def test_one_rank_needs_no_launcher(description: Path) -> None:
    job = next(job for job in made_jobs(description) if job.cell.ranks == 1)
    words = command.command(job, description, "mpirun -n {ranks}", 8)
    assert words[1:3] == ["-m", "run_benchmark"]


def test_a_launcher_is_told_the_ranks_and_how_many_a_node_gets(description: Path) -> None:
    job = made_jobs(description)[0]
    job = dataclasses.replace(job, cell=dataclasses.replace(job.cell, ranks=6))
    words = command.command(job, description, "srun --ntasks={ranks} --ntasks-per-node={ranks_per_node} 'a b'", 4)
    assert words[:4] == ["srun", "--ntasks=6", "--ntasks-per-node=3", "a b"]
    assert words[5:9] == ["-m", "mpi4py", "-m", "run_benchmark"]


def test_engines_lie_where_their_rule_puts_them(description: Path) -> None:
    [job] = [job for job in made_jobs(description) if job.cell.mode == "compute" and "eager" in job.cell.engine]
    assert job.engine_files == [Path(paths.engine("eager-fp32", "cpu"))]
    assert job.accuracy_files == [Path(paths.accuracy("eager-fp32", "cpu"))]


def test_caches_are_dropped_before_cold_runs_only(description: Path) -> None:
    assert {(job.cell.cache, job.settings.drop_caches) for job in made_jobs(description)} == {
        ("cold", True),
        ("warm", False),
        ("none", False),
    }
