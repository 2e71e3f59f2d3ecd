"""A valid benchmark record of four samples, two ranks and two runs, small enough to know its numbers by heart.

`content` gives it as JSON content, for tests to change; `record` and `judged` make records of such content.
"""

import copy
import json
import math

from deepcam.record import cell_summary, store
from deepcam.record.packed import count, pack, unpack
from deepcam.record.schema import SCHEMA_VERSION, Measurement, Record

NAMES = [f"{name}.npy" for name in "abcd"]

FAST = 4 / 1.95
"""Samples per second of the example's faster run; the other one's are 2."""


def rank_run(seconds, names, **more):
    return {
        "part_seconds": [seconds],
        "batch_interval_nanoseconds": nanoseconds([seconds / 2] * 2),
        "batch_samples": pack([1, 1]),
        **samples(names),
        "unknown_samples": {},
        "cpu_seconds": seconds,
        "node_cpu_utilisation": None,
        "background_cpu_load": None,
        "throttled_seconds": None,
        "thread_cores": ["0-1"],
        "peak_rss_bytes": 3,
        "page_faults": 4,
        "bytes_read_from_storage": 2_000_000_000,
        "bytes_returned_by_reads": 2_000_000_000,
        "disk_bytes": None,
        "network_bytes_read": None,
        "reader": {"o_direct": True},
        "device": {"energy_joules": None, "utilisation": None, "memory_bytes": None},
        "delivery": delivery(),
        "masks": None,
    } | more


def nanoseconds(intervals):
    """Batch intervals in seconds, as a record has them."""
    return pack([round(seconds * 1e9) for seconds in intervals])


def samples(names, times=1):
    """That samples with these names were read so often each, as a record says it."""
    return {
        "sample_numbers": pack([NAMES.index(name) for name in names]),
        "sample_counts": pack([times] * len(names)),
    }


def delivery(**fields):
    """What proves that a reader delivered two samples."""
    return {"proof": "bytes", "samples": 2, "bytes": 128, "wrong_samples": 0, "first_wrong": None} | fields


def node(name, **facts):
    return {
        "name": name,
        "cpu": "x",
        "isa": [],
        "logical_cores": 2,
        "governor": None,
        "numa_nodes": 1,
        "memory_bytes": 2**34,
        "cpu_quota": None,
        "memory_limit_bytes": None,
        "machine_lock": "machine",
        "gpus": [],
        "driver": None,
        "kernel": "6",
        "transparent_huge_pages": "madvise",
        "file_system": {"type": "ext4", "device": "/dev/vda", "caveat": "", "memory_below": "", "layers": ["vda"]},
        "other_file_systems": [],
    } | facts


def place(name, local_rank):
    """Where a rank ran."""
    return {
        "node": name,
        "local_rank": local_rank,
        "device": "cpu",
        "cores": [local_rank],
        "scheduling": "SCHED_OTHER, nice 0",
        "engine_sha256": None,
    }


def verification(mode):
    """What a rank of a cell of this mode compared outside the clock."""
    return {
        "delivery": None if mode == "compute" else delivery(bytes=1024),
        "masks": masks(mode),
        "judged_masks": masks(mode),
    }


def masks(mode):
    """How masks of two samples of a cell of this mode compare."""
    return {"samples": 2, "pixels": 8, "differing_pixels": 0} if mode in ("inference", "compute") else None


def start(number, **probe):
    """The place of a start, and how fast the machine was before it."""
    speeds = {"storage_bytes_per_second": 2e9, "memory_bytes_per_second": 1e10, "hashing_bytes_per_second": 1e9}
    return {"number": number, "round": number, "position": 0, "seed": 1, "probe": speeds | probe}


def content(**cell):
    """The example without checks and metrics, as it stands in a file, with other fields of its cell."""
    run = {
        "epochs": 1,
        "page_cache_residency_min": [0.0],
        "page_cache_residency_max": [0.0],
        "ranks": [
            rank_run(
                1.0, ["a.npy", "b.npy"], node_cpu_utilisation=0.5, background_cpu_load=0.02, throttled_seconds=0.0
            ),
            rank_run(2.0, ["c.npy", "d.npy"]),
        ],
    }
    for rank in run["ranks"]:
        rank["masks"] = masks(cell.get("mode"))
        if cell.get("mode") == "compute":
            rank["delivery"] = None
    faster = copy.deepcopy(run)
    lasting(faster["ranks"][1], 1.95)
    return {
        "schema_version": SCHEMA_VERSION,
        "cell": {
            "mode": "io",
            "reader": "dali-direct",
            "cache": "cold",
            "engine": "none",
            "ranks": 2,
            "local_batch_size": 1,
            "inter_threads": 1,
            "intra_threads": 1,
        }
        | cell,
        "settings": {"warmup_runs": 0, "runs": 2, "min_seconds": 0.0, "drop_caches": False, "shuffle": "none"},
        "start": start(0),
        "dataset": {
            "source": "synthetic",
            "sample_shape": [3125, 5000, 16],
            "bytes": 4_000_000_000,
            "samples": NAMES,
        },
        "engine": None,
        "environment": {
            "date": "2026-11-01T12:00:00+00:00",
            "python": "3.11",
            "packages": {"torch": "2"},
            "mpi": "Open MPI",
            "git_commit": "abc",
            "code_sha256": "0" * 64,
            "container": None,
            "allocator": "glibc 2",
            "variables": {},
            "nodes": [node("n")],
            "ranks": [place("n", i) for i in range(2)],
            "background_cpu_load": 0.01,
        },
        "verification": [verification(cell.get("mode")) for _ in range(2)],
        "runs": [run, faster],
    }


def measurement(made):
    """Content without checks and metrics, through the data model."""
    return Measurement.model_validate_json(json.dumps(made))


def judged(made, checks=None):
    """The record of such content: with the checks that it passes and fails, or others, and its metrics."""
    measured = measurement(made)
    if checks is None:
        return store.judged(measured)
    return Record(**dict(measured), checks=checks, metrics=cell_summary.summarize([measured], checks))


def record(**cell):
    return judged(content(**cell))


def invalid(made):
    """A record like `made`, one of whose checks has failed."""
    first, *others = made.checks
    return made.model_copy(update={"checks": [first.model_copy(update={"ok": False}), *others]})


def cell_content(seconds=2.0, **fields):
    """The content of a record of a cell whose runs take about `seconds`."""
    made = content(**fields)
    ranks = fields.get("ranks", 2)
    cold, computes = made["cell"]["cache"] == "cold", made["cell"]["mode"] == "compute"
    for number, run in enumerate(made["runs"]):
        run["epochs"] = 0 if computes else 1
        run |= {key: [0.0 if cold else 1.0] for key in ("page_cache_residency_min", "page_cache_residency_max")}
        run["ranks"] = [copy.deepcopy(run["ranks"][0]) for _ in range(ranks)]
        for index, rank in enumerate(run["ranks"]):
            own = NAMES[index::ranks]
            rank |= samples([] if computes else own)
            rank["batch_samples"] = _batches(len(own), made["cell"]["local_batch_size"])
            rank["delivery"] = None if computes else delivery(samples=len(own), bytes=64 * len(own))
            rank["bytes_read_from_storage"] = len(own) * 1_000_000_000 if cold else 0
            rank["bytes_returned_by_reads"] = len(own) * 1_000_000_000
            lasting(rank, seconds * (1 + number / 100))
    made["environment"]["ranks"] = [place(f"n{index // 2}", index % 2) for index in range(ranks)]
    made["verification"] = [verification(fields.get("mode")) for _ in range(ranks)]
    made["environment"]["nodes"] = [node(f"n{index}") for index in range(math.ceil(ranks / 2))]
    if fields.get("engine", "none") != "none":
        made["engine"] = {"precision": "fp16", "accuracy": [verdict()]}
    return made


def _batches(samples, size):
    """The sizes of the batches of so many samples."""
    return pack([min(size, samples - start) for start in range(0, samples, size)])


def lasting(rank, seconds, number=0):
    """Let a rank's run of one part take so long, in batches of equal length.

    Runs with other numbers differ by some nanoseconds, since no two runs of a machine have equal times.
    """
    batches = count(rank["batch_samples"])
    intervals = [seconds / batches + number * 1e-9] + [seconds / batches] * (batches - 1)
    rank |= {
        "part_seconds": [seconds],
        "batch_interval_nanoseconds": nanoseconds(intervals),
        "cpu_seconds": seconds,
    }


def repeated(run, times):
    """So many runs like this one of one part, whose times differ by some nanoseconds."""
    runs = [copy.deepcopy(run) for _ in range(times)]
    for number, one in enumerate(runs):
        for rank in one["ranks"]:
            lasting(rank, rank["part_seconds"][0], number)
    return runs


def in_epochs(run, *seconds):
    """Turn a cold run of one epoch into one of several; each rank's epochs take the given seconds."""
    epochs = len(seconds[0])
    run |= {"epochs": epochs, "page_cache_residency_min": [0.0] * epochs, "page_cache_residency_max": [0.0] * epochs}
    for rank, parts in zip(run["ranks"], seconds, strict=True):
        batches = count(rank["batch_samples"])
        rank |= {
            "part_seconds": list(parts),
            "batch_interval_nanoseconds": nanoseconds(part / batches for part in parts for _ in range(batches)),
            "batch_samples": pack(unpack(rank["batch_samples"]).tolist() * epochs),
            "sample_counts": pack(unpack(rank["sample_counts"]) * epochs),
            "cpu_seconds": sum(parts),
            "bytes_read_from_storage": epochs * rank["bytes_read_from_storage"],
            "bytes_returned_by_reads": epochs * rank["bytes_returned_by_reads"],
        }


def cell(seconds=2.0, **fields):
    """A record of a cell whose runs take about `seconds`."""
    return judged(cell_content(seconds, **fields))


def verdict(cyclones=0.9, passed=True):
    """The content of an accuracy verdict on an engine that finds cyclones with this IoU, and the rest with 0.9."""
    iou = {"background": 0.9, "tropical cyclone": cyclones, "atmospheric river": 0.9}
    return {
        "samples": 4,
        "iou": iou,
        "mean_iou": sum(iou.values()) / 3,
        "reference_iou": iou,
        "reference_mean_iou": 0.9,
        "pixel_agreement": 1.0,
        "max_logit_margin_loss": 0.0,
        "median_logit_margin": 5.0,
        "min_iou_ratio": 0.99,
        "min_pixel_agreement": 0.995,
        "engine_sha256": "0" * 64,
        "masks_sha256": "0" * 64,
        "passed": passed,
    }
