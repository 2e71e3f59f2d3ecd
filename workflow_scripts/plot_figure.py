"""Draw one figure of the report from the tables, and write the rows that it shows as CSV."""

import importlib
from pathlib import Path

from deepcam import cli
from deepcam.report import contents, tables
from deepcam.report.figures import style


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--figure", choices=sorted({*contents.FIGURES} - {contents.PREDICTIONS}), required=True)
    parser.add_argument("--tables", type=Path, required=True, help="folder with the tables")
    parser.add_argument("--svg", type=Path, required=True, help="drawing to write")
    parser.add_argument("--png", type=Path, required=True, help="drawing to write")
    parser.add_argument("--csv", type=Path, required=True, help="data of the figure to write")
    arguments = parser.parse_args()
    figure = importlib.import_module(f"deepcam.report.figures.{arguments.figure}")
    shown = figure.data(tables.Tables.read(arguments.tables))
    empty = getattr(figure, "EMPTY", "No configuration has data for this figure.")
    drawn = style.empty_figure(empty) if shown.empty else figure.draw(shown)
    style.save(drawn, arguments.svg, arguments.png)
    tables.write(shown, arguments.csv)


if __name__ == "__main__":
    cli.run(main)
