"""Measure what grows with ranks, records, configurations and files, up to what no machine here can run.

`make perf-scale` runs this. Ranks of large records are made up; they go through the project's own data model, checks,
files and tables. Starts of up to 64 ranks are real: all of them run on this machine, and read tiny samples. The program
writes results/performance/scale.json and prints the tables of tests/performance/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import scale_plans
import scale_ranks
import scale_records
import scale_tables
from deepcam import files

WORKERS: dict[str, Callable[[Path, int], dict[str, Any]]] = scale_records.WORKERS | scale_ranks.WORKERS


def main() -> None:
    parser = common.parser(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--ranks", type=int, nargs="+", default=[64, 4096], help="ranks of made-up records")
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 2, 3], help="configurations that are aggregated")
    parser.add_argument("--real-ranks", type=int, nargs="+", default=[1, 4, 16, 64], help="ranks of real starts")
    parser.add_argument("--files", type=int, default=136_424, help="samples in the folder that is planned for")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        step, number = arguments.worker
        if found := WORKERS[step](arguments.dir, int(number)):
            print(json.dumps(found))
        return
    arguments.dir.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"load_before": os.getloadavg()[0], "machine": common.machine(arguments.dir)}
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        result["records"] = [noted("record", scale_records.record, folder, ranks) for ranks in arguments.ranks]
        result["reading"] = noted("reading by part", scale_records.reading, folder, max(arguments.ranks))
        scale_records.link(folder, max(arguments.ranks), max(arguments.cells))
        result["aggregation"] = [noted("tables", scale_records.aggregation, folder, cells) for cells in arguments.cells]
        result["gathers"] = [noted("gather", scale_ranks.gathering, folder, ranks) for ranks in arguments.real_ranks]
        result["starts"] = [
            noted("starts", scale_ranks.start, folder, ranks, arguments.repeats) for ranks in arguments.real_ranks
        ]
        result["plans"] = noted("plans", scale_plans.plans, folder, arguments.files)
    files.write_json(common.ROOT / "results/performance/scale.json", result)
    print(f"{common.headline(result)}\n\n{scale_tables.tables(result)}")


def noted(name: str, function: Callable[..., Any], folder: Path, *numbers: int) -> Any:
    """What a function finds. Its name is shown before, because all of them together take minutes."""
    print(name, *numbers, file=sys.stderr)
    return function(folder, *numbers)


if __name__ == "__main__":
    main()
