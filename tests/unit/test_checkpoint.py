"""Checkpoints are read without running them; parts are joined only when every hash fits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from deepcam import checkpoint
from deepcam.climate import InputError
from torch import nn


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    (tmp_path / "whole").write_bytes(bytes(range(250)))
    checkpoint.split(tmp_path / "whole", tmp_path / "share", part_bytes=100)
    return tmp_path / "share"


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("nest", [(), ("model",), ("state_dict",), ("model", "state_dict")])
def test_state_is_found_bare_nested_and_prefixed(
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


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.zeros(1)}, "extra": Malicious(tmp_path / "ran")}, tmp_path / "model.pth")
    with pytest.raises(InputError, match=r"model\.pth: refused") as error:
        checkpoint.load_state(tmp_path / "model.pth")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.pth") as error:
        checkpoint.load_state(tmp_path / "model.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], {"model": {"weight": 1.0}}])
def test_a_checkpoint_without_state_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(InputError, match="holds no network state"):
        checkpoint.load_state(tmp_path / "model.pth")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoint.load_state(tmp_path / "model.pth")


def test_state_that_does_not_fit_names_keys_and_both_shapes(network: nn.Module) -> None:
    state = network.state_dict()
    del state["1.bias"]
    state["2.bias"] = torch.zeros(7)
    state["0.weight"] = torch.zeros(16, 4, 3, 3)
    with pytest.raises(InputError) as error:
        checkpoint.load_into(network, state)
    for words in ("1.bias [8]", "2.bias [7]", "0.weight [16, 4, 3, 3]", "[8, 4, 3, 3]"):
        assert words in str(error.value)


def test_half_precision_save_is_read_back(network: nn.Module, tmp_path: Path) -> None:
    checkpoint.save_half(network, tmp_path / "model.pth")
    state = checkpoint.load_state(tmp_path / "model.pth")
    assert torch.equal(state["0.weight"], network.state_dict()["0.weight"].half().float())


def test_split_then_assemble_gives_the_file_back(parts: Path, tmp_path: Path) -> None:
    names = ["model_part_aa", "model_part_ab", "model_part_ac"]
    assert sorted(path.name for path in parts.iterdir()) == ["SHA256SUMS", *names]
    lines = (parts / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == [*names, "model.pth"]
    checkpoint.assemble(parts, tmp_path / "out" / "model.pth")
    assert (tmp_path / "out" / "model.pth").read_bytes() == bytes(range(250))


def test_split_replaces_older_parts(parts: Path, tmp_path: Path) -> None:
    checkpoint.split(tmp_path / "whole", parts, part_bytes=200)
    assert sorted(path.name for path in parts.glob("model_part_*")) == ["model_part_aa", "model_part_ab"]
    checkpoint.assemble(parts, tmp_path / "model.pth")


def test_split_refuses_more_parts_than_names(tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(bytes(677))
    with pytest.raises(InputError, match="over 676 parts"):
        checkpoint.split(tmp_path / "whole", tmp_path / "share", part_bytes=1)


def alter(parts: Path, name: str) -> None:
    data = bytearray((parts / name).read_bytes())
    data[-1] ^= 1
    (parts / name).write_bytes(data)


def alter_whole_sum(parts: Path) -> None:
    lines = (parts / "SHA256SUMS").read_text().splitlines()
    (parts / "SHA256SUMS").write_text("\n".join([*lines[:-1], f"{'0' * 64}  model.pth"]))


BAD = {
    "missing": (lambda p: (p / "model_part_ab").unlink(), r"model_part_ab: missing"),
    "extra": (lambda p: (p / "model_part_ad").write_bytes(b"x"), r"model_part_ad: extra"),
    "altered": (lambda p: alter(p, "model_part_ac"), r"model_part_ac: altered"),
    "truncated": (lambda p: (p / "model_part_aa").write_bytes(b""), r"model_part_aa: altered"),
    "no sums": (lambda p: (p / "SHA256SUMS").unlink(), r"SHA256SUMS: missing"),
    "bad sums": (lambda p: (p / "SHA256SUMS").write_text("hello\n"), r"SHA256SUMS: line 1"),
    "path in sums": (lambda p: (p / "SHA256SUMS").write_text(f"{'0' * 64}  ../secret\n"), r"SHA256SUMS: line 1"),
    "whole": (alter_whole_sum, r"joined parts"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_part_is_named_and_nothing_is_written(parts: Path, tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    spoil(parts)
    with pytest.raises(InputError, match=message):
        checkpoint.assemble(parts, tmp_path / "out" / "model.pth")
    assert not list(tmp_path.glob("out/*"))
