"""The summary page: one HTML file that refers to no other file. Pure functions."""

from __future__ import annotations

import base64
import collections
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import docutils.core
import pandas as pd

from deepcam.climate import CLASSES
from deepcam.config import Config
from deepcam.data.dataset import Dataset
from deepcam.record import metadata
from deepcam.record.schema import Environment, FileSystem, Record
from deepcam.report import contents, findings, templates
from deepcam.report.figures import selection
from deepcam.report.tables import Tables
from deepcam.text import count

SHARE = contents.CAPTIONS

FIGURES = ("bottleneck", "io_throughput")
"""Figures on the page itself, if the grid has data for them."""

AXES = {
    "reader": "readers", "cache": "page cache", "engine": "engines", "ranks": "ranks", "local_batch_size": "batch",
    "inter_threads": "inter-sample threads", "intra_threads": "intra-sample threads", "num_runs": "runs",
}  # fmt: skip

BEST = {
    "mode": "mode", "reader": "reader", "cache": "page cache", "engine": "engine", "ranks": "ranks",
    "local_batch_size": "batch", "inter_threads": "inter", "intra_threads": "intra",
    "samples_per_second": "samples/s", "gigabytes_per_second": "GB/s", "batch_interval_p99_seconds": "p99 (s)",
}  # fmt: skip
"""Columns of the table of the fastest configurations, with their headings."""


def render(
    tables: Tables,
    best: pd.DataFrame,
    sizing: pd.DataFrame,
    records: Sequence[Record],
    missing: Sequence[Path],
    dataset: Dataset,
    config: Config,
    figures: Iterable[Path],
) -> str:
    """The page's HTML. `missing` are the paths of missing records. Of the SVG files `figures`, it shows FIGURES."""
    environment = templates.environment()
    environment.filters["number"] = number
    summary = tables.summary
    found = {path.stem: path for path in figures}
    return environment.get_template("summary.html.j2").render(
        statements=findings.statements(summary, sizing, len(missing), metadata.differing_metadata(records)),
        what=what_was_run(records, dataset, config, tables),
        figures=[_figure(name, found[name]) for name in FIGURES if name in found],
        best=best[list(BEST)].rename(columns=BEST),
        sizing=sizing,
        invalid=_reasons(summary[~summary["valid"]], "invalid_reasons"),
        warned=_reasons(summary[summary["valid"] & (summary["warnings"] != "")], "warnings"),
        missing=[path.as_posix() for path in missing],
    )


def number(value: Any) -> str:
    """Measured values with three digits, counts with all digits; empty for NaN."""
    if not isinstance(value, float):
        return str(value)
    return "" if value != value else f"{value:#.3g}".rstrip(".")


def _reasons(cells: pd.DataFrame, column: str) -> tuple[list[tuple[str, int]], list[tuple[str, pd.Series, str]]]:
    """The reasons that several cells share, with the number of cells; and the cells that have reasons of their own."""
    of_cells = [(cell, cell[column].split("; ")) for _, cell in cells.iterrows()]
    counts = collections.Counter(reason for _, reasons in of_cells for reason in reasons)
    shared = [(reason, found) for reason, found in sorted(counts.items()) if found > 1]
    own = [(cell, "; ".join(reason for reason in reasons if counts[reason] == 1)) for cell, reasons in of_cells]
    return shared, [(findings.settings(cell), cell, reasons) for cell, reasons in own if reasons]


def what_was_run(records: Sequence[Record], dataset: Dataset, config: Config, tables: Tables) -> list[tuple[str, str]]:
    """Machine, data, model and grid: labels and texts. A text lists all values that occur in the records."""
    environments, settings = [record.environment for record in records], records[0].settings
    nodes = [node for environment in environments for node in environment.nodes]
    height, width, depth = dataset.sample_shape
    return [
        ("when", _span([environment.date for environment in environments])),
        ("node", ", ".join(sorted({node.name for node in nodes}))),
        ("CPU", _join(f"{node.cpu}, {node.logical_cores} logical cores" for node in nodes)),
        ("memory", _join(f"{node.memory_bytes / 2**30:.0f} GiB" for node in nodes)),
        ("GPU", _join(", ".join(node.gpus) or "none" for node in nodes)),
        ("driver", _join(node.driver or "none" for node in nodes)),
        ("storage", _join(_storage(node.file_system) for node in nodes)),
        ("kernel", _join(node.kernel for node in nodes)),
        ("software", _join(_software(environment) for environment in environments)),
        ("workflow", _join(environment.git_commit or "not from a git checkout" for environment in environments)),
        (
            "data",
            f"{dataset.num_samples} samples ({dataset.source}) of {height} x {width} x {depth} float32, "
            f"{dataset.total_bytes / 1e9:.3g} GB in all{_classes(dataset.class_fractions)}",
        ),
        (
            "model",
            f"DeepLabv3+ at {config.model.width_multiplier:g} of its full width{_accuracy(tables.accuracy)}",
        ),
        *((f"mode {mode}", _grid(cells)) for mode, cells in tables.summary.groupby("mode")),
        (
            "runs",
            f"{count(settings.warmup_runs, 'warm-up run')}, not recorded. Warm and compute runs last at least "
            f"{settings.min_seconds:g} s; a cold run is one epoch. Each configuration was started "
            f"{count(config.benchmark.starts, 'time')}.",
        ),
    ]


def _grid(cells: pd.DataFrame) -> str:
    """The settings of a mode's cells. Threads are those of the reader."""
    named = cells.assign(engine=selection.engine_labels(cells))
    if (cells["reader"] == "none").all():
        named = named.assign(inter_threads="none", intra_threads="none")
    axes = {words: named[column].drop_duplicates().tolist() for column, words in AXES.items()}
    texts = (f"{words} {', '.join(map(str, values))}" for words, values in axes.items() if values != ["none"])
    return f"{count(len(cells), 'configuration')}: {'; '.join(texts)}"


def _join(texts: Iterable[str]) -> str:
    return "; ".join(sorted(set(texts)))


def _span(dates: Sequence[str]) -> str:
    return f"{min(dates)} to {max(dates)}".replace("T", " ").replace("+00:00", " UTC")


def _storage(file_system: FileSystem) -> str:
    model = f", {file_system.model}" if file_system.model else ""
    caveat = f"; {file_system.caveat}" if file_system.caveat else ""
    return f"{file_system.type} on {file_system.device}{model}{caveat}"


def _software(environment: Environment) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return f"Python {environment.python}, {packages}, {environment.mpi}"


def _classes(fractions: Sequence[float] | None) -> str:
    """Shares of the pixels, which are unknown for data with the archive's own statistics."""
    if fractions is None:
        return ""
    return "; pixels: " + ", ".join(f"{share:.2%} {name}" for name, share in zip(CLASSES, fractions, strict=True))


def _accuracy(accuracy: pd.DataFrame) -> str:
    if accuracy.empty:
        return ""
    reference, samples = accuracy["reference_mean_iou"].min(), accuracy["samples"].min()
    failed = sorted(set(accuracy.loc[~accuracy["passed"].astype(bool), "engine"]))
    gate = f"failed: {', '.join(failed)}" if failed else "all engines passed"
    return f"; mean IoU {reference:.3f} on {samples} samples in float32; accuracy target: {gate}"


def _figure(name: str, path: Path) -> dict[str, str]:
    caption = docutils.core.publish_parts((SHARE / f"{name}.rst").read_text(encoding="utf-8"), writer="html5")["body"]
    return {
        "label": contents.FIGURES[name].label,
        "uri": "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode(),
        "caption": caption,
    }
