"""The file system that holds a path, according to the kernel's list of mounts, and the commit, according to git."""

import os
import subprocess
from pathlib import Path

import pytest
from deepcam.benchmark import environment

LINES = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:50 / {folder}/nfs rw,noatime shared:5 - nfs4 server:/export rw
31 22 0:51 / {folder}/home rw - fuse.sshfs host: rw
32 22 254:0 / {folder}/nfs/disk rw - xfs /dev/sdb rw
33 22 0:52 / {folder}/over rw - tmpfs tmpfs rw
34 22 0:53 / {folder}/over rw - lustre mgs:/scratch rw
"""


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    """A list of mounts, in the folder that holds their mount points."""
    for name in ("nfs/disk", "home", "over", "local"):
        (tmp_path / name).mkdir(parents=True)
    path = tmp_path / "mountinfo"
    path.write_text(LINES.format(folder=tmp_path))
    monkeypatch.setattr(environment, "MOUNTS", path)
    return path


@pytest.mark.parametrize(
    ("place", "kind", "device", "caveat"),
    [
        ("nfs", "nfs4", "server:/export", "servers'"),
        ("nfs/disk", "xfs", "/dev/sdb", None),
        ("home", "fuse.sshfs", "host:", "the program that serves this file system"),
        ("over", "lustre", "mgs:/scratch", "servers'"),
        ("local", "ext4", "/dev/vda", None),
    ],
    ids=["server", "within another", "fuse", "over another", "root"],
)
def test_a_path_belongs_to_the_innermost_and_last_mount(mounts, place, kind, device, caveat):
    found = environment.file_system(mounts.parent / place)
    assert (found["type"], found["device"]) == (kind, device)
    if caveat:
        assert caveat in found["caveat"]


def test_a_file_system_that_is_not_listed_is_unseen(mounts):
    mounts.write_text("30 22 0:50 / /elsewhere rw - nfs4 server:/export rw\n")
    found = environment.file_system(mounts.parent)
    assert found["type"] == "unseen" and "its mount point is not visible to this process" in found["caveat"]


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
