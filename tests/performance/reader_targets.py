"""The targets of `make perf-readers`, and its result as Markdown."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Collection
from typing import Any

import common  # first: it finds the project's code
from deepcam.grid import READERS, Cell

SAME_AS_LOOP = 0.95
"""Two equal ways differ by up to 5 % from run to run."""

MAX_CLOCK_SHARE = 0.01

BASELINE = "pread-discard"

Rates = dict[Cell, list[float]]
"""GB/s of each turn."""


def judge(rates: Rates, loops: Collection[str], clock_seconds: float, batch_bytes: int) -> list[dict[str, Any]]:
    """All targets, judged by medians. All but the last are ratios of rates; the last one is a share of time.

    `loops` are the names of the DALI loops, and `clock_seconds` is what the timed loop adds to a batch.
    """
    medians = {cell: statistics.median(values) for cell, values in rates.items()}
    dali_readers = [cell.reader for cell in rates if cell.reader in READERS and READERS[cell.reader].module == "dali"]
    found: list[dict[str, Any]] = []

    def at_least(required: float, target: str, ratio: float) -> None:
        found.append({"target": target, "required": f"at least {required}", "value": ratio, "met": ratio >= required})

    def relative_to(cell: Cell, way: str) -> float:
        return medians[cell] / medians[dataclasses.replace(cell, reader=way)]

    for cache, to_baseline, to_dali in (("cold", 0.95, 1.25), ("warm", 0.9, 1.1)):
        pread, baseline, dali, loop = (
            best(medians, cache, names) for names in (["pread"], [BASELINE], dali_readers, loops)
        )
        at_least(to_baseline, f"{cache}: pread / {BASELINE}, both {threads_of(pread)}", relative_to(pread, BASELINE))
        at_least(to_dali, f"{cache}: pread / {dali.reader}, each at its best", medians[pread] / medians[dali])
        at_least(0.7, f"{cache}: {dali.reader} / {BASELINE}, each at its best", medians[dali] / medians[baseline])
        at_least(
            SAME_AS_LOOP, f"{cache}: {dali.reader} / {loop.reader}, each at its best", medians[dali] / medians[loop]
        )
        at_least(0.9, f"{cache}: {BASELINE} / fio, both {threads_of(baseline)}", relative_to(baseline, "fio"))
    same = [cell for cell in medians if (cell.reader, cell.cache, cell.intra_threads) == ("pread", "warm", 1)]
    at_least(3, "warm: pread / torch, as many threads as workers", min(relative_to(cell, "torch") for cell in same))
    share = clock_seconds * medians[best(medians, "warm", [BASELINE])] * 1e9 / batch_bytes
    target = f"warm: the timed loop's {clock_seconds * 1e6:.1f} microseconds per batch / a batch of {BASELINE}"
    required = f"at most {MAX_CLOCK_SHARE}"
    return [*found, {"target": target, "required": required, "value": share, "met": share <= MAX_CLOCK_SHARE}]


def best(medians: dict[Cell, float], cache: str, names: Collection[str]) -> Cell:
    """The fastest cell of these ways."""
    return max((cell for cell in medians if cell.cache == cache and cell.reader in names), key=medians.__getitem__)


def threads_of(cell: Cell) -> str:
    """Such as 2x4: two samples in flight, each in four chunks."""
    return f"{cell.inter_threads}x{cell.intra_threads}"


def tables(result: dict[str, Any], rates: Rates) -> str:
    """The result as Markdown."""
    medians = {cell: statistics.median(values) for cell, values in rates.items()}
    lines = [f"{common.headline(result)}, after: {result['load_after']:.1f}"]
    for cache in ("cold", "warm"):
        lines += ["", f"| {cache} | threads | GB/s | slowest to fastest | / {BASELINE} |", "|---|---|---|---|---|"]
        baseline = medians[best(medians, cache, [BASELINE])]
        for way in dict.fromkeys(cell.reader for cell in rates):
            cell = best(medians, cache, [way])
            low, middle, high = min(rates[cell]), medians[cell], max(rates[cell])
            lines.append(
                f"| {way} | {threads_of(cell)} | {middle:.2f} | {low:.2f} to {high:.2f} | {middle / baseline:.2f} |"
            )
    lines += ["", "| target | required | measured | |", "|---|---|---|---|"]
    lines += [
        f"| {row['target']} | {row['required']} | {row['value']:.3g} | {'pass' if row['met'] else 'miss'} |"
        for row in result["targets"]
    ]
    return "\n".join(lines)
