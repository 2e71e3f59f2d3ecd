"""Several results as a table, a figure and Markdown, without dates: the same results give the same bytes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.grid import Cell
from deepcam.record.precision import MIN_STARTS
from deepcam.report.comparison import drift, markup
from deepcam.report.comparison.series import Change, Point
from deepcam.report.comparison.sides import Results
from deepcam.report.figures.style import COLOURS, STYLE
from deepcam.text import count

Series = Mapping[Cell, Sequence[Point | None]]

MOST_PANELS = 60
"""Number of configurations in the figure. More take minutes to draw."""

COLUMNS = 4
"""Panels in a row of the figure."""


def table(series: Series, names: Sequence[str]) -> pd.DataFrame:
    """One row per configuration and result: the fields of the configuration, the result, and the fields of the point.

    Results are numbered from 1. A result without the configuration has no row.
    """
    rows = [
        dataclasses.asdict(cell) | {"result": number, "name": name} | dataclasses.asdict(point) | {"valid": point.valid}
        for cell, points in series.items()
        for number, (name, point) in enumerate(zip(names, points, strict=True), start=1)
        if point is not None
    ]
    fields = [field.name for kind in (Cell, Point) for field in dataclasses.fields(kind)]
    place = len(dataclasses.fields(Cell))
    return pd.DataFrame(rows, columns=[*fields[:place], "result", "name", *fields[place:], "valid"])


def figure(series: Series) -> Figure:
    """A small panel per configuration: its throughput in each result, with 95 % confidence intervals.

    Each panel's axis starts at 0. Results that are not valid have hollow markers. Of more than MOST_PANELS
    configurations, only those whose throughput varies most are drawn.
    """
    drawn = sorted(sorted(series, key=lambda cell: (-_variation(series[cell]), cell))[:MOST_PANELS])
    rows = math.ceil(len(drawn) / COLUMNS)
    with matplotlib.rc_context(STYLE):
        made = Figure(figsize=(4 * COLUMNS, 0.6 + 2.1 * rows), layout="constrained")
        panels = made.subplots(rows, COLUMNS, squeeze=False).flat
        for cell, axes in zip(drawn, panels, strict=False):
            rates = [math.nan if point is None else point.samples_per_second for point in series[cell]]
            numbers = range(1, len(rates) + 1)
            axes.plot(numbers, rates, color=COLOURS[0])  # with a gap where a result lacks the configuration
            for number, point in zip(numbers, series[cell], strict=True):
                if point is not None:
                    face = COLOURS[0] if point.valid else "white"
                    axes.plot(number, point.samples_per_second, marker="o", color=COLOURS[0], markerfacecolor=face)
                    if point.ci_low is not None:
                        axes.vlines(number, point.ci_low, point.ci_high, color=COLOURS[0])
            axes.set_title(cell.id, fontsize=7)
            axes.set_xticks(numbers)
            axes.set_xlim(0.5, len(rates) + 0.5)
            axes.set_ylim(bottom=0)
        for axes in list(panels):
            axes.set_visible(False)
        made.supxlabel("result, in the order given")
        made.supylabel("throughput (samples/s), with 95 % confidence interval")
        if len(drawn) < len(series):
            made.suptitle(f"the {len(drawn)} that vary most; series.csv has all {count(len(series), 'configuration')}")
    return made


def markdown(results: Sequence[Results], series: Series, changes: Sequence[Change], headline: str) -> str:
    """All results: the configurations, the speed of the machine, and what changed from each result to the next.

    `headline` is that of the comparison of the last result with the first.
    """
    numbers = [str(number) for number in range(1, len(results) + 1)]
    neighbours = list(itertools.pairwise(numbers))
    lines = [f"# Comparison of {len(results)} results", ""]
    lines += [f"{number}. {markup.code(result.name)}" for number, result in zip(numbers, results, strict=True)]
    lines += ["", f"**Last (B) against first (A): {headline}**", ""]
    lines.append(
        "- Values are samples/s, the geometric mean of the starts, with the 95 % confidence interval for "
        f"{MIN_STARTS} or more starts. comparison.md has the tests of the last result against the first."
    )
    if unknown := [number for number, result in zip(numbers, results, strict=True) if result.config is None]:
        lines.append(
            "- Configuration files are compared only between results that have a config.yaml. It is missing in "
            f"{', '.join(unknown)}."
        )
    lines += ["", "## Throughput", ""]
    lines += markup.rows(
        "configuration", *numbers,
        rows=[[markup.code(cell.id), *map(_value, points)] for cell, points in series.items()],
    )  # fmt: skip
    lines += ["", "## Drift of the machine", "", *_drift(changes, neighbours)]
    for (a, b), change in zip(neighbours, changes, strict=True):
        lines += ["", f"## What changed from {a} to {b}", "", *markup.differences(a, b, change.differences)]
    return "\n".join(lines) + "\n"


def _variation(points: Sequence[Point | None]) -> float:
    """Highest throughput divided by the lowest one."""
    rates = [point.samples_per_second for point in points if point is not None]
    return max(rates) / min(rates)


def _value(point: Point | None) -> str:
    if point is None:
        return "-"
    interval = "" if point.ci_low is None else f" ({point.ci_low:.4g} to {point.ci_high:.4g})"
    return f"{point.samples_per_second:.4g}{interval}{'' if point.valid else ' INVALID'}"


def _drift(changes: Sequence[Change], neighbours: Sequence[tuple[str, str]]) -> list[str]:
    """The ratio of the machine's speeds from each result to the next, as the probes before the starts measured it."""
    speeds = dict.fromkeys(speed for change in changes for speed in change.drifts)
    if not speeds:
        return ["Unknown: the records have no measurement of the machine's speed."]
    rows = [[speed, *(_ratio(change.drifts.get(speed)) for change in changes)] for speed in speeds]
    said = "Before each start, a probe measures the speed of the machine itself. Ratios are later / earlier speed."
    return [said, "", *markup.rows("speed", *(f"{a} to {b}" for a, b in neighbours), rows=rows)]


def _ratio(of_machine: drift.Drift | None) -> str:
    if of_machine is None:
        return "-"
    low, high = of_machine.interval()
    return markup.number(of_machine.ratio) + ("" if low is None else f" ({markup.interval(low, high)})")
