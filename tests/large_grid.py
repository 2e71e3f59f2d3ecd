"""Made-up tables of a node with eight GPUs: ten readers, four batch sizes and six numbers of threads."""

import itertools
import math
import random

import pandas as pd
from dataset_example import dataset
from deepcam.climate import CLASSES
from deepcam.grid import Cell
from deepcam.report import tables
from deepcam.report.comparison import significance, storages
from record_example import record

TEMPLATE = record().metrics
SAMPLE_BYTES = 56_623_232
THREADS, BATCHES = (1, 2, 4, 8, 16, 32), (1, 2, 4, 8)
COLD = {
    "pread-discard": 27, "uring": 26.5, "pread": 26, "dali-gds": 25, "kvikio": 24, "dali-direct": 22, "numpy": 12,
    "dali-buffered": 11, "dali-mmap": 9, "torch": 7,
}  # fmt: skip
"""Largest GB/s of each reader."""
WARM = {"pread-discard": 150, "pread": 110, "dali-mmap": 60}
ENGINES = {"tensorrt-fp16-graphs": (390, "fp16"), "aotinductor-auto": (300, "fp16"), "eager-fp32": (95, "fp32")}
"""Samples/s of a GPU and precision of each engine."""


def make(threads=THREADS, batches=BATCHES):
    """The tables. dali-gds is invalid with many threads."""
    rng = random.Random(7)
    metrics_of = {cell: _metrics(cell, _rate(cell), rng) for cell in dict.fromkeys(_cells(threads, batches))}
    summary = tables.with_bottlenecks(metrics_of, {cell: found.cpu_utilisation for cell, found in metrics_of.items()})
    summary.insert(0, tables.STOPPED, "precise")
    channels = tables.channels(dataset().channels, (0, 1, 2, 10))
    return tables.Tables(summary, _accuracy(), channels, _storages(metrics_of))


def _storages(cells):
    """Two storages beside the slowest one, for all configurations that read."""
    compared = [
        significance.Comparison(cell, "faster", 1 + place / 10, 1 + place / 11, 1 + place / 9, 0.01, 0.02, a_valid=True)
        for place, cell in enumerate(cell for cell in cells if cell.mode != "compute")
    ]
    return storages.table([storages.Pair("lustre", name, compared, {}) for name in ("nvme", "nfs")])


def _cells(threads, batches):
    for (cache, readers), batch, number in itertools.product((("cold", COLD), ("warm", WARM)), batches, threads):
        yield from (Cell("io", reader, cache, "none", 8, batch, number, 1) for reader in readers)
    for engine, batch in itertools.product(ENGINES, batches):
        yield Cell("compute", "none", "none", engine, 8, batch, 1, 1)
    for reader, batch, number in itertools.product(("pread", "dali-direct", "dali-gds"), batches, threads):
        yield Cell("inference", reader, "cold", "tensorrt-fp16-graphs", 8, batch, number, 1)
    for reader, ranks, chunks in itertools.product(("pread-discard", "pread"), (1, 2, 4, 8), (1, 2, 4)):
        yield Cell("io", reader, "cold", "none", ranks, batches[-1], threads[-1] // chunks or 1, chunks)
    yield Cell("inference", "pread", "cold", "eager-fp32", 8, batches[-1], threads[-1], 1)


def _rate(cell):
    """Samples/s that follow from the GB/s and the samples/s above."""
    io = compute = math.inf
    if cell.reader != "none":
        peak = (COLD if cell.cache == "cold" else WARM)[cell.reader]
        threads = cell.inter_threads * cell.intra_threads * (1 + 0.1 * math.log2(cell.local_batch_size))
        share = 1 if cell.ranks == 8 else 1.25 * cell.ranks / (cell.ranks + 2)
        io = peak * 1e9 / SAMPLE_BYTES * threads / (threads + 4) * share * (1 - 0.02 * cell.intra_threads)
    if cell.engine != "none":
        compute = 8 * ENGINES[cell.engine][0] * (0.72 + 0.28 * math.log2(cell.local_batch_size) / 3)
    return min(io, compute) * (0.95 if cell.mode == "inference" else 1)


def _metrics(cell, rate, rng):
    rate *= rng.uniform(0.98, 1.02)
    interval = cell.ranks * cell.local_batch_size / rate
    invalid = cell.reader == "dali-gds" and cell.inter_threads >= 8
    half_width = rng.uniform(0.005, 0.05)
    reads = cell.mode != "compute"
    return TEMPLATE.model_copy(
        update={
            "samples_per_second": rate,
            "gigabytes_per_second": rate * SAMPLE_BYTES / 1e9 if reads else None,
            "samples_per_second_ci_low": rate * (1 - half_width),
            "samples_per_second_ci_high": rate * (1 + half_width),
            "relative_half_width": half_width,
            "samples_per_second_min": rate * (1 - half_width),
            "samples_per_second_max": rate * (1 + half_width),
            "valid": not invalid,
            "invalid_reasons": "gpudirect_storage: expected nvidia-fs, got none" if invalid else "",
            **{
                f"batch_interval_{name}_seconds": interval * factor
                for name, factor in (("p50", 0.95), ("p90", 1.2), ("p95", 1.3), ("p99", 1.5 + rng.random()), ("max", 3))
            },
            "precision": ENGINES[cell.engine][1] if cell.engine != "none" else "",
            "num_starts": 5,
            "num_batches": 2000,
            "num_devices": cell.ranks,
            "num_nodes": math.ceil(cell.ranks / 4),
            "sample_bytes": float(SAMPLE_BYTES),
        }
    )


def _accuracy():
    rows = [
        {
            "engine": engine, "device": "cuda0", "samples": 64, "mean_iou": 0.8874 - loss, "reference_mean_iou": 0.8874,
            "required_mean_iou": 0.8785, "pixel_agreement": 1 - loss, "passed": True,
        } | dict.fromkeys(CLASSES, 0.8874 - loss)
        for engine, loss in (("tensorrt-fp16-graphs", 0.0006), ("aotinductor-auto", 0.0004), ("eager-fp32", 0.0))
    ]  # fmt: skip
    return pd.DataFrame(rows)
