"""The page of all configurations: one HTML file with a table to sort and filter."""

from __future__ import annotations

import itables
import itables.javascript
import pandas as pd

from deepcam.report import templates
from deepcam.report.figures.selection import CELL
from deepcam.text import count

FIRST_COLUMNS = [
    *CELL, "samples_per_second", "gigabytes_per_second", "valid", "invalid_reasons", "warnings", "bottleneck",
]  # fmt: skip


def render(summary: pd.DataFrame) -> str:
    """The HTML of the page, which loads nothing from elsewhere. Empty columns of the summary are left out."""
    table = itables.to_html_datatable(
        _rounded(_ordered(summary.dropna(axis="columns", how="all"))),
        connected=False,
        table_id="cells",
        columnControl=[
            {"target": 0, "content": []},
            {"target": 1, "content": [{"extend": "searchText", "placeholder": "filter"}]},
        ],
        showIndex=False,
        scrollX=True,
        pageLength=50,
        maxBytes=0,
        format_floats_in_python=False,
        display_logo_when_loading=False,
    )
    return (
        templates.environment()
        .get_template("cells.html.j2")
        .render(
            library=itables.javascript.generate_init_offline_itables_html(itables.options.dt_bundle),
            cells=count(len(summary), "configuration"),
            table=table,
        )
    )


def _ordered(summary: pd.DataFrame) -> pd.DataFrame:
    first = [name for name in FIRST_COLUMNS if name in summary]
    return summary[[*first, *summary.columns.difference(first, sort=False)]]


def _rounded(summary: pd.DataFrame) -> pd.DataFrame:
    """With four significant digits."""
    floats = summary.select_dtypes("float")
    return summary.assign(
        **{name: floats[name].map("{:.4g}".format, na_action="ignore").astype(float) for name in floats}
    )
