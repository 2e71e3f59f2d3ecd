"""The training step of mode train."""

from __future__ import annotations

import torch
from deepcam.benchmark import ranks, train_step
from deepcam.benchmark.run import Training

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
