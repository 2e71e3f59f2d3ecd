"""Results of a grid with rates that are known by heart, as records and as folders and bundles."""

import dataclasses
import itertools
import random
import tarfile

import yaml
from deepcam.grid import Cell
from deepcam.record.schema import Check
from record_example import content, judged

STEADY = (9.9, 9.95, 10.0, 10.05, 10.1)
"""Rates of runs in samples/s."""

GRID = [
    Cell("io", reader, "cold", "none", ranks, batch, threads, 1)
    for reader, ranks, batch, threads in itertools.product(["pread", "pread-discard"], [1, 2], [1, 2], [1, 2])
]


def measured_content(cell, rates=STEADY, **environment):
    """The content of a record of runs with these rates in samples/s: four samples in 4 / rate seconds."""
    made = content(**dataclasses.asdict(cell))
    run = made["runs"][0]
    made["runs"] = [run | {"ranks": [rank | {"part_seconds": [4 / rate]} for rank in run["ranks"]]} for rate in rates]
    made["environment"] |= environment
    return made


def measured(cell, rates=STEADY, valid=True, **environment):
    """A record of runs with these rates in samples/s."""
    return with_check(measured_content(cell, rates, **environment), valid)


def with_check(made, valid=True):
    """The record of this content with one check, which passes or fails."""
    check = Check(name="throughput_cv", level="error", expected="at most 10%", actual="14%", ok=valid)
    return judged(made, [check])


def scaled(factor, rates=STEADY):
    return [rate * factor for rate in rates]


def noisy(seed, runs=5):
    rng = random.Random(seed)
    return [10 * rng.gauss(1, 0.02) for _ in range(runs)]


def grid_of(rates_of):
    """One start of every cell of GRID, with the rates that a function of its number gives."""
    return {cell: [measured(cell, rates_of(i))] for i, cell in enumerate(GRID)}


def write(folder, by_cell, config=None):
    """A results folder as a run leaves it; returns its path."""
    for cell, starts in by_cell.items():
        for start, made in enumerate(starts):
            path = folder / "results/benchmark" / cell.id / f"{start}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made.model_dump_json())
    if config is not None:
        (folder / "results/config.yaml").write_text(yaml.safe_dump(config))
    return folder / "results"


def bundle(path, results):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(results, "deepcam-run/results")
    return path
