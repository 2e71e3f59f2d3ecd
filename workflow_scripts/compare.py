"""Compare two results, configuration by configuration: is B slower than A, and what else differs?

A and B are each a results folder, the folder that contains it, or a .tar.gz bundle. A is the earlier result. The
program writes comparison.csv, comparison.svg, comparison.png and comparison.md, and prints the latter.

Exit status: 0 on success; 1 if --fail-below finds a regression; 2 after any error.
"""

import argparse
import math
import sys
from pathlib import Path

from deepcam import cli, files, paths
from deepcam.report import tables
from deepcam.report.comparison import differences, drift, presentation, sides, significance
from deepcam.report.figures import style

FAIL_BELOW = """\
exit with status 1 if a configuration that is valid in A has a ratio B/A whose whole 95 %% confidence interval is below
RATIO, or if it is invalid in B, missing in B, or has fewer than 3 starts in A or B; also if no configuration is valid
in A. The interval does not cover a drift of the machine between A and B, so leave a margin: 0.9 rather than 0.99
"""


def main() -> None:
    parser = cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="A", type=Path, help="the earlier result")
    parser.add_argument("b", metavar="B", type=Path, help="the result to compare with it")
    parser.add_argument("--output", type=Path, default=Path("results/comparison"), metavar="DIR", help="%(default)s")
    parser.add_argument("--fail-below", type=ratio, metavar="RATIO", help=FAIL_BELOW)
    arguments = parser.parse_args()
    cells = _compare(arguments.a, arguments.b, arguments.output)
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


def _compare(a_path: Path, b_path: Path, output: Path) -> list[significance.Comparison]:
    """Write and print the comparison of two results."""
    a, b = sides.read(a_path), sides.read(b_path)
    drifts = drift.between(a.all_records(), b.all_records())
    cells = significance.compare(a.records, b.records, drifts)
    report = presentation.markdown(a, b, cells, drifts, differences.differences(a, b))
    tables.write(presentation.table(cells), output / "comparison.csv")
    style.save(presentation.figure(cells), output / "comparison.svg", output / "comparison.png")
    files.write_text(output / "comparison.md", report)
    print(report, end="", flush=True)
    return cells


if __name__ == "__main__":
    cli.run(main, failure_status=2, log=paths.log("compare"))
