"""All cells as a table that sorts and filters, in one HTML file that needs nothing else."""

import argparse
from pathlib import Path

import itables
import itables.javascript
import pandas as pd
from deepcam import cli, files
from deepcam.headline import count

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>DeepCAM benchmark: all cells</title>
{library}
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1rem; background: #fff; color: #1a1a1a; }}
thead input {{ width: 7em; }}
</style>
</head>
<body>
<p>{cells}. A click on a column's name sorts by it; what is typed into its field filters by it.</p>
{table}
</body>
</html>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", type=Path, required=True, help="summary.parquet")
    parser.add_argument("--output", type=Path, required=True, help="HTML file")
    args = parser.parse_args()
    summary = pd.read_parquet(args.summary)
    table = itables.to_html_datatable(
        summary,
        connected=False,
        table_id="cells",
        column_filters="header",
        showIndex=False,
        scrollX=True,
        pageLength=25,
        maxBytes=0,
        display_logo_when_loading=False,
    )
    library = itables.javascript.generate_init_offline_itables_html(itables.options.dt_bundle)
    with files.atomic_path(args.output) as temporary:
        temporary.write_text(PAGE.format(library=library, cells=count(len(summary), "cell"), table=table))


if __name__ == "__main__":
    cli.run(main)
