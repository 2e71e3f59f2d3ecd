"""Made-up results for the results page and the explorer: rows with the rates, intervals and faults that tests name."""

import dataclasses
import functools

import pandas as pd
from deepcam.grid import NONE, Cell
from deepcam.record.columns import Metrics
from deepcam.report import summary_page, tables
from record_example import cell, record

READER = {"reader": "pread", "cache": "cold"}
ENGINE = {"engine": "eager-fp32"}
AXES = {"io": READER, "compute": ENGINE, "inference": READER | ENGINE, "train": READER}
DEFAULTS = Cell("io", NONE, NONE, NONE, 1, 2, 1, 1)
SAMPLE = 50_000_000
ACCURACY = pd.DataFrame(columns=list(tables.ACCURACY))


@functools.cache
def _metrics():
    return record().metrics.model_dump()


def row(mode, rate, half=0.02, **fields):
    """A cell and its metrics: `rate` samples/s, and half the width of the interval as a share of it."""
    axes = {name: fields.pop(name) for name in list(fields) if name in Cell.__dataclass_fields__}
    of = dataclasses.replace(DEFAULTS, mode=mode, **AXES[mode] | axes)
    starts = fields.get("num_starts", 5)
    low, high = (rate, rate) if starts == 1 else (rate * (1 - half), rate * (1 + half))
    made = {
        "samples_per_second": rate,
        "gigabytes_per_second": None if mode == "compute" else rate * SAMPLE / 1e9,
        "samples_per_second_min": low,
        "samples_per_second_max": high,
        "samples_per_second_ci_low": low if starts > 2 else None,
        "samples_per_second_ci_high": high if starts > 2 else None,
        "relative_half_width": half if starts > 2 else None,
        "num_starts": starts,
        "cv_within_starts": 0.01,
        "sample_bytes": float(SAMPLE),
        "precision": "" if of.engine == NONE else "fp32",
        "num_devices": 1,
        "num_nodes": 1,
        "valid": not fields.get("invalid_reasons"),
        "invalid_reasons": "",
        "warnings": "",
        "cpu_utilisation": 0.2,
    }
    return of, Metrics(**_metrics() | made | fields)


def table(*rows, stopped=()):
    """The summary of such rows. `stopped` are the reasons why measuring ended, one for each of the first rows."""
    metrics_of = dict(sorted(dict(rows).items(), key=lambda item: item[0]))
    found = tables.with_bottlenecks(metrics_of, {of: found.cpu_utilisation for of, found in metrics_of.items()})
    return found.assign(stopped=[*stopped, *["precise"] * (len(found) - len(stopped))])


def limits(end_to_end, io, compute, baseline=None, half=0.02, cache="cold", **fields):
    """The rows of one verdict. `fields` are those of all rows; `cpu_utilisation` is that of I/O-only."""
    cpu = fields.pop("cpu_utilisation", 0.2)
    rows = [
        row("inference", end_to_end, half, cache=cache, **fields),
        row("io", io, half, cache=cache, cpu_utilisation=cpu, **fields),
        row("compute", compute, half, **fields),
    ]
    if baseline is not None:
        rows.append(row("io", baseline, half, cache=cache, reader="pread-discard", **fields))
    return rows


CASES = {
    "compute": limits(2, 36, 2.1, 38),
    "storage": limits(398, 406, 2800, 430),
    "reader": limits(95, 100, 700, 360, cpu_utilisation=0.95),
    "overlap-limited": limits(64, 300, 100, 320),
    "balanced": limits(98, 100, 101, 105),
    "measurement-conflict": limits(129, 100, 110, 130),
}
"""Rows of each verdict."""


def large():
    """403 configurations of a node with eight GPUs, of which some are invalid or imprecise."""
    names = ["pread-discard", "pread", "dali-direct", "dali-gds", "dali-buffered", "dali-mmap", "numpy", "torch"]
    made = []
    for speed, reader in enumerate(names):
        for batch in (1, 2, 4, 8):
            for threads in (1, 2, 4, 8, 16, 32):
                for cache, scale in (("cold", 1), ("warm", 5)):
                    if cache == "warm" and speed > 5:
                        continue
                    number = len(made)
                    fault = {
                        "invalid_reasons": "gpudirect_storage: expected nvidia-fs or P2PDMA only, got posix 12"
                        if reader == "dali-gds" and threads > 4
                        else "",
                        "warnings": "" if number % 9 else "storage_local: expected a file system, got nfs: servers",
                    }
                    rate = scale * 60 * (9 - speed) * threads / (threads + 4) * (1 + batch / 50)
                    axes = {"reader": reader, "cache": cache, "local_batch_size": batch, "inter_threads": threads}
                    made.append(row("io", rate, 0.01 + number % 7 / 100, ranks=8, **axes, **fault))
                    if reader in ("pread", "dali-direct") and cache == "cold":
                        made.append(row("inference", rate * 0.96, ranks=8, num_devices=8, engine="eager-fp32", **axes))
    for name, rate in (("eager-fp32", 760.0), ("aotinductor-auto", 2400.0), ("tensorrt-fp16", 3100.0)):
        made += [row("compute", rate, engine=name, ranks=8, local_batch_size=b, num_devices=8) for b in (1, 2, 4, 8)]
    extra = [row("io", 400.0 + n, ranks=1 + n, local_batch_size=8) for n in range(403 - len(made))]
    return [*made, *extra]


def gather(summary, records=None, missing=0, accuracy=ACCURACY, target=0.1):
    """What the results page of a table says."""
    found = tables.Tables(summary, accuracy, pd.DataFrame())
    return summary_page.gather(found, records or [cell()], missing, target)


def render(*arguments, **more):
    """The results page of a table; the arguments are those of `gather`."""
    return summary_page.render(gather(*arguments, **more))
