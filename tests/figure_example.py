"""Tables of a small grid, and what tests of figures have in common. large_grid.py has a large one."""

import dataclasses
import importlib
import json

import storages_example
from dataset_example import dataset
from deepcam.report import tables
from record_example import cell, verdict


def summary():
    records = [
        cell(0.5 / (ranks * inter), reader=reader, cache=cache, ranks=ranks, inter_threads=inter, intra_threads=intra)
        for reader in ("pread", "pread-discard")
        for cache in ("cold", "warm")
        for ranks in (1, 2, 4)
        for inter in (1, 2)
        for intra in (1, 2)
    ]
    for engine, seconds in (("eager-fp32", 4.0), ("tensorrt-auto", 1.0)):
        none = {"reader": "none", "cache": "none"}
        records.append(cell(seconds, mode="compute", engine=engine, ranks=1, **none))
        records.append(cell(1.1 * seconds, mode="inference", engine=engine, ranks=1, reader="pread", cache="warm"))
    return tables.summary(records)


def make(folder):
    """The tables of the small grid; `folder` is for its accuracy verdicts. Both engines miss the accuracy target."""
    for engine, cyclones in (("eager-fp32", 0.8), ("tensorrt-auto", 0.7)):
        (folder / engine).mkdir()
        for device, less in (("cuda0", 0.0), ("cuda1", 0.1)):
            (folder / engine / f"{device}.json").write_text(json.dumps(verdict(cyclones - less, less == 0)))
    return tables.Tables(
        summary(),
        tables.accuracy(folder.glob("*/*.json")),
        tables.channels(dataset().channels, (0, 1, 2, 10)),
        storages_example.make().storages,
    )


def module(name):
    """The module of a figure."""
    return importlib.import_module(f"deepcam.report.figures.{name}")


def with_summary(of, cells):
    """The tables with another summary."""
    return dataclasses.replace(of, summary=cells)


def invalid(of, chosen):
    """The tables with these cells invalid."""
    return with_summary(of, of.summary.assign(valid=of.summary["valid"] & ~chosen(of.summary)))


def title(name, of):
    """The title in plain spaces."""
    return module(name).title(module(name).data(of)).replace("\u00a0", " ")


def texts(figure):
    """All texts of a figure and its panels, in plain spaces."""
    found = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    return [words.replace("\u00a0", " ") for words in [*(text.get_text() for text in found), *titles]]
