"""Checkpoints are read without running code in them, and load only into a network that they fit."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from deepcam.errors import InputError
from deepcam.model import checkpoint
from deepcam.model.network import DeepLabV3Plus
from torch import nn


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))


def saved_and_loaded(content: dict, folder: Path) -> dict[str, torch.Tensor]:
    torch.save(content, folder / "model.pth")
    return checkpoint.load_state(folder / "model.pth")


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("nest", [(), ("model",), ("state_dict",), ("model", "state_dict")])
def test_the_state_is_found_at_the_top_level_nested_and_with_prefixes(
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


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("0.weight", float("nan"), "has values that are not finite"),
        ("1.running_var", 1e6, "has values that are not finite"),  # float16 makes it infinite
        ("1.running_var", -1.0, "has negative variances"),
    ],
)
def test_values_that_no_trained_network_has_are_rejected(
    network: nn.Module, tmp_path: Path, name: str, value: float, fault: str
) -> None:
    state = network.half().state_dict()
    state[name].view(-1)[-1] = value
    with pytest.raises(InputError, match=rf"model\.pth: {name} {fault}"):
        saved_and_loaded(state, tmp_path)


WEIGHT = torch.zeros(8, 4, 3, 3)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"module.0.weight": WEIGHT}, "0.weight stands in it twice"),
        ({"0.weight": WEIGHT.to_sparse()}, "0.weight is torch.float32, torch.sparse_coo on cpu"),
        ({"0.weight": WEIGHT.to("meta")}, "0.weight is torch.float32, torch.strided on meta"),
        ({"0.weight": torch.zeros(1).expand(2**36)}, r"0.weight \[68719476736\] is larger than the file"),
        ({"0.weight": WEIGHT.to(torch.int8)}, "0.weight is torch.int8"),
        ({"0.weight": WEIGHT.long()}, "0.weight is torch.int64"),
        ({"1.running_var": torch.ones(8, dtype=torch.bool)}, "1.running_var is torch.bool"),
        ({"0.weight": WEIGHT.to(torch.complex64)}, "0.weight is torch.complex64"),
        ({3: WEIGHT}, "holds no network state"),
        ({"a\nb\x1b[31m": WEIGHT}, r"a\\nb\\x1b\[31m"),
    ],
)
def test_tensors_that_are_no_weights_are_rejected_by_name_in_one_line(
    network: nn.Module, tmp_path: Path, change: dict, fault: str
) -> None:
    with pytest.raises(InputError, match=fault) as error:
        checkpoint.load_into(network, saved_and_loaded(network.state_dict() | change, tmp_path))
    assert str(error.value).isprintable()


def test_many_views_of_one_value_are_rejected(network: nn.Module, tmp_path: Path) -> None:
    shared = torch.zeros(1000)
    with pytest.raises(InputError, match=r"w\d+ \[1000\] is larger than the file"):
        saved_and_loaded({f"w{number}": shared for number in range(1000)}, tmp_path)


def test_an_archive_that_unpacks_to_more_than_its_size_is_rejected(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "stored.pth")
    with (
        zipfile.ZipFile(tmp_path / "stored.pth") as stored,
        zipfile.ZipFile(tmp_path / "model.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    with pytest.raises(InputError, match=r"model\.pth: refused, because it unpacks to more than its own size"):
        checkpoint.load_state(tmp_path / "model.pth")


def test_a_foreign_object_is_named_without_advice_to_run_it(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it holds numpy\S+scalar, which is no tensor") as error:
        saved_and_loaded({"model": network.state_dict(), "best": np.float64(0.8)}, tmp_path)
    assert "weights_only" not in str(error.value)


def test_a_compiled_program_is_not_a_checkpoint(network: nn.Module, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        for name in ("version", "constants.pkl", "data.pkl"):  # as TorchScript's
            archive.writestr(f"model/{name}", "3")
    with pytest.raises(InputError, match=r"refused as a checkpoint, because it is damaged or of another kind") as error:
        checkpoint.load_state(tmp_path / "model.pth")
    assert str(error.value).isprintable()


def test_counters_of_batches_may_be_missing(network: nn.Module, tmp_path: Path) -> None:
    state = {name: value for name, value in network.state_dict().items() if name != "1.num_batches_tracked"}
    checkpoint.load_into(network, saved_and_loaded(state, tmp_path))


def test_a_folder_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a file; give the path of a checkpoint"):
        checkpoint.load_state(tmp_path)


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
