"""Engines return the network's masks for any batch size, and load only on the machine that built them."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from dataset_example import dataset
from deepcam.climate import MODEL_CHANNELS
from deepcam.config import Engine
from deepcam.errors import InputError
from deepcam.model import checkpoint, engine, network
from deepcam.model.engine import graph
from deepcam.model.fingerprint import read_fingerprint, write_fingerprint
from deepcam.model.network import DeepLabV3Plus, NetworkSpec
from servers import missing
from torch import nn

SCRIPTS = Path(__file__).parents[3] / "workflow_scripts"
WIDTH, SHAPE, MAX_BATCH = 0.05, [64, 96, 16], 3
MINIMUM = [-float(i) for i in range(16)]
MAXIMUM = [float(i) for i in range(16)]  # channel 0 is constant


class Shallow(DeepLabV3Plus):
    """The network with 2 of the 16 equal blocks of its middle flow, which compiles in half the time."""

    def __init__(self, **arguments: float) -> None:
        super().__init__(**arguments)
        for i in range(6, 20):
            setattr(self.xception_features, f"block{i}", nn.Identity())


@pytest.fixture(scope="module", autouse=True)
def shallow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "DeepLabV3Plus", Shallow)
        yield


def random_weights() -> Shallow:
    """Batch norms hold the statistics of random fields. Otherwise one class would win everywhere."""
    torch.manual_seed(0)
    made = Shallow(width_multiplier=WIDTH)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the last statistics alone
    with torch.no_grad():
        made(torch.rand(MAX_BATCH, len(MODEL_CHANNELS), *SHAPE[:2]))
    return made.eval()


@pytest.fixture(scope="module")
def folder(shallow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.pth and dataset.json."""
    path = tmp_path_factory.mktemp("engine")
    checkpoint.save_half(random_weights(), path / "model.pth")
    ranges = list(zip(MINIMUM, MAXIMUM, strict=True))
    dataset(ranges, tuple(SHAPE)).write(path / "dataset.json")
    return path


def build(folder: Path, backend: str, output: Path, **changes: object) -> Path:
    arguments = {
        "spec": Engine(backend=backend, precision="fp32"),
        "network": NetworkSpec(WIDTH, MODEL_CHANNELS, folder / "model.pth"),
        "dataset": folder / "dataset.json",
        "device": "cpu",
        "max_batch": MAX_BATCH,
        "output": output,
    }
    engine.build(**(arguments | changes))
    return output


@pytest.fixture(scope="module")
def eager(folder: Path) -> Path:
    return build(folder, "eager", folder / "eager-fp32.pt2")


@pytest.fixture(scope="module")
def aotinductor(folder: Path) -> Path:
    if not any(map(shutil.which, ("g++", "c++", "clang++"))):
        missing("AOTInductor needs a C++ compiler: apt-get install g++")
    # The wrapper's machine code is not under test, and optimising it takes longer than all other tests here.
    with (
        torch._inductor.config.patch({"aot_inductor.compile_wrapper_opt_level": "O0"}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "cache of all builds"))
        return build(folder, "aotinductor", folder / "aotinductor-fp32.pt2")


@pytest.mark.parametrize("backend", ["eager", "aotinductor"])
def test_masks_equal_the_networks_for_every_batch_size(
    folder: Path, backend: str, request: pytest.FixtureRequest
) -> None:
    loaded = engine.load(request.getfixturevalue(backend), "cpu")
    plain = Shallow(width_multiplier=WIDTH)
    checkpoint.load_into(plain.eval(), checkpoint.load_state(folder / "model.pth"))
    low, high = (torch.tensor(values)[list(MODEL_CHANNELS)] for values in (MINIMUM, MAXIMUM))
    spread = (high - low).where(high > low, torch.ones(()))
    torch.manual_seed(0)
    batch = torch.rand(MAX_BATCH, *SHAPE)
    with torch.inference_mode():
        fields = ((batch[..., list(MODEL_CHANNELS)] - low) / spread).permute(0, 3, 1, 2).contiguous()
        expected = plain(fields).argmax(1)
    assert expected.unique().numel() == 3
    for size in range(1, MAX_BATCH + 1):
        mask = loaded(batch[:size])
        assert mask.dtype == torch.uint8
        assert mask.shape == (size, *SHAPE[:2])
        # Another order of summation may change the class of a pixel whose best logits are nearly equal.
        assert (mask == expected[:size]).float().mean() > 0.999


def test_a_build_does_not_use_shared_caches(folder: Path, aotinductor: Path) -> None:
    assert not (folder / "cache of all builds").exists()


def test_the_fingerprint_describes_the_engine(folder: Path, eager: Path) -> None:
    fingerprint = engine.load(eager, "cpu").fingerprint
    expected = {
        "backend": "eager",
        "precision": "fp32",
        "cuda_graphs": False,
        "driver": None,
        "device_kind": "cpu",
        "torch": torch.__version__,
        "input_shape": SHAPE,
        "max_batch": MAX_BATCH,
        "channels": list(MODEL_CHANNELS),
        "minimum": [MINIMUM[i] for i in MODEL_CHANNELS],
        "maximum": [MAXIMUM[i] for i in MODEL_CHANNELS],
        "parameters": sum(parameter.numel() for parameter in Shallow(width_multiplier=WIDTH).parameters()),
    }
    assert {key: fingerprint[key] for key in expected} == expected
    assert fingerprint["build_seconds"] > 0
    assert fingerprint["weights_sha256"] == checkpoint.files.sha256(folder / "model.pth")


def test_a_backend_gets_the_dataset_and_adds_to_the_fingerprint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def package(inference: nn.Module, target: graph.BuildTarget, path: Path, scratch: Path) -> dict[str, object]:
        path.touch()
        return {"calibration": str(target.dataset)}

    monkeypatch.setattr("deepcam.model.engine.eager.package", package)
    written = build(folder, "eager", tmp_path / "engine.pt2").with_suffix(".json")
    assert json.loads(written.read_text())["calibration"] == str(folder / "dataset.json")


@pytest.mark.parametrize("field", engine.FINGERPRINT_FIELDS)
def test_an_engine_of_another_machine_is_rejected_with_the_field(eager: Path, tmp_path: Path, field: str) -> None:
    for suffix in (".pt2", ".json"):
        shutil.copy(eager.with_suffix(suffix), tmp_path)
    path = tmp_path / eager.name
    write_fingerprint(path, read_fingerprint(path) | {field: "other"})
    with pytest.raises(InputError, match=rf"built with {field} 'other', but here it is .*--forcerun compile_engine"):
        engine.load(path, "cpu")


def test_an_engine_that_auto_chose_from_other_candidates_is_rejected(eager: Path, tmp_path: Path) -> None:
    for suffix in (".pt2", ".json"):
        shutil.copy(eager.with_suffix(suffix), tmp_path)
    path = tmp_path / eager.name
    write_fingerprint(
        path,
        read_fingerprint(path) | {"requested_backend": "eager", "requested_precision": "auto", "candidates": []},
    )
    with pytest.raises(InputError, match=r"but here auto chooses from eager fp32, .*--forcerun compile_engine"):
        engine.load(path, "cpu")


@pytest.mark.parametrize("suffix", [".pt2", ".json"])
def test_an_engine_or_fingerprint_alone_is_rejected(eager: Path, tmp_path: Path, suffix: str) -> None:
    shutil.copy(eager.with_suffix(suffix), tmp_path)
    with pytest.raises(InputError, match="missing"):
        engine.load(tmp_path / eager.name, "cpu")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda batch: torch.cat((batch, batch)),
        lambda batch: batch[:0],
        lambda batch: batch[:, :32],
        lambda batch: batch.half(),
        lambda batch: batch.to("meta"),
        lambda batch: batch.transpose(1, 2).contiguous().transpose(1, 2),
    ],
    ids=["too many", "none", "shape", "dtype", "device", "strides"],
)
def test_a_batch_that_does_not_fit_is_rejected(eager: Path, spoil: Callable[[torch.Tensor], torch.Tensor]) -> None:
    loaded = engine.load(eager, "cpu")
    with pytest.raises(InputError, match=r"batch (is|has)"):
        loaded(spoil(torch.zeros(MAX_BATCH, *SHAPE)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": (0, 16)}, "must be numbers from 0 to 15"),
        ({"channels": (0, 1)}, "does not fit the network"),
        ({"width_multiplier": 0.5}, "does not fit the network"),
        ({"weights": None}, "needs a checkpoint"),
        ({"max_batch": 0}, "max batch is 0"),
        ({"device": "cuda:99"}, "choose another"),
        ({"spec": Engine(backend="eager", precision="fp32", cuda_graphs=True)}, "eager-fp32-graphs on devices: cpu"),
        ({"dataset": Path("/nowhere/dataset.json")}, "not a dataset description"),
    ],
)
def test_a_rejected_build_writes_nothing(
    folder: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    fields = {field.name for field in dataclasses.fields(NetworkSpec)} & changes.keys()
    network = dataclasses.replace(
        NetworkSpec(WIDTH, MODEL_CHANNELS, folder / "model.pth"), **{name: changes[name] for name in fields}
    )
    others = {name: value for name, value in changes.items() if name not in fields}
    with pytest.raises(InputError, match=message):
        build(folder, "eager", tmp_path / "engine.pt2", network=network, **others)
    assert not list(tmp_path.iterdir())


def test_a_build_holds_a_lock_and_keeps_the_old_engine_until_it_is_done(
    folder: Path, eager: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix in (".pt2", ".json"):
        shutil.copy(eager.with_suffix(suffix), tmp_path)
    path = tmp_path / eager.name

    def die(*arguments: object) -> None:
        with open(path.with_suffix(".lock")) as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise KeyboardInterrupt

    monkeypatch.setattr("deepcam.model.engine.eager.package", die)
    with pytest.raises(KeyboardInterrupt):
        build(folder, "eager", path)
    assert engine.load(path, "cpu").fingerprint["backend"] == "eager"
    assert {file.suffix for file in tmp_path.iterdir()} == {".pt2", ".json", ".lock"}


LOADS_ALONE = """
import sys
from pathlib import Path
from deepcam.model import engine
assert engine.load(Path(sys.argv[1]), "cpu").fingerprint["backend"] == "eager"
assert "torch._dynamo" not in sys.modules
"""


def test_an_eager_engine_loads_without_the_checkpoint_and_the_compiler(folder: Path, tmp_path: Path) -> None:
    """Runs separate processes, because here the network is shallow and other tests have imported the compiler."""
    weights, path = tmp_path / "model.pth", tmp_path / "eager.pt2"
    checkpoint.save_half(DeepLabV3Plus(width_multiplier=WIDTH), weights)
    program = ["compile_engine", "--backend", "eager", "--precision", "fp32", "--max-batch", "1"]
    files = ["--model", weights, "--dataset", folder / "dataset.json", "--output", path]
    for command in (
        ["-m", *program, "--width-multiplier", str(WIDTH), *files],
        ["-c", LOADS_ALONE, path],
    ):
        subprocess.run([sys.executable, *command], cwd=SCRIPTS, check=True)
        weights.unlink(missing_ok=True)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def test_an_eager_engine_whose_pickle_runs_code_is_rejected(eager: Path, tmp_path: Path) -> None:
    shutil.copy(eager.with_suffix(".json"), tmp_path)
    torch.save({"graph": Malicious(tmp_path / "ran")}, tmp_path / eager.name)
    with pytest.raises(InputError, match=r"it holds \w+\.mkdir, which is no tensor"):
        engine.load(tmp_path / eager.name, "cpu")
    assert not (tmp_path / "ran").exists()


def test_the_reference_agrees_with_the_eager_engine(folder: Path, eager: Path) -> None:
    network = NetworkSpec(WIDTH, MODEL_CHANNELS, folder / "model.pth")
    reference = engine.reference(network, folder / "dataset.json", "cpu", MAX_BATCH)
    torch.manual_seed(0)
    batch = torch.rand(2, *SHAPE)
    assert (reference(batch).argmin(1) == engine.load(eager, "cpu")(batch)).float().mean() > 0.999
