"""Prediction maps: what is run, and what is drawn."""

import numpy as np
import pytest
import torch
from deepcam import engine, figures, predictions

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
    mask = np.where(TRUTH == 2, 2, 0).astype(np.uint8)  # finds rivers, no cyclone
    monkeypatch.setattr(engine, "load", lambda path, device: lambda batch: torch.from_numpy(mask)[None])
    return predictions.predict(samples[0][0].with_name("engine.pt2"), "cpu", samples[:2])


def test_the_first_samples_are_predicted(made):
    assert [prediction.name for prediction in made] == ["data-0", "data-1"]
    np.testing.assert_array_equal(made[0].truth, TRUTH)
    assert made[0].moisture.shape == (64, 96)


def test_maps_stand_side_by_side_with_their_iou(made, tmp_path):
    drawn = predictions.figure(made)
    titles = [axes.get_title() for axes in drawn.axes if axes.get_title()]
    assert titles[0] == "data-0: truth"
    assert titles[1] == "prediction: IoU cyclones 0.00, rivers 1.00, mean 0.67"
    assert drawn.axes[2].get_xlabel() == "longitude (°E)" and drawn.axes[0].get_ylabel() == "latitude (°N)"
    figures.save(drawn, tmp_path / "a.svg", tmp_path / "a.png")
    assert "<image" in (tmp_path / "a.svg").read_text()
