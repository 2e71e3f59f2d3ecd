"""The check of a GPU machine: it goes on where the last call stopped, and keeps what there is after each step."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from deepcam.benchmark import arguments
from deepcam.record.precision import MIN_STARTS, relative_half_width
from record_example import content, judged

PROGRAM = Path(__file__).parents[1] / "gpu/check.py"


def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("gpu_check", PROGRAM)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, made)  # dataclasses look for the module there
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program as a module, with a step that ends well, one that fails, and one that measures."""
    made = program(monkeypatch)
    monkeypatch.setenv("PYTHONPATH", "")
    steps = [
        made.Step("good", lambda: ["echo", "good"]),
        made.Step("bad", lambda: ["false"]),
        made.Step("long", lambda: ["sleep", made.LONG], measures=True),
        made.Step(made.REPORT, lambda: ["echo", "report"]),
    ]
    monkeypatch.setattr(made, "LONG", "0", raising=False)
    monkeypatch.setattr(made, "steps", lambda *_: steps)
    monkeypatch.setattr(made, "LEAST_SECONDS", 0)
    monkeypatch.setattr(made, "REPORT_SECONDS", 0)
    monkeypatch.setattr(made, "time", SimpleNamespace(monotonic=lambda: 0.0))  # each step has all the time of its call
    return made


def called(check: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, str]:
    """The results in the table, by the names of steps, after a call. The log has only what this call did."""
    monkeypatch.setattr(sys, "argv", ["check.py", str(folder / "out"), "--work-dir", str(folder / "work"), *arguments])
    (folder / "out/log.txt").unlink(missing_ok=True)
    check.main()
    table = (folder / "out/table.txt").read_text().split("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: line.split()[1] for line in table}


def ran(folder: Path) -> list[str]:
    """The steps of the last call."""
    log = folder / "out/log.txt"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split()[1].rstrip(":") for line in lines if line.startswith("=== ")]


def test_a_step_that_fails_stops_no_other_and_only_it_is_repeated(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = {"good": "ok", "bad": "FAILED", "long": "ok", "report": "ok"}
    assert called(check, tmp_path, monkeypatch) == results
    assert ran(tmp_path) == list(results)
    assert called(check, tmp_path, monkeypatch) == results
    assert ran(tmp_path) == ["bad"]  # and nothing was measured, so there is no new report


def test_a_call_with_little_time_stops_a_step_and_the_next_one_goes_on(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "LONG", "60")
    first = called(check, tmp_path, monkeypatch, "--seconds", "2")
    assert first == {"good": "ok", "bad": "FAILED", "long": "stopped", "report": "ok"}
    monkeypatch.setattr(check, "LONG", "0")
    assert called(check, tmp_path, monkeypatch)["long"] == "ok"
    assert ran(tmp_path) == ["bad", "long", "report"]


def test_single_steps_can_be_repeated_by_name(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called(check, tmp_path, monkeypatch)
    assert called(check, tmp_path, monkeypatch, "--only", "good", "long")["report"] == "-"
    assert ran(tmp_path) == ["good", "long"]
    assert called(check, tmp_path, monkeypatch)["report"] == "ok"
    assert ran(tmp_path) == ["bad", "report"]
    with pytest.raises(SystemExit):
        called(check, tmp_path, monkeypatch, "--only", "better")
    assert "there is no step better; there are good, bad, long, report" in capsys.readouterr().err


def test_the_state_is_kept_after_each_step(check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    collect = check.collect

    def noticed(out: Path, work: Path, names: list[str], done: dict[str, list[str | float]]) -> None:
        seen.append([name for name in names if name in (work / "steps.json").read_text()])
        collect(out, work, names, done)

    monkeypatch.setattr(check, "collect", noticed)
    called(check, tmp_path, monkeypatch)
    assert seen == [["good"], ["good", "bad"], ["good", "bad", "long"], ["good", "bad", "long", "report"]]


def test_energy_is_that_of_runs_of_five_seconds_at_batch_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = program(monkeypatch)
    commands = {step.name: step.command for step in made.steps(tmp_path, tmp_path, False, [])}
    for mode in ("compute", "inference"):
        shell, option, line = commands[f"energy-{mode}-aotinductor"]()
        assert (shell, option) == ("sh", "-c")
        starts = line.split(" && ")
        assert len(starts) == MIN_STARTS
        for number, start in enumerate(starts):
            words = shlex.split(start)
            given = arguments.parser().parse_args(words[words.index("run_benchmark") + 1 :])
            assert (given.mode, given.batch_size, given.min_seconds, given.devices) == (mode, 8, 5.0, ["cuda:0"])
            assert given.outputfile == Path(f"results/direct/energy-{mode}-aotinductor/0-{number}.json")


def record(joules: float, seconds: float) -> str:
    """A record whose runs have four samples each. Every run takes `seconds`, and uses `joules` for each sample."""
    made = content(mode="compute", reader="none", cache="none", engine="eager-fp32")
    for run in made["runs"]:
        rank = run["ranks"][0]
        rank["part_seconds"] = [seconds]
        rank["device"] |= {
            "energy_joules": joules * 4,
            "sm_clock": {"lowest": 1200, "median": 1755.0, "maximum": 1980},
        }
    return judged(made).model_dump_json()


def test_joules_are_printed_of_these_runs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = program(monkeypatch).check_tables
    columns = ("mode", "joules_per_sample")
    (tmp_path / "summary.csv").write_text(f"{','.join(columns)}\ncompute,123.456\n")
    assert "123.456" not in "\n".join(tables.cells(tmp_path / "summary.csv"))
    assert len(tables.direct(tmp_path)) == 1
    for step, seconds in (("long", 5.0), ("short", 1.0)):
        (tmp_path / step).mkdir()
        for start, joules in enumerate((1.9, 2.0, 2.1)):
            (tmp_path / step / f"0-{start}.json").write_text(record(joules, seconds))
    header, *lines = tables.direct(tmp_path)
    long, short = (dict(zip(header.split(), line.split(), strict=False)) for line in lines)
    assert (long["step"], long["mode"], long["starts"], long["lowest_sm_megahertz"]) == ("long", "compute", "3", "1200")
    assert long["joules_per_sample"] == "2"
    assert float(long["joules_half_width"]) == pytest.approx(relative_half_width([1.9, 2.0, 2.1]), rel=1e-3)
    assert (short["joules_per_sample"], short["watts"]) == ("-", "-")
