"""I/O-only throughput by samples in flight and chunks per sample, for readers that read a sample in chunks."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam import text
from deepcam.report.figures import selection, style
from deepcam.report.tables import Tables


def data(tables: Tables) -> pd.DataFrame:
    """The fastest batch size of each split of threads, at the largest number of ranks."""
    summary = tables.summary
    cells = summary[summary["mode"] == "io"]
    cells = cells[(cells["ranks"] == cells["ranks"].max()) & cells["reader"].isin(_split_readers(cells))]
    cells = selection.fastest(cells, ["cache", "reader", "inter_threads", "intra_threads"])
    return cells[
        ["cache", "reader", "inter_threads", "intra_threads", "ranks", "local_batch_size", "gigabytes_per_second",
         "valid"]
    ]  # fmt: skip


def _split_readers(cells: pd.DataFrame) -> set[str]:
    return set(cells.loc[cells["intra_threads"] > 1, "reader"])


def draw(shown: pd.DataFrame) -> Figure:
    """A heat map per cache state and reader."""
    caches, readers = sorted(shown["cache"].unique()), sorted(shown["reader"].unique())
    inter, intra = sorted(shown["inter_threads"].unique()), sorted(shown["intra_threads"].unique())
    with matplotlib.rc_context(style.STYLE | {"axes.grid": False}):
        figure, panels = style.panels(len(caches), len(readers))
        for row, cache in zip(panels, caches, strict=True):
            top = shown.loc[shown["cache"] == cache, "gigabytes_per_second"].max()
            for axes, reader in zip(row, readers, strict=True):
                here = shown[(shown["cache"] == cache) & (shown["reader"] == reader)]
                rates = here.pivot(index="intra_threads", columns="inter_threads", values="gigabytes_per_second")
                image = axes.imshow(
                    rates.reindex(index=intra, columns=inter).to_numpy(float),
                    origin="lower", aspect="auto", cmap="viridis", vmin=0, vmax=top,
                )  # fmt: skip
                for cell in here.itertuples():
                    axes.text(
                        inter.index(cell.inter_threads),
                        intra.index(cell.intra_threads),
                        f"{cell.gigabytes_per_second:.3g}" + ("" if cell.valid else "\ninvalid"),
                        color="black" if cell.gigabytes_per_second > 0.6 * top else "white",
                        ha="center",
                        va="center",
                        fontsize=9,
                    )
                axes.set_xticks(range(len(inter)), labels=inter)
                axes.set_yticks(range(len(intra)), labels=intra)
                ranks = shown["ranks"].iloc[0]
                axes.set_title(f"{reader}, {cache}, {text.count(ranks, 'rank')}")
                axes.set_xlabel("samples in flight (inter-sample threads)")
                axes.set_ylabel("chunks per sample\n(intra-sample threads)")
            figure.colorbar(image, ax=row, label="throughput (GB/s)")
        for row in panels:
            for axes in row[1:]:
                axes.set_ylabel("")
    return figure
