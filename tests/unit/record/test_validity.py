"""Every check of a record fails when it should, and only then."""

import pytest
from deepcam.record import cell_summary, start_facts, validity
from deepcam.record.packed import pack
from record_example import (
    cell_content,
    content,
    in_epochs,
    judged,
    lasting,
    measurement,
    node,
    repeated,
    samples,
    verdict,
)
from results_example import GRID, measured, started


def failed(made):
    return [check.name for check in validity.checks(measurement(made)) if not check.ok]


def each_rank(made):
    return [rank for run in made["runs"] for rank in run["ranks"]]


def test_a_good_record_fails_no_check():
    assert failed(content()) == []


def test_a_sample_read_twice_or_not_at_all_is_found():
    made = content()
    made["runs"][1]["ranks"][0] |= samples(["a.npy"], times=2)
    assert failed(made) == ["every_sample_once"]
    row = judged(made).metrics
    assert not row.valid
    assert row.invalid_reasons == (
        "every_sample_once: expected every sample once an epoch, got 2 samples differ (first: a.npy)"
    )


def test_a_foreign_sample_is_found():
    made = content()
    made["runs"][0]["ranks"][0] |= samples(["b.npy"]) | {"unknown_samples": {"z.npy": 1}}
    assert failed(made) == ["every_sample_once"]


@pytest.mark.parametrize(
    ("cache", "low", "high", "ok"),
    [("cold", 0.0, 0.01, True), ("cold", 0.0, 0.02, False), ("warm", 0.99, 1, True), ("warm", 0.98, 1, False)],
)
def test_residency_decides_on_cold_and_warm(cache, low, high, ok):
    made = content(cache=cache)
    for run in made["runs"]:
        run |= {"page_cache_residency_min": [low], "page_cache_residency_max": [high]}
    assert (f"residency_{cache}" not in failed(made)) is ok


def test_missing_runs_and_ranks_are_found():
    made = content()
    made["settings"]["runs"] = 3
    made["cell"]["ranks"] = 4
    assert failed(made) == ["run_count", "rank_count"]


def test_a_reader_that_did_not_read_as_its_name_says_is_found():
    made = content()
    made["runs"][0]["ranks"][1]["reader"] = {"o_direct": False}
    assert failed(made) == ["o_direct"]


@pytest.mark.parametrize(
    ("cache", "fetched", "ok"),
    [("cold", 0.99, True), ("cold", 0.9, False), ("cold", 1.2, False), ("warm", 0.01, True), ("warm", 0.02, False)],
)
def test_the_bytes_read_from_storage_reveal_a_cache_or_a_second_read(cache, fetched, ok):
    made = content(cache=cache)
    for run in made["runs"]:
        run |= {
            "page_cache_residency_min": [float(cache == "warm")],
            "page_cache_residency_max": [float(cache == "warm")],
        }
    for rank in each_rank(made):
        rank["bytes_read_from_storage"] = int(2e9 * fetched)
    assert failed(made) == ([] if ok else ["bytes_read_from_storage"])
    assert judged(made).metrics.valid is ok


def test_pages_of_a_library_may_be_read_in_one_warm_run_of_three():
    made = warm()
    made["settings"]["runs"] = 3
    made["runs"] = repeated(made["runs"][0], 3)
    for fetched, failures in ((1, []), (2, ["bytes_read_from_storage"])):
        for run in made["runs"][:fetched]:
            run["ranks"][0]["bytes_read_from_storage"] = 100_000_000
        assert failed(made) == failures


@pytest.mark.parametrize(
    ("second", "differences"),
    [
        ({}, None),
        ({"memory_bytes": 2**34 + 4096}, None),
        ({"kernel": "7", "gpus": ["H100"]}, 'differences in node.gpus (["H100"], []), node.kernel (6, 7)'),
    ],
    ids=["alike", "some kilobytes", "different"],
)
def test_nodes_of_different_kinds_are_a_warning(second, differences):
    made = content()
    made["environment"]["nodes"] = [node("n0"), node("n1", **second)]
    warned = [
        check.actual
        for check in validity.checks(measurement(made))
        if check.name == "homogeneous_nodes" and not check.ok
    ]
    assert warned == ([differences] if differences else [])


@pytest.mark.parametrize(
    ("seconds", "failures"), [(1.61, []), (1.59, ["not_steady"])], ids=["a quarter faster", "more"]
)
def test_a_jump_within_a_start_is_a_warning(seconds, failures):
    made = content()
    lasting(made["runs"][1]["ranks"][1], seconds)
    assert failed(made) == failures
    row = judged(made).metrics
    assert row.valid
    assert row.warnings == (
        "not_steady: expected the fastest run of a start at most 1.25 times as fast as the slowest, got 1.26 times"
        if failures
        else ""
    )


@pytest.mark.parametrize(
    ("changes", "steady"),
    [
        ([1.08, 1.09, 1.10, 1.08], False),
        ([0.92, 0.91, 0.90, 0.92], False),
        ([1.03, 1.04, 1.04, 1.03], True),
        ([1.20, 0.90, 1.15, 0.95], True),
        ([1.09, 1.09], True),
    ],
    ids=["all faster", "all slower", "a small change", "noise", "two starts"],
)
def test_the_same_change_in_all_starts_is_a_trend(changes, steady):
    starts = [measured(GRID[0], [10.0, 10.0 * change]) for change in changes]
    warnings = cell_summary.summarize(starts, []).warnings
    assert ("not_steady: expected a change of at most 5% from the first to the last run" in warnings) is not steady


def test_starts_of_one_run_show_no_trend():
    assert all(check.ok for check in validity.checks_of_starts([*map(start_facts.of, started(GRID[0], [10.0] * 5))]))


@pytest.mark.parametrize(
    ("load", "failures"),
    [
        (0.1, []),
        (0.11, ["background_cpu_load_small"]),
        (0.5, ["background_cpu_load_small"]),
        (0.51, ["background_cpu_load"]),
    ],
)
def test_load_before_the_start_is_a_warning_and_then_an_error(load, failures):
    made = content()
    made["environment"]["background_cpu_load"] = load
    assert failed(made) == failures
    assert judged(made).metrics.valid is (failures != ["background_cpu_load"])


def warm():
    made = content(cache="warm")
    made["runs"] = [
        run | {"page_cache_residency_min": [1.0], "page_cache_residency_max": [1.0]} for run in made["runs"]
    ]
    for rank in each_rank(made):
        rank["bytes_read_from_storage"] = 0
    return made


@pytest.mark.parametrize(
    ("loads", "failures"),
    [
        ([0.0, 0.1, 0.1], []),
        ([0.0, 0.0, 0.11], ["background_cpu_load_small"]),
        ([0.0, 0.5, 0.9], ["background_cpu_load_small"]),
        ([0.0, 0.51, 0.9], ["background_cpu_load"]),
    ],
    ids=["little", "one run", "much in one run", "the median run"],
)
def test_a_machine_that_is_busy_during_a_run_is_a_warning_and_during_the_median_run_an_error(loads, failures):
    made = warm()
    made["settings"]["runs"] = len(loads)
    made["runs"] = repeated(made["runs"][0], len(loads))
    for run, load in zip(made["runs"], loads, strict=True):
        run["ranks"][0]["background_cpu_load"] = load
    assert failed(made) == failures


@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_a_run_that_is_too_short_is_found(cache):
    made = warm() if cache == "warm" else content()
    made["settings"]["min_seconds"] = 2.1
    assert failed(made) == []
    made["settings"]["min_seconds"] = 2.2
    assert failed(made) == ["run_seconds"]


def test_the_parts_of_a_cold_run_add_up_to_its_length():
    made = content()
    made["settings"]["min_seconds"] = 4.0
    for run, seconds in zip(made["runs"], (1.24, 1.25), strict=True):
        in_epochs(run, [seconds] * 3, [1.25] * 3)
    assert failed(made) == []
    short = content()["runs"][0]
    in_epochs(short, [1.2, 1.2, 1.1], [1.2, 1.2, 1.1])
    made["runs"][0] = short
    assert failed(made) == ["run_seconds"]


@pytest.mark.parametrize(
    ("mode", "faults", "ok"),
    [("compute", 2000, True), ("compute", 2001, False), ("inference", 10**6, True), ("compute", None, True)],
)
def test_memory_that_is_mapped_again_with_every_batch_is_a_warning(mode, faults, ok):
    made = cell_content(mode=mode, cache="none" if mode == "compute" else "warm", engine="eager-fp32", ranks=1)
    for rank in each_rank(made):
        rank |= {"batch_samples": pack([1, 1]), "page_faults": faults}
    assert ("page_faults" not in failed(made)) is ok
    assert judged(made).metrics.page_faults_per_batch == (None if faults is None else faults / 2)


@pytest.mark.parametrize("numbers", [{"pixel_agreement": 0.99}, {"mean_iou": 0.88}])
def test_a_verdict_on_accuracy_that_its_numbers_contradict_does_not_count(numbers):
    made = content(mode="inference", engine="eager-fp32") | {"engine": {"precision": "fp32", "accuracy": [verdict()]}}
    assert "accuracy" not in {check.name for check in validity.checks(measurement(made)) if not check.ok}
    made["engine"]["accuracy"] = [verdict() | numbers]
    assert "accuracy" in {check.name for check in validity.checks(measurement(made)) if not check.ok}
