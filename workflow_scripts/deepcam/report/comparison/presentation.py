"""A comparison as a table, a figure and Markdown, without dates: the same results give the same bytes."""

from __future__ import annotations

import collections
import dataclasses
import html
import re
from collections.abc import Iterable, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from deepcam.grid import Cell
from deepcam.report.comparison.differences import Difference
from deepcam.report.comparison.sides import Results
from deepcam.report.comparison.significance import (
    FASTER,
    NO_DIFFERENCE,
    NOT_VALID,
    ONLY_A,
    ONLY_B,
    SLOWER,
    TOO_FEW,
    VERDICTS,
    Comparison,
    runs_needed,
)
from deepcam.report.figures.style import COLOURS, STYLE
from deepcam.text import printable

LOOKS = {
    SLOWER: (COLOURS[1], "v"),
    TOO_FEW: (COLOURS[4], "s"),
    NO_DIFFERENCE: (COLOURS[0], "o"),
    FASTER: (COLOURS[2], "^"),
    NOT_VALID: ("grey", "D"),
}
"""Verdict to colour and marker."""

MOST_DRAWN = 2000
"""Number of cells in the figure. More take minutes to draw, and an image of gigabytes."""

ROW_INCHES = 0.21
"""Height of a cell in the figure, whose label has 9 points. A long grid makes a long page."""


def table(cells: Iterable[Comparison]) -> pd.DataFrame:
    """One row per cell in their order: the fields of the cell, then those of its comparison."""
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
            axes.set_title(f"the {len(drawn):,} cells with the lowest ratios; comparison.csv has all {len(both):,}")
        made.legend(loc="outside lower center", ncols=len(LOOKS))
    return made


def headline(cells: Sequence[Comparison]) -> str:
    """One line with the number of cells for each verdict, and the lowest ratio of a valid cell."""
    counts = collections.Counter(cell.verdict for cell in cells)
    found = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    ratios = [(c.ratio, c.cell.id) for c in cells if c.a_valid and c.b_valid and c.ratio is not None]
    if not ratios:
        return f"{found}."
    lowest, name = min(ratios)
    return f"{found}. Lowest ratio: {lowest:.3f}, {name}."


def markdown(a: Results, b: Results, cells: Sequence[Comparison], different: Sequence[Difference]) -> str:
    """The whole comparison: headline, caveats, a section per verdict with slower cells first, and other differences."""
    lines = ["# Comparison of two results", "", f"A: {_code(a.name)}, B: {_code(b.name)}", "", f"**{headline(cells)}**"]
    lines += ["", *(f"- {caveat}" for caveat in caveats(a, b, cells))]
    for verdict in VERDICTS:
        found = [cell for cell in cells if cell.verdict == verdict]
        if found:
            lines += ["", f"## {verdict[0].upper()}{verdict[1:]}", "", *_section(verdict, found)]
    lines += ["", "## What else differs", ""]
    if different:
        lines += _rows("key", "A", "B", rows=[[_code(d.key), _code(d.a), _code(d.b)] for d in different])
    else:
        lines.append("Nothing that was recorded.")
    return "\n".join(lines) + "\n"


def caveats(a: Results, b: Results, cells: Sequence[Comparison]) -> list[str]:
    """How to read the numbers, and what they do not show."""
    judged = [cell for cell in cells if cell.a_valid and cell.b_valid]
    few = [cell for cell in judged if cell.verdict == TOO_FEW]
    found = [
        "Ratio: median samples/s of B divided by that of A, with its 95 % confidence interval (bootstrap). p: "
        "two-sided Mann-Whitney U test of the runs, corrected for the number of cells (Benjamini and Hochberg). Both "
        "assume that runs are independent. The runs of one start share a process, so if starts differ, both are too "
        "confident."
    ]
    if few:
        below = sum(cell.ci_high is not None and cell.ci_high < 1 for cell in few)
        found.append(
            f"{len(few)} of {len(judged)} cells have too few runs for a verdict, which does not mean that they are "
            f"equal; in {below} of them the whole interval is below 1. To find a single slower cell among "
            f"{len(judged)} takes {runs_needed(len(judged))} runs in A and in B: raise benchmark.starts."
        )
    if any(min(cell.a_starts, cell.b_starts) == 1 for cell in judged):
        found.append(
            "One start: a small difference between A and B may be one between two starts of the same program. Raise "
            "benchmark.starts."
        )
    if a.config is None or b.config is None:
        lacking = " and ".join(name for name, side in (("A", a), ("B", b)) if side.config is None)
        found.append(f"The configurations were not compared: no config.yaml in {lacking}.")
    return found


def _section(verdict: str, cells: Sequence[Comparison]) -> list[str]:
    if verdict in (ONLY_A, ONLY_B):
        return [f"- {_code(cell.cell.id)}" for cell in cells]
    if verdict == NOT_VALID:
        return _rows(
            "cell", "ratio", "why", rows=[[_code(c.cell.id), _number(c.ratio), _text(c.reasons)] for c in cells]
        )
    return _rows(
        "cell", "ratio", "95 % interval", "p, corrected", "A (samples/s)", "B (samples/s)", "runs",
        rows=[
            [
                _code(c.cell.id),
                _number(c.ratio),
                f"{_number(c.ci_low)} to {_number(c.ci_high)}",
                "-" if c.p_corrected is None else f"{c.p_corrected:.2g}",
                f"{c.a_samples_per_second:.4g}",
                f"{c.b_samples_per_second:.4g}",
                f"{c.a_runs}, {c.b_runs}",
            ]
            for c in cells
        ],
    )  # fmt: skip


def _rows(*header: str, rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [list(header), ["-" * len(name) for name in header]]
    cells += [[text.replace("|", r"\|") for text in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in cells]


def _number(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}"


def _code(text: str) -> str:
    """A name or value as code if Markdown cannot mistake any of its characters, else as text."""
    return f"`{text}`" if text.isprintable() and not set(text) & set("`<>&") else _text(text)


def _text(text: str) -> str:
    """Text that a record brings along, in one line and without markup."""
    return re.sub(r"[\\`*\[\]]", r"\\\g<0>", html.escape(printable(text), quote=False))
