"""Draw the throughput over time of every configuration, and write its data and its batch intervals as CSV."""

from pathlib import Path

from deepcam import cli
from deepcam.record import run_records, store
from deepcam.report import tables
from deepcam.report.figures import style, time_series


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="text file with the path of one record per line")
    parser.add_argument("--output", type=Path, required=True, help="folder for the figures")
    arguments = parser.parse_args()
    cells: dict[str, list[Path]] = {}
    for path in run_records.read(arguments.records).present:
        cells.setdefault(path.parent.name, []).append(path)
    for name, paths in cells.items():
        records = dict(zip((int(path.stem) for path in paths), store.read(paths), strict=True))
        (row,) = tables.summary(records.values()).itertuples()
        shown, cell = time_series.data(records), next(iter(records.values())).cell
        svg, png = (arguments.output / f"{name}.{suffix}" for suffix in ("svg", "png"))
        style.save(time_series.draw(shown, cell, row.valid), svg, png)
        tables.write(shown, arguments.output / f"{name}.csv")
        tables.write(time_series.histogram(list(records.values())), arguments.output / f"{name}.histogram.csv")


if __name__ == "__main__":
    cli.run(main)
