"""The reader kvikio: batches arrive complete and in order, and a read that is not what it should be is an error.

KvikIO and the GPU are pretended: see pretend_kvikio.py and pretend_device.py.
"""

from __future__ import annotations

import importlib.metadata
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from deepcam.benchmark import environment, readers
from deepcam.benchmark.readers import Options, kvikio, open_reader
from deepcam.benchmark.readers.kvikio import KvikioReader
from deepcam.errors import InputError
from delivery_example import failed, measured, samples
from pretend_device import PretendDevice
from pretend_kvikio import CompatMode, PretendKvikio, Read, install

SHAPE = (16, 24, 16)
COUNT = 23


@pytest.fixture
def files(disk: Path) -> list[Path]:
    paths = [disk / f"data-{number}.npy" for number in range(COUNT)]
    for number, path in enumerate(paths):
        np.save(path, np.random.default_rng(number).random(SHAPE, np.float32))
    return paths


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> PretendKvikio:
    monkeypatch.setattr(kvikio, "CudaCopies", lambda name: PretendDevice())
    return install(monkeypatch)


def options(batch_size: int = 2, threads: int = 2, cold: bool = False) -> Options:
    return Options(batch_size, threads, 1, cold, SHAPE, "cuda:0")


def delivered(reader: KvikioReader, device: PretendDevice) -> dict[str, np.ndarray]:
    """What the device finds in each batch when it uses it, which it does as late as possible."""
    found: dict[str, np.ndarray] = {}
    for batch in reader:
        device.use(lambda batch=batch: found.update(zip(batch.files, batch.array.copy(), strict=True)))
    reader.close()
    PretendDevice.finish(device, device.record(device.used))
    return found


def right(files: list[Path], found: dict[str, np.ndarray]) -> bool:
    return list(found) == list(map(str, files)) and all(
        np.array_equal(found[str(path)], np.load(path)) for path in files
    )


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (2, 4), (3, 2), (8, 1), (COUNT, 3)])
def test_every_sample_arrives(
    library: PretendKvikio,
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    cold: bool,
    batch_size: int,
    threads: int,
) -> None:
    monkeypatch.setattr(kvikio, "TASK_BYTES", 4096)  # as with samples that are larger than a task
    device = PretendDevice()
    reader = KvikioReader(files, options(batch_size, threads, cold), device)
    assert right(files, delivered(reader, device))
    assert all(file.closed for file in library.CuFile.opened) and len(library.CuFile.opened) == COUNT


def test_headers_may_have_any_length(library: PretendKvikio, files: list[Path]) -> None:
    """As those that fill a block."""
    content = files[4].read_bytes()
    header = content[:128].rstrip(b" \n").ljust(4095) + b"\n"
    files[4].write_bytes(header[:8] + (4096 - 10).to_bytes(2, "little") + header[10:] + content[128:])
    device = PretendDevice()
    assert right(files, delivered(KvikioReader(files, options(), device), device))


def test_a_read_is_by_posix_with_as_many_threads_as_asked_for(library: PretendKvikio, files: list[Path]) -> None:
    reader = KvikioReader(files, options(threads=6), PretendDevice())
    assert library.defaults.settings == {
        "compat_mode": CompatMode.ON, "num_threads": 6, "task_size": 4 << 20, "bounce_buffer_size": 4 << 20,
        "gds_threshold": 0, "auto_direct_io_read": False,
    }  # fmt: skip
    assert reader.details == {
        "num_threads": 6, "o_direct": False, "chunk_bytes": 4 << 20, "buffers": 12, "kvikio_mode": "POSIX",
    }  # fmt: skip
    reader.close()


def test_cold_reads_bypass_the_page_cache(library: PretendKvikio, files: list[Path]) -> None:
    reader = KvikioReader(files, options(cold=True), PretendDevice())
    assert library.defaults.settings["auto_direct_io_read"] is reader.details["o_direct"] is True
    library.CuFile.direct = False
    with pytest.raises(InputError, match=r"data-0\.npy: KvikIO cannot read it with O_DIRECT"):
        list(reader)
    reader.close()


class Early(Read):
    """A read that says that it has ended before it has."""

    def get(self) -> int:
        return len(self._target)


class OwnDevice(PretendDevice):
    """A GPU that is not the one which a new thread uses."""

    def finish(self, event: object) -> None:
        assert threading.current_thread() is threading.main_thread() or threading.get_ident() in self.bound
        super().finish(event)


def test_the_thread_that_requests_reads_uses_the_gpu_of_the_rank(library: PretendKvikio, files: list[Path]) -> None:
    device = OwnDevice()
    assert right(files, delivered(KvikioReader(files, options(), device), device))


class NoFinish(PretendDevice):
    """The host does not wait until memory is unused."""

    def finish(self, event: object) -> None:
        pass


def test_a_batch_that_is_handed_out_before_its_reads_have_ended_has_other_bytes(
    library: PretendKvikio, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.CuFile, "read", Early)
    device = PretendDevice()
    assert not right(files, delivered(KvikioReader(files, options(), device), device))


def test_memory_that_is_filled_while_it_is_in_use_has_other_bytes(
    library: PretendKvikio, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvikio, "TASK_BYTES", 4096)
    device = NoFinish()
    assert not right(files, delivered(KvikioReader(files, options(), device), device))


CASES = [(mode, cache) for mode in ("io", "inference") for cache in ("cold", "warm")]


@pytest.mark.parametrize(("mode", "cache"), CASES)
def test_its_records_are_valid(library: PretendKvikio, disk: Path, mode: str, cache: str) -> None:
    made = measured(samples(disk), mode, cache, "kvikio")
    assert failed(made) == set()
    assert made.runs[0].ranks[0].reader["kvikio_mode"] == "POSIX"


@pytest.mark.parametrize(("mode", "cache"), CASES)
def test_a_record_shows_that_it_hands_out_batches_too_early(
    library: PretendKvikio, disk: Path, monkeypatch: pytest.MonkeyPatch, mode: str, cache: str
) -> None:
    monkeypatch.setattr(library.CuFile, "read", Early)
    wanted = {"delivered_bytes", "read_calls"} | ({"masks"} if mode == "inference" else set())
    assert failed(measured(samples(disk), mode, cache, "kvikio")) == wanted


def test_a_reader_that_is_closed_early_leaves_nothing_open(library: PretendKvikio, files: list[Path]) -> None:
    with open_reader("kvikio", files, options()) as reader:
        next(iter(reader))
    assert all(file.closed for file in library.CuFile.opened)


@pytest.mark.parametrize("key", ["compat_mode", "num_threads", "auto_direct_io_read"])
def test_a_setting_that_kvikio_does_not_take_is_an_error(library: PretendKvikio, files: list[Path], key: str) -> None:
    library.defaults.refused = {key}
    with pytest.raises(InputError, match=f"reader kvikio: KvikIO has {key} .* instead of .*remove kvikio from"):
        KvikioReader(files, options(cold=True), PretendDevice())


def test_leaving_the_compatibility_mode_during_a_run_is_an_error(library: PretendKvikio, files: list[Path]) -> None:
    with (
        pytest.raises(InputError, match=r"KvikIO has compat_mode CompatMode\.OFF instead of CompatMode\.ON"),
        open_reader("kvikio", files, options()) as reader,
    ):
        list(reader)
        library.defaults.settings["compat_mode"] = CompatMode.OFF


CHANGES = {
    "removed": lambda path: path.unlink(),
    "cut": lambda path: os.truncate(path, 10_000),
    "another shape": lambda path: np.save(path, np.ones((24, 16, 16), np.float32)),
    "float64": lambda path: np.save(path, np.ones(SHAPE)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_after_the_reader_was_opened_is_named(
    library: PretendKvikio, files: list[Path], change: str
) -> None:
    with pytest.raises(InputError, match=r"data-5\.npy") as told, open_reader("kvikio", files, options()) as reader:
        CHANGES[change](files[5])
        list(reader)
    assert "\n" not in str(told.value)
    assert all(file.closed for file in library.CuFile.opened)


def test_a_read_that_fails_names_its_file_in_one_line(
    library: PretendKvikio, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Read) -> int:
        raise RuntimeError("POSIX error on pread:\n Input/output error")

    monkeypatch.setattr(Read, "get", fails)
    with (
        pytest.raises(OSError, match=r"KvikIO: POSIX error on pread: Input/output error: '.*data-0\.npy'"),
        open_reader("kvikio", files, options()) as reader,
    ):
        list(reader)


def test_a_read_of_too_few_bytes_names_its_file(
    library: PretendKvikio, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Read, "get", lambda self: 4096)
    with pytest.raises(OSError, match=r"KvikIO read 4096 of 24576 bytes: '.*data-0\.npy'"):
        list(KvikioReader(files, options(), PretendDevice()))


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("25.12.0", None),
        ("27.4.0a1", None),
        ("25.10.0", r"kvikio-cu13 25\.10\.0: before 25\.12, it cannot read with O_DIRECT"),
        (None, r"reader kvikio: needs the Python package kvikio-cu13; run make venv KIND=gpu"),
    ],
)
def test_a_version_that_cannot_read_cold_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: str | None, told: str | None
) -> None:
    def installed(package: str) -> str:
        if version is None or package != "kvikio-cu13":
            raise importlib.metadata.PackageNotFoundError(package)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    if told is None:
        readers.check_packages(["kvikio", "pread"])
    else:
        with pytest.raises(InputError, match=told):
            readers.check_packages(["kvikio", "pread"])
    readers.check_packages(["pread"])


@pytest.mark.parametrize("package", kvikio.PACKAGES)
def test_a_record_has_the_version(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "26.10.0" if name == package else "1")
    assert environment.describe(1)["packages"][package] == "26.10.0"
