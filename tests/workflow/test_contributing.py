"""The reader in CONTRIBUTING.md works if it is added as described there, without any other change."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_tiny import NOISE

ROOT = Path(__file__).parents[2]
OVERLAY = {"modes": ["io"], "readers": ["toy"], "cache": ["cold"], "ranks": [1], "inter_threads": [1]}
RECORD = "results/benchmark/io_toy_cold_none_r0001_b002_t01x01/0.json"


def run(folder, *command):
    ended = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project with the reader of CONTRIBUTING.md."""
    folder = tmp_path_factory.mktemp("contribution")
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "results", "__pycache__"), dirs_exist_ok=True)
    section = re.search(r"^## Add a reader\n(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)[1]
    module, line = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    (folder / "workflow_scripts/deepcam/benchmark/readers/toy.py").write_text(module)
    insert(folder / "workflow_scripts/deepcam/grid.py", "READERS = {\n", line)
    for grid in ("readers", "gpu-readers"):
        insert(folder / f"config/{grid}.yaml", "readers: [", "toy, ")
    return folder


def insert(path, after, text):
    before = path.read_text()
    assert before.count(after) == 1
    path.write_text(before.replace(after, after + text))


def test_the_reader_passes_the_checks_of_the_project(copy):
    run(copy, "ruff", "check", ".")
    run(copy, "ruff", "format", "--check", ".")
    tests = ["tests/unit/benchmark/test_readers.py", "tests/workflow/test_static.py"]
    passed = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "-k", "toy or grid_of_readers", *tests)
    assert int(re.search(r"(\d+) passed", passed)[1]) > 16  # batch sizes, threads and cache states of one reader


def test_the_reader_is_measured_by_the_workflow(copy):
    (copy / "toy.yaml").write_text(json.dumps({"benchmark": OVERLAY}))
    run(
        copy,
        "snakemake",
        "results/benchmark/nodes-1.json",
        "--cores",
        "2",
        "--configfile",
        "config/tiny.yaml",
        "toy.yaml",
    )
    record = json.loads((copy / RECORD).read_text())
    assert record["cell"]["reader"] == "toy"
    failed = {check["name"] for check in record["checks"] if not check["ok"] and check["level"] == "error"}
    assert failed <= NOISE
