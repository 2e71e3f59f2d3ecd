"""A checkpoint of MLPerf's network loads unchanged and gives the logits of an independent implementation."""

from __future__ import annotations

from pathlib import Path

import mlperf
import pytest
import torch
from deepcam.model import checkpoint
from deepcam.model.network import DeepLabV3Plus

FIELDS = (1, 4, 304, 320)
"""The smallest shape at which the atrous convolution of rate 18 uses more than the middle of its kernel."""


def save_as_mlperf_does(state: mlperf.State, prefix: str, path: Path) -> None:
    """Save like MLPerf's train_hdf5_ddp.py: a DistributedDataParallel state under "model", and the optimizer's."""
    optimizer = {"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    model = {prefix + name: value for name, value in state.items()}
    torch.save({"step": 7, "epoch": 1, "model": model, "optimizer": optimizer}, path)


@pytest.mark.parametrize(("dtype", "prefix"), [(torch.float32, "module."), (torch.float16, "")], ids=["fp32", "fp16"])
def test_a_checkpoint_of_mlperf_gives_mlperfs_logits(dtype: torch.dtype, prefix: str, tmp_path: Path) -> None:
    state = mlperf.random_state(0)
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    save_as_mlperf_does(state, prefix, tmp_path / "model.pth")
    network = DeepLabV3Plus(width_multiplier=1.0).eval()
    checkpoint.load_into(network, checkpoint.load_state(tmp_path / "model.pth"))
    fields = torch.rand(FIELDS, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = mlperf.logits({name: value.float() for name, value in state.items()}, fields)
        found = network(fields)
    assert 0.3 < expected.std() < 10
    assert (found - expected).abs().max() < 1e-4


def test_parameter_names_and_shapes_are_those_of_mlperf() -> None:
    with torch.device("meta"):
        state = DeepLabV3Plus().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == mlperf.shapes()
