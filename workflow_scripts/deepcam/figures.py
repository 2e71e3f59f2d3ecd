"""From tables to figures. Pure functions of the table, but for `save`; one style for all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcam import files

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito's palette, told apart with any colour vision; black is kept for ceilings."""

MARKERS = "osD^vPX"

STYLE = {
    "figure.dpi": 100,
    "font.size": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    # The same table gives the same bytes: no random ids, and text that does not depend on installed fonts.
    "svg.hashsalt": "deepcam",
    "svg.fonttype": "path",
}


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both formats, atomically and without dates."""
    with matplotlib.rc_context(STYLE):
        for path, metadata in ((svg, {"Date": None}), (png, {"Software": None})):
            with files.atomic_path(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=metadata)


def io_throughput(table: pd.DataFrame) -> Figure:
    """GB/s over threads per rank; a panel per cache state and rank count, a line per reader and batch size."""
    cells = table[table["mode"] == "io"].copy()
    cells["threads"] = cells["inter_threads"] * cells["intra_threads"]
    # Of several ways to split the same number of threads, the best one is drawn.
    group = ["cache", "ranks", "reader", "local_batch_size", "threads"]
    cells = cells.sort_values(["valid", "samples_per_second"], ascending=False).drop_duplicates(group)
    gigabytes = cells["gigabytes_per_second"] / cells["samples_per_second"]
    caches = [cache for cache in ("cold", "warm") if cache in set(cells["cache"])]
    all_ranks = sorted(cells["ranks"].unique())
    readers = sorted(set(cells["reader"]) - {"raw"})
    batches = sorted(cells["local_batch_size"].unique())
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(len(caches), len(all_ranks))
        for row, cache in enumerate(caches):
            for column, ranks in enumerate(all_ranks):
                axes = panels[row][column]
                here = cells[(cells["cache"] == cache) & (cells["ranks"] == ranks)]
                for (reader, batch), line in here.groupby(["reader", "local_batch_size"], sort=True):
                    ceiling = reader == "raw"
                    _line(
                        axes,
                        line.sort_values("threads"),
                        "threads",
                        gigabytes,
                        "black" if ceiling else COLOURS[readers.index(reader)],
                        MARKERS[batches.index(batch)],
                        f"{reader}{' (ceiling)' if ceiling else ''}, batch {batch}",
                        "--" if ceiling else "-",
                    )
                _axes(
                    axes,
                    f"{cache} page cache, {_count(ranks, 'rank')}",
                    "threads per rank",
                    "throughput (GB/s)",
                    here["threads"],
                )
        _finish(figure, panels)
    return figure


def inference_throughput(table: pd.DataFrame) -> Figure:
    """Samples/s over batch size; a panel per rank count, a line per engine and reader, and compute alone."""
    engines = sorted(table.loc[table["engine"] != "none", "engine"].unique())
    cells = table[table["mode"].isin(("inference", "compute"))].copy()
    cells["threads"] = cells["inter_threads"] * cells["intra_threads"]
    group = ["mode", "reader", "cache", "engine", "ranks", "local_batch_size"]
    cells = cells.sort_values(["valid", "samples_per_second"], ascending=False).drop_duplicates(group)
    one = pd.Series(1.0, index=cells.index)
    all_ranks = sorted(cells.loc[cells["mode"] == "inference", "ranks"].unique()) or sorted(cells["ranks"].unique())
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(1, len(all_ranks))
        for column, ranks in enumerate(all_ranks):
            axes = panels[0][column]
            here = cells[cells["ranks"] == ranks]
            keys = ["mode", "engine", "reader", "cache"]
            for number, ((mode, engine, reader, cache), line) in enumerate(here.groupby(keys, sort=True)):
                precision = line["precision"].iloc[0]
                name = engine.replace("auto", precision)
                ceiling = mode == "compute"
                _line(
                    axes,
                    line.sort_values("local_batch_size"),
                    "local_batch_size",
                    one,
                    COLOURS[engines.index(engine) % len(COLOURS)],
                    "_" if ceiling else MARKERS[number % len(MARKERS)],
                    f"{name}, compute only (ceiling)" if ceiling else f"{name}, {reader} {cache}",
                    "--" if ceiling else "-",
                )
            _axes(
                axes,
                f"inference, {_count(ranks, 'rank')}",
                "local batch size (samples)",
                "throughput (samples/s)",
                here["local_batch_size"],
            )
        _finish(figure, panels)
    return figure


def _panels(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(1.5 + 4.2 * columns, 1.3 + 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey="row")
    return figure, [list(row) for row in grid]


def _line(
    axes: Axes, line: pd.DataFrame, x: str, scale: pd.Series, colour: str, marker: str, label: str, style: str
) -> None:
    """Medians with bars from the slowest to the fastest run; a hollow marker is a cell that is not valid."""
    factor = scale[line.index]
    median = line["samples_per_second"] * factor
    low = median - line["lowest_samples_per_second"] * factor
    high = line["highest_samples_per_second"] * factor - median
    axes.errorbar(
        line[x],
        median,
        yerr=[low, high],
        color=colour,
        linestyle=style,
        marker=marker,
        markersize=6,
        capsize=3,
        label=label,
    )
    invalid = ~line["valid"].astype(bool)
    axes.plot(
        line.loc[invalid, x], median[invalid], linestyle="none", marker=marker, color=colour, markerfacecolor="white",
        zorder=3,
    )  # fmt: skip


def _axes(axes: Axes, title: str, x: str, y: str, ticks: Iterable[int]) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.set_xscale("log", base=2)
    positions = sorted(set(ticks))
    axes.set_xticks(positions, labels=[str(position) for position in positions])
    axes.minorticks_off()


def _finish(figure: Figure, panels: list[list[Axes]]) -> None:
    """One legend for all panels, below them; a word on hollow markers."""
    found = {}
    for row in panels:
        for axes in row:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(label, handle)
    labels = sorted(found)
    width = 0.7 + 0.085 * max(map(len, labels), default=0)  # inches of an entry at the font size of STYLE
    columns = max(1, min(len(labels), int(figure.get_figwidth() / width)))
    figure.legend([found[label] for label in labels], labels, loc="outside lower center", ncols=columns)
    for row in panels:
        for axes in row[1:]:
            axes.set_ylabel("")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
