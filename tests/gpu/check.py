"""Run everything that needs a GPU, step by step, and print a table of the results. `make gpu-check` runs this.

python tests/gpu/check.py OUT [--dry-run] writes the summary page, a bundle of records, tables and figures, a profile
and the logs to the folder OUT. A step that fails does not stop the next ones. The program needs the packages in
envs/requirements-gpu.txt, but not this project's own environment. --dry-run runs the same steps on the CPU with small
samples.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

WORKFLOW_SECONDS = 420
"""The workflow is stopped after this time. The results up to then are reported."""

ENVIRONMENT = """
import json
from pathlib import Path
from deepcam.benchmark import environment
print(json.dumps(environment.describe_node([Path('.')]) | environment.describe(), indent=1))
"""

TRAINED_SIZES = ("--height", "--width", "--crop-width", "--batch-size", "--steps")

MADE = ("summary.html", "bundle.tar.gz", "tables/summary.csv")
"""Results that are copied to OUT: the summary page, and everything that it is made from."""

KEPT = ("model/engines/*/*.json", "logs/*/*/*.log")
"""Files that are not in the bundle, but explain failures."""

COLUMNS = (
    "mode", "reader", "engine", "local_batch_size", "samples_per_second", "gigabytes_per_second", "cv_within_starts",
    "joules_per_sample", "device_memory_bytes", "accelerator_utilisation", "overlap_efficiency", "bottleneck",
    "invalid_reasons",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results, created if it is missing")
    parser.add_argument("--dry-run", action="store_true", help="run on the CPU, with small samples")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="overlays of tests/gpu/check.yaml")
    parser.add_argument(
        "--work-dir", type=Path, help="folder for samples and engines, about 10 GB (default: a temporary folder)"
    )
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    work = (arguments.work_dir or Path(tempfile.mkdtemp(prefix="gpu-check-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    places = [str(ROOT / "workflow_scripts"), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    with open(out / "log.txt", "w+") as log:
        rows = [run(*step, work, log) for step in steps(out, work, arguments.dry_run, arguments.configfile)]
    with tarfile.open(out / "logs.tar.gz", "w:gz") as archive:
        for path in sorted(path for pattern in KEPT for path in (work / "results").glob(pattern)):
            archive.add(path, path.relative_to(work))
    if arguments.work_dir is None:
        shutil.rmtree(work)
    table = "\n".join([f"{'step':<18}{'result':<8}{'seconds':>8}", *rows, "", *cells(out / "summary.csv")])
    (out / "table.txt").write_text(f"{table}\n")
    print(table)


def steps(out: Path, work: Path, dry: bool, more: list[Path]) -> Iterator[tuple[str, list[str]]]:
    """Name and command of each step, which runs in `work`. A step is requested when the previous ones have ended."""
    python = [sys.executable, "-m"]
    width, device = ("0.25", "cpu") if dry else ("1.0", "cuda:0")
    yield "environment", [sys.executable, "-c", ENVIRONMENT]
    yield "driver", ["lscpu"] if dry else ["nvidia-smi", "-q"]
    # These run in two processes: a crash of one must not hide the results of the other.
    for tested in ("benchmark/test_readers", "model/test_engine_gpu"):
        tests = str(ROOT / f"tests/unit/{tested}.py")
        yield (
            f"{tested.partition('test_')[2]} tests",
            [*python, "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", tests],
        )
    # With untrained weights the classes are nearly tied, so engines of lower precision would miss the accuracy target.
    sizes = ["32", "48", "32", "2", "2"] if dry else ["768", "1152", "288", "4", "200"]
    yield "weights", [
        *python, "train_model", "--seed", "1", "--samples", "4" if dry else "64", "--learning-rate", "0.001",
        *(word for name, size in zip(TRAINED_SIZES, sizes, strict=True) for word in (name, size)),
        "--width-multiplier", width, "--channels", "0", "1", "2", "10", "--device", device,
        "--threads", str(os.cpu_count()), "--evaluation-samples", "4", "--checkpoint-steps", "1000",
        "--checkpoint", "checkpoint.pt", "--output", "model.pth", "--evaluation", "evaluation.json",
    ]  # fmt: skip
    yield "parts", [*python, "split_model", "--model", "model.pth", "--output-dir", "parts"]
    (work / "parts.yaml").write_text(f"model: {{parts: {work / 'parts'}}}\n")
    overlays = [
        HERE / "check.yaml",
        *([HERE / "dry_run.yaml"] if dry else []),
        *(path.resolve() for path in more),
        work / "parts.yaml",
    ]
    snakemake = [
        *python, "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work),
        "--workflow-profile", str(ROOT / "profiles/default"), "--configfile", *map(str, overlays),
    ]  # fmt: skip
    yield "workflow", ["timeout", "--signal=INT", "--kill-after=20", str(WORKFLOW_SECONDS), *snakemake]
    # This makes the report of the existing records even if the workflow did not finish.
    yield "report", ["env", "DEEPCAM_REPORT_ONLY=1", *snakemake, "--rerun-incomplete", "--", "bundle"]
    for name in MADE:
        if (work / "results" / name).exists():
            shutil.copy(work / "results" / name, out)
    engines = sorted(str(path) for path in work.glob("results/model/engines/*/*.pt2"))
    yield "profile", [
        sys.executable, str(HERE / "profile_engines.py"), "--model", "model.pth", "--width-multiplier", width,
        "--engines", *engines, "--device", device, "--output", str(out / "profile.txt"),
    ]  # fmt: skip


def run(name: str, command: list[str], work: Path, log: TextIO) -> str:
    """Run one step and return its row of the table.

    Its output goes to the log. If the step fails, the end of its output also goes to the terminal.
    """
    print(f"\n=== {name}: {' '.join(command)}", file=log, flush=True)
    begin, start = log.tell(), time.monotonic()
    ok = subprocess.run(command, cwd=work, stdout=log, stderr=subprocess.STDOUT).returncode == 0
    seconds = time.monotonic() - start
    log.seek(begin)
    output = log.read()
    row = f"{name:<18}{'ok' if ok else 'FAILED':<8}{seconds:8.0f}"
    print(row, *([] if ok else output.splitlines()[-40:]), sep="\n", flush=True)
    return row


def cells(summary: Path) -> list[str]:
    """A line per configuration."""
    if not summary.exists():
        return ["no configuration was measured"]
    with open(summary, newline="") as file:
        return [" ".join(COLUMNS), *(" ".join(row.get(c) or "-" for c in COLUMNS) for row in csv.DictReader(file))]


if __name__ == "__main__":
    main()
