"""A comparison as a table, a figure and Markdown, without dates: the same results give the same bytes."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.grid import Cell
from deepcam.record.precision import MIN_STARTS
from deepcam.report.comparison import drift, markup
from deepcam.report.comparison.differences import Difference
from deepcam.report.comparison.drift import Drift
from deepcam.report.comparison.sides import Results
from deepcam.report.comparison.significance import (
    FASTER,
    FDR_LEVEL,
    MOST_STARTS,
    NO_DIFFERENCE,
    NOT_VALID,
    ONLY_A,
    ONLY_B,
    SLOWER,
    TOO_FEW,
    VERDICTS,
    Comparison,
    starts_needed,
    tested_deviations,
)
from deepcam.report.figures.style import COLOURS, STYLE
from deepcam.text import count

LOOKS = {
    SLOWER: (COLOURS[1], "v"),
    TOO_FEW: (COLOURS[4], "s"),
    NO_DIFFERENCE: (COLOURS[0], "o"),
    FASTER: (COLOURS[2], "^"),
    NOT_VALID: ("grey", "D"),
}
"""Verdict to colour and marker."""

SOUGHT = (0.03, 0.05, 0.1, 0.2)
"""Relative differences for which the number of starts is told."""

MOST_DRAWN = 2000
"""Number of cells in the figure. More take minutes to draw, and an image of gigabytes."""

ROW_INCHES = 0.21
"""Height of a cell in the figure, whose label has 9 points. A long grid makes a long page."""


def table(cells: Iterable[Comparison]) -> pd.DataFrame:
    """One row per cell in the given order: the fields of the cell, then those of its comparison."""
    rows = [dataclasses.asdict(cell) for cell in cells]
    columns = [field.name for kind in (Cell, Comparison) for field in dataclasses.fields(kind) if field.name != "cell"]
    return pd.DataFrame([row.pop("cell") | row for row in rows], columns=columns)


def figure(cells: Iterable[Comparison]) -> Figure:
    """Ratio and 95 % confidence interval of each cell that A and B have, slowest at the top.

    Cells that are not valid have hollow markers. Of more than MOST_DRAWN cells, only the slowest are drawn.
    """
    both = sorted((cell for cell in cells if cell.ratio is not None), key=lambda cell: (cell.ratio, cell.cell))
    drawn = both[:MOST_DRAWN]
    with matplotlib.rc_context(STYLE):
        made = Figure(figsize=(10, 1.6 + ROW_INCHES * len(drawn)), layout="constrained")
        axes = made.subplots()
        axes.axvline(1, color="black", linewidth=1)
        shown = table(drawn).astype({"ratio": float, "ci_low": float, "ci_high": float})
        for verdict, (colour, marker) in LOOKS.items():
            rows = shown[shown["verdict"] == verdict]
            axes.plot(
                rows["ratio"],
                rows.index,
                linestyle="none",
                marker=marker,
                color=colour,
                markerfacecolor="white" if verdict == NOT_VALID else colour,
                label=verdict,
            )
            rows = rows.dropna(subset=["ci_low"])
            axes.hlines(rows.index, rows["ci_low"], rows["ci_high"], color=colour)
        axes.set_yticks(range(len(drawn)), labels=[cell.cell.id for cell in drawn], fontsize=9)
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        axes.set_xlabel("throughput of B / throughput of A, with 95 % confidence interval")
        axes.tick_params(top=True, labeltop=True)
        if len(drawn) < len(both):
            axes.set_title(f"the {len(drawn):,} lowest ratios; comparison.csv has all {len(both):,}")
        made.legend(loc="outside lower center", ncols=len(LOOKS))
    return made


def headline(cells: Sequence[Comparison]) -> str:
    """One line with the number of configurations for each verdict, and the lowest ratio of a valid cell."""
    counts = collections.Counter(cell.verdict for cell in cells)
    found = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    ratios = [(c.ratio, c.cell.id) for c in cells if c.a_valid and c.b_valid and c.ratio is not None]
    if not ratios:
        return f"{found}."
    lowest, name = min(ratios)
    return f"{found}. Lowest ratio: {lowest:.3f}, {name}."


def markdown(
    a: Results,
    b: Results,
    cells: Sequence[Comparison],
    drifts: Mapping[str, Drift],
    different: Sequence[Difference],
) -> str:
    """The whole comparison: headline, how to read it, a section per verdict, the machine's drift, other differences."""
    lines = [
        "# Comparison of two results",
        "",
        f"A: {markup.code(a.name)}, B: {markup.code(b.name)}",
        "",
        f"**{headline(cells)}**",
    ]
    lines += ["", *(f"- {caveat}" for caveat in caveats(a, b, cells))]
    for verdict in VERDICTS:
        found = [cell for cell in cells if cell.verdict == verdict]
        if found:
            lines += ["", f"## {verdict[0].upper()}{verdict[1:]}", "", *_section(verdict, found)]
    lines += ["", "## Drift of the machine", "", *_drift(a, b, cells, drifts)]
    lines += ["", "## What else differs", "", *markup.differences("A", "B", different)]
    return "\n".join(lines) + "\n"


def caveats(a: Results, b: Results, cells: Sequence[Comparison]) -> list[str]:
    """How to read the numbers, and what they do not show."""
    found = [
        "Ratio: samples/s of B divided by that of A, with its 95 % confidence interval. p: Welch's t test of the "
        "logarithms of the starts' throughput, corrected for the number of configurations (Benjamini and Hochberg). A "
        "start has one value, the median of its runs."
    ]
    few = [cell for cell in cells if cell.verdict == TOO_FEW]
    if few:
        found.append(
            f"{count(len(few), 'configuration')} with fewer than {MIN_STARTS} starts in A or B cannot be judged, which "
            "does not mean that they are equal: raise benchmark.min_starts."
        )
    if sought := _starts_sought(cells):
        found.append(sought)
    found += [f"{name}: {markup.escaped(note)}" for name, side in (("A", a), ("B", b)) for note in side.notes]
    if a.config is None or b.config is None:
        lacking = " and ".join(name for name, side in (("A", a), ("B", b)) if side.config is None)
        found.append(f"The configuration files were not compared: no config.yaml in {lacking}.")
    return found


def _starts_sought(cells: Sequence[Comparison]) -> str | None:
    """How many starts would show differences of several sizes; None if no cell was tested."""
    deviations = tested_deviations(cells)
    if not deviations:
        return None
    needed = {difference: starts_needed(deviations, difference) for difference in SOUGHT}
    words = [
        f"{starts or f'over {MOST_STARTS:,}'} for {100 * difference:.0f} %" for difference, starts in needed.items()
    ]
    deviation = 100 * statistics.median(deviations)
    return (
        f"Starts deviate by {deviation:.1f} % (median of {count(len(deviations), 'configuration')}). "
        "Starts needed in A and in B to find a difference in one configuration with 80 % probability: "
        f"{', '.join(words)}. To measure so many, set benchmark.min_starts and benchmark.max_starts."
    )


def _drift(a: Results, b: Results, cells: Sequence[Comparison], drifts: Mapping[str, Drift]) -> list[str]:
    """How the machine's speed changed between and within A and B, and what that means for the verdicts."""
    sides = {"A": a.all_records(), "B": b.all_records()}
    if not drifts:
        lacking = [name for name, records in sides.items() if not any(record.start for record in records)]
        return [f"Unknown: the records of {' and '.join(lacking or sides)} have no measurement of the machine's speed."]
    rows = [[speed, markup.number(drifts[speed].ratio), markup.interval(*drifts[speed].interval())] for speed in drifts]
    lines = [
        "Before each start, a probe measures the speed of the machine itself. Verdicts do not take it into account."
    ]
    lines += ["", *markup.rows("speed", "B / A", "95 % interval", rows=rows), ""]
    for name, records in sides.items():
        if changes := drift.within(records):
            words = ", ".join(f"{speed} {ratio:.3f}" for speed, ratio in changes.items())
            lines.append(f"- Within {name}, last third of the probes / first third: {words}.")
    return [*lines, f"- {_with_and_without(cells)}"]


def _with_and_without(cells: Sequence[Comparison]) -> str:
    """How many configurations are called different, and how many would be without the machine's drift."""
    tested = [cell.p_corrected for cell in cells if cell.p_corrected is not None]
    without = [cell.p_corrected_without_drift for cell in cells if cell.p_corrected_without_drift is not None]
    called, still = (sum(p <= FDR_LEVEL for p in of_all) for of_all in (tested, without))
    raw = f"The test finds a difference in {called} of {count(len(tested), 'tested configuration')}."
    if not without:
        return (
            f"{raw} The uncertainty of the drift is unknown, because it takes {drift.MIN_ROUNDS} rounds in A and in B."
        )
    return f"{raw} After a correction for the drift and its uncertainty, it finds one in {still} of {len(without)}."


def _section(verdict: str, cells: Sequence[Comparison]) -> list[str]:
    if verdict in (ONLY_A, ONLY_B):
        return [f"- {markup.code(cell.cell.id)}" for cell in cells]
    if verdict == NOT_VALID:
        return markup.rows(
            "configuration",
            "ratio",
            "why",
            rows=[[markup.code(c.cell.id), markup.number(c.ratio), markup.escaped(c.reasons)] for c in cells],
        )
    return markup.rows(
        "configuration", "ratio", "95 % interval", "without drift", "p, corrected", "A (samples/s)", "B (samples/s)",
        "starts",
        rows=[
            [
                markup.code(c.cell.id),
                markup.number(c.ratio),
                markup.interval(c.ci_low, c.ci_high),
                markup.number(c.ratio_without_drift),
                "-" if c.p_corrected is None else f"{c.p_corrected:.2g}",
                f"{c.a_samples_per_second:.4g}",
                f"{c.b_samples_per_second:.4g}",
                f"{c.a_starts}, {c.b_starts}",
            ]
            for c in cells
        ],
    )  # fmt: skip
