"""A command that is run leaves no process behind, however it or its parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deepcam.rounds import process

PROGRAMS = str(Path(__file__).parents[3] / "workflow_scripts")

SLEEPER = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"


def is_gone(pid: int, seconds: float = 5) -> bool:
    """Whether a process ends within this time. One that waits for its parent to take note of that counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_the_exit_status_and_all_output_are_kept(tmp_path: Path) -> None:
    program = "import os, sys; print(os.environ['GREETING']); print('to stderr', file=sys.stderr); sys.exit(3)"
    log = tmp_path / "logs/a.log"
    assert process.run([sys.executable, "-u", "-c", program], log, 20, {"GREETING": "hello"}) == 3
    assert log.read_text() == "hello\nto stderr\n"


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(process.TimeLimitError):
        process.run([sys.executable, "-c", SLEEPER], tmp_path / "a.log", 1, os.environ)
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_command_that_does_not_want_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "KILL_AFTER_SECONDS", 0.2)
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
    with pytest.raises(process.TimeLimitError):
        process.run([sys.executable, "-c", stubborn], tmp_path / "a.log", 1, os.environ)
    assert is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_command_ends_with_the_process_that_runs_it(tmp_path: Path, signum: int) -> None:
    program = f"""
import os, sys
from pathlib import Path
from deepcam.rounds import process
process.run([sys.executable, "-c", {SLEEPER!r}], Path("a.log"), 60, os.environ)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": PROGRAMS})
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.send_signal(signum)
    parent.wait()
    assert is_gone(int((tmp_path / "pid").read_text()))
