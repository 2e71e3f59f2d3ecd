"""The header and the cautions of the results page, from records."""

import pytest
from deepcam.report.page import provenance, rows
from page_example import row, table
from record_example import cell, cell_content, judged, node


def changed(environment=None, facts=None, dataset=None, **fields):
    """A record whose environment, node and dataset have other values."""
    made = cell_content(**fields)
    made["environment"] |= environment or {}
    made["environment"]["nodes"] = [one | (facts or {}) for one in made["environment"]["nodes"]]
    made["dataset"] |= dataset or {}
    return judged(made)


def plain(text):
    return text.replace("\u00a0", " ")


def cautions(*records):
    summary = table(row("io", 1.0))
    return [plain(caution) for caution in provenance.cautions(rows.prepare(summary), records)]


def test_the_header_says_what_a_container_was_allowed():
    found = provenance.provenance([changed(facts={"cpu_quota": 0.5, "memory_limit_bytes": 3 * 2**29})])
    assert found.machine == "x, 2 logical cores, CPU quota of 0.5 cores, 16 GiB memory, memory limit 1.5 GiB, no GPU"


def test_the_header_says_how_many_cores_the_largest_configuration_had():
    facts = {"logical_cores": 16}
    made = [changed(facts=facts, ranks=1), changed(facts=facts, ranks=2)]
    assert provenance.provenance(made).machine.startswith("x, at most 2 of 16 logical cores in use, 16 GiB")


def test_the_header_says_what_was_measured_with_what():
    disk = {"type": "xfs", "device": "/dev/nvme0n1", "model": "Fast SSD", "caveat": ""}
    facts = {"gpus": ["H100", "H100"], "driver": "580", "logical_cores": 1024, "file_system": disk}
    packages = {"torch": "2.13", "torch-tensorrt": "2", "tensorrt": "11", "nvidia-dali-cuda120": "2.4"}
    made = changed({"version": "1.0.0", "packages": packages, "container": "docker"}, facts)
    made.environment.ranks[0].cores[:] = range(1024)
    rtx = changed({"packages": {"tensorrt-rtx-cu13": "1.4"}})
    assert "TensorRT-RTX 1.4" in provenance.provenance([rtx]).software
    found = provenance.provenance([made])
    assert found.machine == "x, 1,024 logical cores, 16 GiB memory, 2 × H100, driver 580, in a docker container"
    assert found.storage == "xfs on /dev/nvme0n1 (Fast SSD)"
    assert plain(found.dataset) == "4 synthetic samples, 4.0 GB (23 % of memory)"
    assert (found.host, found.commit, found.when) == ("n0", "abc", "2026-11-01 12:00 UTC")
    assert found.software == (
        "DeepCAM benchmark 1.0.0, Python 3.11, PyTorch 2.13, TensorRT 11, DALI 2.4, Open MPI, Linux 6"
    )
    assert found.differences == "" and not found.on_gpus


@pytest.mark.parametrize(
    ("width", "channels", "expected"),
    [
        (1.0, list(range(16)), "DeepCAM, full width, 16 of 16 channels"),
        (1.0, [0, 1, 2, 10], "DeepCAM, full width, 4 of 16 channels"),
        (0.25, [0, 1, 2, 10], "DeepCAM, reduced to 25 % of its width, 4 of 16 channels"),
    ],
)
def test_the_header_says_how_large_the_network_was(width, channels, expected):
    made = cell_content(mode="compute", reader="none", cache="none", engine="eager-fp32")
    made["engine"] |= {"width_multiplier": width, "channels": channels}
    assert plain(provenance.provenance([judged(made)]).network) == expected


def test_the_header_says_that_the_file_system_of_a_chroot_is_not_visible():
    disk = {"type": "unseen", "device": "unseen", "caveat": "the disk of a virtual machine"}
    found = provenance.provenance([changed(facts={"file_system": disk})])
    assert found.storage == "a file system that is not visible from here, virtual disk"


@pytest.mark.parametrize(
    ("source", "expected"),
    [("nersc", "4 NERSC samples, "), ("/srv/climate data", "4 samples from /srv/climate data, ")],
)
def test_the_header_says_where_the_samples_come_from(source, expected):
    assert provenance.provenance([changed(dataset={"source": source})]).dataset.startswith(expected)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-11-01T15:30:00+02:00", "2026-11-01 12:00–13:30 UTC"),
        ("2026-11-02T01:00:00+00:00", "2026-11-01 12:00 – 2026-11-02 01:00 UTC"),
        ("yesterday", "2026-11-01T12:00:00+00:00 – yesterday"),
    ],
    ids=["hours", "days", "not a date"],
)
def test_the_first_and_the_last_date_are_shown_in_utc(date, expected):
    assert provenance.provenance([cell(), changed({"date": date}, reader="pread")]).when == expected


def test_a_small_share_of_memory_is_said_to_be_small():
    found = provenance.provenance([changed(facts={"memory_bytes": 2**40})])
    assert plain(found.dataset).endswith("(under 1 % of memory)")
    assert "NERSC samples" in provenance.provenance([changed(dataset={"source": "nersc"})]).dataset


def test_a_single_rank_without_mpi_is_no_difference():
    found = provenance.provenance([changed({"mpi": ""}, ranks=1), cell()])
    assert found.differences == "" and "Open MPI" in found.software


def test_several_nodes_are_counted_and_their_differences_are_named():
    made = cell_content(ranks=4)
    made["environment"]["nodes"] = [node("n0"), node("n1", kernel="7")]
    found = provenance.provenance([judged(made)])
    assert found.machine.startswith("2 nodes, each x")
    assert found.differences == "node.kernel (6, 7)"
    assert cautions(judged(made))[-1] == "The nodes differ in kernel; a run is as fast as the slowest node."


def test_a_straggling_node_is_a_caution():
    late = {"num_nodes": 4, "straggler_gap": 0.14, "straggler_node": "n3"}
    summary = rows.prepare(table(row("io", 1.0, **late), row("io", 1.0, ranks=2, num_nodes=4, straggler_gap=0.02)))
    found = provenance.cautions(summary, [cell(seconds=9.0)])
    assert [plain(one) for one in found] == [
        "Where ranks on several nodes finish more than 10 % apart, n3 is most often last. There, the fastest rank "
        "takes 14 % less time than the slowest one."
    ]


def test_short_cold_passes_are_a_caution():
    words = "because the dataset has only 4.0 GB. Aim for 5 s or more."
    assert cautions(cell(seconds=0.5), cell(seconds=1.0, reader="pread")) == [
        f"A cold I/O-only pass lasts 0.50–1.0 s, {words}"
    ]
    assert cautions(cell(seconds=9.0)) == []
    assert cautions(cell(seconds=0.5, cache="warm")) == []


@pytest.mark.parametrize(
    ("kind", "caveat", "expected"),
    [
        (
            "ext4",
            "the disk of a virtual machine, whose host may have a cache that is not evicted",
            "Virtual disk: the hypervisor may cache data, so cold results may be too high.",
        ),
        (
            "lustre",
            "only this node's page cache is evicted, not the servers'",
            "Network file system: server caches cannot be dropped from here; use a dataset larger than they are.",
        ),
        (
            "zfs",
            "its own cache, ARC, is not evicted",
            "Storage (zfs): its own cache, ARC, is not evicted, so cold results may be too high.",
        ),
    ],
    ids=["virtual disk", "network", "other"],
)
def test_caches_that_cannot_be_dropped_are_a_caution_of_cold_results(kind, caveat, expected):
    facts = {"file_system": {"type": kind, "device": "d", "caveat": caveat}}
    assert cautions(changed(facts=facts, seconds=9.0)) == [expected]
    assert cautions(changed(facts=facts, seconds=9.0, cache="warm")) == []


def test_the_shortest_run_of_each_configuration_is_found():
    slow, fast = cell(seconds=6.0), cell(seconds=5.5)
    assert provenance.shortest_runs([slow, fast]) == {slow.cell.id: pytest.approx(5.5)}
