"""Run everything that needs a GPU, step by step, and print a table of the results. `make gpu-check` runs this.

python tests/gpu/check.py OUT [--dry-run] writes the summary page, a bundle of records, tables and figures, a profile
and the logs to the folder OUT, again after each step. A step that fails does not stop the next ones. Steps that have
ended well are not repeated by the next call with the same folders, so that a machine that is lent for minutes can do
all of them in several calls: --seconds limits a call, and --only repeats the steps that it names. The program needs the
packages in envs/requirements-gpu.txt, but not this project's own environment. --dry-run runs the same steps on the CPU
with small samples.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

import check_tables
import yaml

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

REPORT = "report"
"""The step that is repeated whenever there are new records."""

REPORT_SECONDS = 45
"""Left for it when the workflow is stopped because the time is over."""

LEAST_SECONDS = 10
"""No step starts with less time left."""

STOPPED = 124
"""Exit status of timeout(1) when the time was over."""

ENVIRONMENT = """
import json
from pathlib import Path
from deepcam.benchmark import environment
print(json.dumps(environment.describe_node([Path('.')]) | environment.describe(1), indent=1))
"""

TRAINED_SIZES = ("--height", "--width", "--crop-width", "--batch-size", "--steps")

MADE = ("summary.html", "bundle.tar.gz", "tables/summary.csv")
"""Results that are copied to OUT: the summary page, and everything that it is made from."""

KEPT = ("model/engines/*/*.json", "logs/*/*/*.log", "direct/*/*.json")
"""Files that are not in the bundle: those that explain failures, and the records of runs outside the workflow."""

ENERGY_SECONDS = 5
"""Shortest duration of a run whose energy is printed, because the energy counter of a GPU is slow."""

ENERGY_STARTS = 3
"""Fewest starts for a confidence interval."""


TENSORRT = {"backend": "tensorrt", "precision": "fp16", "cuda_graphs": True}
"""The engine that joins those of check.yaml where Torch-TensorRT is installed."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A part of the check, which runs in the working folder."""

    name: str
    command: Callable[[], list[str]]
    """Makes the command when the steps before have ended."""
    measures: bool = False
    """True if it makes records. The report follows then, for which some time is left."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results, created if it is missing")
    parser.add_argument("--dry-run", action="store_true", help="run on the CPU, with small samples")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="overlays of tests/gpu/check.yaml")
    parser.add_argument(
        "--work-dir", type=Path, default=ROOT / "results/gpu-check-work",
        help="folder for samples, engines and the state of the check, about 10 GB (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after this time; the next call goes on")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="run these steps, also those that have ended well")
    arguments = parser.parse_args()
    started = time.monotonic()
    out, work = arguments.out.resolve(), arguments.work_dir.resolve()
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
    places = [str(ROOT / "workflow_scripts"), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    sys.path.insert(0, places[0])
    known = steps(out, work, arguments.dry_run, arguments.configfile)
    if unknown := set(arguments.only or ()) - {step.name for step in known}:
        parser.error(f"--only: there is no step {min(unknown)}; there are {', '.join(step.name for step in known)}")
    state = work / "steps.json"
    done: dict[str, list[str | float]] = json.loads(state.read_text()) if state.exists() else {}
    for step in known:
        if step.name not in arguments.only if arguments.only else done.get(step.name, [""])[0] == "ok":
            continue
        left = started + arguments.seconds - time.monotonic() - (REPORT_SECONDS if step.measures else 0)
        if left < LEAST_SECONDS:
            continue
        with open(out / "log.txt", "a+", encoding="utf-8") as log:
            done[step.name] = list(run(step.name, step.command(), left, work, log))
        if step.measures:
            done.pop(REPORT, None)  # it lacks the new records
        state.write_text(json.dumps(done))
        collect(out, work, [step.name for step in known], done)
    print((out / "table.txt").read_text(encoding="utf-8"))


def steps(out: Path, work: Path, dry: bool, more: list[Path]) -> list[Step]:
    """All steps, in order: inference comes before readers, and both before what is only of interest beside them."""
    python = [sys.executable, "-m"]
    width, device = ("0.25", "cpu") if dry else ("1.0", "cuda:0")
    # With untrained weights the classes are nearly tied, so engines of lower precision would miss the accuracy target.
    sizes = ["96", "144", "48", "4", "60"] if dry else ["768", "1152", "288", "4", "200"]
    weights = [
        *python, "train_model", "--seed", "1", "--samples", "4" if dry else "64", "--learning-rate", "0.001",
        "--event-crops", "0",
        *(word for name, size in zip(TRAINED_SIZES, sizes, strict=True) for word in (name, size)),
        "--width-multiplier", width, "--channels", "0", "1", "2", "10", "--device", device,
        "--threads", str(os.cpu_count()), "--evaluation-samples", "4", "--checkpoint-steps", "1000",
        "--checkpoint", "checkpoint.pt", "--output", "model.pth", "--evaluation", "evaluation.json",
    ]  # fmt: skip
    with_kvikio, with_tensorrt = (
        not dry and importlib.util.find_spec(package) is not None for package in ("kvikio", "torch_tensorrt")
    )
    grid = HERE / "check.yaml"
    own = {
        # A dry run trains too few steps to tell classes apart, so its engines have the shipped weights.
        "parts.yaml": f"model: {{parts: {ROOT / 'share' if dry else work / 'parts'}}}\n",
        "inference.yaml": "benchmark: {modes: [compute, inference]}\n",
        "kvikio.yaml": "benchmark: {per_mode: {io: {readers: [dali-mmap, kvikio, pread, pread-discard]}}}\n",
        "tensorrt.yaml": yaml.safe_dump({"engines": [*yaml.safe_load(grid.read_text())["engines"], TENSORRT]}),
    }
    for name, text in own.items():
        (work / name).write_text(text, encoding="utf-8")
    overlays = [
        grid,
        *([HERE / "dry_run.yaml"] if dry else []),
        *([work / "kvikio.yaml"] if with_kvikio else []),
        *([work / "tensorrt.yaml"] if with_tensorrt else []),
        *(path.resolve() for path in more),
        work / "parts.yaml",
    ]

    def snakemake(*arguments: str, overlays: Iterable[Path] = overlays) -> list[str]:
        return [
            *python, "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work), "--nolock",
            "--workflow-profile", str(ROOT / "profiles/default"), "--rerun-incomplete",
            "--configfile", *map(str, overlays), "--", *arguments,
        ]  # fmt: skip

    # This makes the report of the existing records even if the workflow did not finish.
    report = ["env", "DEEPCAM_REPORT_ONLY=1", *snakemake("bundle")]
    inference = snakemake("all", overlays=[*overlays, work / "inference.yaml"])

    def profile() -> list[str]:
        engines = sorted(str(path) for path in work.glob("results/model/engines/*/*.pt2"))
        return [
            sys.executable, str(HERE / "profile_engines.py"), "--model", "model.pth", "--width-multiplier", width,
            "--engines", *engines, "--device", device, "--output", str(out / "profile.txt"),
        ]  # fmt: skip

    engine, file = ("eager-fp32", "cpu") if dry else ("aotinductor-fp16-graphs", "cuda0")

    def direct(name: str, cells: list[list[str]], starts: int = 1) -> Step:
        """Cells outside the workflow's grid, once in each round. A cell that fails ends the step."""
        commands = [
            [*python, "keep_heap", "run_benchmark", "--devices", device, "--dataset", "results/data/dataset.json",
             "--cache", "none" if "compute" in cell else "warm", *cell,
             "--outputfile", f"results/direct/{name}/{number}-{start}.json"]
            for start in range(starts) for number, cell in enumerate(cells)
        ]  # fmt: skip
        return Step(name, lambda: ["sh", "-c", " && ".join(map(shlex.join, commands))])

    def energy(mode: str, engine: str) -> Step:
        """The batch size that matters most, in runs that are long enough to know their energy."""
        reading = ["--reader", "pread", "--max-inter-threads", "2" if dry else "8"] if mode == "inference" else []
        cell = [
            "--mode", mode, "--batch-size", "2" if dry else "8", *reading,
            "--engine", engine, "--engine-files", f"results/model/engines/{engine}/{file}.pt2",
            "--accuracy-files", f"results/accuracy/{engine}/{file}.json",
            "--num-runs", "2", "--min-seconds", "0.1" if dry else str(ENERGY_SECONDS),
        ]  # fmt: skip
        return direct(f"energy-{mode}-{engine.split('-')[0]}", [cell], ENERGY_STARTS)

    def threads() -> Step:
        """How fast samples come from the page cache to the device, and to the host alone, with few and many threads."""
        sizes = ["--mode", "io", "--batch-size", "2" if dry else "8", "--num-runs", "3"]
        sizes += ["--min-seconds", "0.05" if dry else "1"]
        readers = ["pread", "pread-discard", *(["kvikio"] if with_kvikio else [])]
        numbers = ["1", "2"] if dry else ["1", "4", "12", "15"]
        return direct("threads", [[*sizes, "--reader", r, "--max-inter-threads", n] for r in readers for n in numbers])

    def tests(*paths: str) -> list[str]:
        files = [str(ROOT / f"tests/unit/{path}.py") for path in paths]
        return [*python, "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *files]

    return [
        Step("environment", lambda: [sys.executable, "-c", ENVIRONMENT]),
        Step("driver", lambda: ["lscpu"] if dry else ["nvidia-smi", "-q"]),
        Step("weights", lambda: weights),
        Step("parts", lambda: [*python, "split_model", "--model", "model.pth", "--output-dir", "parts"]),
        Step("inference", lambda: inference, measures=True),
        Step("workflow", lambda: snakemake("all"), measures=True),
        Step(REPORT, lambda: report),
        energy("inference", engine),
        energy("compute", engine),
        threads(),
        # These run in two processes: a crash of one must not hide the results of the other.
        Step(
            "reader-tests",
            lambda: tests(
                *(f"benchmark/test_{name}" for name in ("devices", "readers", "delivery", "delivery_gpu")),
            ),
        ),
        Step("engine-tests", lambda: tests("model/test_engine_gpu")),
        Step("engines", lambda: snakemake("engines")),
        Step("profile", profile),
        *(energy(mode, "tensorrt-fp16-graphs") for mode in ("inference", "compute") if with_tensorrt),
    ]


def run(name: str, command: list[str], seconds: float, work: Path, log: TextIO) -> tuple[str, float]:
    """Run one step for at most so many seconds, and return its result and the time that it took.

    Its output goes to the log. If the step fails, the end of its output also goes to the terminal.
    """
    print(f"\n=== {name}: {' '.join(command)}", file=log, flush=True)
    begin, start = log.tell(), time.monotonic()
    limit = ["timeout", "--signal=INT", "--kill-after=20", str(seconds)] if seconds < math.inf else []
    status = subprocess.run([*limit, *command], cwd=work, stdout=log, stderr=subprocess.STDOUT).returncode
    took = time.monotonic() - start
    result = {0: "ok", STOPPED: "stopped"}.get(status, "FAILED")
    log.seek(begin)
    output = log.read()
    print(row(name, result, took), *(output.splitlines()[-40:] if result == "FAILED" else []), sep="\n", flush=True)
    return result, took


def row(name: str, result: str, seconds: float) -> str:
    """One row of the table of steps."""
    return f"{name:<30}{result:<8}{seconds:8.0f}"


def collect(out: Path, work: Path, names: list[str], done: dict[str, list[str | float]]) -> None:
    """Write to OUT what there is so far: pages, tables, logs, and the table of steps."""
    for name in MADE:
        if (work / "results" / name).exists():
            shutil.copy(work / "results" / name, out)
    with tarfile.open(out / "logs.tar.gz", "w:gz") as archive:
        for path in sorted(path for pattern in KEPT for path in (work / "results").glob(pattern)):
            archive.add(path, path.relative_to(work))
    rows = [row(name, str(done[name][0]), float(done[name][1])) if name in done else f"{name:<30}-" for name in names]
    header = f"{'step':<30}{'result':<8}{'seconds':>8}"
    directly = check_tables.direct(work / "results/direct")
    table = "\n".join([header, *rows, "", *check_tables.cells(out / "summary.csv"), "", *directly])
    (out / "table.txt").write_text(f"{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
