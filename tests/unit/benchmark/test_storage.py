"""The file systems that hold files, and what lies below them, from a list of mounts and a /sys of our own."""

import os
import shutil
import subprocess

import pytest
from deepcam import machine
from deepcam.benchmark import mounts as mounts_module
from deepcam.benchmark import storage

LINES = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:50 / {folder}/nfs rw,noatime shared:5 - nfs4 server:/export rw
31 22 0:51 / {folder}/home rw - fuse.sshfs host: rw
32 30 254:0 / {folder}/nfs/disk rw - xfs /dev/sdb rw
33 22 0:52 / {folder}/over rw - tmpfs tmpfs rw
34 33 0:53 / {folder}/over rw - lustre mgs:/scratch rw
35 22 8:1 / {folder}/my\\040data\\011\\134 rw - xfs /dev/my\\040disk rw
"""


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    """A list of mounts, in the folder that holds their mount points."""
    for name in ("nfs/disk", "home", "over", "local", "my data\t\\"):
        (tmp_path / name).mkdir(parents=True)
    path = tmp_path / "mountinfo"
    path.write_text(LINES.format(folder=tmp_path))
    monkeypatch.setattr(mounts_module, "MOUNTS", path)
    monkeypatch.setattr(storage, "SYS_BLOCK", tmp_path / "none")
    return path


def only(path):
    (found,) = storage.file_systems([path])
    return found


@pytest.mark.parametrize(
    ("place", "kind", "device", "caveat"),
    [
        ("nfs", "nfs4", "server:/export", "servers'"),
        ("nfs/disk", "xfs", "/dev/sdb", "the device below this file system is not visible"),
        ("home", "fuse.sshfs", "host:", "the program that serves this file system"),
        ("over", "lustre", "mgs:/scratch", "servers'"),
        ("local", "ext4", "/dev/vda", "the device below this file system is not visible"),
        ("my data\t\\", "xfs", "/dev/my disk", "the device below this file system is not visible"),
    ],
    ids=["server", "within another", "fuse", "over another", "root", "space, tab and backslash"],
)
def test_a_path_belongs_to_the_innermost_and_last_mount(mounts, place, kind, device, caveat):
    found = only(mounts.parent / place)
    assert (found["type"], found["device"]) == (kind, device)
    assert caveat in found["caveat"]


def test_a_mount_point_that_a_later_mount_hides_is_not_taken(mounts):
    (mounts.parent / "x/y").mkdir(parents=True)
    mounts.write_text(
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
        f"30 22 8:1 / {mounts.parent}/x/y rw - xfs /dev/sda rw\n"
        f"31 22 7:0 / {mounts.parent}/x rw - ext4 /dev/loop0 rw\n"
    )
    assert only(mounts.parent / "x/y")["device"] == "/dev/loop0"
    mounts.write_text(mounts.read_text() + f"32 31 8:2 / {mounts.parent}/x/y rw - xfs /dev/sdb rw\n")
    assert only(mounts.parent / "x/y")["device"] == "/dev/sdb"


@pytest.mark.parametrize(
    ("below", "memory"),
    [("tmpfs", True), ("ramfs", True), ("zfs", False)],
)
@pytest.mark.parametrize("form", ["itself", "loop", "overlay", "many layers"])
def test_memory_below_a_loop_device_or_an_overlay_is_found(block, tmp_path, below, memory, form):
    """A loop device with direct I/O, and overlays that have the file in their second layer."""
    lower, place = tmp_path / "lower dir", tmp_path / "place"
    for folder in (lower / "sub", tmp_path / "empty", place):
        folder.mkdir(parents=True)
    for file in (lower / "sub/file", place / "file"):
        file.write_text("x")
        os.utime(file, (1, 1))
    block("loop0", "7:0", **{"loop/backing_file": lower / "sub/file", "loop/dio": "1"})
    layer = str(lower).replace(" ", "\\040")
    line = {
        "itself": "",
        "loop": f"3 1 7:0 / {place} rw - ext4 /dev/none rw\n",
        "overlay": f"3 1 0:9 /sub {place} rw - overlay overlay rw,lowerdir={layer},upperdir={tmp_path}/empty\n",
        "many layers": f"3 1 0:9 /sub {place} rw - overlay overlay rw,lowerdir={tmp_path}/empty:{layer}\n",
    }[form]
    (tmp_path / "mountinfo").write_text(
        f"1 0 254:0 / / rw - ext4 /dev/none rw\n2 1 0:8 / {layer} rw - {below} {below} rw\n{line}"
    )
    found = only(lower / "sub/file" if form == "itself" else place / "file")
    assert (f"{lower} is a {below}, whose files are memory" in found["memory_below"]) is memory
    assert ("its own cache, ARC" in found["caveat"]) is not memory
    assert "overlay" not in found["caveat"]


@pytest.mark.parametrize(
    "options", ["lowerdir=lower", "lowerdir=/none", "metacopy=on,lowerdir={folder}/lower", "lowerdir={folder}/place"]
)
def test_an_overlay_whose_layers_are_not_visible_has_a_caveat(block, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)  # which need not be the folder from which it was mounted
    block("nvme0n1", "259:0", **NVME)
    for name in ("lower", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        os.utime(tmp_path / name / "file", (1, 1))
    (tmp_path / "mountinfo").write_text(
        "1 0 259:0 / / rw - ext4 /dev/none rw\n"
        f"2 1 0:9 / {tmp_path}/place rw - overlay overlay rw,{options.format(folder=tmp_path)}\n"
    )
    assert "the file system below this overlay" in only(tmp_path / "place/file")["caveat"]


def test_a_root_may_be_its_own_parent(mounts):
    mounts.write_text("1 1 254:0 / / rw - ext4 /dev/vda rw\n")
    assert only(mounts.parent)["device"] == "/dev/vda"


def test_a_file_system_that_is_not_listed_is_unseen(mounts):
    mounts.write_text("30 22 0:50 / /elsewhere rw - nfs4 server:/export rw\n")
    found = only(mounts.parent)
    assert found["type"] == "unseen" and "its mount point is not visible to this process" in found["caveat"]


def test_all_file_systems_of_a_dataset_are_described_once_the_first_samples_first(mounts, monkeypatch):
    folder = mounts.parent
    samples = [folder / name / "x.npy" for name in ("nfs", "local", "nfs", "local")]
    for sample in samples:
        sample.touch()
    real = type(folder).stat

    def stat(path, **options):
        found = list(real(path, **options))
        found[2] = 50 if "nfs" in path.parts else 254  # st_dev
        return os.stat_result(found)

    monkeypatch.setattr(type(folder), "stat", stat)
    assert [found["type"] for found in storage.file_systems(samples)] == ["nfs4", "ext4"]


@pytest.fixture
def block(tmp_path, monkeypatch):
    """Makes block devices below `tmp_path/devices`, which is a list of their numbers and folders."""
    monkeypatch.setattr(storage, "SYS_BLOCK", tmp_path / "block")
    monkeypatch.setattr(mounts_module, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(machine, "cpu", lambda: ("a CPU", frozenset()))
    (tmp_path / "block").mkdir()

    def make(name, number, on=(), **files):
        folder = tmp_path / "devices" / name
        for file, text in {"dev": number, "slaves/": None, **files}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                (folder / file).mkdir(exist_ok=True)
            else:
                (folder / file).write_text(f"{text}\n")
        for below in on:
            (folder / "slaves" / below.name).symlink_to(below)
        (tmp_path / "block" / number).symlink_to(folder)
        (tmp_path / "mountinfo").write_text(f"1 0 {number} / / rw - ext4 /dev/none rw\n")
        return folder

    return make


NVME = {"device/model": "Fast SSD", "device/transport": "pcie"}


@pytest.mark.parametrize(
    ("name", "files", "caveat"),
    [
        ("nvme0n1", NVME, ""),
        ("nvme0n1", {"device/model": "Fast SSD", "device/nvme0/transport": "pcie"}, ""),
        ("sda", {"device/vendor": "ATA", "device/model": "Big disk"}, ""),
        ("nvme0n1", NVME | {"device/transport": "tcp"}, "storage server"),
        ("nvme0n1", {"device/model": "Fast SSD"}, "storage server"),
        ("platform/host1/session1/target/sda", {"device/model": "LUN"}, "storage server"),
        ("pci/host1/rport-1:0-0/target/sda", {"device/model": "LUN"}, "storage server"),
        ("sda", {"device/vendor": "DELL", "device/model": "PERC H740P Mini"}, "RAID controller"),
        ("vda", {"device/vendor": "0x1af4"}, "virtual machine"),
        ("sda", {"device/vendor": "QEMU", "device/model": "QEMU HARDDISK"}, "virtual machine"),
        ("sda", {"device/vendor": "VMware", "device/model": "Virtual disk"}, "virtual machine"),
        ("nvme0n1", NVME | {"device/model": "Amazon Elastic Block Store"}, "virtual machine"),
        ("nbd0", {}, "nbd0 is no physical disk"),
        ("rbd0", {"device/model": "x"}, "rbd0 is no physical disk"),
        ("nullb0", {}, "nullb0 is no physical disk"),
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_a_physical_disk_has_a_caveat(block, tmp_path, name, files, caveat):
    block(name, "8:0", **files)
    found = only(tmp_path)
    assert caveat in found["caveat"] and bool(found["caveat"]) is bool(caveat)
    assert not found["memory_below"]


def test_a_disk_on_a_machine_with_a_hypervisor_may_be_virtual_whatever_its_model(block, tmp_path, monkeypatch):
    block("nvme0n1", "8:0", **NVME)
    monkeypatch.setattr(machine, "cpu", lambda: ("a CPU", frozenset({"hypervisor"})))
    assert "virtual machine" in only(tmp_path)["caveat"]


def test_the_partition_of_a_disk_is_described_as_the_disk(block, tmp_path):
    block("nvme0n1", "259:0", **NVME)
    block("nvme0n1/nvme0n1p1", "259:1", partition="1")
    found = only(tmp_path)
    assert (found["model"], found["layers"], found["caveat"]) == ("Fast SSD", ["nvme0n1 (Fast SSD)"], "")


@pytest.mark.parametrize(
    ("name", "files", "caveat"),
    [
        ("md0", {}, ""),
        ("dm-0", {"dm/uuid": "LVM-abc", "dm/name": "vg-data"}, ""),
        ("dm-0", {"dm/uuid": "CRYPT-LUKS2-abc", "dm/name": "secret"}, ""),
        ("dm-0", {"dm/uuid": "LVM-abc", "dm/name": "vg-data_corig"}, "vg-data_corig may have a cache of its own"),
        ("dm-0", {"dm/uuid": "VDO-abc", "dm/name": "packed"}, "packed may have a cache of its own"),
        ("dm-0", {"dm/uuid": "", "dm/name": "mine"}, "mine may have a cache of its own"),
        ("bcache0", {}, "bcache0 may have a cache of its own"),
    ],
)
def test_devices_on_other_devices_are_resolved_down_to_the_disks(block, tmp_path, name, files, caveat):
    disks = [block(f"nvme{i}n1", f"259:{i}", **NVME, stat=f"1 0 {1000 + i} 0 1 0 5 0") for i in range(2)]
    block(name, "253:0", on=disks, **files)
    found = only(tmp_path)
    assert found["layers"] == [name, "nvme0n1 (Fast SSD)", "nvme1n1 (Fast SSD)"]
    assert caveat in found["caveat"] and bool(found["caveat"]) is bool(caveat)
    ((_, medium),) = storage.holders([tmp_path])
    assert medium.disks == ["259:0", "259:1"]
    assert storage.disk_bytes(medium.disks) == (1000 + 5 + 1001 + 5) * 512


def test_a_virtual_disk_below_other_devices_is_found(block, tmp_path):
    inner = block("dm-0", "253:0", on=[block("vda", "254:0")], **{"dm/uuid": "LVM-a", "dm/name": "a"})
    block("dm-1", "253:1", on=[inner], **{"dm/uuid": "CRYPT-a", "dm/name": "b"})
    assert "virtual machine" in only(tmp_path)["caveat"]


@pytest.mark.parametrize("name", ["ram0", "zram0"])
def test_a_ram_disk_is_memory(block, tmp_path, name):
    block("md0", "9:0", on=[block(name, "1:0")])
    assert only(tmp_path)["memory_below"] == f"{name} is a RAM disk"


@pytest.mark.parametrize(
    ("dio", "memory", "caveat"),
    [("0", "through the page cache", "virtual machine"), ("1", "", "with direct I/O; the disk of a virtual machine")],
    ids=["cached", "direct"],
)
def test_a_loop_device_reads_memory_unless_it_uses_direct_io(block, tmp_path, dio, memory, caveat):
    image = tmp_path / "image"
    image.touch()
    block("loop0", "7:0", **{"loop/backing_file": image, "loop/dio": dio})
    block("vda", "254:0")  # which all paths are on, but those below the loop device's mount point
    (tmp_path / "mountinfo").write_text(
        f"1 0 254:0 / / rw - ext4 /dev/none rw\n2 1 7:0 / {tmp_path}/block rw - ext4 /dev/none rw\n"
    )
    found = only(tmp_path / "block")
    assert found["layers"] == [f"loop0 ({image})", "vda"]
    assert memory in found["memory_below"] and bool(found["memory_below"]) is bool(memory)
    assert caveat in found["caveat"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root and mkfs.ext4")
def test_a_real_loop_device_is_recognised(disk):
    image, place = disk / "image", disk / "place"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, place], capture_output=True).returncode:
        pytest.skip("no loop device may be mounted here")
    try:
        found = only(place)
    finally:
        subprocess.run(["umount", place], check=True)
    assert f"reads {image} through the page cache" in found["memory_below"]
    assert found["layers"][1:] == only(disk)["layers"]
