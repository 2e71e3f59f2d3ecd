"""The figures of the report: their order, their labels, and the grids that have data for them."""

from __future__ import annotations

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


def _reads_chunks(cells: Collection[Cell]) -> bool:
    return any(cell.mode == "io" and cell.intra_threads > 1 for cell in cells)


def _has_several_rank_counts(cells: Collection[Cell]) -> bool:
    return len({cell.ranks for cell in cells}) > 1


CAPTIONS = Path(__file__).parents[3] / "share" / "report"
"""The folder with the captions and the templates of pages."""

PREDICTIONS = "predictions"
"""The only figure that is not drawn from tables."""

FIGURES = {
    "io_throughput": Item("I/O", "throughput by threads", _measures("io")),
    "io_split": Item("I/O", "throughput by samples in flight and chunks per sample", _reads_chunks),
    "io_latency": Item("I/O", "batch intervals", _measures("io")),
    "inference_throughput": Item("Inference", "throughput by batch size", _has_engines),
    "bottleneck": Item("Inference", "bottleneck", _measures("io", "compute", "inference")),
    "accuracy_throughput": Item("Inference", "accuracy against throughput", _has_engines),
    "scaling": Item("Scaling", "throughput and efficiency by ranks", _has_several_rank_counts),
    "accuracy_gate": Item("Model", "accuracy target", _has_engines),
    PREDICTIONS: Item("Model", "predicted and true masks", _has_engines),
    "channel_ranges": Item("Data", "channel ranges", lambda cells: True),
}
"""The figures in the order of the report. A name is also the name of the figure's module in figures/."""


def figures(cells: Collection[Cell]) -> list[str]:
    """The names of the figures that a grid with these cells has data for, in the order of the report."""
    return [name for name, item in FIGURES.items() if item.has_data(cells)]
