"""A valid benchmark record of four samples, two ranks and two runs, small enough to know its numbers by heart."""

import copy

from deepcam.record import validity

FAST = 4 / 1.95
"""Samples a second of the example's faster run; the other one's are 2."""


def rank_run(seconds, names, **more):
    return {
        "seconds": seconds,
        "batch_seconds": [seconds / 2] * 2,
        "batch_samples": [1, 1],
        "samples": dict.fromkeys(names, 1),
        "cpu_seconds": seconds,
        "node_cpu_utilisation": None,
        "other_load": None,
        "peak_memory_bytes": 3,
        "storage_bytes": 2_000_000_000,
        "reader": {"o_direct": True},
        "device": {"energy_joules": None, "utilisation": None, "memory_bytes": None},
    } | more


def node(name, **facts):
    return {
        "name": name,
        "cpu": "x",
        "isa": [],
        "logical_cores": 2,
        "governor": None,
        "numa_nodes": 1,
        "memory_bytes": 2**34,
        "gpus": [],
        "driver": None,
        "kernel": "6",
        "file_system": {"type": "ext4", "device": "/dev/vda", "caveat": ""},
    } | facts


def record(**cell):
    run = {
        "passes": 1,
        "residency_low": 0.0,
        "residency_high": 0.0,
        "ranks": [
            rank_run(1.0, ["a.npy", "b.npy"], node_cpu_utilisation=0.5, other_load=0.02),
            rank_run(2.0, ["c.npy", "d.npy"]),
        ],
    }
    faster = copy.deepcopy(run)
    faster["ranks"][1]["seconds"] = 1.95
    made = {
        "schema_version": 4,
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
        "dataset": {
            "source": "synthetic",
            "sample_shape": [2, 2, 16],
            "bytes": 4_000_000_000,
            "samples": ["a.npy", "b.npy", "c.npy", "d.npy"],
        },
        "engine": None,
        "environment": {
            "date": "2026-11-01T12:00:00+00:00",
            "python": "3.11",
            "packages": {"torch": "2"},
            "mpi": "Open MPI",
            "hdf5": "1.14",
            "git_commit": "abc",
            "container": None,
            "variables": {},
            "nodes": [node("n")],
            "ranks": [{"node": "n", "local_rank": i, "device": "cpu", "cores": [i]} for i in range(2)],
            "other_load": 0.01,
        },
        "runs": [run, faster],
        "checks": [],
        "metrics": {},
    }
    made["checks"] = validity.checks(made)
    return made


def cell(seconds=2.0, **fields):
    """A record of a cell whose runs take `seconds`, more or less."""
    made = record(**fields)
    names = [f"{name}.npy" for name in "abcd"]
    ranks = fields.get("ranks", 2)
    cold = made["cell"]["cache"] == "cold"
    for number, run in enumerate(made["runs"]):
        run |= dict.fromkeys(("residency_low", "residency_high"), 0.0 if cold else 1.0)
        run["ranks"] = [copy.deepcopy(run["ranks"][0]) for _ in range(ranks)]
        for index, rank in enumerate(run["ranks"]):
            rank["seconds"] = seconds * (1 + number / 100)
            rank["samples"] = dict.fromkeys(names[index::ranks], 1)
            rank["batch_samples"] = [len(rank["samples"])]
            rank["batch_seconds"] = [seconds]
            rank["storage_bytes"] = len(rank["samples"]) * 1_000_000_000 if cold else 0
    made["environment"]["ranks"] = [
        {"node": f"n{index // 2}", "local_rank": index % 2, "device": "cpu", "cores": [index % 2]}
        for index in range(ranks)
    ]
    made["environment"]["nodes"] = [node(f"n{index}") for index in range(-(-ranks // 2))]
    if fields.get("engine", "none") != "none":
        made["engine"] = {"precision": "fp16", "accuracy": []}
    made["checks"] = validity.checks(made)
    return made


def verdict(cyclones=0.9, passed=True):
    """The accuracy gate's verdict on an engine that finds cyclones with this IoU, and the rest with 0.9."""
    iou = {"background": 0.9, "tropical cyclone": cyclones, "atmospheric river": 0.9}
    return {
        "samples": 4,
        "iou": iou,
        "mean_iou": sum(iou.values()) / 3,
        "reference_iou": iou,
        "reference_mean_iou": 0.9,
        "agreement": 1.0,
        "largest_margin_lost": 0.0,
        "median_margin": 5.0,
        "min_iou_ratio": 0.99,
        "min_agreement": 0.995,
        "passed": passed,
    }
