"""Every check of a record fails when it should, and only then."""

import copy

import pytest
from deepcam.record import cell_summary, store, validity
from record_example import node, record


def failed(made):
    return [check["name"] for check in validity.checks(made) if not check["ok"]]


def each_rank(made):
    return [rank for run in made["runs"] for rank in run["ranks"]]


def test_the_example_is_a_valid_record():
    store.validate(record())


def test_a_good_record_fails_no_check():
    assert failed(record()) == []


def test_a_sample_read_twice_or_not_at_all_is_found():
    made = record()
    made["runs"][1]["ranks"][0]["samples"] = {"a.npy": 2}
    assert failed(made) == ["samples_once"]
    row = cell_summary.row([made | {"checks": validity.checks(made)}])
    assert not row["valid"]
    assert row["invalid_reasons"] == (
        "samples_once: expected every sample once a pass, got 2 samples differ (first: a.npy)"
    )


def test_a_foreign_sample_is_found():
    made = record()
    made["runs"][0]["ranks"][0]["samples"]["z.npy"] = 1
    assert failed(made) == ["samples_once"]


@pytest.mark.parametrize(
    ("cache", "low", "high", "ok"),
    [("cold", 0.0, 0.01, True), ("cold", 0.0, 0.02, False), ("warm", 0.99, 1, True), ("warm", 0.98, 1, False)],
)
def test_residency_decides_on_cold_and_warm(cache, low, high, ok):
    made = record(cache=cache)
    for run in made["runs"]:
        run |= {"residency_low": low, "residency_high": high}
    assert (f"residency_{cache}" not in failed(made)) is ok


def test_missing_runs_and_ranks_are_found():
    made = record()
    made["settings"]["runs"] = 3
    made["cell"]["ranks"] = 4
    assert failed(made) == ["run_count", "rank_count"]


def test_a_reader_that_did_not_read_as_its_name_says_is_found():
    made = record()
    made["runs"][0]["ranks"][1]["reader"] = {"o_direct": False}
    assert failed(made) == ["o_direct"]


def test_gds_in_compatibility_mode_is_never_valid():
    made = record(reader="dali-gds")
    for run in made["runs"]:
        for rank in run["ranks"]:
            rank["reader"] = {"gds": True}
    assert failed(made) == []
    made["runs"][0]["ranks"][1]["reader"] = {"gds": False}
    assert failed(made) == ["gpudirect_storage"]


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "0.json").write_text('{"schema_version": 3}')
    with pytest.raises(Exception, match=r"0\.json: not a benchmark record"):
        store.read([tmp_path / "0.json"])


@pytest.mark.parametrize(
    ("cache", "fetched", "ok"),
    [("cold", 0.99, True), ("cold", 0.9, False), ("cold", 1.2, False), ("warm", 0.01, True), ("warm", 0.02, False)],
)
def test_the_bytes_fetched_from_storage_betray_a_cache_or_a_second_read(cache, fetched, ok):
    made = record(cache=cache)
    for run in made["runs"]:
        run |= {"residency_low": cache == "warm", "residency_high": cache == "warm"}
    for rank in each_rank(made):
        rank["storage_bytes"] = int(2e9 * fetched)
    assert failed(made) == ([] if ok else ["fetched_from_storage"])
    assert cell_summary.row([made | {"checks": validity.checks(made)}])["valid"] is ok


def test_one_warm_run_that_fetched_pages_of_a_library_is_not_the_median():
    made = warm()
    made["settings"]["runs"] = 3
    made["runs"] = [copy.deepcopy(made["runs"][0]) for _ in range(3)]
    for fetched, failures in ((1, []), (2, ["fetched_from_storage"])):
        for run in made["runs"][:fetched]:
            run["ranks"][0]["storage_bytes"] = 100_000_000
        assert failed(made) == failures


def test_where_fetched_bytes_are_not_counted_they_are_a_warning():
    made = record()
    server = {"type": "nfs4", "caveat": "only this node's page cache is evicted"}
    made["environment"]["nodes"] = [node("n0"), node("n1", file_system=server)]
    for rank in each_rank(made):
        rank["storage_bytes"] = 0
    row = cell_summary.row([made | {"checks": validity.checks(made)}])
    assert row["valid"]
    assert "fetched_from_storage" in row["warnings"]
    assert "nfs4: only this node's page cache is evicted" in row["warnings"]


@pytest.mark.parametrize(
    ("second", "differences"),
    [
        ({}, None),
        ({"memory_bytes": 2**34 + 4096}, None),
        ({"kernel": "7", "gpus": ["H100"]}, 'differences in node.gpus (["H100"], []), node.kernel (6, 7)'),
    ],
    ids=["alike", "some kilobytes", "unlike"],
)
def test_nodes_of_different_kinds_are_a_warning(second, differences):
    made = record()
    made["environment"]["nodes"] = [node("n0"), node("n1", **second)]
    warned = [c["actual"] for c in validity.checks(made) if c["name"] == "nodes_alike" and not c["ok"]]
    assert warned == ([differences] if differences else [])


def test_bytes_that_gds_fetches_are_not_counted():
    made = record(reader="dali-gds")
    for rank in each_rank(made):
        rank |= {"reader": {"gds": True}, "storage_bytes": 0}
    assert failed(made) == []


@pytest.mark.parametrize(
    ("seconds", "failures"), [(1.95, []), (1.7, ["spread_small"]), (1.5, ["spread"])], ids=["1%", "8%", "14%"]
)
def test_runs_that_differ_are_a_warning_and_then_an_error(seconds, failures):
    made = record()
    made["runs"][1]["ranks"][1]["seconds"] = seconds
    assert failed(made) == failures
    assert cell_summary.row([made | {"checks": validity.checks(made)}])["valid"] is (failures != ["spread"])


def test_a_machine_that_is_busy_before_the_start_is_found():
    made = record()
    made["environment"]["other_load"] = 0.11
    assert failed(made) == ["other_load"]


def warm():
    made = record(cache="warm")
    made["runs"] = [run | {"residency_low": 1.0, "residency_high": 1.0} for run in made["runs"]]
    for rank in each_rank(made):
        rank["storage_bytes"] = 0
    return made


@pytest.mark.parametrize(
    ("loads", "ok"), [([0.0, 0.1, 0.9], True), ([0.0, 0.11, 0.9], False)], ids=["one run", "the median run"]
)
def test_a_machine_that_is_busy_during_the_median_run_is_found(loads, ok):
    made = warm()
    made["settings"]["runs"] = len(loads)
    made["runs"] = [copy.deepcopy(made["runs"][0]) for _ in loads]
    for run, load in zip(made["runs"], loads, strict=True):
        run["ranks"][0]["other_load"] = load
    assert failed(made) == ([] if ok else ["other_load"])


def test_in_a_cold_run_the_kernels_threads_are_no_other_load():
    made = record()
    for run in made["runs"]:
        run["ranks"][0]["other_load"] = 0.5
    assert failed(made) == []


def test_a_warm_run_that_is_too_short_is_found():
    made = warm()
    made["settings"]["min_seconds"] = 2.1
    assert failed(made) == []
    made["settings"]["min_seconds"] = 2.2
    assert failed(made) == ["run_seconds"]
