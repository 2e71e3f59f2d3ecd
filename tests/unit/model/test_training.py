"""Training: loss, schedule and IoU, and the same weights from the same recipe despite interruptions."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from deepcam.climate import MODEL_CHANNELS
from deepcam.errors import InputError
from deepcam.model import checkpoint, training, training_data
from deepcam.model.network import DeepLabV3Plus

SCRIPTS = Path(__file__).parents[3] / "workflow_scripts"
RECIPE = training.Recipe(
    seed=1, samples=2, height=64, width=96, crop_width=32, event_crops=0.5, batch_size=2, steps=6, learning_rate=1e-3,
    width_multiplier=0.05, channels=MODEL_CHANNELS,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread is enough for so small a network, and more would be slow on busy cores."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="module")
def training_set():
    return training_data.make_examples(
        1, training_data.TRAINING_FIRST_LINE, 2, 64, 96, MODEL_CHANNELS, torch.device("cpu"), 1
    )


@pytest.fixture(scope="module")
def uninterrupted(training_set, tmp_path_factory):
    return training.train(RECIPE, training_set, tmp_path_factory.mktemp("straight") / "checkpoint.pt", 100).state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_of_equal_logits():
    truth = torch.tensor([[[0, 0, 1, 2]]])
    # The cross entropy is log 3. Each event has overlap 1/3, 4/3 predicted pixels and 1 true pixel.
    expected = math.log(3) + 1 - (2 / 3 + 1) / (7 / 3 + 1)
    assert training.loss(torch.zeros(1, 3, 1, 4), truth).item() == pytest.approx(expected)


def test_the_loss_of_the_truth_is_zero_and_that_of_all_background_is_high():
    truth = torch.zeros(1, 50, 100, dtype=torch.int64)
    truth[0, 0, :2], truth[0, 1, :3] = 1, 2
    right = 100.0 * torch.nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2)
    background = torch.zeros(1, 3, 50, 100)
    background[:, 0] = 5
    assert training.loss(right, truth).item() == pytest.approx(0, abs=1e-6)
    assert training.loss(background, truth).item() > 0.9


def test_the_learning_rate_rises_then_falls_to_zero():
    recipe = dataclasses.replace(RECIPE, steps=100)
    rates = [training.learning_rate(step, recipe) for step in range(100)]
    assert max(rates) == rates[4] == pytest.approx(recipe.learning_rate)
    assert rates[:5] == sorted(rates[:5]) and rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0)


def test_the_recipe_determines_the_weights(training_set, uninterrupted, tmp_path):
    again = training.train(RECIPE, training_set, tmp_path / "a.pt", 2).state_dict()
    other = training.train(dataclasses.replace(RECIPE, seed=2), training_set, tmp_path / "b.pt", 100).state_dict()
    assert same(again, uninterrupted)
    assert not same(other, uninterrupted)


@pytest.mark.parametrize("steps", [2, 4, 5], ids=["before", "at", "after"])
def test_a_run_interrupted_around_the_freezing_of_batch_norm_ends_with_the_same_weights(
    steps, training_set, uninterrupted, tmp_path, monkeypatch
):
    save = training._save

    def save_and_die(path, recipe, step, *state):
        save(path, recipe, step, *state)
        if step == steps:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "_save", save_and_die)
        training.train(RECIPE, training_set, tmp_path / "checkpoint.pt", 1)
    assert same(training.train(RECIPE, training_set, tmp_path / "checkpoint.pt", 1).state_dict(), uninterrupted)


def test_training_reduces_the_loss(training_set, tmp_path):
    def judged(steps):
        recipe = dataclasses.replace(RECIPE, steps=steps, learning_rate=5e-3)
        network = training.train(recipe, training_set, tmp_path / f"{steps}.pt", 100)
        fields, truth = training_data.draw_batch(training_set, np.random.default_rng(9), 4, 96, 0.0)
        with torch.inference_mode():
            return training.loss(network(fields), truth).item()

    assert judged(40) < 0.8 * judged(1)


def test_a_checkpoint_of_another_recipe_is_rejected(training_set, tmp_path):
    path = tmp_path / "checkpoint.pt"
    recipe = dataclasses.replace(RECIPE, steps=1)
    training.train(recipe, training_set, path, 1)
    with pytest.raises(InputError, match=r"checkpoint.pt: trained with learning_rate 0.001, the recipe has 0.5"):
        training.train(dataclasses.replace(recipe, learning_rate=0.5), training_set, path, 1)


def test_a_damaged_checkpoint_is_rejected(training_set, tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="refused as a checkpoint") as error:
        training.train(RECIPE, training_set, path, 1)
    assert "\n" not in str(error.value)


def test_a_nonfinite_loss_ends_the_run(training_set, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "loss", lambda logits, truth: logits.sum() * math.nan)
    with pytest.raises(InputError, match=r"step \d: the loss is nan"):
        training.train(RECIPE, training_set, tmp_path / "checkpoint.pt", 100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 1}, "train.batch_size is 1; it must be at least 2"),
        ({"steps": 0}, "train.steps is 0"),
        ({"event_crops": 1.5}, "train.event_crops is 1.5; it must be a number from 0 to 1"),
        ({"crop_width": 112}, "crops of 64 x 112 from samples 96 wide"),
        ({"crop_width": 40}, "crops of 64 x 40 from samples 96 wide"),
    ],
)
def test_an_unusable_recipe_is_rejected(change, message):
    with pytest.raises(InputError) as error:
        dataclasses.replace(RECIPE, **change)
    assert str(error.value).startswith(message)


def test_calibration_replaces_earlier_statistics_and_leaves_evaluation_mode_on(training_set):
    networks = [DeepLabV3Plus(width_multiplier=0.05) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    networks[1].bn1.running_mean.fill_(1e6)
    for network in networks:
        training.calibrate_batch_norm(network, RECIPE, training_set)
        assert not network.training and network.bn1.momentum == 0.1
    assert same(*(network.state_dict() for network in networks))


class Threshold(torch.nn.Module):
    """Predicts class 0, 1 or 2 where the normalised first channel is near 0, 1/2 or 1."""

    def forward(self, x):
        return torch.stack([-((2 * x[:, 0] - i) ** 2) for i in range(3)], dim=1)


def test_evaluation_normalises_with_the_ranges_of_datasets_of_the_given_size():
    labels = torch.tensor([0, 1, 2, 0], dtype=torch.uint8).repeat(2, 16, 4)
    fields = labels[..., None] * torch.tensor([1.0, 10.0])[:, None, None, None]
    limits = fields.amin(dim=(1, 2)).numpy(), fields.amax(dim=(1, 2)).numpy()
    held_out = training_data.Examples(fields, labels, *limits, (0,))
    alone = training.evaluate(Threshold(), held_out, "fp32", 1)
    assert alone["mean_iou"] == 1 and alone["iou"]["tropical cyclone"] == 1
    together = training.evaluate(Threshold(), held_out, "fp32", 2)
    # The first sample is scaled to a tenth, so all of it looks like background.
    assert together["iou"] == pytest.approx(
        {"background": 16 / 24, "tropical cyclone": 1 / 2, "atmospheric river": 1 / 2}
    )


def test_weights_too_large_for_float16_are_rejected(tmp_path):
    network = DeepLabV3Plus(width_multiplier=0.05)
    network.bn1.running_var.fill_(7e4)
    with pytest.raises(InputError, match=r"bn1.running_var has values that float16 cannot hold"):
        checkpoint.save_half(network, tmp_path / "model.pth")
    assert not list(tmp_path.iterdir())


def program(folder):
    options = {
        **dataclasses.asdict(RECIPE), "steps": 30, "checkpoint_steps": 1, "evaluation_samples": 1, "threads": 1,
        "device": "cpu", "checkpoint": folder / "checkpoint.pt", "output": folder / "model.pth",
        "evaluation": folder / "evaluation.json", "channels": None,
    }  # fmt: skip
    words = [
        word
        for key, value in options.items()
        if value is not None
        for word in (f"--{key.replace('_', '-')}", str(value))
    ]
    command = [sys.executable, "-m", "train_model", *words, "--channels", *map(str, MODEL_CHANNELS)]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def test_a_killed_program_continues_and_ends_with_the_same_weights(tmp_path):
    folders = [tmp_path / "killed", tmp_path / "straight"]
    for folder in folders:
        folder.mkdir()
    killed, straight = (program(folder) for folder in folders)
    deadline = time.monotonic() + 300
    while not (folders[0] / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    _, log = (again := program(folders[0])).communicate(timeout=300)
    assert again.returncode == 0 and "continues after step" in log, log
    assert straight.wait(timeout=300) == 0
    states = [checkpoint.load_state(folder / "model.pth") for folder in folders]
    assert same(*states)
    assert sorted(path.name for path in folders[0].iterdir()) == ["evaluation.json", "model.pth"]
    evaluation = json.loads((folders[0] / "evaluation.json").read_text())
    assert 0 <= evaluation["mean_iou"] <= 1 and evaluation["recipe"]["steps"] == 30
