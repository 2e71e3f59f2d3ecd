"""`auto` takes the fastest candidate that is accurate enough, and says what became of every other one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import choose_engine
import compile_engine
import numpy as np
import pytest
import torch
from dataset_example import dataset
from deepcam.benchmark import run
from deepcam.config import Engine
from deepcam.errors import InputError
from deepcam.grid import Cell
from deepcam.model import engine
from deepcam.model.engine import LoadedEngine, choice
from deepcam.model.engine.choice import PASSED, Candidate
from deepcam.model.fingerprint import read_fingerprint, write_fingerprint

TRUTH = np.array([[0] * 90 + [1] * 5 + [2] * 5] * 20, dtype=np.uint8)
WRONG = np.zeros_like(TRUTH)


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([("fp32", 2.0, PASSED), ("bf16", 1.0, PASSED)], 1),
        ([("fp32", 1.0, PASSED), ("bf16", 2.0, PASSED)], 0),
        ([("fp32", 1.09, PASSED), ("bf16", 1.0, PASSED)], 0),
        ([("fp32", 1.11, PASSED), ("bf16", 1.0, PASSED)], 1),
        ([("bf16", 1.0, PASSED), ("fp16", 1.05, PASSED)], 1),
        ([("fp32", 1.05, PASSED), ("fp32", 1.0, PASSED)], 0),
        ([("fp32", 2.0, PASSED), ("bf16", 1.0, "inaccurate")], 0),
        ([("fp32", None, PASSED), ("bf16", None, "not built")], 0),
        ([("fp32", 3.0, PASSED), ("bf16", 2.0, PASSED), ("bf16", 1.0, "inaccurate")], 1),
    ],
    ids=[
        "the fastest", "a slow lower precision", "the more precise of two nearly equal ones", "not nearly equal",
        "whatever their order", "the first of one precision", "an inaccurate one is not taken", "the only one",
        "an inaccurate one does not count as the fastest",
    ],
)  # fmt: skip
def test_the_choice(candidates: list[tuple[str, float | None, str]], chosen: int) -> None:
    assert choice.choose([Candidate("eager", *candidate) for candidate in candidates]) == chosen


def test_every_verdict_is_told_if_none_is_accurate_enough() -> None:
    judged = [Candidate("eager", "fp32", 1.0, "inaccurate: x"), Candidate("eager", "bf16", None, "not built: y")]
    with pytest.raises(InputError) as error:
        choice.choose(judged)
    assert str(error.value) == (
        "auto: no candidate is usable (eager fp32: inaccurate: x; eager bf16: not built: y); name a backend and a "
        "precision in engines"
    )


class Machine:
    """Engines that are planted in place of built ones: what each returns, and how long it takes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.engines = folder, {}
        for i in range(2):
            np.save(folder / f"data-{i}.npy", np.zeros((*TRUTH.shape, 16), np.float32))
            np.save(folder / f"label-{i}.npy", np.stack([TRUTH, TRUTH], -1).astype(np.float32))
        dataset(shape=(*TRUTH.shape, 16)).write(folder / "dataset.json")
        margins = 4 * ((np.arange(3)[:, None, None] - TRUTH) % 3)
        np.save(folder / "reference.npy", np.stack([margins, margins]).astype(np.float16))

    def plant(self, precision: str, seconds: float, mask: np.ndarray) -> None:
        def mask_of(batch: torch.Tensor) -> torch.Tensor:
            time.sleep(seconds)
            return torch.from_numpy(mask).expand(len(batch), *mask.shape)

        path = self.write(precision, {"backend": "eager", "precision": precision, "parameters": 5})
        self.engines[path] = LoadedEngine(mask_of, torch.device("cpu"), (*TRUTH.shape, 16), 2, {})

    def write(self, precision: str, fingerprint: dict) -> Path:
        path = self.folder / f"{precision}.pt2"
        path.write_text(precision)
        write_fingerprint(path, fingerprint)
        return path

    def choose(self, monkeypatch: pytest.MonkeyPatch, *precisions: str) -> dict:
        """The fingerprint of the choice, after its engine was found to be that of the same candidate."""
        monkeypatch.setattr(engine, "load", lambda path, device: self.engines[path])
        monkeypatch.setattr(choice, "SECONDS", 0.0)
        words = [
            "--backend", "eager", "--precision", "auto", "--dataset", "dataset.json", "--reference", "reference.npy",
            "--output", "auto.pt2", "--accuracy", "accuracy.json",
            "--candidates", *(str(self.folder / f"{precision}.pt2") for precision in precisions),
        ]  # fmt: skip
        monkeypatch.chdir(self.folder)
        monkeypatch.setattr("sys.argv", ["choose_engine", *words])
        threads = torch.get_num_threads()
        choose_engine.main()
        torch.set_num_threads(threads)
        fingerprint = read_fingerprint(self.folder / "auto.pt2")
        assert (self.folder / "auto.pt2").read_text() == fingerprint["precision"]
        assert json.loads((self.folder / "accuracy.json").read_text())["passed"] is True
        return fingerprint


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_slow_and_an_inaccurate_candidate_are_not_taken(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    machine.plant("fp32", 0.3, TRUTH)
    machine.plant("fp16", 0.1, TRUTH)
    machine.plant("bf16", 0.0, WRONG)
    found = machine.choose(monkeypatch, "fp32", "fp16", "bf16")
    assert (found["precision"], found["requested_backend"], found["requested_precision"]) == ("fp16", "eager", "auto")
    assert found["parameters"] == 5
    slow, taken, inaccurate = found["candidates"]
    assert slow["seconds"] > taken["seconds"] > inaccurate["seconds"]
    assert (slow["verdict"], taken["verdict"]) == (PASSED, PASSED)
    assert inaccurate["verdict"].startswith("inaccurate: mean IoU 0.3000 (reference 1.0000), 90.00% of the pixels")


def test_a_single_candidate_is_judged_but_not_timed(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    machine.plant("fp32", 0.0, TRUTH)
    machine.write("bf16", {"backend": "eager", "precision": "bf16", "not_built": "no such instructions"})
    monkeypatch.setattr(choice, "time_in_turns", lambda *arguments: pytest.fail("nothing is timed"))
    assert machine.choose(monkeypatch, "fp32", "bf16")["candidates"] == [
        {"backend": "eager", "precision": "fp32", "seconds": None, "verdict": PASSED},
        {"backend": "eager", "precision": "bf16", "seconds": None, "verdict": "not built: no such instructions"},
    ]


def test_candidates_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SECONDS", 0.0)
    calls: list[int] = []
    engines = [
        LoadedEngine(lambda batch, i=i: calls.append(i), torch.device("cpu"), (1, 1, 1), 1, {}) for i in range(2)
    ]
    assert len(choice.time_in_turns(engines, torch.zeros(1, 1, 1, 1))) == 2
    assert calls == [0, 1] * (choice.TURNS + 1)


@pytest.mark.parametrize(("options", "kept"), [(["--candidate"], True), ([], False)])
def test_only_a_candidate_may_be_impossible_to_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], kept: bool
) -> None:
    def build(*arguments: object) -> None:
        raise InputError("this CPU cannot")

    monkeypatch.setattr(engine, "build", build)
    words = ["--backend", "eager", "--precision", "bf16", "--model", "m", "--dataset", "d", "--max-batch", "1"]
    words += ["--width-multiplier", "1", "--output", str(tmp_path / "e.pt2"), *options]
    monkeypatch.setattr("sys.argv", ["compile_engine", *words])
    if not kept:
        with pytest.raises(InputError, match="this CPU cannot"):
            compile_engine.main()
        assert not list(tmp_path.iterdir())
        return
    compile_engine.main()
    assert (tmp_path / "e.pt2").read_bytes() == b""
    fingerprint = read_fingerprint(tmp_path / "e.pt2")
    assert fingerprint == {"backend": "eager", "precision": "bf16", "not_built": "this CPU cannot"}


def test_an_engine_that_auto_chose_from_other_candidates_is_refused() -> None:
    judged = [Candidate("eager", "fp32", 1.0, PASSED), Candidate("eager", "bf16", 2.0, PASSED)]
    made = choice.fingerprint(Engine(backend="eager"), judged, {"precision": "fp32"})
    choice.check_choice(made, Path("auto.pt2"), "cpu")
    choice.check_choice({"precision": "fp32"}, Path("fp32.pt2"), "cpu")
    made["candidates"].pop()
    with pytest.raises(InputError) as error:
        choice.check_choice(made, Path("auto.pt2"), "cpu")
    assert str(error.value).startswith(
        "auto.pt2: auto chose it from eager fp32, but here auto chooses from eager fp32, eager bf16; to rebuild it, "
    )


def test_devices_for_which_auto_chose_differently_are_not_measured_together(tmp_path: Path) -> None:
    paths = [tmp_path / "cuda0.pt2", tmp_path / "cuda1.pt2"]
    for path, precision in zip(paths, ("fp16", "bf16"), strict=True):
        write_fingerprint(path, {"backend": "eager", "precision": precision})
    cell = Cell("compute", "none", "none", "eager-auto", 2, 1, 1, 1)
    job = SimpleNamespace(cell=cell, training=None, engine_files=paths, required={}, accuracy_files=[])
    with pytest.raises(InputError, match=r"engine eager-auto: auto chose eager fp16, eager bf16 for the devices"):
        run._describe_engine(job)
