"""Numbers, devices and engine files that cannot be used are refused in one line, before any work."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import train_model
from deepcam.errors import InputError
from deepcam.model import engine, training
from deepcam.model.device import torch_device
from deepcam.model.engine import aotinductor, eager
from deepcam.model.network import NetworkSpec

RECIPE = training.Recipe(
    seed=1, samples=2, height=32, width=48, crop_width=32, event_crops=0.5, batch_size=2, steps=1, learning_rate=0.001,
    width_multiplier=0.05, channels=(0, 1),
)  # fmt: skip


@pytest.mark.parametrize("multiplier", [0, -0.5, 1.5, 1e9, float("nan"), float("inf")])
def test_a_width_that_no_network_has(multiplier: float) -> None:
    with pytest.raises(InputError, match=r"width multiplier .*: must be over 0 and at most 1"):
        NetworkSpec(multiplier, (0,))


@pytest.mark.parametrize(
    "change",
    [{"seed": -1}, {"samples": 0}, {"steps": 0}, *({"learning_rate": rate} for rate in (0, -1.0, float("nan")))],
)
def test_a_recipe_that_cannot_be_trained_with(change: dict[str, float]) -> None:
    (name,) = change
    with pytest.raises(InputError, match=rf"train.{name} is "):
        dataclasses.replace(RECIPE, **change)


@pytest.mark.parametrize("option", ["--checkpoint-steps", "--evaluation-samples", "--threads"])
def test_training_with_nothing_to_do(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {f"--{key.replace('_', '-')}": str(value) for key, value in dataclasses.asdict(RECIPE).items()}
    numbers |= {"--checkpoint-steps": "1", "--evaluation-samples": "1", "--threads": "1", "--channels": "0"}
    files = ["--checkpoint", "c", "--output", "o", "--evaluation", "e"]
    words = [word for pair in (numbers | {option: "0"}).items() for word in pair]
    monkeypatch.setattr("sys.argv", ["train_model", *words, *files])
    with pytest.raises(InputError, match=f"argument {option}: 0 is not allowed; it must be at least 1"):
        train_model.main()


@pytest.mark.parametrize("name", ["gpu", "cuda:-1", "cuda:x", "mps", "cpu:0", ""])
def test_a_device_of_another_name(name: str) -> None:
    with pytest.raises(InputError, match="must be cpu or cuda:N"):
        torch_device(name)


def test_a_reference_for_batches_of_no_sample() -> None:
    with pytest.raises(InputError, match="max batch is 0; it must be at least 1"):
        engine.reference(NetworkSpec(0.05, (0,)), Path("dataset.json"), "cpu", 0)


@pytest.mark.parametrize("backend", [eager, aotinductor])
def test_a_damaged_engine(backend: type, tmp_path: Path) -> None:
    (tmp_path / "engine.pt2").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"engine\.pt2: .*; to rebuild it, run snakemake"):
        backend.load(tmp_path / "engine.pt2", "cpu")
