"""Throughput over time of each start of one configuration, and the histogram of its batch intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepcam.grid import NONE, Cell
from deepcam.record import precision
from deepcam.record.run_schema import RankRun, Run
from deepcam.record.schema import Record
from deepcam.report.figures import style
from deepcam.report.page.words import MODES, digits, percent, settings

MAX_WINDOWS = 60
"""Time windows of a run."""

BATCHES_PER_WINDOW = 4
"""Batches of each rank in a window. Readers hand over a few at a time, so fewer would show only that."""

BINS_PER_DECADE = 20
"""Bins of the histogram from a batch interval to one ten times as long."""

STEADY = 0.9
"""Share of the median from which on throughput is called steady."""

COLOURS = {"io": style.IO, "compute": style.COMPUTE, "inference": style.END_TO_END, "train": style.SERIES[0]}


def data(records: Mapping[int, Record]) -> pd.DataFrame:
    """A row per start, run and time window: its throughput, and the throughput of the start's median run.

    `records` are the records of one configuration by the number of the start. Times count from the first measured run
    of a start, without the pauses between runs and between parts of a run.
    """
    rows = []
    for number, record in sorted(records.items()):
        median, begin = precision.start_median(record), 0.0
        for index, run in enumerate(record.runs):
            edges, rates = _windows(run)
            rows += [
                {
                    "start": number, "run": index, "begin_seconds": begin + left, "end_seconds": begin + right,
                    "samples_per_second": rate, "median_samples_per_second": median,
                }
                for left, right, rate in zip(edges, edges[1:], rates, strict=False)
            ]  # fmt: skip
            begin += edges[-1]
    return pd.DataFrame(rows)


def _windows(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """The edges of a run's time windows in seconds, and the throughput in each of them.

    The samples of a batch are spread evenly over its batch interval. All ranks begin a part together, so one that is
    done with a part waits for the others.
    """
    parts = [_parts(rank) for rank in run.ranks]
    lengths = [max(sum(seconds) for seconds in part) for part in zip(*parts, strict=True)]
    begins = np.cumsum([0.0, *lengths])
    fewest = min(rank.num_batches for rank in run.ranks)
    edges = np.linspace(0, begins[-1], 1 + max(1, min(MAX_WINDOWS, fewest // BATCHES_PER_WINDOW)))
    done = np.zeros(len(edges))
    for rank, seconds in zip(run.ranks, parts, strict=True):
        # Each part has a point where it begins, which adds no samples.
        times = np.concatenate([begin + np.cumsum([0.0, *part]) for begin, part in zip(begins, seconds, strict=False)])
        counts = np.concatenate([[0, *part] for part in np.array_split(rank.batch_sizes, len(seconds))])
        done += np.interp(edges, times, np.cumsum(counts))
    return edges, np.diff(done) / np.diff(edges)


def _parts(rank: RankRun) -> list[np.ndarray]:
    """The batch intervals of each part. All parts have equally many batches, because each reads the dataset once."""
    return np.array_split(rank.batch_interval_seconds, len(rank.part_seconds))


def title(shown: pd.DataFrame, measured: str) -> str:
    """Where throughput was lowest, compared with the median run of the same start. `measured` is what was measured."""
    shares = shown["samples_per_second"] / shown["median_samples_per_second"]
    lowest, row = shares.min(), shown.loc[shares.idxmin()]
    if lowest >= STEADY:
        return f"{measured}: throughput is always at least {percent(lowest)} of the median"
    where = f"start {row['start']:.0f} after {digits(row['begin_seconds'], 2)} s"
    return f"{measured}: throughput falls to {percent(lowest)} of the median in {where}"


def name(cell: Cell, valid: bool) -> str:
    """A configuration in words."""
    cache = f"{cell.cache} on {cell.storage}" if cell.storage else cell.cache
    parts = [MODES[cell.mode], cell.engine, cell.reader, cache, settings(pd.Series(dataclasses.asdict(cell)))]
    return ", ".join(part for part in parts if part != NONE) + ("" if valid else ", INVALID")


def draw(shown: pd.DataFrame, cell: Cell, valid: bool) -> Figure:
    """A panel per start, with its throughput over time and a dashed line at its median run."""
    colour = COLOURS[cell.mode]
    starts = list(shown["start"].unique())
    with matplotlib.rc_context(style.STYLE):
        figure = Figure(figsize=(9, 0.5 + 1.05 * len(starts)), layout="constrained")
        panels = figure.subplots(len(starts), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
        for axes, start in zip(panels, starts, strict=True):
            here = shown[shown["start"] == start]
            median = here["median_samples_per_second"].iloc[0]
            for _, run in here.groupby("run"):
                edges = [run["begin_seconds"].iloc[0], *run["end_seconds"]]
                axes.stairs(run["samples_per_second"], edges, color=colour, linewidth=1.4, baseline=None)
                axes.axvline(edges[-1], color=style.PALE, linewidth=1)
            axes.axhline(median, color=style.SOFT, linestyle="--", linewidth=1)
            axes.set_title(f"start {start}: {digits(median)} samples/s", fontsize=9)
            axes.set_ylabel("samples/s")
        panels[0].set_ylim(0, 1.08 * shown["samples_per_second"].max())
        panels[0].set_xlim(0, shown["end_seconds"].max())
        panels[-1].set_xlabel("measured time (s)")
        handles = [
            style.mark("throughput", colour, "", "-"),
            style.mark("median run of the start", style.SOFT, "", "--"),
            style.mark("end of a run", style.PALE, "", "-"),
        ]
        what = "Each step is the throughput of all ranks in a time window. Pauses between runs are left out."
        style.finish(figure, title(shown, name(cell, valid)), what, handles)
    return figure


def histogram(records: Sequence[Record]) -> pd.DataFrame:
    """The number of batches by batch interval, over all starts: bins from `low_seconds` to below `high_seconds`."""
    seconds = np.concatenate([run.batch_interval_seconds for made in records for run in made.runs])
    places = np.floor(np.log10(np.maximum(seconds, style.SHORTEST_INTERVAL)) * BINS_PER_DECADE).astype(int)
    counts = dict(zip(*(found.tolist() for found in np.unique(places, return_counts=True)), strict=True))
    return pd.DataFrame(
        {
            "low_seconds": 10 ** (place / BINS_PER_DECADE),
            "high_seconds": 10 ** ((place + 1) / BINS_PER_DECADE),
            "batches": number,
        }
        for place, number in counts.items()
    )
