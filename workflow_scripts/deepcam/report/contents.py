"""The figures of the report: their order, their labels, and the grids that have data for them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path

from deepcam.grid import NONE, Cell


@dataclasses.dataclass(frozen=True)
class Item:
    """A figure in the report. Its caption is share/report/<name>.rst."""

    category: str
    label: str
    has_data: Callable[[Collection[Cell]], bool]
    """Whether a grid with these cells has data for the figure."""


def _measures(*modes: str) -> Callable[[Collection[Cell]], bool]:
    return lambda cells: {cell.mode for cell in cells}.issuperset(modes)


def _has_engines(cells: Collection[Cell]) -> bool:
    return any(cell.engine != NONE for cell in cells)


def _has_several_engines(cells: Collection[Cell]) -> bool:
    return len({cell.engine for cell in cells} - {NONE}) > 1


def _has_several_readers(cells: Collection[Cell]) -> bool:
    readers = {(cell.cache, cell.reader) for cell in cells if cell.mode == "io"}
    return len(readers) > len({cache for cache, _ in readers})


def _has_several_storages(cells: Collection[Cell]) -> bool:
    return len({cell.storage for cell in cells} - {""}) > 1


def _reads_chunks(cells: Collection[Cell]) -> bool:
    return any(cell.mode == "io" and cell.intra_threads > 1 for cell in cells)


def _scales(cells: Collection[Cell]) -> bool:
    """Whether cells that differ in the number of ranks only have enough of these numbers."""
    lines = collections.Counter(dataclasses.replace(cell, ranks=1) for cell in cells)
    return max(lines.values(), default=0) >= FEWEST_RANK_COUNTS


CAPTIONS = Path(__file__).parents[3] / "share" / "report"
"""The folder with the captions and the templates of pages."""

PREDICTIONS = "predictions"
"""The only figure that is not drawn from tables."""

FEWEST_RANK_COUNTS = 3
"""Numbers of ranks with which a configuration shows how it scales."""

FIGURES = {
    "bottleneck": Item("Bottleneck", "what limits inference", _measures("io", "compute", "inference")),
    "storage_ratio": Item("Storages", "throughput side by side", _has_several_storages),
    "io_throughput": Item("I/O", "throughput by threads", _measures("io")),
    "reader_ranking": Item("I/O", "best result of each reader", _has_several_readers),
    "io_split": Item("I/O", "throughput by samples in flight and chunks per sample", _reads_chunks),
    "batch_interval": Item("I/O", "batch intervals", _measures("io")),
    "inference_throughput": Item("Inference", "throughput by batch size", _has_engines),
    "accuracy_throughput": Item("Inference", "accuracy against throughput", _has_several_engines),
    "scaling": Item("Scaling", "throughput and efficiency by ranks", _scales),
    PREDICTIONS: Item("Appendix", "hits, misses and false alarms", _has_engines),
    "channel_ranges": Item("Appendix", "channel ranges", lambda cells: True),
}
"""The figures in the order of the report. A name is also the name of the figure's module in figures/."""


def figures(cells: Collection[Cell]) -> list[str]:
    """The names of the figures that a grid with these cells has data for, in the order of the report."""
    return [name for name, item in FIGURES.items() if item.has_data(cells)]
