"""Print what a run will take: samples, bytes, cells, jobs and time, less what is there. Starts nothing."""

import argparse
import json
import os
import shutil
from pathlib import Path

from deepcam import cli, plan, plan_table, records
from deepcam.climate import InputError

RESULTS = Path("results")
VERSION = json.loads(records.SCHEMA.read_text())["properties"]["schema_version"]["const"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="the whole configuration, JSON")
    parser.add_argument("--devices", nargs="+", required=True, help="cpu, or cuda0 cuda1 ...")
    parser.add_argument("--report-jobs", type=int, required=True, help="for tables and figures")
    arguments = parser.parse_args()
    folder = Path(arguments.config["data"]["dir"])
    cores = len(os.sched_getaffinity(0))
    made = plan.make(arguments.config, arguments.devices, arguments.report_jobs, cores, found(folder))
    free_bytes = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
    print(plan_table.text(made, arguments.config, arguments.devices, free_bytes))


def found(data: Path) -> plan.Found:
    """What earlier runs have left."""
    return plan.Found(
        index=(data / "index.tsv").exists(),
        npy_shards=len(list(data.glob("npy/shard-*/manifest.tsv"))),
        dataset=(data / "dataset.json").exists(),
        engines=frozenset((path.parent.name, path.stem) for path in RESULTS.glob("accuracy/*/*.json")),
        records=[record(path) for path in sorted(RESULTS.glob("benchmark/*/*.json"))],
        tables=(RESULTS / "tables/summary.csv").exists(),
    )


def record(path: Path) -> plan.Record:
    """A benchmark's record of this version. Not checked any further: for thousands that would take a minute."""
    try:
        made = json.loads(path.read_text())
        if made["schema_version"] == VERSION:
            return made
        reason = f"its schema_version is {made['schema_version']}"
    except (ValueError, KeyError, TypeError) as error:
        reason = repr(error)
    raise InputError(f"{path}: not a record of version {VERSION} ({reason}); delete it and run the workflow again")


if __name__ == "__main__":
    cli.run(main)
