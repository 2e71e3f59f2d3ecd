"""Results of a grid with rates that are known by heart, as records and as folders and bundles."""

import dataclasses
import itertools
import math
import random
import tarfile

import yaml
from deepcam.grid import Cell
from deepcam.record.schema import Check
from record_example import content, judged, start

STEADY = (9.9, 9.95, 10.0, 10.05, 10.1)
"""Rates in samples/s."""

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
    check = Check(name="run_seconds", level="error", expected="at least 0.27 s", actual="0.1 s", ok=valid)
    return judged(made, [check])


def started(cell, rates=STEADY, valid=True, probes=(), **environment):
    """Records of starts with these rates in samples/s, one run each; `probes` are speeds that the machine then had."""
    made = [measured_content(cell, [rate], **environment) for rate in rates]
    for number, one in enumerate(made):
        one["start"] = start(number, **(probes[number] if probes else {}))
    return [with_check(one, valid) for one in made]


def scaled(factor, rates=STEADY):
    return [rate * factor for rate in rates]


def noisy(seed, starts=5, deviation=0.02):
    """Rates around 10 samples/s that deviate by this share."""
    rng = random.Random(seed)
    return [10 * math.exp(rng.gauss(0, deviation)) for _ in range(starts)]


def grid_of(rates_of):
    """The starts of every cell of GRID, with the rates that a function of its number gives."""
    return {cell: started(cell, rates_of(i)) for i, cell in enumerate(GRID)}


def write(folder, by_cell, config=None):
    """A results folder as a run leaves it; returns its path."""
    for cell, starts in by_cell.items():
        for number, made in enumerate(starts):
            path = folder / "results/benchmark" / cell.id / f"{number}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made.model_dump_json())
    if config is not None:
        (folder / "results/config.yaml").write_text(yaml.safe_dump(config))
    return folder / "results"


def bundle(path, results):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(results, "deepcam-run/results")
    return path
