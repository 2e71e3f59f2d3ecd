"""A record that contradicts itself is invalid, whatever was edited; an honest one passes."""

import pytest
from deepcam.record import cell_summary, consistency_checks, store
from record_example import cell_content, content, in_epochs, judged, measurement
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
        (lambda made: rank(made).update(batch_samples=[10, 10]), "20 samples in batches, 2 by name"),
        (lambda made: rank(made)["samples"].clear(), "2 samples in batches, 0 by name"),
        (lambda made: rank(made).update(batch_interval_seconds=[1.0]), "1 intervals of 2 batches in 1 parts"),
        (lambda made: rank(made).update(batch_samples=[2], batch_interval_seconds=[1.0]), "a batch of 2 samples"),
    ],
    ids=["shorter part", "longer part", "larger batches", "no names", "fewer intervals", "a batch too large"],
)
def test_times_and_counts_of_a_rank_agree(edit, found):
    made = content()
    edit(made)
    assert contradiction(made) == f"{found} in run 1, rank 0"


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
    return [check.name for check in consistency_checks.checks_of_starts(records) if not check.ok]


def test_a_copied_start_is_told_and_makes_its_configuration_invalid(tmp_path):
    starts = [made.model_copy(update={"start": None}) for made in started(GRID[0], STEADY)]
    for number, made in enumerate([*starts, starts[0]]):
        store.write(made, tmp_path / f"{number}.json")
    found = store.read([tmp_path / f"{number}.json" for number in range(6)])
    assert failed(found[:5]) == [] and failed(found) == ["starts_distinct"]
    assert not cell_summary.summarize(found, []).valid


def test_dates_are_in_the_order_of_rounds():
    first, second = (
        made.model_dump(mode="json", exclude={"checks", "metrics", "digest"}) for made in started(GRID[0], [10.0, 10.1])
    )
    first["environment"]["date"] = "2026-11-01T13:00:00+00:00"
    of_content = [judged(one) for one in (first, second)]
    assert failed(of_content) == failed(of_content[::-1]) == ["starts_in_order"]
    assert cell_summary.summarize(of_content, []).valid
    assert failed(started(GRID[0], STEADY)) == []
