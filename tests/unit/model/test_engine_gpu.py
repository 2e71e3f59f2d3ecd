"""Engines on a GPU: masks agree with the fp32 network's for every backend, precision and stream, and with graphs."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_example import dataset
from deepcam.climate import MODEL_CHANNELS
from deepcam.config import Engine
from deepcam.data import synthesis
from deepcam.errors import InputError
from deepcam.model import accuracy, engine, split_file
from deepcam.model.fingerprint import read_fingerprint, write_fingerprint
from deepcam.model.network import NetworkSpec

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[3]
DEVICE, WIDTH, SHAPE, MAX_BATCH = "cuda:0", 0.25, [192, 288, 16], 3

AGREEMENT = {"fp32": 0.9999, "tf32": 0.999, "fp16": 0.999, "bf16": 0.995}
"""Required fraction of pixels that agree with the reference, with the shipped weights."""

WITH_TENSORRT = pytest.mark.skipif(importlib.util.find_spec("torch_tensorrt") is None, reason="needs torch_tensorrt")
ENGINES = [
    *(("eager", precision) for precision in AGREEMENT),
    ("aotinductor", "fp16"),  # takes a minute to compile, so only this one
    pytest.param("tensorrt", "fp16", marks=WITH_TENSORRT),
]
BACKENDS = ["eager", "aotinductor", pytest.param("tensorrt", marks=WITH_TENSORRT)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, batch: torch.Tensor) -> Path:
    """model.pth and dataset.json."""
    path = tmp_path_factory.mktemp("gpu")
    split_file.assemble(ROOT / "share", path / "model.pth")
    ranges = zip(batch.amin((0, 1, 2)).tolist(), batch.amax((0, 1, 2)).tolist(), strict=True)
    dataset(list(ranges), tuple(SHAPE)).write(path / "dataset.json")
    return path


def network(folder: Path) -> NetworkSpec:
    return NetworkSpec(WIDTH, MODEL_CHANNELS, folder / "model.pth")


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    samples = [synthesis.sample(seed, *SHAPE[:2])[0] for seed in range(MAX_BATCH)]
    return torch.from_numpy(np.stack(samples)).to(DEVICE)


@pytest.fixture(scope="module")
def expected(folder: Path, batch: torch.Tensor) -> torch.Tensor:
    margins = engine.reference(network(folder), folder / "dataset.json", DEVICE, MAX_BATCH)(batch)
    masks = margins.argmin(1).to(torch.uint8)
    assert masks.unique().numel() > 1
    return masks


def build(folder: Path, backend: str, precision: str) -> Path:
    spec = Engine(backend=backend, precision=precision)
    output = folder / f"{spec.name}.pt2"
    if not output.exists():
        engine.build(spec, network(folder), folder / "dataset.json", DEVICE, MAX_BATCH, output)
    return output


def with_graphs(path: Path) -> Path:
    """Copy an engine and mark it as one that replays CUDA graphs. Building it again might choose other kernels."""
    marked = path.with_name(f"graphs-{path.name}")
    shutil.copy(path, marked)
    write_fingerprint(marked, read_fingerprint(path) | {"cuda_graphs": True})
    return marked


@pytest.mark.parametrize(("backend", "precision"), ENGINES)
def test_masks_agree_with_the_reference_for_every_batch_size(
    folder: Path, batch: torch.Tensor, expected: torch.Tensor, backend: str, precision: str
) -> None:
    loaded = engine.load(build(folder, backend, precision), DEVICE)
    for size in range(1, MAX_BATCH + 1):
        mask = loaded(batch[:size])
        assert (mask.dtype, mask.device) == (torch.uint8, batch.device)
        assert (mask == expected[:size]).float().mean() >= AGREEMENT[precision]


@pytest.mark.parametrize("backend", BACKENDS)
def test_cuda_graphs_give_the_same_masks_for_every_batch_size(folder: Path, batch: torch.Tensor, backend: str) -> None:
    plain = engine.load(build(folder, backend, "fp16"), DEVICE)
    graphs = engine.load(with_graphs(build(folder, backend, "fp16")), DEVICE)
    stream = torch.cuda.Stream()
    # Sizes are repeated with other data, after other sizes, and on another stream than that of the capture.
    for size, shift in ((3, 0), (1, 1), (3, 1), (2, 0), (1, 0)):
        moved = batch.roll(shift, dims=0)[:size].contiguous()
        want = plain(moved).clone()
        assert (graphs(moved) == want).float().mean() > 0.999
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            got = graphs(moved).clone()
        stream.synchronize()
        assert (got == want).float().mean() > 0.999


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_run_on_the_current_stream_without_waiting(folder: Path, batch: torch.Tensor, backend: str) -> None:
    loaded = engine.load(build(folder, backend, "fp16"), DEVICE)
    want = loaded(batch).clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        loaded(batch)
        stream.synchronize()
        # The stream is busy for about a second. Calls must return before that.
        torch.cuda._sleep(2 * 10**9)
        masks = [loaded(batch) for _ in range(3)]
        assert not stream.query()
    stream.synchronize()
    for mask in masks:
        assert (mask == want).float().mean() > 0.999


def test_an_fp32_engine_is_exact_even_after_a_tf32_engine(
    folder: Path, batch: torch.Tensor, expected: torch.Tensor
) -> None:
    exact = engine.load(build(folder, "eager", "fp32"), DEVICE)
    rounded = engine.load(build(folder, "eager", "tf32"), DEVICE)
    rounded(batch)
    assert not torch.equal(rounded(batch), expected)
    assert (exact(batch) == expected).float().mean() >= AGREEMENT["fp32"]


def test_a_batch_on_the_host_is_rejected(folder: Path, batch: torch.Tensor) -> None:
    loaded = engine.load(build(folder, "eager", "fp16"), DEVICE)
    with pytest.raises(InputError, match="on cpu, the engine takes"):
        loaded(batch.cpu())


def test_prediction_copies_masks_of_cuda_graphs_before_they_are_overwritten(
    folder: Path, batch: torch.Tensor, expected: torch.Tensor, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{i}.npy" for i in range(7)]
    for i, path in enumerate(paths):
        np.save(path, batch[i % MAX_BATCH].cpu().numpy())
    graphs = engine.load(with_graphs(build(folder, "eager", "fp16")), DEVICE)
    masks = accuracy.predict(graphs, accuracy.EvaluationSet(paths, []))
    wanted = np.stack([expected[i % MAX_BATCH].cpu().numpy() for i in range(7)])
    assert (masks == wanted).mean() >= AGREEMENT["fp16"]
