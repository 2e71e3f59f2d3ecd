"""What the tables come to, in sentences: for someone who reads nothing else. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from deepcam.record import metrics
from deepcam.report.figures import selection
from deepcam.text import count

VERDICTS = {
    "storage": "Reading limits inference",
    "compute": "Computing limits inference",
    "contended": "Reading and computing disturb each other",
    "inconsistent": "No verdict: inference was faster than its parts alone, so measure again on a quiet machine",
}
"""What a cell's bottleneck means."""


@dataclasses.dataclass(frozen=True)
class Statement:
    """One finding, and the measurement under it; `good` is false where something is missing or not valid."""

    finding: str
    basis: str
    good: bool = True


def statements(
    summary: pd.DataFrame, sizing: pd.DataFrame, missing: int, unlike: Mapping[str, Sequence[str]]
) -> list[Statement]:
    """The bottleneck, the best of reading and of inference, the storage that devices need, and what is not valid.

    `unlike` is what is not the same in all records of machine and software, as `metadata.unlike` finds it.
    """
    valid = summary[summary["valid"]]
    return [
        *_bottleneck(summary),
        *_reading(valid),
        *_inference(valid),
        *_sizing(valid, sizing),
        _validity(summary, missing),
        *_unlike(unlike),
    ]


def settings(cell: pd.Series) -> str:
    """A cell's settings in words."""
    words = [cell["reader"] if cell["reader"] != "none" else "", cell["engine"] if cell["engine"] != "none" else ""]
    words += [count(cell["ranks"], "rank"), f"batch {cell['local_batch_size']}"]
    if cell["reader"] != "none":
        words.append(f"{cell['inter_threads']} x {cell['intra_threads']} reader threads")
    return ", ".join(filter(None, words))


def _named(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.assign(engine=selection.engine_labels(cells))


def _basis(cell: pd.Series) -> str:
    """What a rate rests on: settings, the range of its runs, and what to bear in mind."""
    low, high = cell["lowest_samples_per_second"], cell["highest_samples_per_second"]
    warning = f" Warning: {cell['warnings']}." if cell["warnings"] else ""
    return f"{settings(cell)}; {cell['runs']} runs from {low:.3g} to {high:.3g} samples/s.{warning}"


def _bottleneck(summary: pd.DataFrame) -> Iterable[Statement]:
    inference = summary[summary["mode"] == "inference"]
    judged = _named(inference[inference["valid"] & inference["bottleneck"].notna()])
    if judged.empty and not inference.empty:
        yield Statement(
            "No verdict on what limits inference",
            "No valid inference cell has valid cells of reading alone and of computing alone with its settings.",
            good=False,
        )
    for _, cell in selection.fastest(judged, ["cache"]).iterrows():
        doubt = "" if cell["bottleneck_certain"] else ", but not for certain"
        yield Statement(
            f"{VERDICTS[cell['bottleneck']]}{doubt} (page cache {cell['cache']})",
            f"Inference reaches {cell['samples_per_second']:.3g} samples/s; reading alone "
            f"{cell['io_samples_per_second']:.3g}, computing alone {cell['compute_samples_per_second']:.3g}: "
            f"{cell['overlap_efficiency']:.0%} of the lower one, {cell['overlap_efficiency_low']:.0%} to "
            f"{cell['overlap_efficiency_high']:.0%} by the runs' extremes, and from 90 % on that one is the limit. "
            f"{_basis(cell)} Of {count(len(inference), 'inference cell')}, {len(judged)} could be compared like this.",
            good=cell["bottleneck"] != "inconsistent",
        )


def _reading(valid: pd.DataFrame) -> Iterable[Statement]:
    io = valid[valid["mode"] == "io"]
    ceilings = selection.fastest(io[io["reader"] == "pread-discard"], ["cache"]).set_index("cache")
    for _, cell in selection.fastest(io[io["reader"] != "pread-discard"], ["cache"]).iterrows():
        basis, share = _basis(cell), 0.0
        if cell["cache"] in ceilings.index:
            ceiling = ceilings.loc[cell["cache"], "gigabytes_per_second"]
            share = cell["gigabytes_per_second"] / ceiling
            basis += f" That is {share:.0%} of the ceiling, pread-discard's {ceiling:.3g} GB/s: "
            basis += "it throws away what it reads."
        if high := share > metrics.INCONSISTENT_ABOVE:
            basis += " No reader beats it on the same machine: the machine has changed in between."
        source = "storage (page cache cold)" if cell["cache"] == "cold" else "memory (page cache warm)"
        yield Statement(f"{cell['gigabytes_per_second']:.3g} GB/s of samples from {source}", basis, good=not high)


def _inference(valid: pd.DataFrame) -> Iterable[Statement]:
    for mode, words in (("inference", "with reading"), ("compute", "without reading")):
        cells = selection.by_speed(_named(valid[valid["mode"] == mode]))
        for _, cell in cells.head(1).iterrows():
            cache = f" (page cache {cell['cache']})" if cell["cache"] != "none" else ""
            yield Statement(f"{cell['samples_per_second']:.3g} samples/s of inference {words}{cache}", _basis(cell))


def _sizing(valid: pd.DataFrame, sizing: pd.DataFrame) -> Iterable[Statement]:
    fastest = sizing.sort_values("samples_per_second_per_device", ascending=False, kind="stable")
    columns = [name for name in sizing.columns if name.startswith("gigabytes_per_second_for_")]
    cold = valid[(valid["mode"] == "io") & (valid["cache"] == "cold")]["gigabytes_per_second"]
    for _, device in fastest.head(1).iterrows():
        many = (f"{int(name.rpartition('_')[2]):,} devices {device[name]:.3g}" for name in columns[1:])
        needed = device[columns[0]]
        rate = cold.max()
        fed = f" This storage, read cold at {rate:.3g} GB/s, would feed {rate / needed:.3g}." if len(cold) else ""
        yield Statement(
            f"{needed:.3g} GB/s of storage keep one such device 90 % busy",
            f"A device is a GPU, or a node's CPU where there is none. Computed: {', '.join(many)} GB/s, from "
            f"{device['engine']} at batch {device['local_batch_size']}; nothing was run on that many.{fed}",
        )


def _unlike(unlike: Mapping[str, Sequence[str]]) -> Iterable[Statement]:
    """Cells on nodes of several kinds, or from before and after an update, are no comparison of settings."""
    if unlike:
        differ = "; ".join(f"{key}: {' or '.join(values)}" for key, values in unlike.items())
        yield Statement(
            "Not all cells were measured on one kind of machine with one software",
            f"What differs between cells may come from that. {differ}.",
            good=False,
        )


def _validity(summary: pd.DataFrame, missing: int) -> Statement:
    good = int(summary["valid"].sum())
    warned = int((summary["valid"] & (summary["warnings"] != "")).sum())
    basis = f"{count(warned, 'valid cell')} with warnings. {count(missing, 'record')} missing."
    return Statement(f"{good} of {count(len(summary), 'cell')} valid", basis, good == len(summary) and not missing)
