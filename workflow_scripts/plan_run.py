"""Print what a run will take: samples, bytes, cells, jobs and time, less what is there. Starts nothing."""

import argparse
import json
import os
import shutil
from pathlib import Path

from deepcam import cli
from deepcam.plan import plan, terminal
from deepcam.record import store

RESULTS = Path("results")


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
    print(terminal.text(made, arguments.config, arguments.devices, free_bytes))


def found(data: Path) -> plan.Found:
    """What earlier runs have left."""
    return plan.Found(
        index=(data / "index.tsv").exists(),
        npy_shards=len(list(data.glob("npy/shard-*/manifest.tsv"))),
        dataset=(data / "dataset.json").exists(),
        engines=frozenset((path.parent.name, path.stem) for path in RESULTS.glob("accuracy/*/*.json")),
        records=store.read(sorted(RESULTS.glob("benchmark/*/*.json"))),
        tables=(RESULTS / "tables/summary.csv").exists(),
    )


if __name__ == "__main__":
    cli.run(main)
