"""The files that are generated from the data models are up to date."""

import subprocess
import sys
from pathlib import Path

import pytest
import write_reference
from deepcam.errors import InputError

ROOT = Path(__file__).parents[2]


def test_no_generated_file_is_out_of_date():
    command = [sys.executable, "workflow_scripts/write_reference.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


@pytest.fixture
def readme(tmp_path, monkeypatch):
    """A README in place of the real one, with a table that is out of date."""
    path = tmp_path / "README.md"
    path.write_text(f"An introduction.\n\n{write_reference.MARKER}An old table.\n")
    monkeypatch.setattr(write_reference, "README", str(path))
    return path


def test_a_file_that_is_out_of_date_is_named_and_left_alone(readme, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["write_reference.py", "--check"])
    with pytest.raises(InputError, match=r"README\.md: out of date; run workflow_scripts/write_reference\.py"):
        write_reference.main()
    assert "An old table." in readme.read_text()


def test_the_introduction_is_kept_and_every_key_has_a_row(readme, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["write_reference.py"])
    write_reference.main()
    text = readme.read_text()
    assert text.startswith("An introduction.") and "An old table." not in text
    for row in (
        "| `data.num_files` | integer, at least 1, at most 1000000 or `all` | `8` | Number of samples",
        "| `engines.N.backend` | `auto`, `eager`, `aotinductor`, `tensorrt`, `openvino` | required | What",
        "| `benchmark.per_mode.compute` | keys `readers`, `cache`, `ranks`",
        "| `benchmark.min_seconds` | number, at least 0, at most 1000000 | `0.2` |",
    ):
        assert row in text
