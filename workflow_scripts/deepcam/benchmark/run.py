"""Runs one configuration and writes its record; the timed loop is in timed_loop.py."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepcam import files, machine_topology
from deepcam.benchmark import devices, environment, machine_lock, page_cache, ranks, readers
from deepcam.benchmark.job import Job, Training
from deepcam.benchmark.measure import Measured, measure
from deepcam.benchmark.timed_loop import Workload
from deepcam.data import dataset
from deepcam.errors import InputError
from deepcam.grid import MODES
from deepcam.model import judged_masks
from deepcam.model.fingerprint import ADVICE, read_fingerprint
from deepcam.record import store, validity
from deepcam.record.environment_schema import Environment, Node, RankPlace
from deepcam.record.predictions import Prediction
from deepcam.record.schema import SCHEMA_VERSION, DatasetSummary, EngineDescription, Measurement

VISUALIZED = 3
"""Number of samples to draw."""

HASHED = 2
"""Number of random samples that each node hashes after a start, to compare their hashes with those in dataset.json."""


def run(job: Job) -> list[Prediction]:
    """Measure a job's cell and write its record, on rank 0, atomically. Collective over all ranks.

    Returns the predictions to draw on rank 0 of a job with `visualization`, and an empty list otherwise.
    """
    me = ranks.init_ranks(job.cell.ranks)
    if job.training or job.engine_files:
        # As many threads as this rank has cores, set before any library starts its pool.
        os.environ["OMP_NUM_THREADS"] = str(len(me.cores))
    check_job(job)
    _check_files(job, me)
    subject = describe_subject(job)
    place = me.local_rank % len(job.devices)
    workload = Workload(
        cell=job.cell,
        files=job.dataset.files,
        sample_shape=job.dataset.sample_shape,
        settings=job.settings,
        device=job.devices[place],
        load_engine=_engine_loader(job, place, me),
        run_length=job.run_length,
        first_start=job.start is None or job.start.number == 0,
        judged_masks=_judged_masks(job, place, subject["engine"]),
    )
    engine_sha256 = _hash_engine(job, place)
    with machine_lock.held() if me.node_leader else contextlib.nullcontext():
        background_load, measured = _measure(workload, me)
        _check_unchanged(job, place, engine_sha256, subject["engine"])
        if me.node_leader:
            dataset.check_some(job.dataset, HASHED)
    places = me.gather_models(
        RankPlace(
            node=environment.node_name(),
            local_rank=me.local_rank,
            device=job.devices[place],
            cores=list(me.cores),
            numa_node=machine_topology.numa_node_of_cores(me.cores),
            device_numa_node=devices.numa_node(job.devices[place]),
            scheduling=environment.scheduling(),
            engine_sha256=engine_sha256,
        )
    )
    nodes = me.gather(environment.describe_node(job.dataset.files) if me.node_leader else None)
    if measured is None or places is None or nodes is None:
        return []
    measurement = Measurement(
        schema_version=SCHEMA_VERSION,
        **subject,
        start=job.start,
        environment=Environment(
            **environment.describe(me.size),
            nodes=[Node.model_validate(node, strict=False) for node in nodes if node],
            ranks=places,
            background_cpu_load=background_load,
        ),
        verification=measured.verification,
        runs=measured.runs,
    )
    store.write(store.judged(measurement), job.output)
    return _predictions(job) if job.visualization else []


def check_job(job: Job) -> None:
    """Raise InputError, before any timing, for what this job cannot do here."""
    if problem := job.cell.problem(job.devices):
        raise InputError(problem)
    readers.check_packages([job.cell.reader])
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
    if MODES[job.cell.mode].infers and len(job.engine_files) != len(job.devices):
        raise InputError(
            f"{len(job.engine_files)} engine files for {len(job.devices)} devices; {job.cell.mode} cells need the "
            "compiled engine of each device: give --engine-files or --trt-model-dir"
        )
    if len(job.accuracy_files) not in (0, len(job.devices)):
        raise InputError(
            f"--accuracy-files: {len(job.accuracy_files)} for {len(job.devices)} devices; give one for each, or none"
        )
    if job.settings.drop_caches and not page_cache.may_drop_all():
        raise InputError(
            f"--drop-fs-cache: {page_cache.DROP_CACHES} needs root; omit the option, because cold runs evict the files "
            "anyway"
        )
    if job.visualization:
        for label in job.dataset.labels[:VISUALIZED]:
            if not label.exists():
                raise InputError(f"--visualize: {label} is missing; masks are drawn beside the true ones")


def _check_files(job: Job, me: ranks.Ranks) -> None:
    """Raise InputError for data files that are missing, or that are one file.

    The ranks share the work: with all files for each of them, a thousand ranks would ask a file system a hundred
    million times.
    """
    dataset.check_sizes(job.dataset.samples[me.rank :: me.size])
    if me.rank == 0:
        dataset.require_distinct_files(job.dataset)


def read_fingerprints(job: Job) -> list[dict[str, Any]]:
    """The fingerprints of the job's engine files. Raises InputError for one that the job's options rule out."""
    found = []
    for path in job.engine_files:
        fingerprint = read_fingerprint(path)
        for option, (field, value) in job.required.items():
            if fingerprint.get(field) != value:
                raise InputError(
                    f"{option}: {path} has {field} {fingerprint.get(field)}; leave it out, or give another engine"
                )
        found.append(fingerprint)
    return found


def describe_subject(job: Job) -> dict[str, Any]:
    """The fields of a job's record that are known before it runs: what is measured, and with which settings."""
    return {
        "cell": job.cell,
        "settings": job.settings,
        "dataset": DatasetSummary(
            source=job.dataset.source,
            sample_shape=job.dataset.sample_shape,
            bytes=job.dataset.total_bytes,
            samples=[path.name for path in job.dataset.files],
        ),
        "engine": _describe_engine(job),
    }


def _measure(workload: Workload, me: ranks.Ranks) -> tuple[float, Measured | None]:
    """The background load before the start, and what `measure` returns."""
    me.barrier()  # all nodes hold their lock, and all ranks have loaded their modules
    return me.wait_until_quiet(validity.BACKGROUND_LOAD_LIMIT), measure(workload, me)


def _describe_engine(job: Job) -> EngineDescription | None:
    """The first engine's fingerprint with the accuracy verdict of each device, or the recipe of mode train."""
    fingerprints = read_fingerprints(job)
    if job.training:
        from deepcam.benchmark import train_step

        return EngineDescription(**train_step.describe(job.training, job.devices[0]))
    if not fingerprints:
        return None
    made = [f"{one.get('backend')} {one.get('precision')}" for one in fingerprints]
    if len(set(made)) > 1:
        raise InputError(
            f"engine {job.cell.engine}: auto chose {', '.join(made)} for the devices, and ranks must compute "
            "alike; name a backend and a precision in engines"
        )
    verdicts = [store.read_verdict(path) for path in job.accuracy_files]
    for path, verdict in zip(job.accuracy_files, verdicts, strict=True):
        if verdict.engine_sha256 is None or verdict.masks_sha256 is None:
            raise InputError(
                f"{path}: does not say which engine file and masks it judged; delete it and run the workflow again"
            )
    return EngineDescription(**fingerprints[0], accuracy=verdicts)


def _judged_masks(job: Job, place: int, engine: EngineDescription | None) -> Mapping[str, np.ndarray]:
    """The masks (H, W) that the accuracy check judged on a device, by file name of the sample."""
    if engine is None or not job.accuracy_files:
        return {}
    path = job.accuracy_files[place]
    judged = judged_masks.read(engine.accuracy[place], path)
    if not any(file.name in judged for file in job.dataset.files):
        raise InputError(f"--accuracy-files: {path} is about no sample of this dataset; give its own, or none")
    return judged


def _hash_engine(job: Job, place: int) -> str | None:
    """The SHA-256 of the engine file of a device; None if the job has none."""
    if not job.engine_files:
        return None
    path = job.engine_files[place]
    if not path.is_file():
        raise InputError(f"{path}: missing; {ADVICE}")
    return files.sha256(path)


def _check_unchanged(job: Job, place: int, engine_sha256: str | None, described: EngineDescription | None) -> None:
    """Raise InputError if the engine is no longer the one that was described and hashed before the start waited."""
    if engine_sha256 and (_hash_engine(job, place) != engine_sha256 or _describe_engine(job) != described):
        raise InputError(f"{job.engine_files[place]}: the engine was replaced during the start; run again")


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
