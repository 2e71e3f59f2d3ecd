"""What clients of network file systems have fetched, from recorded files in their formats; no server was tried."""

import pytest
from deepcam.benchmark import network_counters, storage, storage_meter
from deepcam.benchmark.mounts import Mount

MOUNTSTATS = """\
device rootfs mounted on / with fstype rootfs
device server:/other mounted on /mnt/other with fstype nfs statvers=1.1
\tbytes:\t1 2 3 4 5 6 7 8
device server:/export mounted on /mnt/my\\040data with fstype nfs4 statvers=1.1
\topts:\trw,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,proto=tcp,nconnect=4,sec=sys
\tage:\t86034
\tcaps:\tcaps=0x3ffbffff,wtmult=512,dtsize=1048576,bsize=0,namlen=255
\tnfsv4:\tbm0=0xfdffbfff,bm1=0xf9be3e,bm2=0x68800,acl=0x3,sessions,pnfs=not configured
\tevents:\t1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27
\tbytes:\t812345678 2000 0 0 790000000 1800 193000 6
\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)
\tper-op statistics
\t        READ: 193000 193000 0 26248000 790024000 12 40011 45123 0
device proc mounted on /proc with fstype proc
"""

OSC = """\
snapshot_time             1523008010.817348638 secs.nsecs
req_waittime              1025 samples [usec] 48 32510 1202400 8101200400
req_active                1025 samples [reqs] 1 8 2075 5999
read_bytes                25 samples [bytes] 4096 4194304 {read} 990000000000
write_bytes               3 samples [bytes] 4096 4096 12288 50331648
ost_read                  25 samples [usec] 211 32510 102400 810120040
"""


@pytest.fixture
def mountstats(tmp_path, monkeypatch):
    path = tmp_path / "mountstats"
    path.write_text(MOUNTSTATS)
    monkeypatch.setattr(network_counters, "NFS", path)
    return path


@pytest.fixture
def lustre(tmp_path, monkeypatch):
    """The counters of the clients of two file systems, and of a metadata server's, which is not this node's traffic."""
    for name, text in {
        "scratch-OST0000-osc-ffff8820228e3000": OSC.format(read=9_000_000),
        "scratch-OST0001-osc-ffff8820228e3000": OSC.format(read=500_000),
        "scratch-OST0002-osc-ffff8820228e3000": "snapshot_time 1 secs.nsecs\n",
        "scratch-OST0000-osc-MDT0000": OSC.format(read=77),
        "scratch2-OST0000-osc-ffff8820228e4000": OSC.format(read=88),
    }.items():
        (tmp_path / "osc" / name).mkdir(parents=True)
        (tmp_path / "osc" / name / "stats").write_text(text)
    monkeypatch.setattr(network_counters, "LUSTRE", (tmp_path / "none", tmp_path))
    return tmp_path


def test_nfs_counts_what_came_from_the_server_of_this_mount(mountstats):
    assert network_counters.bytes_fetched(Mount("/mnt/my data", "nfs4", "server:/export")) == 790_000_000
    assert network_counters.bytes_fetched(Mount("/mnt/other", "nfs", "server:/other")) == 5
    assert network_counters.bytes_fetched(Mount("/mnt/none", "nfs4", "server:/none")) is None


@pytest.mark.parametrize("device", ["10.0.0.1@o2ib:/scratch", "10.0.0.1@tcp:10.0.0.2@tcp:/scratch/below"])
def test_lustre_counts_what_all_object_servers_of_the_file_system_sent(lustre, device):
    assert network_counters.bytes_fetched(Mount("/scratch", "lustre", device)) == 9_500_000


def test_where_nothing_counts_the_number_is_unknown(monkeypatch, tmp_path, mountstats):
    monkeypatch.setattr(network_counters, "LUSTRE", (tmp_path / "none",))
    mountstats.unlink()
    for kind in ("nfs", "lustre", "gpfs", "ext4"):
        assert network_counters.bytes_fetched(Mount("/x", kind, "server:/x")) is None


def test_the_meter_gives_the_traffic_of_a_period(monkeypatch, tmp_path, mountstats, lustre):
    mounts = [Mount("/mnt/my data", "nfs4", "server:/export"), Mount("/s", "lustre", "mgs:/scratch")]
    monkeypatch.setattr(storage, "holders", lambda files: [(mount, storage.Medium()) for mount in mounts])
    since = storage_meter.StorageMeter([]).start()
    mountstats.write_text(MOUNTSTATS.replace("790000000", "790001000"))
    (lustre / "osc/scratch-OST0001-osc-ffff8820228e3000/stats").write_text(OSC.format(read=500_020))
    assert since() == (None, 1020)
    mountstats.write_text(MOUNTSTATS.replace("790000000", "0"))  # mounted anew
    assert since() == (None, None)


def test_the_meter_knows_nothing_if_one_of_the_file_systems_has_no_counter(monkeypatch, mountstats):
    mounts = [Mount("/mnt/my data", "nfs4", "server:/export"), Mount("/g", "gpfs", "g")]
    monkeypatch.setattr(storage, "holders", lambda files: [(mount, storage.Medium()) for mount in mounts])
    assert storage_meter.StorageMeter([]).start()() == (None, None)


def test_the_meter_counts_the_disks_below_only_where_all_are_visible(monkeypatch, tmp_path):
    (tmp_path / "8:0").mkdir()
    stat = tmp_path / "8:0/stat"
    stat.write_text("1 0 10 0 1 0 5 0")
    monkeypatch.setattr(storage, "SYS_BLOCK", tmp_path)
    visible, hidden = (Mount("/a", "ext4"), storage.Medium(disks=["8:0"])), (Mount("/b", "overlay"), storage.Medium())
    monkeypatch.setattr(storage, "holders", lambda files: [visible])
    since = storage_meter.StorageMeter([]).start()
    stat.write_text("2 0 30 0 1 0 6 0")
    assert since() == (21 * 512, None)
    monkeypatch.setattr(storage, "holders", lambda files: [visible, hidden])
    assert storage_meter.StorageMeter([]).start()() == (None, None)
