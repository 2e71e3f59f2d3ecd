"""Write the explorer: all configurations to filter, plot and save, in one HTML file that loads nothing else."""

from pathlib import Path

import pandas as pd
from deepcam import cli, files
from deepcam.report import explorer_page


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--summary", type=Path, required=True, help="summary.parquet")
    parser.add_argument("--output", type=Path, required=True, help="HTML file")
    arguments = parser.parse_args()
    files.write_text(arguments.output, explorer_page.render(pd.read_parquet(arguments.summary)))


if __name__ == "__main__":
    cli.run(main)
