"""All cells as a table that sorts and filters, in one HTML file that needs nothing else."""

import argparse
from pathlib import Path

import itables
import itables.javascript
import pandas as pd
from deepcam import cli, files
from deepcam.report.figures.selection import CELL
from deepcam.text import count

FIRST = [*CELL, "samples_per_second", "gigabytes_per_second", "valid", "invalid_reasons", "warnings", "bottleneck"]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>DeepCAM benchmark: all cells</title>
{library}
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1rem; background: #fff; color: #1a1a1a; }}
td {{ max-width: 30em; }}
</style>
</head>
<body>
<p>{cells}. The arrows beside a column's name sort by it, the fields below filter. The workflow's README explains
each column.</p>
{table}
</body>
</html>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", type=Path, required=True, help="summary.parquet")
    parser.add_argument("--output", type=Path, required=True, help="HTML file")
    args = parser.parse_args()
    summary = pd.read_parquet(args.summary).dropna(axis="columns", how="all")
    known = [name for name in FIRST if name in summary]
    summary = summary[[*known, *summary.columns.difference(known, sort=False)]]
    for name in summary.select_dtypes("float"):
        summary[name] = summary[name].map("{:.4g}".format, na_action="ignore").astype(float)
    table = itables.to_html_datatable(
        summary,
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
    library = itables.javascript.generate_init_offline_itables_html(itables.options.dt_bundle)
    files.write_text(args.output, PAGE.format(library=library, cells=count(len(summary), "cell"), table=table))


if __name__ == "__main__":
    cli.run(main)
