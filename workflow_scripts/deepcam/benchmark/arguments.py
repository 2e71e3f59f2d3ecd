"""The command line of run_benchmark. It also understands the options of NVIDIA's DeepCAM driver.

Every option can be written with dashes or with underscores. Options that contradict each other raise an InputError that
names both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepcam import cli
from deepcam.benchmark.job import Job, Training
from deepcam.benchmark.ranks import started_ranks
from deepcam.climate import MODEL_CHANNELS
from deepcam.config.types import (
    Channel,
    DeviceName,
    Fraction,
    Name,
    Natural,
    PlaceName,
    Positive,
    Ranks,
    Seconds,
    Threads,
    argument,
)
from deepcam.data import dataset
from deepcam.errors import InputError
from deepcam.grid import MODES, NONE, READERS, Cell, current_reader
from deepcam.record.schema import Settings, Start


def parser() -> cli.Parser:
    """All options. A default that depends on other options is None."""
    made = cli.Parser(
        prog="run_benchmark",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure one cell of the grid, with one process per rank under an MPI launcher.\n\n"
        "mpirun -n 2 python -m mpi4py workflow_scripts/run_benchmark.py --mode io --reader pread --cache cold ...",
    )
    what = made.add_argument_group("what to measure")
    made.add_argument("--outputfile", type=Path, required=True, help="record to write, JSON")
    what.add_argument(
        "--mode",
        choices=MODES,
        required=True,
        help="io reads, compute infers from samples in memory, inference does both, train reads and trains",
    )
    what.add_argument(
        "--batch-size", type=argument(Positive), required=True, help="samples per batch, of all ranks together"
    )
    what.add_argument(
        "--ranks",
        default=started_ranks(),
        type=argument(Ranks),
        help="number of ranks that must have started; default: what the launcher states",
    )
    source = what.add_mutually_exclusive_group(required=True)
    source.add_argument("--dataset", type=Path, help="dataset.json; the file names in it are relative to its folder")
    source.add_argument("--data-dirs", type=Path, nargs="+", help="folders with data-*.npy files, instead of --dataset")
    how = made.add_argument_group("how to read")
    how.add_argument(
        "--reader", type=current_reader, choices=[*READERS, NONE], help="what reads the samples; default: dali-mmap"
    )
    how.add_argument("--enable-gds", action="store_true", help="reader dali-gds: GPUDirect Storage")
    how.add_argument("--disable-mmap", action="store_true", help="reader dali-buffered: DALI without memory mapping")
    how.add_argument("--cache", choices=["cold", "warm", NONE], help="state of the page cache; default: warm")
    how.add_argument(
        "--drop-fs-cache",
        action="store_true",
        help="use a cold page cache, and drop all of the kernel's caches; needs root",
    )
    how.add_argument(
        "--max-inter-threads", type=argument(Threads), default=1, help="samples that each rank reads at the same time"
    )
    how.add_argument(
        "--max-intra-threads", type=argument(Threads), default=1, help="chunks of a sample that are read in parallel"
    )
    how.add_argument("--storage", type=argument(PlaceName, str), help="name of the place that is read, for the record")
    how.add_argument("--shuffle", action="store_true", help="shuffle the samples within each rank, in each epoch")
    how.add_argument(
        "--global-shuffle", action="store_true", help="shuffle the samples across all ranks, in each epoch"
    )
    engine = made.add_argument_group("what to compute with")
    engine.add_argument("--engine", type=argument(Name, str), default=NONE, help="name of the engine, for the record")
    engine.add_argument(
        "--engine-files", type=Path, nargs="*", default=[], help="compiled engines, one per device in the same order"
    )
    engine.add_argument("--trt-model-dir", type=Path, help="folder with cpu.pt2, or cuda0.pt2, cuda1.pt2, ...")
    engine.add_argument(
        "--accuracy-files", type=Path, nargs="*", default=[], help="results of the accuracy check, one per device"
    )
    engine.add_argument("--enable-trt", action="store_true", help="fail unless the engine's backend is tensorrt")
    engine.add_argument("--enable-fp16", action="store_true", help="fail unless the engine's precision is fp16")
    engine.add_argument("--enable-graphs", action="store_true", help="fail unless the engine uses CUDA graphs")
    engine.add_argument("--enable-nhwc", action="store_true", help="no effect: every engine runs in NHWC")
    engine.add_argument("--preprocess", action="store_true", help="no effect: preprocessing is part of every engine")
    engine.add_argument(
        "--width-multiplier",
        type=argument(Fraction, float),
        default=1.0,
        help="width of the network that --mode train trains",
    )
    engine.add_argument(
        "--channels",
        type=argument(Channel),
        nargs="+",
        default=list(MODEL_CHANNELS),
        help="channels that --mode train reads",
    )
    engine.add_argument(
        "--devices",
        type=argument(DeviceName, str),
        nargs="+",
        help="devices that a node's ranks take in turn: cpu (default) or cuda:N",
    )
    engine.add_argument("--device-count", type=argument(Positive), help="use the first N GPUs of each node")
    engine.add_argument("--device-id", type=argument(Natural), help="use GPU N of each node for all of its ranks")
    engine.add_argument("--visualize", action="store_true", help="after the runs, draw the masks of the first samples")
    engine.add_argument("--visualization-output-dir", type=Path, help="folder for the drawing; needs --visualize")
    length = made.add_argument_group("how long")
    length.add_argument("--num-warmup-runs", type=argument(Natural), default=1, help="runs before those that count")
    length.add_argument("--num-runs", type=argument(Positive), default=5, help="runs that count")
    length.add_argument("--min-seconds", type=argument(Seconds, float), default=0.0, help="least duration of a run")
    length.add_argument(
        "--run-length",
        type=argument(Positive),
        help="epochs of a warm run, or batches of a compute-only run; default: determined by trial runs",
    )
    made.add_argument("--start", type=_start, help="JSON for the record: the place of this start among all others")
    return made


def parse(words: Sequence[str]) -> Job:
    """The job that a command line asks for. Raises InputError, before any work, if it cannot be run like that."""
    given = parser().parse_args([_with_dashes(word) for word in words])
    if given.batch_size % given.ranks:
        raise InputError(f"--batch-size {given.batch_size}: must be a multiple of the ranks, {given.ranks}")
    mode, devices, reader = MODES[given.mode], _devices(given), _reader(given)
    cell = Cell(
        given.mode, reader, _cache(given, reader), given.engine, given.ranks, given.batch_size // given.ranks,
        given.max_inter_threads, given.max_intra_threads, given.storage or "",
    )  # fmt: skip
    if problem := cell.problem(devices):
        raise InputError(problem)
    _check(
        not given.visualize or mode.infers, f"--visualize and --mode {cell.mode} contradict each other: it has no masks"
    )
    _check(
        not given.preprocess or mode.infers or mode.trains,
        f"--preprocess and --mode {cell.mode} contradict each other: it only reads",
    )
    _check(
        given.visualize == (given.visualization_output_dir is not None),
        "--visualize and --visualization-output-dir: give both or neither",
    )
    samples = dataset.read_description(given.dataset) if given.dataset else dataset.from_folders(given.data_dirs)
    return Job(
        cell=cell,
        dataset=samples,
        training=training(given.width_multiplier, given.channels, samples) if mode.trains else None,
        devices=devices,
        engine_files=_engine_files(given, devices),
        required=_required(given),
        accuracy_files=given.accuracy_files,
        settings=Settings(
            warmup_runs=given.num_warmup_runs,
            runs=given.num_runs,
            min_seconds=given.min_seconds,
            drop_caches=given.drop_fs_cache,
            shuffle=_shuffle(given),
        ),
        start=given.start,
        run_length=given.run_length,
        output=given.outputfile,
        visualization=given.visualization_output_dir,
    )


def _start(text: str) -> Start:
    """Parse the place of a start. argparse names this function in its error if `text` is not one."""
    return Start.model_validate_json(text)


def _with_dashes(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _check(right: bool, message: str) -> None:
    if not right:
        raise InputError(message)


def _one_of(options: dict[str, Any]) -> Any:
    """The option that was given, or None. Two options are a contradiction unless they mean the same."""
    asked = {name: value for name, value in options.items() if value}
    if len(set(map(str, asked.values()))) > 1:
        raise InputError(f"{' and '.join(asked)} contradict each other; leave one out")
    return next(iter(asked.values()), None)


def _reader(given: argparse.Namespace) -> str:
    asked = _one_of(
        {
            f"--reader {given.reader}": given.reader,
            "--enable-gds": "dali-gds" if given.enable_gds else None,
            "--disable-mmap": "dali-buffered" if given.disable_mmap else None,
        }
    )
    return asked or ("dali-mmap" if MODES[given.mode].reads else NONE)


def _cache(given: argparse.Namespace, reader: str) -> str:
    asked = _one_of({f"--cache {given.cache}": given.cache, "--drop-fs-cache": "cold" if given.drop_fs_cache else None})
    if asked or reader == NONE:
        return asked or NONE
    return "cold" if READERS[reader].direct else "warm"


def _devices(given: argparse.Namespace) -> list[str]:
    asked = _one_of(
        {
            "--devices": given.devices,
            "--device-count": [f"cuda:{i}" for i in range(given.device_count or 0)],
            "--device-id": [f"cuda:{given.device_id}"] if given.device_id is not None else None,
        }
    )
    return asked or ["cpu"]


def _engine_files(given: argparse.Namespace, devices: list[str]) -> list[Path]:
    folder = given.trt_model_dir
    in_folder = [folder / f"{device.replace(':', '')}.pt2" for device in devices] if folder else None
    files = _one_of({"--engine-files": given.engine_files, "--trt-model-dir": in_folder}) or []
    _check(
        not files or MODES[given.mode].infers,
        f"engine files and --mode {given.mode} contradict each other: it uses no engine",
    )
    return files


def _required(given: argparse.Namespace) -> dict[str, Any]:
    """The options that require a value of a field of the engine's fingerprint, with the field and the value."""
    insisting = {
        "--enable-trt": (given.enable_trt, "backend", "tensorrt"),
        "--enable-fp16": (given.enable_fp16, "precision", "fp16"),
        "--enable-graphs": (given.enable_graphs, "cuda_graphs", True),
    }
    return {option: (field, value) for option, (asked, field, value) in insisting.items() if asked}


def training(width_multiplier: float, channels: Sequence[int], samples: dataset.Dataset) -> Training:
    """What mode train trains on these samples. Raises InputError if they lack statistics or a channel."""
    if samples.ranges is None:
        raise InputError("--data-dirs and --mode train: training needs the statistics of the channels; give --dataset")
    unknown = [channel for channel in channels if not 0 <= channel < len(samples.ranges)]
    _check(not unknown, f"--channels {unknown}: samples have channels 0 to {len(samples.ranges) - 1}")
    low, high = zip(*(samples.ranges[channel] for channel in channels), strict=True)
    return Training(tuple(channels), low, high, width_multiplier)


def _shuffle(given: argparse.Namespace) -> str:
    return "global" if given.global_shuffle else "rank" if given.shuffle else "none"
