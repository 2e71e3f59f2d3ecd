"""Which engine runs where is known before any job, and without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from deepcam import grid, machine
from deepcam.errors import InputError
from deepcam.model import engine_spec
from deepcam.model.engine_spec import EngineSpec

SCRIPTS = Path(__file__).parents[3] / "workflow_scripts"


@pytest.mark.parametrize(
    ("flags", "precision", "device", "resolved"),
    [
        ({"amx_bf16"}, "auto", "cpu", "bf16"),
        ({"avx512_bf16"}, "auto", "cpu", "fp32"),
        ({"avx2"}, "auto", "cpu", "fp32"),
        ({"avx512_bf16"}, "bf16", "cpu", "bf16"),
        ({"amx_bf16"}, "fp32", "cpu", "fp32"),
        ({"avx2"}, "auto", "cuda:0", "fp16"),
        ({"avx2"}, "bf16", "cuda:0", "bf16"),
        ({"avx2"}, "tf32", "cuda:0", "tf32"),
    ],
)
def test_precision_follows_the_hardware(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], precision: str, device: str, resolved: str
) -> None:
    monkeypatch.setattr(machine, "cpu", lambda: ("cpu", frozenset(flags)))
    assert engine_spec.resolve_precision(precision, device) == resolved


def test_emulated_bf16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu", lambda: ("cpu", frozenset({"avx2"})))
    with pytest.raises(InputError, match=r"precision bf16 on cpu: .*emulated"):
        engine_spec.resolve_precision("bf16", "cpu")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (EngineSpec("tensorrt", "fp16"), "engines: tensorrt-fp16 on devices: cpu: TensorRT runs on NVIDIA GPUs only"),
        (EngineSpec("eager", "fp32", True), "engines: eager-fp32-graphs on devices: cpu: CUDA graphs run on NVIDIA"),
        (EngineSpec("aotinductor", "tf32"), "engines: aotinductor-tf32 on devices: cpu: only NVIDIA GPUs have tf32"),
        (
            EngineSpec("eager", "fp16"),
            "engines: eager-fp16 on devices: cpu: CPUs run .* by emulation",
        ),
    ],
)
def test_what_a_cpu_cannot_run_is_refused_there_only(spec: EngineSpec, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        spec.refuse_on("cpu")
    spec.refuse_on("cuda0")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    engine_spec.refuse_without_packages([EngineSpec("aotinductor", "auto")])
    with pytest.raises(InputError, match="tensorrt-fp16 needs the Python package torch-tensorrt"):
        engine_spec.refuse_without_packages([EngineSpec("tensorrt", "fp16")])


def test_names_are_the_grids_and_lead_back_from_a_cell() -> None:
    spec = EngineSpec("tensorrt", "fp16", cuda_graphs=True)
    assert spec.name == "tensorrt-fp16-graphs"
    assert EngineSpec("aotinductor", "auto").name == "aotinductor-auto"
    cell = grid.Cell("compute", grid.NONE, grid.NONE, spec.name, 1, 1, 1, 1)
    assert grid.Cell.from_id(cell.id) == cell


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="precision 'fp8' is unknown"):
        EngineSpec("eager", "fp8")


def test_the_workflow_learns_all_this_without_torch() -> None:
    code = (
        "import sys; from deepcam import machine; from deepcam.model import engine_spec; machine.identity('cuda0'); "
        "engine_spec.source_sha256(); "
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=True)


def test_an_engine_is_bound_to_the_cpu_or_to_the_gpus_and_their_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "cpu", lambda: ("Xeon", frozenset({"avx2", "sse"})))
    monkeypatch.setattr(machine, "NVIDIA", tmp_path)
    monkeypatch.setattr(machine, "nvidia_driver", lambda: "580.1")
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / bus).mkdir(parents=True)
        (tmp_path / "gpus" / bus / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 1\n")
    assert machine.identity("cpu") == ["Xeon", "avx2"]
    assert machine.identity("cuda1") == ["Xeon", "avx2", "NVIDIA H100", "NVIDIA H100", "driver 580.1"]
