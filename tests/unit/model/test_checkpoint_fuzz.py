"""Mutated checkpoints load as a sound state or are refused in one line, whatever is wrong with them."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from deepcam.errors import InputError
from deepcam.model import checkpoint
from torch import nn

SEED = 1
MUTANTS = 600
"""Of each kind; they take about 4 seconds in all."""

NAMES = [
    "0.weight",
    "1.running_var",
    "1.num_batches_tracked",
    "module.0.weight",
    "_orig_mod.1.bias",
    "model",
    "",
    "\n\x1b",
    7,
]
VALUES: list[Callable[[], Any]] = [
    lambda: torch.full((8,), float("inf")),
    lambda: torch.full((8,), -1.0),
    lambda: torch.zeros(8, dtype=torch.int64),
    lambda: torch.zeros(1).expand(2**40),
    lambda: torch.zeros(8, 4, 3, 3).to_sparse(),
    lambda: torch.zeros((), dtype=torch.complex64),
    lambda: torch.zeros(8, dtype=torch.bool),
    lambda: torch.zeros(8, dtype=torch.uint16),
    lambda: torch.zeros(0),
    lambda: torch.zeros(8).to(torch.float8_e4m3fn),
    lambda: nn.Parameter(torch.ones(8)),
    lambda: {"0.weight": torch.zeros(8)},
    lambda: None,
    lambda: 10**400,
    lambda: {3, "three"},
]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))


def saved(content: object, legacy: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def load(content: bytes, folder: Path) -> None:
    """Load a checkpoint and check that it is sound, or that it is refused in one line."""
    path = folder / "model.pth"
    path.write_bytes(content)
    made = network()
    try:
        checkpoint.load_into(made, checkpoint.load_state(path))
    except InputError as error:
        assert str(error).isprintable()
        assert "weights_only" not in str(error)
    else:
        assert all(value.isfinite().all() for value in made.state_dict().values())
        assert (made[1].running_var >= 0).all()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "older format"])
def test_changed_bytes(tmp_path: Path, legacy: bool) -> None:
    rng = random.Random(SEED)
    whole = saved({"model": network().state_dict()}, legacy)
    for _ in range(MUTANTS):
        content = bytearray(whole)
        for _ in range(rng.choice([1, 2, 8, 64])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        del content[rng.choice([len(content), rng.randrange(len(content))]) :]
        load(bytes(content), tmp_path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "older format"])
def test_changed_contents(tmp_path: Path, legacy: bool) -> None:
    rng = random.Random(SEED)
    for _ in range(MUTANTS):
        state: dict[Any, Any] = dict(network().state_dict())
        for _ in range(rng.choice([1, 1, 2, 4])):
            state[rng.choice(NAMES)] = rng.choice(VALUES)()
        for name in rng.sample(list(state), rng.choice([0, 0, 1])):
            del state[name]
        load(saved(rng.choice([state, {"model": state}, {"state_dict": state, "epoch": 3}, [state]]), legacy), tmp_path)
