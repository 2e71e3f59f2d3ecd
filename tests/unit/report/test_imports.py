"""Reports are made on machines that have neither torch, DALI nor MPI."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from dataset_example import dataset
from deepcam.record import predictions
from deepcam.record.predictions import Prediction
from deepcam.report import contents
from record_example import cell, verdict
from results_example import write

SCRIPTS = Path(__file__).parents[3] / "workflow_scripts"

BLOCKED = ("torch", "nvidia.dali", "mpi4py", "deepcam.model", "deepcam.benchmark")

RUN_ALL = f"""
import importlib, json, runpy, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in {BLOCKED!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())
for name in {BLOCKED!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{{name}} is not blocked")
for sys.argv in json.loads(sys.argv[1]):
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_blocked(folder, *commands):
    """Run programs of the workflow in one process that cannot import BLOCKED."""
    paths = [[str(SCRIPTS / f"{program}.py"), *map(str, arguments)] for program, *arguments in commands]
    ended = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(paths)],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


def write_results(folder):
    """Records of each mode, a verdict, a dataset, predictions and a configuration."""
    made = [
        cell(reader="pread"),
        cell(mode="inference", reader="pread", engine="eager-fp32"),
        cell(mode="compute", reader="none", cache="none", engine="eager-fp32"),
        cell(reader="pread", ranks=1, inter_threads=2, intra_threads=2),
    ]
    write(folder, {record.cell: [record] for record in made})
    (folder / "eager-fp32").mkdir()
    (folder / "eager-fp32/cpu.json").write_text(json.dumps(verdict()))
    dataset(samples=4).write(folder / "dataset.json")
    mask = np.arange(6).reshape(2, 3) % 3
    predictions.save([Prediction("a", mask * 10.0, mask, mask, np.eye(3, dtype=int))], folder / "predictions.npz")
    (folder / "config.yaml").write_text("{}")


def test_every_table_figure_and_page_is_made_without_torch_dali_and_mpi(tmp_path):
    write_results(tmp_path)
    known = ["--records", "results/benchmark/records.txt", "--dataset", "dataset.json"]
    tables = ["--accuracy", "eager-fp32/cpu.json", "--channels", 0, 1, "--output", "tables"]
    page = ["--tables", "tables", "--config", "config.yaml", "--output", "summary.html", "--result", "result.json"]

    def outputs(name):
        return [word for suffix in ("svg", "png", "csv") for word in (f"--{suffix}", f"{name}.{suffix}")]

    drawn = [name for name in contents.FIGURES if name != contents.PREDICTIONS]
    run_blocked(
        tmp_path,
        ["aggregate_results", *known, *tables],
        *(["plot_figure", "--figure", name, "--tables", "tables", *outputs(name)] for name in drawn),
        ["plot_predictions", "--predictions", "predictions.npz", *known[2:], *outputs("predictions")],
        ["plot_time_series", *known[:2], "--output", "time_series"],
        ["write_summary", *known[:2], *page],
        ["write_explorer", "--summary", "tables/summary.parquet", "--output", "explorer.html"],
        ["compare", ".", ".", "--output", "comparison"],
    )
    made = {path.name for path in tmp_path.rglob("*") if path.stat().st_size}
    assert made >= {f"{name}.{suffix}" for name in contents.FIGURES for suffix in ("svg", "png", "csv")}
    assert made >= {"summary.csv", "accuracy.csv", "summary.html", "result.json", "explorer.html", "comparison.md"}
