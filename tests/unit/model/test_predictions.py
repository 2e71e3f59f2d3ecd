"""Prediction maps: how they are computed, stored and drawn."""

import numpy as np
import pytest
import torch
from deepcam.model import engine, predict
from deepcam.record import predictions
from deepcam.report.figures import predictions as figure
from deepcam.report.figures import style

TRUTH = np.zeros((64, 96), np.uint8)
TRUTH[10:14, 10:14] = 1
TRUTH[30:40, 40:80] = 2


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    made = []
    for i in range(3):
        np.save(tmp_path / f"data-{i}.npy", rng.random((64, 96, 16), np.float32) * 60)
        np.save(tmp_path / f"label-{i}.npy", np.stack([TRUTH, TRUTH], axis=-1).astype(np.float32))
        made.append((tmp_path / f"data-{i}.npy", tmp_path / f"label-{i}.npy"))
    return made


@pytest.fixture
def made(samples, monkeypatch):
    mask = np.where(TRUTH == 2, 2, 0).astype(np.uint8)  # finds rivers but no cyclone
    monkeypatch.setattr(engine, "load", lambda path, device: lambda batch: torch.from_numpy(mask)[None])
    return predict.predict(samples[0][0].with_name("engine.pt2"), "cpu", samples[:2])


def test_the_first_samples_are_predicted(made):
    assert [prediction.name for prediction in made] == ["data-0", "data-1"]
    np.testing.assert_array_equal(made[0].truth, TRUTH)
    assert made[0].moisture.shape == (64, 96)


def test_a_map_per_sample_has_its_iou_and_the_title_names_synthetic_samples(made, tmp_path):
    drawn = figure.figure(made, "synthetic")
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles[:2] == [f"data-{i}: IoU cyclones 0.00, rivers 1.00, mean 0.67" for i in range(2)]
    assert drawn.axes[1].get_xlabel() == "longitude (°E)" and drawn.axes[0].get_ylabel() == "latitude (°N)"
    assert figure.title(made, "synthetic") == "Predictions for 2 synthetic samples: the mean IoU is 0.67"
    assert figure.title(made[:1], "nersc") == "Predictions for 1 sample: the mean IoU is 0.67"
    style.save(drawn, tmp_path / "a.svg", tmp_path / "a.png")
    assert "<image" in (tmp_path / "a.svg").read_text()


def test_a_pixel_is_a_hit_a_miss_or_a_false_alarm():
    truth, mask = np.array([[0, 1, 2, 1, 2, 0]]), np.array([[0, 1, 2, 0, 1, 2]])
    made = predictions.Prediction("a", truth * 1.0, truth, mask, np.eye(3))
    assert figure.outcomes(made).tolist() == [[0, 1, 1, 2, 2, 3]]


def test_stored_predictions_are_read_back_and_tabulated(made, tmp_path):
    predictions.save(made, tmp_path / "p.npz")
    again = predictions.load(tmp_path / "p.npz")
    for before, after in zip(made, again, strict=True):
        assert after.name == before.name
        for field in ("moisture", "truth", "mask", "counts"):
            np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    table = figure.table(again)
    assert table["sample"].tolist() == ["data-0", "data-1"]
    assert table["tropical cyclone"].tolist() == [0, 0] and table["atmospheric river"].tolist() == [1, 1]
    assert table["mean IoU"].round(2).tolist() == [0.67, 0.67]


def test_large_maps_are_coarse_but_their_iou_counts_every_pixel(monkeypatch, samples):
    monkeypatch.setattr(predict, "MAX_ROWS", 32)
    mask = TRUTH.copy()
    mask[1, 1] = 2  # a pixel that the coarse map leaves out
    monkeypatch.setattr(engine, "load", lambda path, device: lambda batch: torch.from_numpy(mask)[None])
    (made,) = predict.predict(samples[0][0].with_name("engine.pt2"), "cpu", samples[:1])
    assert made.mask.shape == made.truth.shape == made.moisture.shape == (32, 48)
    assert made.counts.sum() == TRUTH.size and made.counts[0, 2] == 1
