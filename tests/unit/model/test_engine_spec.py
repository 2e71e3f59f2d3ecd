"""Which engine runs where is known before any job, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from deepcam import machine
from deepcam.climate import MODEL_CHANNELS
from deepcam.config import Engine
from deepcam.config.types import Backend, Precision
from deepcam.errors import InputError
from deepcam.model import engine, engine_spec
from deepcam.model.network import NetworkSpec

SCRIPTS = Path(__file__).parents[3] / "workflow_scripts"


@pytest.mark.parametrize(
    ("keys", "device", "names"),
    [
        ({"backend": "eager"}, "cpu", ["eager-fp32", "eager-bf16"]),
        ({"backend": "eager", "cuda_graphs": True}, "cuda:0", ["eager-fp16-graphs", "eager-bf16-graphs"]),
        ({"backend": "auto", "precision": "fp32"}, "cpu", ["aotinductor-fp32", "openvino-fp32", "eager-fp32"]),
        ({"backend": "auto", "precision": "fp16"}, "cuda1", ["tensorrt-fp16", "aotinductor-fp16", "eager-fp16"]),
        ({"backend": "tensorrt"}, "cuda0", ["tensorrt-fp16", "tensorrt-bf16"]),
        ({"backend": "aotinductor", "precision": "bf16"}, "cpu", ["aotinductor-bf16"]),
    ],
)
def test_auto_has_the_candidates_that_the_device_offers(keys: dict[str, Any], device: str, names: list[str]) -> None:
    found = engine_spec.candidates(Engine(**keys), device)
    assert [engine.name for engine in found] == names


def test_auto_offers_precisions_of_every_backend_that_are_in_order() -> None:
    for backends in engine_spec.OFFERED.values():
        for precisions in backends.values():
            assert list(precisions) == sorted(precisions, key=engine_spec.PRECISIONS.index)
    assert set().union(*engine_spec.OFFERED.values()) == set(get_args(Backend)) - {"auto"}
    assert set(engine_spec.PRECISIONS) == set(get_args(Precision)) - {"auto"}


@pytest.mark.parametrize("flag", machine.BF16_FLAGS)
def test_emulated_bf16_is_refused(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    monkeypatch.setattr(machine, "cpu", lambda: ("cpu", frozenset({"avx2"})))
    with pytest.raises(InputError, match=r"precision bf16 on cpu: .*emulated"):
        engine_spec.check_precision("bf16", "cpu")
    engine_spec.check_precision("fp32", "cpu")
    engine_spec.check_precision("bf16", "cuda:0")
    monkeypatch.setattr(machine, "cpu", lambda: ("cpu", frozenset({"avx2", flag})))
    engine_spec.check_precision("bf16", "cpu")


def test_int8_without_vector_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu", lambda: ("cpu", frozenset({"sse4_2"})))
    with pytest.raises(InputError, match=r"precision int8 on cpu: this CPU has no avx2.*; use fp32 or auto"):
        engine_spec.check_precision("int8", "cpu")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (
            {"backend": "tensorrt", "precision": "fp16"},
            "tensorrt-fp16 on devices: cpu: TensorRT runs on NVIDIA GPUs only",
        ),
        ({"backend": "eager", "cuda_graphs": True}, "eager-auto-graphs on devices: cpu: CUDA graphs run on NVIDIA"),
        (
            {"backend": "aotinductor", "precision": "tf32"},
            "aotinductor-tf32 on devices: cpu: only NVIDIA GPUs have tf32",
        ),
        ({"backend": "eager", "precision": "fp16"}, "eager-fp16 on devices: cpu: CPUs run .* by emulation"),
    ],
)
def test_an_engine_that_a_cpu_cannot_run_is_refused_there_only(keys: dict[str, Any], reason: str) -> None:
    engine = Engine(**keys)
    with pytest.raises(InputError, match=f"engines: {reason}"):
        engine_spec.check_device(engine, "cpu")
    engine_spec.check_device(engine, "cuda0")


def test_openvino_is_refused_on_gpus_only() -> None:
    engine = Engine(backend="openvino", precision="int8")
    engine_spec.check_device(engine, "cpu")
    with pytest.raises(InputError, match="openvino-int8 on devices: cuda0: engines of OpenVINO run on CPUs only"):
        engine_spec.check_device(engine, "cuda0")


@pytest.mark.parametrize("device", ["cpu", "cuda0"])
def test_int8_is_refused_for_other_backends(device: str) -> None:
    with pytest.raises(InputError, match=f"tensorrt-int8 on devices: {device}: only the backend openvino has int8"):
        engine_spec.check_device(Engine(backend="tensorrt", precision="int8"), device)


@pytest.mark.parametrize(
    ("precision", "installed", "missing"),
    [("bf16", set(), "openvino"), ("int8", {"openvino"}, "nncf"), ("bf16", {"openvino"}, None)],
)
def test_a_missing_optional_package_is_named(
    monkeypatch: pytest.MonkeyPatch, precision: str, installed: set[str], missing: str | None
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)
    engines = [Engine(backend="openvino", precision=precision)]
    if missing is None:
        engine_spec.check_packages(engines)
        return
    with pytest.raises(InputError, match=f"needs the Python package {missing}; install envs/requirements-openvino.txt"):
        engine_spec.check_packages(engines)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    engine_spec.check_packages([Engine(backend="aotinductor", precision="auto")])
    with pytest.raises(InputError, match="tensorrt-fp16 needs the Python package torch-tensorrt"):
        engine_spec.check_packages([Engine(backend="tensorrt", precision="fp16")])


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


@pytest.mark.parametrize(
    ("flags", "free", "error"),
    [
        (os.ST_NOEXEC, 10**9, "mounted noexec, but engines of aotinductor"),
        (0, 999, "999 bytes are free, but an engine of aotinductor takes 1,000"),
    ],
)
def test_a_temporary_folder_that_cannot_hold_an_engine_is_refused(
    monkeypatch: pytest.MonkeyPatch, flags: int, free: int, error: str
) -> None:
    monkeypatch.setattr("os.statvfs", lambda folder: SimpleNamespace(f_flag=flags))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    with pytest.raises(InputError, match=error + ".*set TMPDIR to another folder"):
        engine_spec.check_temporary_folder(1000)


def test_a_temporary_folder_with_just_enough_room_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.statvfs", lambda folder: SimpleNamespace(f_flag=0))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    engine_spec.check_temporary_folder(1000)


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_a_precision_that_the_gpu_lacks_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    spec = Engine(backend="eager", precision=precision)
    network = NetworkSpec(0.05, MODEL_CHANNELS, tmp_path / "model.pth")
    with pytest.raises(InputError, match=rf"precision {precision} on cuda:0: this GPU has compute capability 7\.0"):
        engine.build(spec, network, tmp_path / "dataset.json", "cuda:0", 1, tmp_path / "e.pt2")
