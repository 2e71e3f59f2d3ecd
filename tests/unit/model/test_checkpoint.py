"""Checkpoints are read without running code in them, and load only into a network that they fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from deepcam.errors import InputError
from deepcam.model import checkpoint
from deepcam.model.network import DeepLabV3Plus
from torch import nn


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("nest", [(), ("model",), ("state_dict",), ("model", "state_dict")])
def test_the_state_is_found_at_the_top_level_nested_and_with_a_prefix(
    network: nn.Module, tmp_path: Path, nest: tuple[str, ...], prefix: str
) -> None:
    content = {prefix + name: value for name, value in network.half().state_dict().items()}
    for key in reversed(nest):
        content = {key: content, "epoch": 3}
    torch.save(content, tmp_path / "model.pth")
    state = checkpoint.load_state(tmp_path / "model.pth")
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    checkpoint.load_into(network.float(), state)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def test_a_pickle_that_runs_code_is_rejected_and_not_run(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.zeros(1)}, "extra": Malicious(tmp_path / "ran")}, tmp_path / "model.pth")
    with pytest.raises(InputError, match=r"model\.pth: refused") as error:
        checkpoint.load_state(tmp_path / "model.pth")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_file_that_is_not_a_checkpoint_is_rejected_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.pth") as error:
        checkpoint.load_state(tmp_path / "model.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], {"model": {"weight": 1.0}}])
def test_a_checkpoint_without_a_state_is_rejected(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(InputError, match="holds no network state"):
        checkpoint.load_state(tmp_path / "model.pth")


def test_a_missing_checkpoint_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoint.load_state(tmp_path / "model.pth")


def test_a_state_that_does_not_fit_is_rejected_with_keys_and_shapes(network: nn.Module) -> None:
    state = network.state_dict()
    del state["1.bias"]
    state["2.bias"] = torch.zeros(7)
    state["0.weight"] = torch.zeros(16, 4, 3, 3)
    with pytest.raises(InputError) as error:
        checkpoint.load_into(network, state)
    for words in ("1.bias [8]", "2.bias [7]", "0.weight [16, 4, 3, 3]", "[8, 4, 3, 3]"):
        assert words in str(error.value)


@pytest.mark.parametrize("width", [1.0, 0.25])
def test_a_state_of_another_width_is_rejected_with_its_likely_width(width: float) -> None:
    with torch.device("meta"):
        state, other = DeepLabV3Plus(width_multiplier=width).state_dict(), DeepLabV3Plus(width_multiplier=0.5)
    with pytest.raises(InputError, match=rf"it looks like width multiplier {width:g}; check width multiplier"):
        checkpoint.load_into(other, state)


def test_a_checkpoint_saved_in_float16_is_read_back(network: nn.Module, tmp_path: Path) -> None:
    checkpoint.save_half(network, tmp_path / "model.pth")
    state = checkpoint.load_state(tmp_path / "model.pth")
    assert torch.equal(state["0.weight"], network.state_dict()["0.weight"].half().float())
