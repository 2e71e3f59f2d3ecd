"""Made-up ranks of a large job: what each of them sends to rank 0, and their record.

Each node has 8 ranks. In each of 5 cold runs, a rank reads 25 samples in 4 epochs, one a batch. The times are random.
"""

from __future__ import annotations

import common  # noqa: F401 first: it finds the project's code
import numpy as np
import record_example
from deepcam.record.packed import pack
from deepcam.record.run_schema import RankRun, Run
from deepcam.record.schema import Measurement

RUNS, EPOCHS, SAMPLES_OF_RANK, RANKS_OF_NODE = 5, 4, 25, 8
BATCHES = EPOCHS * SAMPLES_OF_RANK
SAMPLE_BYTES = 56_623_232


def rank_run(rank: int, ranks: int, random: np.random.Generator) -> RankRun:
    """What a rank has measured in one run: batches of about 20 ms."""
    intervals = (2e7 * random.lognormal(0, 0.2, BATCHES)).astype(np.int64)
    parts = (intervals.reshape(EPOCHS, -1).sum(axis=1) / 1e9).tolist()
    leads = rank % RANKS_OF_NODE == 0
    read = BATCHES * SAMPLE_BYTES
    return RankRun.model_validate(
        record_example.rank_run(
            1.0,
            [],
            part_seconds=parts,
            batch_interval_nanoseconds=pack(intervals),
            batch_samples=pack([1] * BATCHES),
            sample_numbers=pack(np.arange(rank, SAMPLES_OF_RANK * ranks, ranks)),
            sample_counts=pack([EPOCHS] * SAMPLES_OF_RANK),
            cpu_seconds=sum(parts) * random.uniform(0.7, 0.9),
            node_cpu_utilisation=random.uniform(0.7, 0.9) if leads else None,
            background_cpu_load=random.uniform(0, 0.01) if leads else None,
            throttled_seconds=0.0 if leads else None,
            thread_cores=[cores_of(rank)],
            peak_rss_bytes=int(random.integers(3e8, 4e8)),
            page_faults=int(random.integers(100)),
            bytes_read_from_storage=read,
            bytes_returned_by_reads=read,
            disk_bytes=RANKS_OF_NODE * read if leads else None,
            reader={"num_threads": 4, "o_direct": False, "chunk_bytes": 56_627_200, "buffers": 3},
            delivery=record_example.delivery(samples=BATCHES, bytes=64 * BATCHES),
        )
    )


def cores_of(rank: int) -> str:
    """The four cores of a rank, in the kernel's notation."""
    first = rank % RANKS_OF_NODE * 4
    return f"{first}-{first + 3}"


def run(ranks: list[RankRun]) -> Run:
    """The run of these ranks."""
    residency = [0.0] * EPOCHS
    return Run(epochs=EPOCHS, page_cache_residency_min=residency, page_cache_residency_max=residency, ranks=ranks)


def measurement(runs: list[Run], start: int | None = None, batch_size: int = 1) -> Measurement:
    """The measurement of these runs. `batch_size` makes cells of other names."""
    ranks = len(runs[0].ranks)
    made = record_example.content(
        reader="pread", ranks=ranks, inter_threads=4, intra_threads=1, local_batch_size=batch_size
    )
    samples = SAMPLES_OF_RANK * ranks
    made["settings"] |= {"runs": RUNS}
    made["start"] = None if start is None else record_example.start(start)
    made["dataset"] |= {
        "sample_shape": [768, 1152, 16],
        "bytes": samples * SAMPLE_BYTES,
        "samples": [f"data-1996-06-01-{number:06d}-0.npy" for number in range(samples)],
    }
    made["environment"]["ranks"] = [
        record_example.place(f"node{rank // RANKS_OF_NODE:04d}", rank % RANKS_OF_NODE)
        | {"cores": list(range(rank % RANKS_OF_NODE * 4, rank % RANKS_OF_NODE * 4 + 4))}
        for rank in range(ranks)
    ]
    made["environment"]["nodes"] = [
        record_example.node(f"node{number:04d}", logical_cores=4 * RANKS_OF_NODE)
        for number in range(-(-ranks // RANKS_OF_NODE))
    ]
    made["verification"] = [record_example.verification("io")] * ranks
    return Measurement.model_validate(made | {"runs": runs}, strict=False)
