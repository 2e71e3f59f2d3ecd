"""The command line of run_benchmark: our options, and those of NVIDIA's DeepCAM driver, which mean the same here.

Every name is understood with dashes and with underscores. Options that contradict each other are an InputError that
names both.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from deepcam.benchmark.job import Job, Training
from deepcam.benchmark.timed_loop import Settings
from deepcam.climate import MODEL_CHANNELS
from deepcam.data import dataset
from deepcam.errors import InputError
from deepcam.grid import MODES, NONE, READERS, Cell

LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS", "PMI_SIZE")
"""Environment variables in which launchers say how many ranks they start."""


class Parser(argparse.ArgumentParser):
    """One that says what is wrong in one line, without all its options."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def parser() -> Parser:
    """All options. Where the default depends on others it is None here."""
    made = Parser(
        prog="run_benchmark",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure one cell: one process per rank, under an MPI launcher.\n\n"
        "mpirun -n 2 python -m mpi4py workflow_scripts/run_benchmark.py --mode io --reader pread --cache cold ...",
    )
    what = made.add_argument_group("what to measure")
    made.add_argument("--outputfile", type=Path, required=True, help="the record, JSON")
    what.add_argument("--mode", choices=MODES, required=True, help="read, compute on resident samples, both, or train")
    what.add_argument("--batch-size", type=int, required=True, help="global: of all ranks together")
    what.add_argument("--ranks", type=int, help="ranks that must have started; default: what the launcher says")
    source = what.add_mutually_exclusive_group(required=True)
    source.add_argument("--dataset", type=Path, help="dataset.json; file names in it are relative to it")
    source.add_argument("--data-dirs", type=Path, nargs="+", help="folders with data-*.npy, instead of --dataset")
    how = made.add_argument_group("how to read")
    how.add_argument("--reader", choices=[*READERS, NONE], help="default dali-mmap")
    how.add_argument("--enable-gds", action="store_true", help="reader dali-gds: GPUDirect Storage")
    how.add_argument("--disable-mmap", action="store_true", help="reader dali-buffered: DALI without memory mapping")
    how.add_argument("--cache", choices=["cold", "warm", NONE], help="state of the page cache; default warm")
    how.add_argument("--drop-fs-cache", action="store_true", help="cold, and as root drop all of the kernel's caches")
    how.add_argument("--max-inter-threads", type=int, default=1, help="samples in flight per rank")
    how.add_argument("--max-intra-threads", type=int, default=1, help="parallel chunks within one sample")
    how.add_argument("--shuffle", action="store_true", help="each rank reads its samples in another order every pass")
    how.add_argument("--global-shuffle", action="store_true", help="samples change ranks too, every pass")
    engine = made.add_argument_group("what to compute with")
    engine.add_argument("--engine", default=NONE, help="name of the engine, for the record")
    engine.add_argument("--engine-files", type=Path, nargs="*", default=[], help="one per device, in order")
    engine.add_argument("--trt-model-dir", type=Path, help="folder with cpu.pt2, or cuda0.pt2, cuda1.pt2, ...")
    engine.add_argument("--accuracy-files", type=Path, nargs="*", default=[], help="the engine's verdicts, likewise")
    engine.add_argument("--enable-trt", action="store_true", help="insist that the engine's backend is tensorrt")
    engine.add_argument("--enable-fp16", action="store_true", help="insist that the engine's precision is fp16")
    engine.add_argument("--enable-graphs", action="store_true", help="insist that the engine uses CUDA graphs")
    engine.add_argument("--enable-nhwc", action="store_true", help="changes nothing: every engine runs in NHWC")
    engine.add_argument("--preprocess", action="store_true", help="changes nothing: it is part of every engine")
    engine.add_argument("--width-multiplier", type=float, default=1.0, help="of the network that --mode train trains")
    engine.add_argument("--channels", type=int, nargs="+", default=list(MODEL_CHANNELS), help="that it takes")
    engine.add_argument("--devices", nargs="+", help="of a node, in turn for its ranks: cpu (default) or cuda:N")
    engine.add_argument("--device-count", type=int, help="the first N GPUs of each node")
    engine.add_argument("--device-id", type=int, help="this GPU of each node, for all its ranks")
    engine.add_argument("--visualize", action="store_true", help="afterwards draw the masks of the first samples")
    engine.add_argument("--visualization-output-dir", type=Path, help="for the drawing; needs --visualize")
    length = made.add_argument_group("how long")
    length.add_argument("--num-warmup-runs", type=int, default=1)
    length.add_argument("--num-runs", type=int, default=5)
    length.add_argument("--min-seconds", type=float, default=0.0, help="a warm or compute run lasts at least this long")
    return made


def parse(words: Sequence[str]) -> Job:
    """The job that a command line asks for. InputError where it cannot be run as asked, before any work."""
    given = parser().parse_args([_with_dashes(word) for word in words])
    ranks = given.ranks if given.ranks is not None else _launched()
    if ranks < 1 or given.batch_size < ranks or given.batch_size % ranks:
        raise InputError(f"--batch-size {given.batch_size}: must be a multiple of the ranks, {ranks}")
    for name in ("max_inter_threads", "max_intra_threads", "num_runs"):
        if getattr(given, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(given, name)}: must be at least 1")
    devices = _devices(given)
    reader = _reader(given, devices)
    cell = Cell(
        given.mode, reader, _cache(given, reader), given.engine, ranks, given.batch_size // ranks,
        given.max_inter_threads, given.max_intra_threads,
    )  # fmt: skip
    masks = cell.mode in ("compute", "inference")
    _refuse(
        given.visualize and not masks, f"--visualize and --mode {cell.mode} contradict each other: no masks are made"
    )
    _refuse(given.preprocess and cell.mode == "io", "--preprocess and --mode io contradict each other: it only reads")
    _refuse(
        given.visualize != (given.visualization_output_dir is not None),
        "--visualize and --visualization-output-dir: give both or neither",
    )
    samples = dataset.from_description(given.dataset) if given.dataset else dataset.from_folders(given.data_dirs)
    return Job(
        cell=cell,
        dataset=samples,
        training=_training(given, samples) if cell.mode == "train" else None,
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
        output=given.outputfile,
        visualization=given.visualization_output_dir,
    )


def _with_dashes(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _launched() -> int:
    return next((int(os.environ[name]) for name in LAUNCHERS if name in os.environ), 1)


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise InputError(message)


def _one_of(options: dict[str, Any]) -> Any:
    """The one option that was given, or None; two are a contradiction, unless they mean the same."""
    asked = {name: value for name, value in options.items() if value}
    if len(set(map(str, asked.values()))) > 1:
        raise InputError(f"{' and '.join(asked)} contradict each other; leave one out")
    return next(iter(asked.values()), None)


def _reader(given: argparse.Namespace, devices: list[str]) -> str:
    asked = _one_of(
        {
            f"--reader {given.reader}": given.reader,
            "--enable-gds": "dali-gds" if given.enable_gds else None,
            "--disable-mmap": "dali-buffered" if given.disable_mmap else None,
        }
    )
    if given.mode == "compute":
        _refuse(asked not in (None, NONE), f"--mode compute and reader {asked} contradict each other: nothing is read")
        return NONE
    _refuse(asked == NONE, f"--reader none and --mode {given.mode} contradict each other; name a reader")
    reader = asked or "dali-mmap"
    intra = given.max_intra_threads
    _refuse(
        intra > 1 and not READERS[reader].chunks,
        f"--max-intra-threads {intra} and reader {reader} contradict each other: it reads a sample in one piece",
    )
    _refuse(READERS[reader].gpu and devices == ["cpu"], f"reader {reader} needs a GPU; give --devices or --device-id")
    _refuse(
        READERS[reader].discards and given.mode != "io",
        f"--reader {reader} and --mode {given.mode} contradict each other: it throws away what it reads",
    )
    return reader


def _cache(given: argparse.Namespace, reader: str) -> str:
    asked = _one_of({f"--cache {given.cache}": given.cache, "--drop-fs-cache": "cold" if given.drop_fs_cache else None})
    if given.mode == "compute":
        _refuse(asked not in (None, NONE), f"--mode compute and cache {asked} contradict each other: nothing is read")
        return NONE
    _refuse(asked == NONE, f"--cache none and --mode {given.mode} contradict each other; choose cold or warm")
    direct = READERS[reader].direct
    _refuse(direct and asked == "warm", f"--cache warm and reader {reader} contradict each other: it bypasses it")
    return asked or ("cold" if direct else "warm")


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
    without = given.mode in ("io", "train")
    _refuse(bool(files) and without, f"engine files and --mode {given.mode} contradict each other: it uses none")
    return files


def _required(given: argparse.Namespace) -> dict[str, Any]:
    """Option to the field of the engine's fingerprint, and its value, that the option insists on."""
    insisting = {
        "--enable-trt": (given.enable_trt, "backend", "tensorrt"),
        "--enable-fp16": (given.enable_fp16, "precision", "fp16"),
        "--enable-graphs": (given.enable_graphs, "cuda_graphs", True),
    }
    return {option: (field, value) for option, (asked, field, value) in insisting.items() if asked}


def _training(given: argparse.Namespace, samples: dataset.Dataset) -> Training:
    if samples.ranges is None:
        raise InputError("--data-dirs and --mode train: it normalises with statistics; give --dataset")
    unknown = [channel for channel in given.channels if not 0 <= channel < len(samples.ranges)]
    _refuse(bool(unknown), f"--channels {unknown}: samples have channels 0 to {len(samples.ranges) - 1}")
    low, high = zip(*(samples.ranges[channel] for channel in given.channels), strict=True)
    return Training(tuple(given.channels), low, high, given.width_multiplier)


def _shuffle(given: argparse.Namespace) -> str:
    return "global" if given.global_shuffle else "rank" if given.shuffle else "none"
