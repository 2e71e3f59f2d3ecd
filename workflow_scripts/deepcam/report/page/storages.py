"""The storages side by side: throughput at equal settings, the ratio, the bottleneck, and what each would feed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from deepcam.report import selection
from deepcam.report.page.rows import Comparison, is_cold
from deepcam.report.page.sizing import Supply
from deepcam.report.page.verdict import TITLES
from deepcam.report.page.words import MODES, digits, interval, page_cache, settings, span
from deepcam.text import capitalized, count


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Throughput of place B divided by that of A: the geometric mean over the configurations of a mode and page cache.

    `low` and `high` are the ends of its 95 % confidence interval.
    """

    mode: str
    cache: str
    a: str
    b: str
    ratio: float
    low: float
    high: float
    configurations: int


@dataclasses.dataclass(frozen=True)
class StorageRow:
    """A storage in one mode and state of the page cache. All storages of these are shown with equal settings."""

    mode: str
    cache: str
    storage: str
    kind: str
    """Mode and state of the page cache in words."""
    settings: str
    rate: str
    gigabytes: str
    interval: str
    ratio: Ratio | None
    """Its throughput divided by that of the slowest storage; None for the slowest, and without enough starts."""
    ratio_words: str
    feeds: str
    """What it would feed; empty unless it was read alone with a cold page cache."""
    fed: float | None
    """Number of devices of that, not rounded."""
    verdict: str
    """What limits its fastest end-to-end configuration; empty without a verdict."""
    number: float
    """Samples/s."""
    configuration: str


def rows(
    table: pd.DataFrame, ratios: Sequence[Ratio], found: Sequence[Comparison], supplies: Sequence[Supply]
) -> list[StorageRow]:
    """A row per mode, state of the page cache and storage; none if fewer than two storages are named.

    The settings are those of the fastest configuration that is valid on all storages. `found` are the verdicts.
    """
    read = table[(table["storage"] != "") & table["valid"] & (table["reader"] != selection.BASELINE)]
    storages = sorted(read["storage"].unique())
    made = []
    for (_, mode, cache), cells in read.assign(order=read["mode"] != "io").groupby(["order", "mode", "page_cache"]):
        equal = [name for name in selection.CELL if name not in ("storage", "cache")]
        everywhere = cells[cells.groupby(equal)["storage"].transform("nunique") == len(storages)]
        if len(storages) < 2 or everywhere.empty:
            continue
        best = selection.by_speed(everywhere).iloc[0]
        shown = everywhere[(everywhere[equal] == best[equal]).all(axis=1)]
        for _, row in shown.sort_values("storage").iterrows():
            ratio = next((one for one in ratios if (one.mode, one.cache, one.b) == (mode, cache, row["storage"])), None)
            made.append(_row(row, ratio, ratios, found, supplies))
    return made


def _row(
    row: pd.Series,
    ratio: Ratio | None,
    ratios: Sequence[Ratio],
    found: Sequence[Comparison],
    supplies: Sequence[Supply],
) -> StorageRow:
    mode, cache, storage = row["mode"], row["page_cache"], row["storage"]
    supply = next((one for one in supplies if one.place == storage), None) if mode == "io" and is_cold(cache) else None
    case = next((one.case for one in found if one.cache == row["cache"]), None) if mode == "inference" else None
    slowest = {one.a for one in ratios} == {storage}
    words = "reference" if slowest else "too few starts"
    if ratio is not None:
        words = f"{ratio.ratio:.2f} ({span(f'{ratio.low:.2f}', f'{ratio.high:.2f}')})"
    who = " ".join(name for name in (row["reader"], row["engine"]) if name != "none")
    return StorageRow(
        mode=mode,
        cache=cache,
        storage=storage,
        kind=f"{capitalized(MODES[mode])}, {cache}",
        settings=f"{who}, {settings(row)}",
        rate=digits(row["samples_per_second"]),
        gigabytes=digits(row["gigabytes_per_second"]),
        interval=interval(row),
        ratio=ratio,
        ratio_words=words,
        feeds="" if supply is None else f"{supply.value} {supply.unit} ({supply.range})",
        fed=None if supply is None else supply.fed,
        verdict="" if case is None else TITLES[case],
        number=row["samples_per_second"],
        configuration=row["id"],
    )


def finding(ratio: Ratio) -> str:
    """What a ratio says, in a sentence."""
    kind = f"{capitalized(MODES[ratio.mode])} with a {page_cache(ratio.cache)}"
    numbers = f"{span(f'{ratio.low:.2f}', f'{ratio.high:.2f}')}, {count(ratio.configurations, 'configuration')}"
    if ratio.low <= 1 <= ratio.high:
        return f"{kind}: no difference between {ratio.b} and {ratio.a} was seen: ratio {ratio.ratio:.2f} ({numbers})."
    return f"{kind}: {ratio.b} is {ratio.ratio:.2f} times as fast as {ratio.a} ({numbers})."
