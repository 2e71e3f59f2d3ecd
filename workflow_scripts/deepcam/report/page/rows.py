"""Rows of the summary table that the results page shows, and which of them are compared. Pure functions."""

from __future__ import annotations

import dataclasses

import pandas as pd

from deepcam.grid import NONE, Cell
from deepcam.record import bottleneck
from deepcam.report import selection
from deepcam.report.page.words import ratio


def prepare(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with the columns `low`, `high` and `id`.

    The name of an engine that chooses its precision is followed by the precision, and its own name is in `built`. The
    state of the page cache is followed by the named place that is read, and alone in `page_cache`.
    """
    return selection.with_interval(selection.by_place(summary)).assign(
        id=[Cell(*fields).id for fields in summary[selection.CELL].itertuples(index=False)],
        built=summary["engine"],
        page_cache=summary["cache"],
        engine=selection.engine_labels(summary),
    )


def fastest(cells: pd.DataFrame) -> pd.Series | None:
    """The fastest valid row; None if there is none."""
    valid = cells[cells["valid"]]
    return None if valid.empty else selection.by_speed(valid).iloc[0]


def of_mode(table: pd.DataFrame, mode: str, cache: str | None = None) -> pd.DataFrame:
    """The rows of a mode, and of a state of the page cache."""
    return table[(table["mode"] == mode) & (cache is None or table["cache"] == cache)]


def states(table: pd.DataFrame) -> list[str]:
    """The measured states of the page cache, cold ones first: those of a dataset that is larger than memory.

    If places are named, there is a state for each of them, such as "cold on nvme".
    """
    return sorted(set(table["cache"]) - {NONE})


def is_cold(state: str) -> bool:
    """Whether the page cache is cold in this state, so that bytes come from storage."""
    return state.split()[0] == "cold"


def is_missing(value: object) -> bool:
    """Whether a cell of the table is empty."""
    return bool(pd.isna(value))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An end-to-end row beside its two limits, with equal settings, and beside the baseline of its ranks and batch."""

    cache: str
    end_to_end: pd.Series
    io: pd.Series
    compute: pd.Series
    baseline: pd.Series | None
    faster: pd.Series | None
    """A faster end-to-end row of another engine, which is invalid or has no valid partners."""

    @property
    def case(self) -> str:
        """What limits, a value of the column `bottleneck`."""
        return self.end_to_end["bottleneck"]

    @property
    def io_is_lower(self) -> bool:
        """Whether I/O-only is the lower of the two limits."""
        return self.io["samples_per_second"] < self.compute["samples_per_second"]

    @property
    def lower(self) -> pd.Series:
        """The row of the lower limit."""
        return self.io if self.io_is_lower else self.compute

    @property
    def upper(self) -> pd.Series:
        """The row of the higher limit."""
        return self.compute if self.io_is_lower else self.io

    @property
    def lower_name(self) -> str:
        """The mode of the lower limit in words."""
        return "I/O-only" if self.io_is_lower else "compute-only"

    @property
    def upper_name(self) -> str:
        """The mode of the higher limit in words."""
        return "compute-only" if self.io_is_lower else "I/O-only"

    @property
    def overlap(self) -> str:
        """End-to-end as a share of its lower limit."""
        return ratio(self.end_to_end["overlap_efficiency"], bottleneck.OVERLAP_LIMITED_BELOW)

    @property
    def baseline_ratio(self) -> float | None:
        """I/O-only as a share of the baseline; None without one."""
        ratio = self.end_to_end["baseline_ratio"]
        return None if is_missing(ratio) else float(ratio)

    @property
    def measured(self) -> tuple[pd.Series, pd.Series, pd.Series]:
        """The three rows that the verdict compares."""
        return self.end_to_end, self.io, self.compute

    @property
    def noise(self) -> float:
        """The noise of these rows, and of the drift that they show, as a share."""
        return bottleneck.largest_noise(
            (_noise(row) for row in self.measured),
            (self.end_to_end["overlap_efficiency"], self.baseline_ratio or 0.0),
        )


def _noise(row: pd.Series) -> float:
    half_width, within = (
        None if is_missing(row[name]) else row[name] for name in ("relative_half_width", "cv_within_starts")
    )
    return bottleneck.row_noise(row["samples_per_second"], row["low"], row["high"], half_width, within)


def comparisons(table: pd.DataFrame) -> list[Comparison]:
    """For each state of the page cache (and place), the fastest valid end-to-end row that can be compared."""
    found = (_comparison(table, state) for state in states(table))
    return [comparison for comparison in found if comparison is not None]


def _comparison(table: pd.DataFrame, cache: str) -> Comparison | None:
    candidates = of_mode(table, "inference", cache)
    row = fastest(candidates[candidates["bottleneck"].notna()])
    if row is None:
        return None
    equal = table[(table["ranks"] == row["ranks"]) & (table["local_batch_size"] == row["local_batch_size"])]
    io, compute = of_mode(equal, "io", cache), of_mode(equal, "compute")
    threads = (io["inter_threads"] == row["inter_threads"]) & (io["intra_threads"] == row["intra_threads"])
    alone = fastest(io[threads & (io["reader"] == row["reader"])])
    resident = fastest(compute[compute["engine"] == row["engine"]])
    assert alone is not None and resident is not None, "a row with a bottleneck has valid partners"
    return Comparison(
        cache,
        row,
        alone,
        resident,
        baseline=fastest(io[io["reader"] == selection.BASELINE]),
        faster=_faster(candidates, row),
    )


def _faster(candidates: pd.DataFrame, row: pd.Series) -> pd.Series | None:
    others = candidates[candidates["engine"] != row["engine"]]
    faster = others[others["samples_per_second"] > row["samples_per_second"]]
    return None if faster.empty else selection.by_speed(faster).iloc[0]
