"""What the report holds: its figures, in order, and which grids have something for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path

from deepcam.grid import NONE, Cell


@dataclasses.dataclass(frozen=True)
class Item:
    """A figure's place in the report, the words that it is chosen by, and whether a grid's cells give something to it.

    Its caption is share/report/<name>.rst.
    """

    category: str
    label: str
    wanted: Callable[[Collection[Cell]], bool]


def _measures(*modes: str) -> Callable[[Collection[Cell]], bool]:
    return lambda cells: {cell.mode for cell in cells}.issuperset(modes)


def _has_engines(cells: Collection[Cell]) -> bool:
    return any(cell.engine != NONE for cell in cells)


CAPTIONS = Path(__file__).parents[3] / "share" / "report"

PREDICTIONS = "predictions"
"""The one figure that is not drawn from tables."""

FIGURES = {
    "io_throughput": Item("IO", "throughput over threads", _measures("io")),
    "io_split": Item(
        "IO",
        "samples in flight x chunks of a sample",
        lambda cells: any(cell.mode == "io" and cell.intra_threads > 1 for cell in cells),
    ),
    "io_latency": Item("IO", "latency of batches", _measures("io")),
    "inference_throughput": Item("Inference", "throughput over batch size", _has_engines),
    "bottleneck": Item("Inference", "what limits inference", _measures("io", "compute", "inference")),
    "accuracy_throughput": Item("Inference", "accuracy against throughput", _has_engines),
    "scaling": Item("Scaling", "throughput and efficiency over ranks", lambda cells: len({c.ranks for c in cells}) > 1),
    "accuracy_gate": Item("Model", "accuracy gate", _has_engines),
    PREDICTIONS: Item("Model", "predicted and true masks", _has_engines),
    "channel_ranges": Item("Data", "ranges of the channels", lambda cells: True),
}
"""Name, which is also the name of its module in figures/, to place."""


def figures(cells: Collection[Cell]) -> list[str]:
    """Names of the figures for this grid, in the report's order."""
    return [name for name, item in FIGURES.items() if item.wanted(cells)]
