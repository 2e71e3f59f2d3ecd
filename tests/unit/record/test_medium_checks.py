"""The checks of a record's storage, and of the bytes that came from it, fail when they should, and only then."""

import pytest
from deepcam.record import medium_checks, validity
from deepcam.report.page.remedies import REMEDIES
from record_example import content, judged, measurement, node, repeated

SAMPLES = 4_000_000_000
"""Bytes that a run of the example reads."""


def failed(made):
    return {check.name: check for check in validity.checks(measurement(made)) if not check.ok}


def each_rank(made):
    return [rank for run in made["runs"] for rank in run["ranks"]]


def on(*kinds, **facts):
    """The example on one node, on file systems of these types."""
    made = content()
    first, *others = [{"type": kind, "device": "d", "caveat": ""} | facts for kind in kinds]
    made["environment"]["nodes"] = [node("n", file_system=first, other_file_systems=others)]
    return made


def read(made, share):
    """The example, in which the kernel counted this share of the samples' bytes."""
    for rank in each_rank(made):
        rank["bytes_read_from_storage"] = int(SAMPLES / 2 * share)
    return made


def test_storage_in_memory_makes_cold_runs_invalid():
    made = on("ext4", memory_below="ram0 is a RAM disk")
    assert failed(made)["storage_in_memory"].actual == "ram0 is a RAM disk"
    assert not judged(made).metrics.valid
    made["cell"]["cache"] = "warm"
    assert "storage_in_memory" not in failed(made)


def test_a_limit_of_the_control_groups_on_reads_is_a_warning_of_cold_runs():
    made = on("ext4")
    made["environment"]["nodes"][0]["read_limits"] = []
    assert "read_limit" not in failed(made)
    made["environment"]["nodes"][0]["read_limits"] = ["8:0 rbps 20000000"]
    assert failed(made)["read_limit"].actual == "8:0 rbps 20000000 on n"
    assert judged(made).metrics.valid
    made["cell"]["cache"] = "warm"
    assert "read_limit" not in failed(made)


def test_the_caveats_of_all_file_systems_of_a_dataset_are_told():
    made = on("ext4", "zfs")
    made["environment"]["nodes"][0]["other_file_systems"][0]["caveat"] = "its own cache, ARC, is not evicted"
    assert failed(made)["storage_local"].actual == "ext4, zfs: its own cache, ARC, is not evicted"
    assert judged(made).metrics.valid


@pytest.mark.parametrize(
    ("kinds", "share", "level"),
    [
        (["ext4"], 0.98, "error"),
        (["btrfs"], 0.98, "warning"),
        (["btrfs"], 0.06, "warning"),
        (["btrfs"], 0.04, "error"),
        (["overlay"], 0.0, "error"),
        (["nfs4"], 0.0, "error"),
        (["ext4", "btrfs"], 0.5, "warning"),
        (["zfs"], 0.0, "warning"),
        (["btrfs", "gpfs"], 0.0, "warning"),
    ],
)
def test_a_cold_run_that_fetched_almost_nothing_is_invalid_where_the_kernel_counts(kinds, share, level):
    check = failed(read(on(*kinds), share))["bytes_read_from_storage"]
    assert check.level == level


def fetched(made, *shares):
    """The example, of whose runs the network clients fetched these shares; None is unknown."""
    for run, share in zip(made["runs"], shares, strict=True):
        run["ranks"][0]["network_bytes_read"] = None if share is None else int(SAMPLES * share)
    return made


@pytest.mark.parametrize(
    ("shares", "names"),
    [
        ((1.0, 0.99), []),
        ((1.5, 1.0), []),
        ((1.0, 0.98), ["bytes_read_from_servers"]),
        ((None, 1.0), ["reads_not_proved"]),
        ((None, None), ["reads_not_proved"]),
    ],
    ids=["all", "others read, too", "too little", "unknown in one run", "unknown"],
)
def test_the_counters_of_network_clients_decide_where_they_are_visible(shares, names):
    found = failed(fetched(on("lustre"), *shares))
    assert [name for name in found if name in ("bytes_read_from_servers", "reads_not_proved")] == names
    assert all(
        check.level == ("error" if name == "bytes_read_from_servers" else "warning") for name, check in found.items()
    )


def test_reads_are_not_proved_if_a_node_has_no_counter():
    made = fetched(on("lustre"), 1.0, 1.0)
    made["environment"]["nodes"].append(node("m"))
    assert "reads_not_proved" in failed(made)


def test_reads_that_nothing_counts_are_not_proved_and_the_page_says_so():
    check = failed(on("gpfs", "ext4"))["reads_not_proved"]
    assert check.actual == "no visible counter for gpfs"
    assert "not proved" in REMEDIES["reads_not_proved"][0]
    assert failed(on("ext4")) == {}


def loaded(*others):
    """The example with these bytes of other processes on the disks, one number for each run."""
    made = content()
    made["settings"]["runs"] = len(others)
    made["runs"] = repeated(made["runs"][0], len(others))
    for run, count in zip(made["runs"], others, strict=True):
        run["ranks"][0]["disk_bytes"] = SAMPLES + int(count)
    return made


@pytest.mark.parametrize(
    ("others", "names"),
    [
        ([0, 0, 0], []),
        ([SAMPLES / 10] * 3, []),
        ([SAMPLES / 8] * 3, ["background_storage_load_small"]),
        ([SAMPLES] * 3, ["background_storage_load_small"]),
        ([SAMPLES * 1.1] * 3, ["background_storage_load"]),
        ([0, 0, SAMPLES * 10], []),
        ([-SAMPLES / 2] * 3, []),
    ],
    ids=["none", "a tenth", "more", "half", "more than half", "in one run of three", "less than the job's own"],
)
def test_other_processes_traffic_is_a_warning_and_then_an_error(others, names):
    made = loaded(*others)
    found = failed(made)
    assert list(found) == names
    assert judged(made).metrics.valid is (names != ["background_storage_load"])


@pytest.mark.parametrize(
    ("ratios", "kind", "direct", "actual"),
    [
        ([1.0, 0.5], "ext4", True, None),
        ([1.0, 0.49], "ext4", True, "49%"),
        ([0.0, 1.0], "xfs", True, "0%"),
        ([0.0, 0.0], "btrfs", True, None),
        ([0.0, 0.0], "ext4", False, None),
    ],
    ids=["half", "less in one run", "no traffic", "may be compressed", "through the page cache"],
)
def test_disks_that_delivered_less_than_was_read_with_o_direct_are_a_warning(ratios, kind, direct, actual):
    made = loaded(*((ratio - 1) * SAMPLES for ratio in ratios))
    made["environment"]["nodes"][0]["file_system"]["type"] = kind
    for run in made["runs"]:
        for rank in run["ranks"]:
            rank["reader"]["o_direct"] = direct
    found = [check for check in medium_checks.checks(measurement(made)) if check.name == "disk_traffic"]
    assert [check.actual for check in found if not check.ok] == ([actual] if actual else [])
    assert {check.level for check in found} <= {"warning"}


def test_the_share_of_others_is_stated():
    assert failed(loaded(SAMPLES, SAMPLES))["background_storage_load_small"].actual == "50%"


def test_the_journal_of_a_quiet_system_does_not_count_in_a_short_run():
    made = read(loaded(0), 0.001)
    made["dataset"] |= {"bytes": 4_000_000, "sample_shape": [125, 125, 16]}
    made["runs"][0]["ranks"][0]["disk_bytes"] = 4_000_000 + (16 << 20)
    assert failed(made) == {}
    made["runs"][0]["ranks"][0]["disk_bytes"] += 1
    assert list(failed(made)) == ["background_storage_load"]


def test_the_node_with_the_most_traffic_of_others_counts():
    made = loaded(0)
    made["environment"]["nodes"] = [node("n"), node("m")]
    made["environment"]["ranks"][1]["node"] = "m"
    first, second = made["runs"][0]["ranks"]
    first["disk_bytes"] = SAMPLES // 2
    second["disk_bytes"] = SAMPLES * 2
    assert failed(made)["background_storage_load"].actual == "75%"


def gds(**counts):
    made = read(content(reader="dali-gds"), 0.0)
    for rank in each_rank(made):
        rank["reader"] = {"cufile_reads": {"nvidia_fs": 0, "p2pdma": 0, "posix": 0, "failed": 0}}
    each_rank(made)[-1]["reader"]["cufile_reads"] = {"nvidia_fs": 0, "p2pdma": 0, "posix": 0, "failed": 0} | counts
    for rank in each_rank(made)[:-1]:
        rank["reader"]["cufile_reads"]["nvidia_fs"] = 7
    return made


@pytest.mark.parametrize(
    ("counts", "proved"),
    [
        ({"nvidia_fs": 9}, True),
        ({"p2pdma": 9}, True),
        ({"nvidia_fs": 8, "p2pdma": 1}, True),
        ({"nvidia_fs": 900, "posix": 1}, False),
        ({"p2pdma": 900, "failed": 1}, False),
        ({}, False),
    ],
    ids=["nvidia-fs", "P2PDMA", "both", "a fallback", "a failure", "nothing was counted"],
)
def test_gpudirect_storage_is_proved_by_every_ranks_counts(counts, proved):
    made = gds(**counts)
    assert list(failed(made)) == ([] if proved else ["gpudirect_storage"])
    assert judged(made).metrics.valid is proved


def test_a_loaded_driver_proves_nothing():
    """What records of version 6 have."""
    made = content(reader="dali-gds")
    for rank in each_rank(made):
        rank["reader"] = {"gds": True}
    assert failed(made)["gpudirect_storage"].actual == "not recorded"
