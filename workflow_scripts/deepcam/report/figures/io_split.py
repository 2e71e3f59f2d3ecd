"""I/O-only throughput by samples in flight and chunks per sample, for readers that read a sample in chunks."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from deepcam.report import selection
from deepcam.report.figures import reading, style
from deepcam.report.page.rows import fastest, states
from deepcam.report.page.words import digits
from deepcam.report.tables import Tables
from deepcam.text import count


def data(tables: Tables) -> pd.DataFrame:
    """The fastest batch size of each split of threads, at the largest number of ranks."""
    summary = selection.by_place(tables.summary)
    cells = summary[summary["mode"] == "io"]
    cells = cells[(cells["ranks"] == cells["ranks"].max()) & cells["reader"].isin(_split_readers(cells))]
    cells = selection.fastest(cells, ["cache", "reader", "inter_threads", "intra_threads"])
    return cells[[*selection.CELL, "samples_per_second", "gigabytes_per_second", "valid"]]


def _split_readers(cells: pd.DataFrame) -> set[str]:
    return set(cells.loc[cells["intra_threads"] > 1, "reader"])


def title(shown: pd.DataFrame) -> str:
    """The fastest valid split of each cache state."""
    readers = reading.without_baseline(shown)
    found = [fastest(readers[readers["cache"] == cache]) for cache in states(readers)]
    words = [
        f"{reading.name(cell['reader'])} with {count(cell['inter_threads'], 'sample')} in flight, each in "
        f"{count(cell['intra_threads'], 'chunk')} ({digits(cell['gigabytes_per_second'])} GB/s {cell['cache']})"
        for cell in found
        if cell is not None
    ]
    return f"Fastest: {'; '.join(words)}" if words else reading.NOTHING_VALID


def draw(shown: pd.DataFrame) -> Figure:
    """A heat map per cache state and reader, with a frame around its fastest valid split."""
    caches, readers = states(shown), sorted(shown["reader"].unique())
    inter, intra = sorted(shown["inter_threads"].unique()), sorted(shown["intra_threads"].unique())
    with matplotlib.rc_context(style.STYLE | {"axes.grid": False}):
        figure, panels = style.grid(
            len(caches), len(readers), max(2.6, 0.65 * len(inter)), max(2.0, 0.8 + 0.4 * len(intra))
        )  # fmt: skip
        for row, cache in zip(panels, caches, strict=True):
            top = reading.of_all_places(shown, cache)["gigabytes_per_second"].max()
            for axes, reader in zip(row, readers, strict=True):
                here = shown[(shown["cache"] == cache) & (shown["reader"] == reader)]
                if here.empty:
                    axes.axis("off")
                    continue
                rates = here.pivot(index="intra_threads", columns="inter_threads", values="gigabytes_per_second")
                image = axes.imshow(
                    rates.reindex(index=intra, columns=inter).to_numpy(float),
                    origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=top,
                )  # fmt: skip
                for _, cell in here.iterrows():
                    rate = cell["gigabytes_per_second"]
                    axes.text(
                        inter.index(cell["inter_threads"]),
                        intra.index(cell["intra_threads"]),
                        digits(rate) + ("" if cell["valid"] else "\nINVALID"),
                        color=style.END_TO_END if rate < 0.6 * top else "white",
                        ha="center",
                        va="center",
                        fontsize=8,
                    )
                best = fastest(here)
                if best is not None:
                    corner = inter.index(best["inter_threads"]) - 0.5, intra.index(best["intra_threads"]) - 0.5
                    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=style.COMPUTE, linewidth=2.5))
                axes.set_xticks(range(len(inter)), labels=inter)
                axes.set_yticks(range(len(intra)), labels=intra)
                axes.set_title(f"{reading.name(reader)}, {cache}")
                axes.set_xlabel("samples in flight")
                axes.set_ylabel("chunks per sample")
            figure.colorbar(image, ax=row, label="throughput (GB/s)")
        ranks = count(shown["ranks"].iloc[0], "rank")
        what = (
            f"{ranks}. Each square has the fastest batch size. Samples in flight are inter-sample threads, and chunks"
        )
        frame = Patch(fill=False, edgecolor=style.COMPUTE, linewidth=2, label="fastest VALID split of a panel")
        style.finish(figure, title(shown), f"{what} per sample are intra-sample threads.", [frame])
    return figure
