"""The probe of the machine's speed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from deepcam.benchmark import page_cache
from deepcam.errors import InputError
from deepcam.rounds import probe


def test_all_speeds_are_plausible_and_a_probe_is_short(disk: Path) -> None:
    path = disk / "data-0.npy"
    np.save(path, np.zeros(10**6 + 1, np.float32))
    measure = probe.MachineProbe({"": [path]})
    started = time.monotonic()
    found = measure("")
    assert time.monotonic() - started < 2
    for speed in (
        found.storage_bytes_per_second,
        found.memory_bytes_per_second,
        found.hashing_bytes_per_second,
    ):
        assert 1e6 < speed < 1e13


def test_storage_is_read_and_not_the_page_cache(disk: Path) -> None:
    path = disk / "data-0.npy"
    np.save(path, np.zeros(10**6, np.float32))
    page_cache.preload([path])
    probe.MachineProbe({"": [path]})("")
    assert page_cache.resident_fraction([path]) <= 0.01


def test_the_samples_are_read_in_turn(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [disk / f"data-{number}.npy" for number in range(2)]
    for path in paths:
        np.save(path, np.zeros(10, np.float32))
    opened: list[str] = []

    def open_file(path: str, flags: int) -> int:
        opened.append(Path(path).name)
        return os.open(path, flags)

    monkeypatch.setattr(probe, "_open_direct", open_file)
    measure = probe.MachineProbe({"": paths})
    for _ in range(3):
        measure("")
    assert opened == ["data-0.npy", "data-1.npy", "data-0.npy"]
    measure = probe.MachineProbe({"nvme": paths[:1], "lustre": paths[1:]})
    for place in ("lustre", "nvme", "lustre"):
        measure(place)
    assert opened[3:] == ["data-1.npy", "data-0.npy", "data-1.npy"]


def test_a_file_system_without_direct_io_is_read_as_it_can_be() -> None:
    path = Path("/dev/shm/deepcam-test-probe.npy")
    try:
        np.save(path, np.zeros(10**6, np.float32))
        assert probe.MachineProbe({"": [path]})("").storage_bytes_per_second > 0
    finally:
        path.unlink(missing_ok=True)


def test_a_sample_that_is_gone_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data-0\.npy") as caught:
        probe.MachineProbe({"": [tmp_path / "data-0.npy"]})("")
    assert len(caught.value.lines) == 1
