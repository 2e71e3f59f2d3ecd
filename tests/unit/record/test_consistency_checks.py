"""A record that contradicts itself is invalid, whatever was edited; an honest one passes."""

import copy
import datetime

import pytest
from deepcam.record import cell_summary, consistency_checks, start_facts, store
from deepcam.record.packed import pack
from record_example import cell_content, content, in_epochs, judged, measurement, nanoseconds, samples
from results_example import GRID, STEADY, started


def contradiction(made):
    """What the check of this content found; None if it passes."""
    [check] = consistency_checks.checks(measurement(made))
    return None if check.ok else check.actual


@pytest.mark.parametrize(
    "made",
    [
        content(),
        cell_content(mode="inference", reader="pread", cache="warm", engine="eager-fp32", local_batch_size=2),
        cell_content(mode="compute", reader="none", cache="none", engine="eager-fp32", local_batch_size=2),
        cell_content(ranks=3),
    ],
    ids=["cold", "warm", "compute", "ranks with unequal numbers of samples"],
)
def test_an_honest_record_passes(made):
    assert contradiction(made) is None


def test_an_honest_record_of_several_epochs_passes():
    made = content()
    for run in made["runs"]:
        in_epochs(run, [1.0, 3.0], [2.0, 2.0])
    made["runs"].pop()
    assert contradiction(made) is None


def rank(made):
    return made["runs"][1]["ranks"][0]


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda made: rank(made).update(part_seconds=[0.1]), "a part of 0.1 s whose batches took 1 s"),
        (lambda made: rank(made).update(part_seconds=[10.0]), "a part of 10 s whose batches took 1 s"),
        (lambda made: rank(made).update(batch_samples=pack([10, 10])), "20 samples in batches, 2 by name"),
        (lambda made: rank(made).update(samples([])), "2 samples in batches, 0 by name"),
        (
            lambda made: rank(made).update(batch_interval_nanoseconds=nanoseconds([1.0])),
            "1 intervals of 2 batches in 1 parts",
        ),
        (
            lambda made: rank(made).update(batch_samples=pack([2]), batch_interval_nanoseconds=nanoseconds([1.0])),
            "a batch of 2 samples",
        ),
    ],
    ids=["shorter part", "longer part", "larger batches", "no names", "fewer intervals", "a batch too large"],
)
def test_times_and_counts_of_a_rank_agree(edit, found):
    made = content()
    edit(made)
    assert contradiction(made) == f"{found} in run 1, rank 0"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda made: rank(made).update(cpu_seconds=10.0), "11.95 s of CPU time in 1.95 s on 2 cores of n"),
        (lambda made: rank(made)["delivery"].update(samples=3), "3 samples compared, 0 of them wrong, of 2 read"),
        (
            lambda made: rank(made)["delivery"].update(wrong_samples=3),
            "2 samples compared, 3 of them wrong, of 2 read",
        ),
        (lambda made: rank(made)["delivery"].update(bytes=127), "127 bytes compared of 2 samples"),
        (lambda made: rank(made)["reader"].update(num_threads=2), "a reader with num_threads 2 instead of 1"),
        (lambda made: rank(made)["reader"].update(num_workers=2), "a reader with num_workers 2 instead of 1"),
        (
            lambda made: made["runs"][1].update(page_cache_residency_min=[0.005]),
            "a lowest page cache residency of 0.005 and a highest of 0",
        ),
    ],
    ids=["CPU time", "samples", "wrong samples", "bytes", "threads", "worker processes", "residency"],
)
def test_what_a_run_says_is_possible(edit, found):
    made = content()
    edit(made)
    assert contradiction(made).removesuffix(", rank 0") == f"{found} in run 1"


def test_threads_are_all_chunks_of_all_samples():
    made = content(inter_threads=3, intra_threads=2)
    for run in made["runs"]:
        for one in run["ranks"]:
            one["reader"] |= {"num_threads": 6, "num_workers": 3}
    assert contradiction(made) is None


def test_a_rank_runs_on_one_of_the_nodes():
    made = content()
    made["environment"]["ranks"][0]["node"] = "nowhere"
    assert contradiction(made) == "a rank on nowhere, which is not among the nodes"


def test_no_two_runs_have_the_same_times():
    made = content()
    made["runs"][1] = copy.deepcopy(made["runs"][0])
    assert contradiction(made) == "two runs with the same times"


@pytest.mark.parametrize(
    ("date", "ok"),
    [
        ("1970-01-01T00:00:00+00:00", False),
        ("2020-01-01T00:00:00+00:00", True),
        ("2026-11-03T12:00:00+00:00", True),
        ("2026-11-03T12:00:01+00:00", False),
        ("yesterday", True),
    ],
    ids=["before the project", "first", "tomorrow", "later", "not a date, which is a contradiction"],
)
def test_a_date_is_neither_too_early_nor_in_the_future(date, ok):
    now = datetime.datetime(2026, 11, 2, 12, tzinfo=datetime.UTC)
    assert consistency_checks.check_of_date(date, now, "0.json").ok is ok


def test_a_record_that_contradicts_itself_is_invalid():
    made = content()
    rank(made).update(part_seconds=[0.1])
    assert judged(made).metrics.invalid_reasons == (
        "record_consistent: expected numbers that agree with each other, "
        "got a part of 0.1 s whose batches took 1 s in run 1, rank 0"
    )


def test_the_parts_of_a_cold_run_are_its_epochs():
    made = content()
    made["runs"][0]["epochs"] = 3
    assert contradiction(made) == "1 parts instead of 3 in run 0"


def test_only_compute_has_no_epoch():
    made = content(cache="warm")
    made["runs"][0]["epochs"] = 0
    assert contradiction(made) == "0 epochs of mode io in run 0"


def test_bytes_are_those_of_the_shape_of_the_samples():
    made = content()
    made["dataset"]["bytes"] *= 2
    assert contradiction(made) == "8,000,000,000 bytes in 4 samples of shape [3125, 5000, 16]"
    made["dataset"]["bytes"] = 4 * (1_000_000_000 + 128)
    assert contradiction(made) is None


@pytest.mark.parametrize("date", ["", "yesterday", "2026-11-01", "2026-11-01T12:00:00", "2026-11-01T12:00:00+01:00"])
def test_a_date_is_one_of_utc(date):
    made = content()
    made["environment"]["date"] = date
    assert contradiction(made) == f"date {date}"


def failed(records):
    return [
        check.name for check in consistency_checks.checks_of_starts([*map(start_facts.of, records)]) if not check.ok
    ]


def test_a_copied_start_is_told_and_makes_its_configuration_invalid(tmp_path):
    starts = [made.model_copy(update={"start": None}) for made in started(GRID[0], STEADY)]
    for number, made in enumerate([*starts, starts[0]]):
        store.write(made, tmp_path / f"{number}.json")
    found = store.read([tmp_path / f"{number}.json" for number in range(6)])
    assert failed(found[:5]) == [] and failed(found) == ["starts_distinct"]
    assert not cell_summary.summarize(found, []).valid


def contents(rates):
    """The content of starts with these rates."""
    return [made.model_dump(mode="json", exclude={"checks", "metrics", "digest"}) for made in started(GRID[0], rates)]


def copied(first):
    """The content of a start like this one, with another place and date."""
    second = copy.deepcopy(first)
    second["start"] |= {"number": 1, "round": 1}
    second["environment"]["date"] = "2026-11-01T13:00:00+00:00"
    return second


def test_a_copy_with_another_place_and_date_is_told():
    [first] = contents([10.0])
    assert failed([judged(first), judged(copied(first))]) == ["starts_distinct"]


def test_a_copy_with_its_runs_reversed_is_told():
    first = content()
    second = copied(first)
    second["runs"].reverse()
    assert failed([judged(first), judged(second)]) == ["starts_distinct"]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("settings", {"shuffle": "global"}),
        ("settings", {"warmup_runs": 1}),
        ("dataset", {"source": "nersc"}),
        ("dataset", {"samples": ["a.npy", "b.npy", "c.npy", "e.npy"]}),
        ("dataset", {"sample_shape": [5000, 3125, 16]}),
    ],
)
def test_starts_have_the_same_settings_and_samples(part, change):
    first, second = contents([10.0, 10.1])
    second[part] |= change
    starts = [judged(first), judged(second)]
    assert failed(starts) == ["starts_alike"]
    assert (
        f"starts_alike: expected the same settings, samples, engine and code in all starts, got differences in {part}."
        in (cell_summary.summarize(starts, []).invalid_reasons)
    )


@pytest.mark.parametrize(
    ("part", "change"), [("engine", {"precision": "bf16"}), ("environment", {"code_sha256": "1" * 64})]
)
def test_starts_have_the_same_engine_and_code(part, change):
    first, second = contents([10.0, 10.1])
    for made in (first, second):
        made["engine"] = {"precision": "fp32", "backend": "eager", "accuracy": []}
    second[part] = second[part] | change
    assert "starts_alike" in failed([judged(first), judged(second)])


def test_a_missing_start_is_a_warning():
    starts = started(GRID[0], STEADY)
    assert failed(starts[:2]) == []
    assert failed([starts[0], *starts[2:]]) == ["starts_complete"]
    assert cell_summary.summarize([starts[0], *starts[2:]], []).valid


def test_dates_are_in_the_order_of_rounds():
    first, second = (
        made.model_dump(mode="json", exclude={"checks", "metrics", "digest"}) for made in started(GRID[0], [10.0, 10.1])
    )
    first["environment"]["date"] = "2026-11-01T13:00:00+00:00"
    of_content = [judged(one) for one in (first, second)]
    assert failed(of_content) == failed(of_content[::-1]) == ["starts_in_order"]
    assert cell_summary.summarize(of_content, []).valid
    assert failed(started(GRID[0], STEADY)) == []
