"""From the records of a grid to the tables: summary, best, sizing."""

import argparse
from pathlib import Path

from deepcam import cli, records, tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="text file with a record's path a line")
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--parquet", type=Path, required=True)
    parser.add_argument("--best", type=Path, required=True)
    parser.add_argument("--sizing", type=Path, required=True)
    args = parser.parse_args()
    paths = [Path(line) for line in args.records.read_text().splitlines()]
    summary = tables.summary(records.read(paths))
    tables.write(summary, args.summary)
    tables.write(summary, args.parquet)
    tables.write(tables.best(summary), args.best)
    tables.write(tables.sizing(summary), args.sizing)


if __name__ == "__main__":
    cli.run(main)
