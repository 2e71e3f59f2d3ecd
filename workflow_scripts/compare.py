"""Compare results, configuration by configuration: is the last one slower than the first, and what else differs?

A result is a results folder, the folder that contains it, or a .tar.gz bundle. Give the earliest result first. The
program compares the last result (B) with the first one (A): it writes comparison.csv, comparison.svg, comparison.png
and comparison.md, and prints comparison.md. For more than two results it also writes series.csv, series.svg, series.png
and series.md, which show all results in their order and what changed between neighbours, and prints series.md instead.

Exit status: 0 on success; 1 if --fail-below finds a regression; 2 after any error.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from deepcam import cli, files, paths
from deepcam.report import tables
from deepcam.report.comparison import differences, drift, presentation, series, series_presentation, sides, significance
from deepcam.report.figures import style
from matplotlib.figure import Figure
from pandas import DataFrame

FAIL_BELOW = """\
exit with status 1 if a configuration that is valid in A has a ratio B/A whose whole 95 %% confidence interval is below
RATIO, or if it is invalid in B, missing in B, or has fewer than 3 starts in A or B; also if no configuration is valid
in A. A is the first result, B the last one. The interval does not cover a drift of the machine between A and B, so
leave a margin: 0.9 rather than 0.99
"""


def main() -> None:
    parser = cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", metavar="RESULT", type=Path, nargs="+", help="two or more results, earliest first")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results/comparison"),
        metavar="DIR",
        help="folder to write to (default: %(default)s)",
    )
    parser.add_argument("--fail-below", type=ratio, metavar="RATIO", help=FAIL_BELOW)
    arguments = parser.parse_args()
    if len(arguments.results) < 2:
        parser.error("one result is given; give at least two")
    cells = _compare(arguments.results, arguments.output)
    if arguments.fail_below is not None:
        found = significance.regressions(cells, arguments.fail_below)
        for regression in found:
            print(f"--fail-below {arguments.fail_below:g}: {regression}", file=sys.stderr)
        sys.exit(1 if found else 0)


def ratio(text: str) -> float:
    """Parse a ratio. argparse names this function in its error if `text` is not a number."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a ratio; give a number over 0, such as 0.9")
    return value


def _compare(results: Sequence[Path], output: Path) -> list[significance.Comparison]:
    """Write and print the comparison of all results. Return that of the last one with the first one."""
    read = [sides.read(path) for path in results]
    a, b = read[0], read[-1]
    drifts = drift.between(a.all_records(), b.all_records())
    cells = significance.compare(a.records, b.records, drifts)
    report = presentation.markdown(a, b, cells, drifts, differences.differences(a, b))
    _write(output / "comparison", presentation.table(cells), presentation.figure(cells), report)
    if len(read) > 2:
        found = series.throughput([result.records for result in read])
        report = series_presentation.markdown(read, found, series.changes(read), presentation.headline(cells))
        table = series_presentation.table(found, [result.name for result in read])
        _write(output / "series", table, series_presentation.figure(found), report)
    print(report, end="", flush=True)
    return cells


def _write(path: Path, table: DataFrame, figure: Figure, report: str) -> None:
    """Write the files of a comparison; `path` lacks their suffixes."""
    tables.write(table, path.with_suffix(".csv"))
    style.save(figure, path.with_suffix(".svg"), path.with_suffix(".png"))
    files.write_text(path.with_suffix(".md"), report)


if __name__ == "__main__":
    cli.run(main, failure_status=2, log=paths.log("compare"))
