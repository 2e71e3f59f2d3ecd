"""The structure of the code: which package imports which, its types, and the length of its files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers import missing

ROOT = Path(__file__).parents[2]
PYTHON_FILES = sorted(
    path for folder in ("workflow_scripts", "tests") for path in (ROOT / folder).rglob("*.py") if path.is_file()
)
MOST_LINES = 300


def run(tool, *arguments):
    """Run a development tool from the environment of the tests."""
    program = shutil.which(tool, path=str(Path(sys.executable).parent))
    if program is None:
        missing(f"{tool} is missing: install envs/requirements-dev.txt")
    ended = subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_packages_import_only_what_the_table_allows():
    run("lint-imports", "pyproject.toml", "--no-cache")


def test_types_are_right():
    run("mypy", "--no-incremental")


@pytest.mark.parametrize("path", PYTHON_FILES, ids=[str(path.relative_to(ROOT)) for path in PYTHON_FILES])
def test_no_file_is_too_long(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES
