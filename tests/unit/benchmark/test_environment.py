"""The file system that holds a path, according to the kernel's list of mounts."""

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
