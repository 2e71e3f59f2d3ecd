"""Results of a grid with rates that are known by heart, as records and as folders and bundles."""

import copy
import dataclasses
import itertools
import math
import random
import tarfile
from pathlib import Path

import yaml
from deepcam import paths
from deepcam.grid import Cell
from deepcam.record import store
from record_example import cell_content, judged, lasting, start

STEADY = (9.9, 9.95, 10.0, 10.05, 10.1)
"""Rates in samples/s."""

GRID = [
    Cell("io", reader, "cold", "none", ranks, batch, threads, 1)
    for reader, ranks, batch, threads in itertools.product(["pread", "pread-discard"], [1, 2], [1, 2], [1, 2])
]


def measured_content(cell, rates=STEADY, first=0, **environment):
    """The content of a record of runs with these rates in samples/s: four samples in 4 / rate seconds.

    The runs are numbered from `first`.
    """
    made = cell_content(**dataclasses.asdict(cell))
    made["settings"]["runs"] = len(rates)
    made["runs"] = [copy.deepcopy(made["runs"][0]) for _ in rates]
    for number, (run, rate) in enumerate(zip(made["runs"], rates, strict=True), first):
        for rank in run["ranks"]:
            lasting(rank, 4 / rate, number)
    made["environment"] |= environment
    for place in made["environment"]["ranks"]:
        place["node"] = made["environment"]["nodes"][0]["name"]
    return made


def measured(cell, rates=STEADY, valid=True, **environment):
    """A record of runs with these rates in samples/s."""
    return with_check(measured_content(cell, rates, **environment), valid)


def with_check(made, valid=True):
    """The record of this content. Unless it is to be valid, its runs are too short for its settings."""
    return judged(made if valid else made | {"settings": made["settings"] | {"min_seconds": 1.0}})


def started(cell, rates=STEADY, valid=True, probes=(), **environment):
    """Records of starts with these rates in samples/s, one run each; `probes` are speeds that the machine then had."""
    made = [measured_content(cell, [rate], number, **environment) for number, rate in enumerate(rates)]
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
    """A results folder as a run leaves it, in which the starts of each cell are numbered; returns its path."""
    listed = [paths.record(cell.id, number) for cell, starts in by_cell.items() for number in range(len(starts))]
    for path, made in zip(listed, itertools.chain(*by_cell.values()), strict=True):
        place = made.start.model_copy(update={"number": int(Path(path).stem)})
        store.write(made.model_copy(update={"start": place}), folder / path)
    (folder / paths.RECORD_LIST).write_text("".join(f"{path}\n" for path in listed))
    if config is not None:
        (folder / "results/config.yaml").write_text(yaml.safe_dump(config))
    return folder / "results"


def bundle(path, results):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(results, "deepcam-run/results")
    return path
