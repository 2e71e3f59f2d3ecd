"""Run the default grid twice in fresh folders, and compare the two: does the same machine give the same numbers?

`make perf-repeat` runs this. Nothing changes between the two runs, so every ratio of theirs is 1 but for what the
machine did meanwhile. The program writes results/performance/repeat.json and prints its table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import pandas as pd
from deepcam import files
from deepcam.report.comparison import drift, sides, significance
from deepcam.report.comparison.significance import FASTER, NOT_VALID, SLOWER, Comparison


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1, help="number of pairs of runs")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="overlays of the default configuration")
    parser.add_argument("--dir", type=Path, default=common.ROOT / "results/performance/repeat", help="a folder to use")
    arguments = parser.parse_args()
    overlays = [path.resolve() for path in arguments.configfile]
    result: dict[str, Any] = {"load_before": os.getloadavg()[0], "pairs": []}
    for _ in range(arguments.pairs):
        shutil.rmtree(arguments.dir, ignore_errors=True)
        folders = [arguments.dir / name for name in "AB"]
        minutes = [run(folder, overlays) / 60 for folder in folders]
        result["pairs"].append(compared(*folders) | {"minutes": minutes})
        print(table(result), flush=True)
    result["machine"] = common.machine(arguments.dir)
    files.write_json(common.ROOT / "results/performance/repeat.json", result)
    print(f"{common.headline(result)}\n\n{table(result)}")


def run(folder: Path, overlays: Sequence[Path]) -> float:
    """Run the whole workflow in a new folder, and return the seconds that it takes."""
    folder.mkdir(parents=True)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", common.ROOT / "Snakefile", "--directory", folder,
        "--workflow-profile", common.ROOT / "profiles/default", *(["--configfile", *overlays] if overlays else []),
    ]  # fmt: skip
    started = time.monotonic()
    with open(folder / "snakemake.log", "w", encoding="utf-8") as log:
        subprocess.run(command, stdout=log, stderr=log, check=True)
    return time.monotonic() - started


def compared(a: Path, b: Path) -> dict[str, Any]:
    """How alike two results of the same grid are. Shares are of the configurations that are valid on both sides."""
    before, after = sides.read(a), sides.read(b)
    drifts = drift.between(before.all_records(), after.all_records())
    cells = significance.compare(before.records, after.records, drifts)
    judged = [cell for cell in cells if cell.verdict != NOT_VALID]
    tables = pd.concat([pd.read_csv(folder / "results/tables/summary.csv") for folder in (a, b)])
    return {
        "configurations": len(cells),
        "valid": len(judged),
        "different": sum(cell.verdict in (SLOWER, FASTER) for cell in judged),
        "different_without_drift": sum(differs_without_drift(cell) for cell in judged),
        "holds_1": share([holds_1(cell.ci_low, cell.ci_high) for cell in judged]),
        "holds_1_without_drift": share(
            [holds_1(cell.ci_low_without_drift, cell.ci_high_without_drift) for cell in judged]
        ),
        "drift": {speed: found.ratio for speed, found in drifts.items()},
        "ratios": {cell.cell.id: cell.ratio for cell in cells},
        "median_half_width": statistics.median(tables["relative_half_width"]),
        "precise": share((tables["stopped"] == "precise").tolist()),
        "starts": int(tables["num_starts"].sum()),
    }


def differs_without_drift(cell: Comparison) -> bool:
    p = cell.p_corrected_without_drift
    return p is not None and p <= significance.FDR_LEVEL


def holds_1(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low <= 1 <= high


def share(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown, a row per pair. What stands in brackets is without the drift of the machine."""
    rows = [
        "| minutes | configurations | valid | different | intervals that hold 1 | median half-width | precise | starts "
        "| drift of storage, memory, compute |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for pair in result["pairs"]:
        first, second = pair["minutes"]
        drifts = ", ".join(f"{pair['drift'].get(speed, float('nan')):.3f}" for speed in drift.FIELDS)
        rows.append(
            f"| {first:.1f}, {second:.1f} | {pair['configurations']} | {pair['valid']} | {pair['different']} "
            f"({pair['different_without_drift']}) | {pair['holds_1']:.0%} ({pair['holds_1_without_drift']:.0%}) | "
            f"{pair['median_half_width']:.1%} | {pair['precise']:.0%} | {pair['starts']} | {drifts} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
