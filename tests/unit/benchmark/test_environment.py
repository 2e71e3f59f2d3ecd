"""The commit of the workflow, according to git."""

import os
import subprocess
from pathlib import Path

import pytest
from deepcam.benchmark import environment


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with one commit, which has the module that asks for it."""
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "environment.py").write_text("")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.delenv("DEEPCAM_COMMIT", raising=False)
    return tmp_path


def commit():
    return environment.describe(1)["git_commit"]


def test_the_commit_is_the_checkouts(checkout):
    assert len(commit()) == 12
    (checkout / "environment.py").write_text("changed")
    assert commit().endswith("-dirty")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to another user needs root")
def test_the_commit_of_another_users_checkout_is_known(checkout):
    own = commit()
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 65534, 65534)
    assert commit() == own


def test_what_git_says_is_recorded_if_it_fails(checkout, monkeypatch):
    Path(checkout / "git").write_text("#!/bin/sh\necho 'fatal: dubious ownership\nmore' >&2\nexit 128\n")
    Path(checkout / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{checkout}:{os.environ['PATH']}")
    assert commit() == "unknown (fatal: dubious ownership)"


def test_a_folder_without_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.delenv("DEEPCAM_COMMIT", raising=False)
    assert commit() == ""
