"""One benchmark job: from a cell and a dataset to a record. Joins the rooms; the timed loop is in measure."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepcam import files
from deepcam.benchmark import environment, page_cache, ranks
from deepcam.benchmark.job import Job, Training
from deepcam.benchmark.timed_loop import Plan, Run, measure
from deepcam.errors import InputError
from deepcam.record import cell_summary, store, validity
from deepcam.record.predictions import Prediction

MACHINE_LOCK = Path(tempfile.gettempdir()) / f"deepcam-benchmark-{environment.node_name()}.lock"
"""Held on every node for the length of a job: two benchmarks at once would measure each other. A workflow that was
killed may leave a job behind, which no resource of the workflow counts."""

VISUALIZED = 3
"""Samples that are drawn."""

LISTENING_SECONDS, LISTENING_TIMES = 0.5, 4
"""Before the start, for other load, until it is gone: what ran before may still write, and /proc/stat counts in
hundredths of a second."""


def run(job: Job) -> list[Prediction]:
    """Measure a job's cell and write its record, on rank 0, atomically. Collective over all ranks.

    Returns the predictions to draw on rank 0 of a job with `visualization`, and an empty list otherwise.
    """
    me = ranks.init_ranks(job.cell.ranks)
    refuse(job)
    place = me.local_rank % len(job.devices)
    plan = Plan(
        cell=job.cell,
        files=job.dataset.files,
        sample_shape=job.dataset.sample_shape,
        settings=job.settings,
        device=job.devices[place],
        load_engine=_engine_loader(job, place, me),
    )
    with files.locked(MACHINE_LOCK) if me.node_leader else contextlib.nullcontext():
        other_load, runs = _measure(plan, me)
    places = me.gather(
        {
            "node": environment.node_name(),
            "local_rank": me.local_rank,
            "device": job.devices[place],
            "cores": list(me.cores),
        }
    )
    nodes = me.gather(environment.describe_node(job.dataset.files[0]) if me.node_leader else None)
    if runs is None or nodes is None:
        return []
    record: dict[str, Any] = {
        "schema_version": store.SCHEMA_VERSION,
        "cell": dataclasses.asdict(job.cell),
        "settings": dataclasses.asdict(job.settings),
        "dataset": {
            "source": job.dataset.source,
            "sample_shape": list(job.dataset.sample_shape),
            "bytes": job.dataset.total_bytes,
            "samples": [path.name for path in job.dataset.files],
        },
        "engine": describe_engine(job),
        "environment": {
            **environment.describe(),
            "nodes": [node for node in nodes if node],
            "ranks": places,
            "other_load": other_load,
        },
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    record["checks"] = validity.checks(record)
    record["metrics"] = cell_summary.row([record])
    store.validate(record)
    files.write_json(job.output, record)
    return _predictions(job) if job.visualization else []


def refuse(job: Job) -> None:
    """Raise InputError, before any timing, for what this job cannot do here."""
    samples, batch = len(job.dataset.files), job.cell.ranks * job.cell.local_batch_size
    if samples < batch:
        raise InputError(
            f"dataset has {samples} samples, fewer than the global batch size {batch}; "
            "lower --batch-size or add samples"
        )
    if job.training and samples % batch:
        raise InputError(
            f"dataset has {samples} samples, and --mode train needs a multiple of the global batch size {batch}; "
            "change --batch-size"
        )
    if job.cell.mode in ("compute", "inference") and len(job.engine_files) != len(job.devices):
        raise InputError(
            f"{len(job.engine_files)} engine files for {len(job.devices)} devices; {job.cell.mode} cells need the "
            "compiled engine of each device: give --engine-files or --trt-model-dir"
        )
    for path in job.engine_files:
        fingerprint = _fingerprint(path)
        for option, (field, value) in job.required.items():
            if fingerprint.get(field) != value:
                raise InputError(
                    f"{option}: {path} has {field} {fingerprint.get(field)}; leave it out, or give another engine"
                )
    if job.settings.drop_caches and not page_cache.may_drop_all():
        raise InputError(
            f"--drop-fs-cache: {page_cache.DROP_CACHES} is for root; leave it out: cold runs evict the files anyway"
        )
    if job.visualization:
        for label in job.dataset.labels[:VISUALIZED]:
            if not label.exists():
                raise InputError(f"--visualize: {label} is missing; masks are drawn beside the true ones")


def _measure(plan: Plan, me: ranks.Ranks) -> tuple[float, list[Run] | None]:
    me.barrier()  # all nodes have their lock, all ranks their modules
    for _ in range(LISTENING_TIMES):
        other_load = me.background_cpu_load(LISTENING_SECONDS)
        if other_load <= validity.OTHER_LOAD_LIMIT:
            break
    return other_load, measure(plan, me)


def describe_engine(job: Job) -> dict[str, Any] | None:
    """The first engine's fingerprint and, under `accuracy`, the gate's verdict for each device; or what is trained."""
    if job.training:
        from deepcam.benchmark import train_step

        return train_step.describe(job.training, job.devices[0])
    if not job.engine_files:
        return None
    return _fingerprint(job.engine_files[0]) | {
        "accuracy": [json.loads(path.read_text()) for path in job.accuracy_files],
    }


def _fingerprint(engine_file: Path) -> dict[str, Any]:
    path = engine_file.with_suffix(".json")
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no engine's fingerprint ({error}); compile the engine again") from None


def _predictions(job: Job) -> list[Prediction]:
    """Masks of the first samples, made by the engine of the first device."""
    from deepcam.model import predict

    samples = list(zip(job.dataset.files, job.dataset.labels, strict=True))[:VISUALIZED]
    return predict.predict(job.engine_files[0], job.devices[0], samples)


def _engine_loader(job: Job, place: int, me: ranks.Ranks) -> Callable[[], Any] | None:
    """A function that loads what computes on this rank's device, or None where nothing does."""
    if not job.training and not job.engine_files:
        return None

    def load() -> Callable[[Any], Any]:
        # As many threads as this rank has cores, set before any library starts its pool.
        os.environ["OMP_NUM_THREADS"] = str(len(me.cores))
        import torch

        torch.set_num_threads(len(me.cores))
        run = _trainer(job.training, job, place, me) if job.training else _engine(job, place)
        return lambda batch: run(torch.from_dlpack(batch))

    return load


def _engine(job: Job, place: int) -> Callable[[Any], Any]:
    from deepcam.model import engine

    return engine.load(job.engine_files[place], job.devices[place])


def _trainer(training: Training, job: Job, place: int, me: ranks.Ranks) -> Callable[[Any], Any]:
    from deepcam.benchmark import train_step

    return train_step.TrainStep(training, job.devices[place], job.dataset.sample_shape, job.cell.local_batch_size, me)
