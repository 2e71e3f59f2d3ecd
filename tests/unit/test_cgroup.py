"""Quota, memory limit and throttling, from made-up control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from deepcam import cgroup

MOUNTS = {
    "v2": "30 25 0:26 {root} {top}/all rw - cgroup2 cgroup rw,nsdelegate",
    "v1": "31 25 0:27 {root} {top}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 25 0:28 {root} {top}/memory rw - cgroup cgroup rw,memory\n"
    "34 25 0:30 {root} {top}/blkio rw - cgroup cgroup rw,blkio\n"
    "33 25 0:29 / {top}/empty rw - cgroup2 cgroup rw",
}
MEMBERSHIPS = {
    "v2": "0::{path}\n",
    "v1": "5:cpu,cpuacct:{path}\n4:memory:{path}\n3:blkio:{path}\n1:name=systemd:/\n0::/\n",
}


class Groups:
    """A made-up /proc/self, and control groups of this version in which this process is."""

    def __init__(self, folder: Path, version: str, path: str, root: str = "/") -> None:
        self.folder, self.version = folder, version
        (folder / "mountinfo").write_text(
            "1 0 8:1 / / rw - ext4 /dev/sda rw\n" + MOUNTS[version].format(root=root, top=folder)
        )
        (folder / "cgroup").write_text(MEMBERSHIPS[version].format(path=path))

    def write(self, group: str, controller: str, **files: str) -> None:
        """Files of a group, named by its path below the mount."""
        place = self.folder / ("all" if self.version == "v2" else controller) / group
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name.replace("__", ".")).write_text(text + "\n")

    def quota(self, group: str, cores: float | None) -> None:
        if self.version == "v2":
            self.write(group, "cpu", cpu__max="max 100000" if cores is None else f"{cores * 1e5:.0f} 100000")
        else:
            quota = "-1" if cores is None else f"{cores * 1e5:.0f}"
            self.write(group, "cpu", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")

    def memory(self, group: str, limit: int | None) -> None:
        if self.version == "v2":
            self.write(group, "memory", memory__max="max" if limit is None else str(limit))
        else:
            self.write(group, "memory", memory__limit_in_bytes=str(2**63 - 4096 if limit is None else limit))

    def throttled(self, group: str, seconds: float) -> None:
        time = f"throttled_usec {seconds * 1e6:.0f}" if self.version == "v2" else f"throttled_time {seconds * 1e9:.0f}"
        self.write(group, "cpu", cpu__stat=f"nr_periods 9\nnr_throttled 3\n{time}")


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cgroup, "PROC", tmp_path)
    return str(request.param)


def test_the_smallest_quota_of_all_levels_counts(version: str, tmp_path: Path) -> None:
    groups = Groups(tmp_path, version, "/pod/container/job")
    assert cgroup.cpu_quota() is None
    for group in ("", "pod", "pod/container", "pod/container/job"):
        groups.quota(group, None)
    assert cgroup.cpu_quota() is None
    groups.quota("pod/container/job", 4.0)
    groups.quota("pod", 0.5)
    groups.quota("pod/another", 0.1)
    assert cgroup.cpu_quota() == 0.5


def test_the_smallest_memory_limit_of_all_levels_counts(version: str, tmp_path: Path) -> None:
    groups = Groups(tmp_path, version, "/pod/job")
    groups.memory("pod/job", None)
    assert cgroup.memory_limit() is None
    groups.memory("pod/job", 2**29)
    groups.memory("pod", 2**28)
    assert cgroup.memory_limit() == 2**28


def test_a_memory_limit_beyond_the_memory_is_none(version: str, tmp_path: Path) -> None:
    Groups(tmp_path, version, "/job").memory("job", 2**60)
    assert cgroup.memory_limit() is None


def test_throttling_is_added_up_over_all_levels(version: str, tmp_path: Path) -> None:
    groups = Groups(tmp_path, version, "/pod/job")
    groups.quota("pod/job", None)
    assert cgroup.throttled_seconds() == 0
    groups.throttled("pod", 1.5)
    groups.throttled("pod/job", 0.25)
    assert cgroup.throttled_seconds() == 1.75


def test_throttling_is_unknown_if_no_group_is_visible(version: str, tmp_path: Path) -> None:
    Groups(tmp_path, version, "/pod/job")
    (tmp_path / "empty").mkdir()  # groups of version 2 beside those of version 1, which have no quota
    assert cgroup.throttled_seconds() is None
    (tmp_path / "mountinfo").write_text("1 0 8:1 / / rw - ext4 /dev/sda rw\n")
    assert cgroup.throttled_seconds() is None
    (tmp_path / "cgroup").unlink()
    assert cgroup.throttled_seconds() == 0  # a kernel without control groups


def test_a_container_sees_its_own_group_at_the_mount(version: str, tmp_path: Path) -> None:
    """Without a namespace for groups, the path is that of the host, and so is the root of the mount."""
    Groups(tmp_path, version, "/docker/abc/job", root="/docker/abc").quota("job", 2.0)
    assert cgroup.cpu_quota() == 2.0


def test_a_group_outside_of_the_visible_ones_leaves_those_that_are_visible(version: str, tmp_path: Path) -> None:
    Groups(tmp_path, version, "/elsewhere", root="/docker/abc").quota("", 2.0)
    assert cgroup.cpu_quota() == 2.0


def test_limits_of_reads_of_all_levels_are_told(version: str, tmp_path: Path) -> None:
    groups = Groups(tmp_path, version, "/pod/job")
    assert cgroup.read_limits() == []
    if version == "v2":
        groups.write("pod", "io", io__max="8:0 rbps=max wbps=1000 riops=max wiops=max")
        assert cgroup.read_limits() == []
        groups.write("pod/job", "io", io__max="8:0 rbps=20000000 wbps=max riops=100 wiops=max\n259:0 rbps=5 wbps=max")
    else:
        groups.write("pod", "blkio", blkio__throttle__read_bps_device="8:0 20000000\n259:0 5")
        groups.write("pod/job", "blkio", blkio__throttle__read_iops_device="8:0 100")
    assert cgroup.read_limits() == ["259:0 rbps 5", "8:0 rbps 20000000", "8:0 riops 100"]
