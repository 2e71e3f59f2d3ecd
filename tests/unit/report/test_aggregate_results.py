"""The program that makes the tables reads what the rounds have left."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
from dataset_example import dataset
from results_example import GRID, STEADY, started, write

PROGRAM = Path(__file__).parents[3] / "workflow_scripts/aggregate_results.py"


def test_the_summary_says_why_measuring_ended(tmp_path):
    write(tmp_path, {GRID[0]: started(GRID[0], STEADY), GRID[1]: started(GRID[1], STEADY[:2])})
    finished = f'"{GRID[0].id}": {{"starts": 5, "stopped": "precise"}}'
    (tmp_path / "group.json").write_text(f'{{"schema_version": 6, "configurations": {{{finished}}}}}')
    dataset(samples=4).write(tmp_path / "dataset.json")
    command = [
        sys.executable, PROGRAM, "--records", "results/benchmark/records.txt", "--rounds", "group.json",
        "--dataset", "dataset.json", "--channels", "0", "--output", "tables",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "tables/summary.csv", keep_default_na=False)
    assert summary["stopped"].tolist() == ["precise", ""]
    assert summary["num_starts"].tolist() == [5, 2]
    assert summary["relative_half_width"].tolist()[1] == ""
    assert list(pd.read_csv(tmp_path / "tables/best.csv")["stopped"]) == ["precise"]
