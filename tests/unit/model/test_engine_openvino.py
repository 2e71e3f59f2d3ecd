"""Engines of OpenVINO: their masks, their precisions, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_example import dataset
from deepcam.climate import MODEL_CHANNELS
from deepcam.data import synthesis
from deepcam.errors import InputError
from deepcam.model.engine import graph, openvino
from deepcam.model.engine.runtime import InferenceFunction
from servers import missing
from torch import nn

SHAPE, MAX_BATCH = (64, 96, 16), 3


@pytest.fixture
def installed() -> None:
    if not all(map(importlib.util.find_spec, ("openvino", "nncf"))):
        missing("OpenVINO is not installed: pip install -r envs/requirements-openvino.txt")


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    """Raw samples, whose channels have very different ranges."""
    return torch.from_numpy(np.stack([synthesis.sample(seed, *SHAPE[:2])[0] for seed in range(MAX_BATCH)]))


@pytest.fixture
def inference(batch: torch.Tensor) -> graph.InferenceGraph:
    """A small network, whose classes all occur."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(len(MODEL_CHANNELS), 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1), nn.BatchNorm2d(3)
    )
    low, high = (values[list(MODEL_CHANNELS)] for values in (batch.amin((0, 1, 2)), batch.amax((0, 1, 2))))
    made = graph.InferenceGraph(network, low.tolist(), high.tolist(), torch.float32)
    network[-1].train().momentum = None  # the last statistics alone
    with torch.no_grad():
        made.logits(batch)
    network.eval()
    assert made(batch).unique().numel() == 3
    return made


def package(inference: graph.InferenceGraph, precision: str, folder: Path) -> Path:
    path = folder / "engine.pt2"
    dataset(shape=SHAPE).write(folder / "dataset.json")
    target = graph.BuildTarget(precision, "cpu", list(SHAPE), MAX_BATCH, folder / "dataset.json")
    openvino.prepare(inference.network)
    openvino.package(inference, target, path, folder)
    return path


def loaded(inference: graph.InferenceGraph, precision: str, folder: Path) -> InferenceFunction:
    return openvino.load(package(inference, precision, folder), "cpu")


def test_masks_equal_the_networks_for_every_batch_size(
    installed: None, inference: graph.InferenceGraph, batch: torch.Tensor, tmp_path: Path
) -> None:
    expected = inference(batch)
    run = loaded(inference, "fp32", tmp_path)
    masks = {size: run(batch[:size]) for size in range(1, MAX_BATCH + 1)}
    for size, mask in masks.items():  # a mask is kept when the engine runs again
        assert mask.dtype == torch.uint8
        assert (mask == expected[:size]).float().mean() > 0.999


def test_layers_are_quantised_but_not_the_normalisation(
    installed: None, inference: graph.InferenceGraph, batch: torch.Tensor, tmp_path: Path
) -> None:
    """With a common scale for raw channels, half of the pixels would differ."""
    expected = inference(batch)
    path = package(inference, "int8", tmp_path)
    with zipfile.ZipFile(path) as packed:
        assert packed.read(openvino.MODEL).count(b'type="FakeQuantize"') >= 2
    assert (openvino.load(path, "cpu")(batch) == expected).float().mean() > 0.9


@pytest.mark.parametrize(("precision", "hint"), [("fp32", "f32"), ("bf16", "bf16")])
def test_the_precision_is_that_of_the_engine_and_not_the_fastest(
    installed: None, inference: graph.InferenceGraph, precision: str, hint: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(package(inference, precision, tmp_path)) as packed:
        assert json.loads(packed.read(openvino.SETTINGS)) == {"INFERENCE_PRECISION_HINT": hint}


def test_an_engine_uses_as_many_threads_as_pytorch(
    installed: None, inference: graph.InferenceGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino as library

    path = package(inference, "fp32", tmp_path)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    compiled = []
    compile_model = library.Core.compile_model
    monkeypatch.setattr(
        library.Core, "compile_model", lambda *arguments: compiled.append(compile_model(*arguments)) or compiled[0]
    )
    openvino.load(path, "cpu")
    assert compiled[0].get_property("INFERENCE_NUM_THREADS") == 1
    assert not compiled[0].get_property("ENABLE_CPU_PINNING")


def test_nothing_is_reported_to_the_makers(installed: None) -> None:
    openvino.versions()
    with pytest.raises(ImportError):
        importlib.import_module("openvino_telemetry")


def test_a_damaged_engine(installed: None, tmp_path: Path) -> None:
    (tmp_path / "engine.pt2").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"engine\.pt2: damaged .*; to rebuild it, run snakemake"):
        openvino.load(tmp_path / "engine.pt2", "cpu")


@pytest.mark.parametrize("call", [openvino.versions, lambda: openvino.load(Path("engine.pt2"), "cpu")])
def test_a_missing_package_is_reported_in_one_line(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"openvino: openvino cannot be imported \(.*\); install envs/requirements-"):
        call()
