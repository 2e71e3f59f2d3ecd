"""Readers that do not deliver what the files hold make the record invalid, and honest readers do not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deepcam.benchmark import delivery, timed_evidence, timed_loop
from deepcam.benchmark.devices import open_device
from deepcam.benchmark.readers import Batch
from deepcam.grid import READERS, Cell
from delivery_example import SHAPE, VALUES, failed, masks_of, measured, samples
from planted_reader import FAULTS, Planted, plant, shortens

CASES = [(mode, cache) for mode in ("io", "inference") for cache in ("cold", "warm")]
HOST_READERS = sorted(name for name, reader in READERS.items() if not reader.gpu)


@pytest.fixture
def files(disk: Path) -> tuple[Path, ...]:
    return samples(disk)


@pytest.mark.parametrize(("mode", "cache"), CASES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_reader_that_delivers_something_else_is_found(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, mode: str, cache: str, fault: Callable[..., Any]
) -> None:
    plant(monkeypatch, fault)
    assert failed(measured(files, mode, cache)) == {"delivered_bytes", *(["masks"] if mode == "inference" else [])}


@pytest.mark.parametrize(("mode", "cache"), CASES)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault is not shortens])
def test_a_reader_that_is_honest_in_the_warm_up_only_is_found(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, mode: str, cache: str, fault: Callable[..., Any]
) -> None:
    plant(monkeypatch, fault, honest=lambda opened: opened == 1)
    made = measured(files, mode, cache)
    assert failed(made) == {"delivered_bytes", *(["masks"] if mode == "inference" else [])}
    [verified], [rank] = made.verification, made.runs[0].ranks
    assert verified.delivery.wrong_samples == 0 < rank.delivery.wrong_samples
    assert rank.delivery.first_wrong in {path.name for path in files}


@pytest.mark.parametrize(("mode", "cache"), CASES)
def test_a_reader_that_is_honest_in_timed_passes_only_is_found(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, mode: str, cache: str
) -> None:
    plant(monkeypatch, shortens, honest=lambda opened: opened > 1)
    made = measured(files, mode, cache)
    assert "delivered_bytes" in failed(made)
    assert made.verification[0].delivery.wrong_samples == len(files)
    assert [rank.delivery.wrong_samples for run in made.runs for rank in run.ranks] == [0, 0]


@pytest.mark.parametrize(
    ("reader", "mode", "cache"),
    [
        (reader, *case)
        for reader in HOST_READERS
        for case in CASES
        if not Cell(case[0], reader, case[1], "none", 1, 2, 2, 1).problem()
    ],
)
def test_honest_readers_pass(files: tuple[Path, ...], reader: str, mode: str, cache: str) -> None:
    made = measured(files, mode, cache, reader)
    assert failed(made) == set()
    for run in made.runs:
        assert run.ranks[0].delivery.samples == run.epochs * len(files)


@pytest.mark.gpu
@pytest.mark.parametrize(("mode", "cache"), CASES)
@pytest.mark.parametrize("reader", ["pread", "dali-mmap", "torch"])
def test_honest_readers_of_a_gpu_pass(files: tuple[Path, ...], reader: str, mode: str, cache: str) -> None:
    assert failed(measured(files, mode, cache, reader, device="cuda:0")) == set()


class HostTensors:
    """The part of a GPU that evidence uses, with tensors in the host's memory."""

    @staticmethod
    def to_device(batch: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(batch.copy())

    def finish(self) -> None:
        pass


@pytest.mark.parametrize("wrong", [0, 2])
def test_batches_may_be_tensors_as_on_a_gpu(files: tuple[Path, ...], wrong: int) -> None:
    names, device = [str(path) for path in files[:2]], HostTensors()
    delivered = torch.from_numpy(np.stack([np.load(path) for path in files[:2]])) + (1 if wrong else 0)
    full = delivery.FullEvidence(files[:2], 1, SHAPE, 2, True)
    for evidence in (full, timed := timed_evidence.TimedEvidence(files[:2], SHAPE, device, True)):
        batch = Batch(names, delivered.clone())
        evidence.keep(batch)
        evidence.keep_mask(batch, masks_of(batch.array))
        batch.array[:] = 0  # the reader uses the memory again
        assert evidence.delivery(0).wrong_samples == wrong
    assert (full.masks(masks_of, device).differing_pixels > 0) is bool(wrong)
    compared = timed.masks(masks_of, 60, {})
    assert compared.samples == 2 and (compared.differing_pixels > 0) is bool(wrong)


class LateMasks(HostTensors):
    """A device with an engine on a stream that nothing waits for: its masks are complete when the device is done."""

    def __init__(self) -> None:
        self.queued: list[Callable[[], object]] = []

    def engine(self, batch: torch.Tensor) -> torch.Tensor:
        mask = torch.full(batch.shape[:3], 255, dtype=torch.uint8)
        self.queued.append(lambda: mask.copy_(masks_of(batch)))
        return mask

    def finish(self) -> None:
        for work in self.queued:
            work()


def test_masks_that_are_used_before_they_are_complete_are_found(files: tuple[Path, ...]) -> None:
    device = LateMasks()
    batch = Batch([str(path) for path in files[:2]], torch.from_numpy(np.stack([np.load(path) for path in files[:2]])))
    full = delivery.FullEvidence(files[:2], 1, SHAPE, 2, True)
    timed = timed_evidence.TimedEvidence(files[:2], SHAPE, device, True)
    for evidence in (full, timed):
        evidence.keep(batch)
        evidence.keep_mask(batch, device.engine(batch.array))
    for compared in (full.masks(device.engine, device), timed.masks(device.engine, 60, {})):
        assert compared.differing_pixels == compared.pixels > 0


@pytest.mark.gpu
def test_what_was_in_a_gpus_batch_when_it_was_handed_out_counts(files: tuple[Path, ...]) -> None:
    device, batch = open_device("cuda:0"), torch.zeros((2, *SHAPE), device="cuda:0")
    evidence = timed_evidence.TimedEvidence(files[:2], SHAPE, device)
    evidence.keep(Batch([str(path) for path in files[:2]], batch))
    batch.copy_(torch.from_numpy(np.stack([np.load(path) for path in files[:2]])))
    assert evidence.delivery(0).wrong_samples == 2


def test_a_discarding_reader_that_skips_a_sample_is_found(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, lambda batch: None)
    assert failed(measured(files, "io", "warm", "pread-discard")) == set()
    monkeypatch.setattr(
        Planted, "__iter__", lambda self: (Batch([str(path) for path in b], None) for b in self.batches)
    )
    assert failed(measured(files, "io", "warm", "pread-discard")) == {"delivered_bytes"}


def test_a_reader_that_hands_out_nothing_is_found_unless_it_discards(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, lambda batch: None)
    assert failed(measured(files, "io", "warm", "pread")) == {"delivered_bytes"}


def test_a_file_that_the_reader_was_not_given_is_wrong(files: tuple[Path, ...]) -> None:
    evidence = timed_evidence.TimedEvidence(files[:1], SHAPE, open_device("cpu"))
    evidence.keep(Batch([str(files[1])], np.load(files[1])[None]))
    assert evidence.delivery(0).first_wrong == files[1].name


def test_a_batch_that_names_more_samples_than_it_has_is_refused(files: tuple[Path, ...]) -> None:
    evidence = timed_evidence.TimedEvidence(files[:2], SHAPE, open_device("cpu"))
    with pytest.raises(ValueError, match=r"the shape of the batch is \(1, .*, not \(2, "):
        evidence.keep(Batch([str(path) for path in files[:2]], np.load(files[0])[None]))


def test_without_a_warm_up_there_is_a_pass_after_the_runs(files: tuple[Path, ...]) -> None:
    made = measured(files, "inference", "cold", warmup_runs=0)
    assert failed(made) == set()
    [verified] = made.verification
    assert (verified.delivery.samples, verified.masks.samples, len(made.runs)) == (6, 6, 2)


@pytest.mark.parametrize(
    "fault",
    [
        lambda batch: batch.astype(">f4"),
        lambda batch: batch.astype(np.float64),
        np.asfortranarray,
        lambda batch: batch.reshape(2, -1),
    ],
)
def test_a_timed_batch_of_another_type_order_or_shape_is_refused(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, fault: Callable[..., Any]
) -> None:
    plant(monkeypatch, fault, honest=lambda opened: opened == 1)
    with pytest.raises(ValueError, match=r"the reader's batch is|is not contiguous|shape of the batch"):
        measured(files, "io", "warm")


class Early(Planted):
    """Loads its batches before the clock starts."""

    def __init__(self, files: Sequence[Path], size: int) -> None:
        super().__init__(files, size, lambda batch: batch)
        self.loaded = list(super().__iter__())

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.loaded)


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_samples_that_were_read_before_the_clock_or_in_an_earlier_pass_are_found(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, cache: str, keeps: bool
) -> None:
    kept: list[Early] = []

    def open_reader(name: str, files: Sequence[Path], options: Any) -> contextlib.nullcontext[Early]:
        if not (keeps and kept and len(kept[0].loaded) * 2 == len(files)):
            kept.insert(0, Early(files, options.batch_size))
        return contextlib.nullcontext(kept[0])

    monkeypatch.setattr(timed_loop, "open_reader", open_reader)
    assert failed(measured(files, "io", cache)) == {"read_calls"}


def test_mode_train_has_no_masks(files: tuple[Path, ...]) -> None:
    made = measured(files, "train", "warm", engine=lambda batch: None)
    assert failed(made) == set()
    assert [rank.masks for rank in made.verification] == [None]


@pytest.mark.parametrize(
    ("first_start", "bytes_", "masks"), [(True, 2 * VALUES * 4 + 4 * 4 * 4096, 6), (False, 6 * 4 * 4096, 2)]
)
def test_a_first_start_compares_whole_samples_and_all_masks(
    files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, first_start: bool, bytes_: int, masks: int
) -> None:
    monkeypatch.setattr(delivery, "CHUNK_VALUES", 1000)
    device, paths = open_device("cpu"), [str(path) for path in files]
    evidence = delivery.FullEvidence(files, 1, SHAPE, 2, first_start)
    for start in range(0, 6, 2):
        batch = Batch(paths[start : start + 2], np.stack([np.load(path) for path in paths[start : start + 2]]))
        evidence.keep(batch)
        evidence.keep_mask(batch, masks_of(batch.array))
    found, compared = evidence.delivery(0), evidence.masks(masks_of, device)
    assert (found.samples, found.bytes, found.wrong_samples) == (6, bytes_, 0)
    assert (compared.samples, compared.pixels, compared.differing_pixels) == (masks, masks * 16 * 24, 0)


def test_no_more_samples_are_compared_than_the_limit(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (delivery, timed_evidence):
        monkeypatch.setattr(module, "MOST_SAMPLES", 3)
    made = measured(files, "io", "warm")
    assert [rank.delivery.samples for run in made.runs for rank in run.ranks] == [3, 3]
    assert made.verification[0].delivery.samples <= 3 + delivery.WHOLE_SAMPLES


def test_the_places_are_random_and_include_both_ends() -> None:
    files = [Path("data.npy")] * 1000
    first, second = ([*timed_evidence.TimedEvidence(files, SHAPE, open_device("cpu"))._starts] for _ in range(2))
    assert first != second
    assert {0, VALUES - timed_evidence.VALUES} < set(first)
    assert len(set(first)) > 300


def test_a_batch_that_is_a_mapped_file_is_refused(files: tuple[Path, ...]) -> None:
    """Nothing need have been read of it when the reader hands it out."""
    evidence = delivery.FullEvidence(files[:1], 1, SHAPE, 1, True)
    mapped = np.load(files[0], mmap_mode="r")[None]
    evidence.keep(Batch([str(files[0])], mapped))
    with pytest.raises(ValueError, match=rf"the reader's batch is a mapping of {files[0]}, whose bytes need not"):
        evidence.delivery(0)
    honest = delivery.FullEvidence(files[:1], 1, SHAPE, 1, True)
    honest.keep(Batch([str(files[0])], np.array(mapped)))
    assert honest.delivery(0).wrong_samples == 0
