"""Where the user has no home folder, or one that cannot be written, as under cron or in a container."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ["HOME", "USER", "XDG_CACHE_HOME"]


def without_home(**variables):
    return {name: value for name, value in os.environ.items() if name not in NAMES} | variables


def told_by_make(**variables):
    """The variables that programs under make see."""
    shown = "shown:\n\t@echo " + " ".join(f'"$${name}"' for name in NAMES)
    return subprocess.run(
        ["make", "--no-print-directory", "--eval", shown, "shown"],
        cwd=ROOT, env=without_home(**variables), capture_output=True, text=True, check=True, timeout=60,
    ).stdout.rstrip("\n").split(" ")  # fmt: skip


def test_caches_go_to_the_results_if_the_home_folder_cannot_be_written():
    assert told_by_make(HOME="/nowhere", USER="somebody") == ["/nowhere", "somebody", f"{ROOT}/results/.cache"]
    assert told_by_make(HOME="/nowhere", XDG_CACHE_HOME="/caches")[2] == "/caches"


def test_a_home_folder_that_can_be_written_holds_the_caches(tmp_path):
    assert told_by_make(HOME=str(tmp_path), USER="somebody") == [str(tmp_path), "somebody", ""]


def test_a_missing_home_and_user_are_looked_up():
    home, user, _ = told_by_make()
    assert (home, user) == (pwd.getpwuid(os.getuid()).pw_dir, str(os.getuid()))


@pytest.mark.parametrize("given", [{}, {"HOME": "/given"}])
def test_jobs_have_a_home_folder_without_make(given, tmp_path):
    (tmp_path / "Snakefile").write_text(
        f'include: "{ROOT}/Snakefile"\nprint("home", os.environ["HOME"], file=sys.stderr)\n'
    )
    ended = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--quiet", "--cores", "1", "--", "list_records"],
        cwd=tmp_path, env=without_home(XDG_CACHE_HOME=str(tmp_path), **given), capture_output=True, text=True,
    )  # fmt: skip
    assert f"home {given.get('HOME', pwd.getpwuid(os.getuid()).pw_dir)}\n" in ended.stderr, ended.stderr
