"""Make the tables from the records of a grid, the accuracy verdicts on its engines, and its dataset."""

from collections.abc import Iterator
from pathlib import Path

from deepcam import cli
from deepcam.data import dataset
from deepcam.errors import InputError
from deepcam.record import rounds, run_records, store
from deepcam.record.compact import Compact
from deepcam.record.schema import Record
from deepcam.report import tables
from deepcam.report.comparison import storages


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="the list of the run's records, one path per line")
    parser.add_argument("--rounds", type=Path, nargs="*", default=[], help="files that say why measuring ended")
    parser.add_argument("--accuracy", type=Path, nargs="*", default=[], help="verdicts, <engine>/<device>.json")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--channels", type=int, nargs="+", required=True, help="channels that the network sees")
    parser.add_argument("--compare-storages", action="store_true", help="write storages.csv, too: places have names")
    parser.add_argument("--output", type=Path, required=True, help="folder for the tables")
    args = parser.parse_args()
    records = run_records.read(args.records)
    for words, found in (("missing", records.missing), ("ignored, not part of this run", records.left_out)):
        for path in found:
            print(f"{words}: {path}")
    if not records.present:
        raise InputError(f"{args.records}: none of its {len(records.missing)} records exists; run the workflow first")
    of_cells: dict[str, list[Path]] = {}
    for path in records.present:
        of_cells.setdefault(path.parent.name, []).append(path)
    compact, kept = Compact(), []

    def read(paths: list[Path]) -> Iterator[Record]:
        for record in store.read_each(paths):
            if args.compare_storages:
                kept.append(compact(record))
            yield record

    summary = tables.summary_of_cells(map(read, of_cells.values()), rounds.stopped(args.rounds))
    made = {
        "summary.csv": summary,
        "summary.parquet": summary,
        "best.csv": tables.best(summary),
        "sizing.csv": tables.sizing(summary),
        "accuracy.csv": tables.accuracy(args.accuracy),
        "channels.csv": tables.channels(dataset.read_description(args.dataset).channels or (), args.channels),
    }
    if args.compare_storages:
        made["storages.csv"] = storages.table(storages.pairs(kept))
    for name, table in made.items():
        tables.write(table, args.output / name)


if __name__ == "__main__":
    cli.run(main)
