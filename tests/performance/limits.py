"""Is the verdict right? Machines whose limit is known are made by slowing storage, the reader or the engine on purpose.

`make perf-limits` runs this. In each trial, the true distance between I/O-only and compute-only is known, and the
workflow measures and judges. These are the parts of such a machine:

- The engine computes the masks of each sample once, in the warm-up. Afterwards it only waits, for a time that sets its
  throughput. It does not compete with the reader for the cores then, as on a GPU.
- The storage is the disk. A control group limits how many bytes per second the trial reads from it.
- The reader is `pread`. To slow it, it computes after each sample. The read-and-discard baseline does not.

The program needs root and version 1 of the kernel's control groups, with the controller blkio. It writes
results/performance/limits.json and prints its table.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import common  # first: it finds the project's code
import pandas as pd
import yaml
from deepcam import files
from deepcam.benchmark import mounts
from deepcam.errors import InputError

BLKIO = Path("/sys/fs/cgroup/blkio")

FACTORS = {
    "storage": (0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0),
    "reader": (0.33, 0.5, 0.67, 1.0, 1.5, 2.0),
    "engine": (0.33, 0.5, 0.67, 1.0, 1.5, 2.0),
}
"""I/O-only throughput divided by compute-only throughput, as the planted delay makes it."""

EQUAL = 1.05
"""Up to this distance, neither limit counts as the lower one."""

BATCH = 2
"""Samples per batch."""

SAMPLES_PER_SECOND = 40
"""Throughput of the part that a trial does not slow: the engine, or in trials of the engine the storage."""

CONFIGURATION = {
    # A sixteenth of the pixels of a full sample, so that a trial takes half a minute.
    "data": {"height": 192, "width": 288, "num_files": 24},
    "engines": [{"backend": "aotinductor", "precision": "fp32"}],
    "benchmark": {
        "modes": ["io", "compute", "inference"],
        "readers": ["pread", "pread-discard"],
        "cache": ["cold"],
        "ranks": [1],
        "local_batch_sizes": [BATCH],
        "inter_threads": [1],
        "runs": 2,
        "min_seconds": 0.5,
        "min_starts": 3,
        "max_starts": 3,
        "per_mode": {"inference": {"readers": ["pread"], "engines": ["aotinductor-fp32"]}},
    },
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One machine whose limit is known."""

    way: str
    factor: float

    @property
    def distance(self) -> float:
        """The higher limit divided by the lower one."""
        return max(self.factor, 1 / self.factor)

    @property
    def truth(self) -> str:
        if self.distance <= EQUAL:
            return "balanced"
        return "compute" if self.factor > 1 else "reader" if self.way == "reader" else "storage"


def main() -> None:
    options = common.parser(__doc__)
    options.set_defaults(repeats=2, dir=common.ROOT / "results/performance/limits")
    arguments = options.parse_args()
    if os.geteuid() != 0 or not (BLKIO / "cgroup.procs").exists():
        raise InputError(
            f"perf-limits needs root and version 1 of control groups: {BLKIO} does not hold the controller"
        )
    load_before = os.getloadavg()[0]
    folder = arguments.dir
    folder.mkdir(parents=True, exist_ok=True)  # samples and engines of an earlier call are still good
    (folder / "limits.yaml").write_text(yaml.safe_dump(CONFIGURATION), encoding="utf-8")
    unslowed = measure(folder, {})
    read = float(unslowed[unslowed["reader"] == "pread"].set_index("mode")["samples_per_second"]["io"])
    sample_bytes = int(unslowed["sample_bytes"].max())
    print(f"unslowed: {read:.1f} samples/s read", file=sys.stderr)

    trials = [Trial(way, factor) for way, factors in FACTORS.items() for factor in factors]
    found = []
    for _ in range(arguments.repeats):
        for trial in random.sample(trials, len(trials)):  # so that no drift of the machine meets one way alone
            row = run(folder, trial, read, sample_bytes)
            found.append(dataclasses.asdict(trial) | {"truth": trial.truth, **row})
            print(found[-1], file=sys.stderr, flush=True)
    result = {"load_before": load_before, "machine": common.machine(folder), "trials": found}
    files.write_json(common.ROOT / "results/performance/limits.json", result)
    print(f"{common.headline(result)}\n\n{table(found)}")


def run(folder: Path, trial: Trial, read: float, sample_bytes: int) -> dict[str, Any]:
    """Measure one trial, and return the verdict with what it rests on. `read` is the unslowed reader's samples/s."""
    storage, reader_seconds, engine = None, 0.0, float(SAMPLES_PER_SECOND)
    if trial.way == "storage":
        storage = trial.factor * SAMPLES_PER_SECOND
    elif trial.way == "reader":
        reader_seconds = 1 / (trial.factor * SAMPLES_PER_SECOND) - 1 / read
    else:
        storage, engine = SAMPLES_PER_SECOND, SAMPLES_PER_SECOND / trial.factor
    variables = {"SLOWED_READER": f"{reader_seconds}", "SLOWED_ENGINE": f"{BATCH / engine}"}
    limit = None if storage is None else storage * sample_bytes
    measured = measure(folder, variables, limit)
    row = measured[measured["mode"] == "inference"].iloc[0]
    return {
        "verdict": row["bottleneck"] if isinstance(row["bottleneck"], str) else "none",
        "confidence": row["bottleneck_confidence"],
        "measured_factor": float(row["io_only_samples_per_second"] / row["compute_only_samples_per_second"]),
        "overlap_efficiency": float(row["overlap_efficiency"]),
        "reader_cpu_utilisation": float(row["reader_cpu_utilisation"]),
        "invalid_reasons": "; ".join(measured["invalid_reasons"].dropna().unique()),
    }


def measure(folder: Path, variables: Mapping[str, str], bytes_per_second: float | None = None) -> pd.DataFrame:
    """Run the workflow in this folder without the records of earlier trials; summary.csv."""
    for name in ("benchmark", "tables"):
        shutil.rmtree(folder / "results" / name, ignore_errors=True)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", common.ROOT / "Snakefile", "--directory", folder,
        "--workflow-profile", common.ROOT / "profiles/default", "--configfile", folder / "limits.yaml",
        "--quiet", "all", "--", "results/tables/summary.csv",
    ]  # fmt: skip
    paths = [Path(__file__).parent / "slowed", os.environ.get("PYTHONPATH")]
    places = {"PYTHONPATH": os.pathsep.join(str(path) for path in paths if path)}
    with disk_limit(folder, bytes_per_second) as join, open(folder / "snakemake.log", "a", encoding="utf-8") as log:
        subprocess.run(
            command, stdout=log, stderr=log, env=os.environ | places | variables, preexec_fn=join, check=True
        )
    return pd.read_csv(folder / "results/tables/summary.csv", keep_default_na=False, na_values=[""])


@contextlib.contextmanager
def disk_limit(folder: Path, bytes_per_second: float | None) -> Iterator[Callable[[], None]]:
    """A function with which a process joins a group that reads at most so much from the disk that holds the folder."""
    if bytes_per_second is None:
        yield lambda: None
        return
    group = BLKIO / f"deepcam-{os.getpid()}"
    group.mkdir()
    try:
        number = mounts.mount_of(folder).number
        (group / "blkio.throttle.read_bps_device").write_text(f"{number} {int(bytes_per_second)}", encoding="ascii")
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    finally:
        group.rmdir()


def table(trials: list[dict[str, Any]]) -> str:
    """How often the verdict is right, undecided and wrong at each distance, as Markdown."""
    rows = [
        "| slowed | I/O-only / compute-only | truth | right | undecided | wrong | verdicts |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = collections.defaultdict(list)
    for trial in trials:
        groups[trial["way"], trial["factor"], trial["truth"]].append(trial["verdict"])
    for (way, factor, truth), verdicts in sorted(groups.items()):
        right = verdicts.count(truth)
        wrong = sum(verdict in {"storage", "reader", "compute"} - {truth} for verdict in verdicts)
        names = ", ".join(f"{number} {name}" for name, number in collections.Counter(verdicts).most_common())
        rows.append(f"| {way} | {factor:g} | {truth} | {right} | {len(verdicts) - right - wrong} | {wrong} | {names} |")
    far = [trial for trial in trials if max(trial["factor"], 1 / trial["factor"]) >= 1.49]
    right = sum(trial["verdict"] == trial["truth"] for trial in far)
    return "\n".join([*rows, "", f"At a distance of 1.5 or more, {right} of {len(far)} verdicts are right."])


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
