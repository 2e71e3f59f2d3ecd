"""Calls of Torch-TensorRT, recorded by a stand-in, because the real one needs a GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from deepcam.errors import InputError
from deepcam.model.engine import graph, tensorrt
from torch import nn

SHAPE = [16, 32, 16]


class Network(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Install a fake module torch_tensorrt and return the arguments of its last calls, and all sizes and loads."""
    seen: dict[str, Any] = {"inputs": [], "ran": []}

    def compile(program: torch.export.ExportedProgram, **arguments: Any) -> str:
        seen["program"], seen["compile"] = program, arguments
        seen["inputs"] += arguments["arg_inputs"]
        return "compiled"

    def load(path: str) -> SimpleNamespace:
        module = torch.export.load(path).module()

        def run(batch: torch.Tensor) -> torch.Tensor:
            seen["ran"].append(Path(path).name)
            return module(batch)

        return SimpleNamespace(module=lambda: run)

    def save(module: str, path: str, **arguments: Any) -> None:
        seen["saved"], seen["save"] = module, arguments
        torch.export.save(seen["program"], path)

    fake: Any = ModuleType("torch_tensorrt")
    fake.__version__ = "2.13.0"
    fake.Input = lambda **arguments: SimpleNamespace(**arguments)
    fake.dynamo = SimpleNamespace(compile=compile)
    fake.save, fake.load = save, load
    monkeypatch.setitem(sys.modules, "torch_tensorrt", fake)
    return seen


def package(folder: Path, max_batch: int = 3, precision: str = "fp16") -> Path:
    inference = graph.InferenceGraph(Network(), [0.0] * 4, [1.0] * 4, torch.float16)
    path, scratch = folder / "engine.pt2", folder / "scratch"
    scratch.mkdir()
    tensorrt.package(inference, graph.BuildTarget(precision, "cpu", SHAPE, max_batch), path, scratch)
    return path


def test_the_whole_fp16_graph_is_compiled_for_every_batch_size(calls: dict[str, Any], tmp_path: Path) -> None:
    package(tmp_path)
    (batch,) = calls["compile"]["arg_inputs"]
    assert (batch.min_shape, batch.opt_shape, batch.max_shape) == ((1, *SHAPE), (3, *SHAPE), (3, *SHAPE))
    assert batch.dtype == torch.float32
    assert calls["compile"]["require_full_compilation"]
    values = (node.meta.get("val") for node in calls["program"].graph.nodes)
    dtypes = {value.dtype for value in values if isinstance(value, torch.Tensor)}
    assert torch.float16 in dtypes
    # Torch-TensorRT 2.13 cannot convert a cast to uint8.
    assert torch.uint8 not in dtypes
    assert calls["saved"] == "compiled"
    assert calls["save"]["dynamic_shapes"][0][0].max == 3


def test_there_is_a_program_for_each_power_of_two_and_one_for_all_batches(
    calls: dict[str, Any], tmp_path: Path
) -> None:
    run = tensorrt.load(package(tmp_path, max_batch=6), "cpu")
    *fixed, variable = calls["inputs"]
    assert [batch.shape for batch in fixed] == [(1, *SHAPE), (2, *SHAPE), (4, *SHAPE)]
    assert (variable.min_shape, variable.opt_shape, variable.max_shape) == ((1, *SHAPE), (6, *SHAPE), (6, *SHAPE))
    for size in range(1, 7):
        assert run(torch.rand(size, *SHAPE)).shape == (size, 16, 32)
    assert calls["ran"] == ["1.ep", "2.ep", "6.ep", "4.ep", "6.ep", "6.ep"]


def test_caches_are_private_to_the_build(calls: dict[str, Any], tmp_path: Path) -> None:
    package(tmp_path)
    for cache in ("timing_cache_path", "engine_cache_dir"):
        assert Path(calls["compile"][cache]).is_relative_to(tmp_path / "scratch")


@pytest.mark.parametrize(("precision", "disabled"), [("fp32", True), ("tf32", False)])
def test_tf32_is_disabled_for_fp32(calls: dict[str, Any], tmp_path: Path, precision: str, disabled: bool) -> None:
    package(tmp_path, precision=precision)
    assert calls["compile"]["disable_tf32"] is disabled


def test_a_largest_batch_of_one_is_a_fixed_size(calls: dict[str, Any], tmp_path: Path) -> None:
    package(tmp_path, max_batch=1)
    assert calls["save"]["dynamic_shapes"] == (None,)
    assert calls["save"]["arg_inputs"][0].shape == (1, *SHAPE)


def test_a_loaded_engine_returns_uint8_masks(calls: dict[str, Any], tmp_path: Path) -> None:
    run = tensorrt.load(package(tmp_path), "cpu")
    mask = run(torch.rand(2, *SHAPE))
    assert (mask.dtype, mask.shape) == (torch.uint8, (2, 16, 32))


@pytest.mark.parametrize(
    ("package", "version", "named"),
    [("tensorrt", "11.0", "11.0"), ("tensorrt_rtx", "1.4.0.76", "tensorrt_rtx 1.4.0.76")],
)
def test_versions_are_those_of_both_libraries_and_tensorrt_rtx_is_named(
    calls: dict[str, Any], monkeypatch: pytest.MonkeyPatch, package: str, version: str, named: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__=version, __package__=package))
    assert tensorrt.versions() == {"torch_tensorrt": "2.13.0", "tensorrt": named}


def test_a_failed_import_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(InputError, match=r"torch_tensorrt cannot be imported \(ModuleNotFoundError: .*install"):
        tensorrt.versions()
