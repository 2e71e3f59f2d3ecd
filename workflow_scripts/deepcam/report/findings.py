"""The findings of the report in sentences, for readers of nothing else. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from deepcam.record import metrics
from deepcam.report.figures import selection
from deepcam.report.figures.style import percent
from deepcam.text import count

VERDICTS = {
    "storage": "Storage is the bottleneck of inference",
    "compute": "Compute is the bottleneck of inference",
    "overlap-limited": "Inference is overlap-limited: reading and computing slow each other down",
    "measurement-conflict": "No bottleneck verdict: the measurements conflict; repeat them on a quiet machine",
}
"""The meaning of the values of the column `bottleneck`."""


@dataclasses.dataclass(frozen=True)
class Statement:
    """One finding and the measurements that it is based on. `good` is false if something is missing or invalid."""

    finding: str
    basis: str
    good: bool = True


def statements(
    summary: pd.DataFrame, sizing: pd.DataFrame, missing: int, differing: Mapping[str, Sequence[str]]
) -> list[Statement]:
    """The bottleneck, the best I/O and inference results, the storage that devices need, and what is not valid.

    `missing` is the number of missing records. `differing` are the keys of machine and software whose values differ
    between records, from `metadata.differing_metadata`.
    """
    valid = summary[summary["valid"]]
    return [
        *_bottleneck(summary),
        *_reading(valid),
        *_inference(valid),
        *_sizing(valid, sizing),
        _validity(summary, missing),
        *_differing(differing),
    ]


def settings(cell: pd.Series) -> str:
    """A cell's settings in words."""
    words = [cell["reader"] if cell["reader"] != "none" else "", cell["engine"] if cell["engine"] != "none" else ""]
    words += [count(cell["ranks"], "rank"), f"batch {cell['local_batch_size']}"]
    if cell["reader"] != "none":
        words.append(f"{cell['inter_threads']} x {cell['intra_threads']} reader threads")
    return ", ".join(filter(None, words))


def _with_precision(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.assign(engine=selection.engine_labels(cells))


def _basis(cell: pd.Series) -> str:
    """The settings of a throughput, the range of its runs, and its warnings."""
    low, high = cell["samples_per_second_min"], cell["samples_per_second_max"]
    warning = f" Warning: {cell['warnings']}." if cell["warnings"] else ""
    return f"Measured with {settings(cell)}; {cell['num_runs']} runs, {low:.3g} to {high:.3g} samples/s.{warning}"


def _bottleneck(summary: pd.DataFrame) -> Iterable[Statement]:
    inference = summary[summary["mode"] == "inference"]
    judged = _with_precision(inference[inference["valid"] & inference["bottleneck"].notna()])
    if judged.empty and not inference.empty:
        yield Statement(
            "No bottleneck verdict",
            "No valid end-to-end configuration has valid I/O-only and compute-only results with the same settings.",
            good=False,
        )
    for _, cell in selection.fastest(judged, ["cache"]).iterrows():
        doubt = "" if cell["bottleneck_certain"] else ", with low confidence"
        efficiency, low, high = (
            percent(cell[name]) for name in ("overlap_efficiency", "overlap_efficiency_min", "overlap_efficiency_max")
        )
        parts = {
            "I/O-only": cell["io_only_samples_per_second"],
            "compute-only": cell["compute_only_samples_per_second"],
        }
        slower, faster = sorted(parts, key=lambda part: parts[part])
        yield Statement(
            f"{VERDICTS[cell['bottleneck']]}{doubt} ({cell['cache']} page cache)",
            f"End-to-end reaches {cell['samples_per_second']:.3g} samples/s. That is {efficiency} (range {low} to "
            f"{high}) of {slower}, which reaches {parts[slower]:.3g}; {faster} reaches {parts[faster]:.3g}. "
            f"{_basis(cell)} {len(judged)} of {count(len(inference), 'end-to-end configuration')} can be compared "
            "with I/O-only and compute-only results.",
            good=cell["bottleneck"] != "measurement-conflict",
        )


def _reading(valid: pd.DataFrame) -> Iterable[Statement]:
    io = valid[valid["mode"] == "io"]
    baselines = selection.fastest(io[io["reader"] == selection.BASELINE], ["cache"]).set_index("cache")
    for _, cell in selection.fastest(io[io["reader"] != selection.BASELINE], ["cache"]).iterrows():
        basis, share = _basis(cell), 0.0
        if cell["cache"] in baselines.index:
            baseline = baselines.loc[cell["cache"], "gigabytes_per_second"]
            share = cell["gigabytes_per_second"] / baseline
            basis += f" That is {percent(share)} of the read-and-discard baseline ({baseline:.3g} GB/s)."
        if too_fast := share > metrics.CONFLICT_ABOVE:
            basis += " No reader can be that much faster, so the machine's speed changed between the measurements."
        source = "storage (cold page cache)" if cell["cache"] == "cold" else "memory (warm page cache)"
        yield Statement(f"{cell['gigabytes_per_second']:.3g} GB/s of samples from {source}", basis, good=not too_fast)


def _inference(valid: pd.DataFrame) -> Iterable[Statement]:
    for mode, words in (("inference", "end-to-end"), ("compute", "compute-only")):
        cells = selection.by_speed(_with_precision(valid[valid["mode"] == mode]))
        for _, cell in cells.head(1).iterrows():
            cache = f" ({cell['cache']} page cache)" if cell["cache"] != "none" else ""
            yield Statement(f"{cell['samples_per_second']:.3g} samples/s {words}{cache}", _basis(cell))


def _sizing(valid: pd.DataFrame, sizing: pd.DataFrame) -> Iterable[Statement]:
    fastest = sizing.sort_values("samples_per_second_per_device", ascending=False, kind="stable")
    columns = [name for name in sizing.columns if name.startswith("gigabytes_per_second_for_")]
    cold = valid[(valid["mode"] == "io") & (valid["cache"] == "cold")]["gigabytes_per_second"]
    for _, device in fastest.head(1).iterrows():
        many = (f"{int(name.rpartition('_')[2]):,} devices need {device[name]:.3g}" for name in columns[1:])
        needed = device[columns[0]]
        rate = cold.max()
        fed = f" This storage ({rate:.3g} GB/s cold) could feed about {rate / needed:.3g}." if len(cold) else ""
        yield Statement(
            f"Each device needs {needed:.3g} GB/s of storage bandwidth to stay 90 % utilised",
            f"A device is a GPU, or a node's CPU if there is no GPU. Extrapolated from {device['engine']} at batch "
            f"{device['local_batch_size']}, not measured: {', '.join(many)} GB/s.{fed}",
        )


def _differing(differing: Mapping[str, Sequence[str]]) -> Iterable[Statement]:
    """Results from nodes of several kinds, or from before and after an update, do not compare settings alone."""
    if differing:
        differences = "; ".join(f"{key}: {' or '.join(values)}" for key, values in differing.items())
        yield Statement(
            "Not all configurations were measured on the same kind of machine with the same software",
            f"Configurations may differ for that reason. {differences}.",
            good=False,
        )


def _validity(summary: pd.DataFrame, missing: int) -> Statement:
    good = int(summary["valid"].sum())
    warned = int((summary["valid"] & (summary["warnings"] != "")).sum())
    basis = f"{count(warned, 'valid configuration')} with warnings. {count(missing, 'record')} missing."
    return Statement(
        f"{good} of {count(len(summary), 'configuration')} valid", basis, good == len(summary) and not missing
    )
