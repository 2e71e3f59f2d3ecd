"""The summary page: one HTML file without anything from elsewhere. Pure functions."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import docutils.core
import jinja2
import pandas as pd

from deepcam import headline, report_items
from deepcam.climate import CLASSES
from deepcam.records import Record
from deepcam.tables import Tables

SHARE = report_items.CAPTIONS

FIGURES = ("bottleneck", "io_throughput")
"""Drawn on the page itself, where the grid has them."""

BEST = {
    "mode": "mode", "reader": "reader", "cache": "page cache", "engine": "engine", "ranks": "ranks",
    "local_batch_size": "batch", "inter_threads": "inter", "intra_threads": "intra",
    "samples_per_second": "samples/s", "gigabytes_per_second": "GB/s", "p99_seconds": "p99 (s)",
}  # fmt: skip
"""Columns of the table of best cells."""


def render(
    tables: Tables,
    best: pd.DataFrame,
    sizing: pd.DataFrame,
    records: Sequence[Record],
    missing: Sequence[Path],
    dataset: Mapping[str, Any],
    config: Mapping[str, Any],
    figures: Iterable[Path],
) -> str:
    """The page's HTML. `figures` are SVG files, of which FIGURES are shown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SHARE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["number"] = number
    summary = tables.summary
    found = {path.stem: path for path in figures}
    return environment.get_template("summary.html.j2").render(
        statements=headline.statements(summary, sizing, len(missing)),
        what=what_was_run(records, dataset, config, tables.accuracy),
        figures=[_figure(name, found[name]) for name in FIGURES if name in found],
        best=best[list(BEST)].rename(columns=BEST),
        sizing=sizing,
        invalid=[(headline.settings(c), c) for _, c in summary[~summary["valid"]].iterrows()],
        warned=[
            (headline.settings(c), c) for _, c in summary[summary["valid"] & (summary["warnings"] != "")].iterrows()
        ],
        missing=[path.as_posix() for path in missing],
    )


def _in_words(cells: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    return [(headline.settings(cell), cell) for _, cell in cells.iterrows()]


def number(value: Any) -> str:
    """Three digits for measured values, all for counts; empty for none."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.3g}"
    return str(value)


def what_was_run(
    records: Sequence[Record], dataset: Mapping[str, Any], config: Mapping[str, Any], accuracy: pd.DataFrame
) -> list[tuple[str, str]]:
    """Machine, data, model and grid in words: label and text. What differs between records is listed."""
    benchmark, settings = config["benchmark"], records[0]["settings"]
    height, width, depth = dataset["sample_shape"]
    rows = [
        ("when", _span(_each(records, "date"))),
        ("node", ", ".join(sorted({place["node"] for r in records for place in r["environment"]["ranks"]}))),
        ("CPU", _join(f"{e['cpu']}, {e['logical_cores']} logical cores" for e in _environments(records))),
        ("memory", _join(f"{e['memory_bytes'] / 2**30:.0f} GiB" for e in _environments(records))),
        ("GPU", _join(", ".join(e["gpus"]) or "none" for e in _environments(records))),
        ("storage", _join(_storage(e["file_system"]) for e in _environments(records))),
        ("kernel", _join(e["kernel"] for e in _environments(records))),
        ("software", _join(_software(e) for e in _environments(records))),
        ("workflow", _join(e["git_commit"] or "not from a git checkout" for e in _environments(records))),
        (
            "data",
            f"{dataset['num_samples']} samples ({dataset['source']}) of {height} x {width} x {depth} float32, "
            f"{dataset['total_bytes'] / 1e9:.3g} GB in all{_classes(dataset['class_fractions'])}",
        ),
        ("model", f"DeepLabv3+ at {config['model']['width_multiplier']:g} of its full width{_accuracy(accuracy)}"),
        (
            "grid",
            f"modes {', '.join(benchmark['modes'])}; readers {', '.join(benchmark['readers'])}; page cache "
            f"{', '.join(benchmark['cache'])}; ranks {', '.join(map(str, benchmark['ranks']))}",
        ),
        (
            "runs",
            f"{settings['warmup_runs']} to warm up, then {_join(str(r['settings']['runs']) for r in records)} "
            f"measured, in {benchmark['repeats']} repeats (new processes); all but cold ones last at least "
            f"{settings['min_seconds']:g} s",
        ),
    ]
    return rows


def _environments(records: Sequence[Record]) -> list[Mapping[str, Any]]:
    return [record["environment"] for record in records]


def _each(records: Sequence[Record], field: str) -> list[str]:
    return [record["environment"][field] for record in records]


def _join(texts: Iterable[str]) -> str:
    return "; ".join(sorted(set(texts)))


def _span(dates: Sequence[str]) -> str:
    return f"{min(dates)} to {max(dates)}".replace("T", " ").replace("+00:00", " UTC")


def _storage(file_system: Mapping[str, Any]) -> str:
    model = f", {file_system['model']}" if file_system.get("model") else ""
    caveat = f"; {file_system['caveat']}" if file_system["caveat"] else ""
    return f"{file_system['type']} on {file_system['device']}{model}{caveat}"


def _software(environment: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    driver = f", NVIDIA driver {environment['driver']}" if environment["driver"] else ""
    return f"Python {environment['python']}, {packages}, {environment['mpi']}{driver}"


def _classes(fractions: Sequence[float] | None) -> str:
    """Shares of the pixels; not known of data that the archive described itself."""
    if fractions is None:
        return ""
    return "; pixels: " + ", ".join(f"{share:.2%} {name}" for name, share in zip(CLASSES, fractions, strict=True))


def _accuracy(accuracy: pd.DataFrame) -> str:
    if accuracy.empty:
        return ""
    reference, samples = accuracy["reference_mean_iou"].min(), accuracy["samples"].min()
    failed = sorted(set(accuracy.loc[~accuracy["passed"].astype(bool), "engine"]))
    gate = f"failed: {', '.join(failed)}" if failed else "all engines passed"
    return f"; mean IoU {reference:.3f} on {samples} samples in float32; accuracy gate: {gate}"


def _figure(name: str, path: Path) -> dict[str, str]:
    caption = docutils.core.publish_parts((SHARE / f"{name}.rst").read_text(), writer="html5")["body"]
    return {
        "label": report_items.FIGURES[name].label,
        "uri": "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode(),
        "caption": caption,
    }
