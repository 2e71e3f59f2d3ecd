"""The training step of mode train."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from deepcam.benchmark import ranks, train_step
from deepcam.benchmark.run import Training
from torch import distributed

SHAPE = (32, 48, 16)
RECIPE = Training((0, 1, 2, 10), (0.0,) * 4, (1.0, 1.0, 1.0, 0.0), 0.25)


def test_a_step_changes_every_weight_and_stays_finite() -> None:
    step = train_step.TrainStep(RECIPE, "cpu", SHAPE, 2, ranks.init_ranks(1))
    before = [parameter.detach().clone() for parameter in step.network.parameters()]
    for _ in range(2):
        step(torch.rand(2, *SHAPE))
    for old, new in zip(before, step.network.parameters(), strict=True):
        assert not torch.equal(old, new)
        assert new.isfinite().all()


def test_labels_are_mostly_background_and_have_every_class() -> None:
    truth = train_step.TrainStep(RECIPE, "cpu", (256, 384, 16), 2, ranks.init_ranks(1)).truth
    assert truth.unique().tolist() == [0, 1, 2]
    assert 0.97 < (truth == 0).float().mean() < 0.99


def test_the_description_for_a_record_names_backend_and_precision() -> None:
    described = train_step.describe(RECIPE, "cpu")
    assert described["backend"] == "training"
    assert described["precision"] in ("bf16", "fp32")
    assert described["accuracy"] == []


def test_cudnn_searches_for_its_fastest_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    train_step.TrainStep(RECIPE, "cpu", SHAPE, 2, ranks.init_ranks(1))
    assert torch.backends.cudnn.benchmark is True


def test_gradients_lie_in_the_buckets_that_several_ranks_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each step copies all gradients to the buckets and back."""

    def init_alone(*_: object) -> None:
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)

    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setattr(train_step, "_init_process_group", init_alone)
    try:
        step = train_step.TrainStep(RECIPE, "cpu", SHAPE, 2, SimpleNamespace(size=2))
        step(torch.rand(2, *SHAPE))
        gradients = [parameter.grad for parameter in step.network.parameters() if parameter.grad is not None]
        assert len({gradient.untyped_storage().data_ptr() for gradient in gradients}) < len(gradients) / 2
    finally:
        distributed.destroy_process_group()
