"""The checks of what was delivered, of masks and of the engine file fail when they should, and only then."""

import pytest
from deepcam.record import delivery_checks
from record_example import content, delivery, measurement, verdict


def checks(made):
    return {check.name: check for check in delivery_checks.checks(measurement(made))}


def failed(made):
    return [name for name, check in checks(made).items() if not check.ok]


def test_a_good_record_fails_none():
    assert failed(content()) == []
    assert list(checks(content(reader="pread"))) == ["delivered_bytes", "read_calls"]
    assert list(checks(content(mode="inference", engine="eager-fp32"))) == ["delivered_bytes", "read_calls", "masks"]


@pytest.mark.parametrize("place", ["verification", "timed"])
def test_one_wrong_sample_in_any_pass_is_an_error(place):
    made = content()
    wrong = delivery(wrong_samples=1, first_wrong="d.npy")
    (made["verification"][1] if place == "verification" else made["runs"][1]["ranks"][1])["delivery"] = wrong
    check = checks(made)["delivered_bytes"]
    assert not check.ok and check.level == "error"
    assert check.actual == "1 of 12 samples differ (first: d.npy)"


@pytest.mark.parametrize(
    ("reader", "lacking", "ok"),
    [
        ("pread", {"proof": "read calls"}, False),
        ("pread-discard", {"proof": "read calls"}, True),
        ("pread", {"samples": 0}, False),
        ("pread", None, False),
    ],
)
def test_each_pass_needs_a_proof(reader, lacking, ok):
    made = content(reader=reader)
    made["runs"][0]["ranks"][0]["delivery"] = None if lacking is None else delivery(**lacking)
    check = checks(made)["delivered_bytes"]
    assert check.ok is ok
    assert ok or check.actual == "no proof for 1 of 6 passes"


@pytest.mark.parametrize(
    ("reader", "returned", "ok"),
    [
        ("pread", 1_998_000_000, True),
        ("pread", 1_997_000_000, False),
        ("numpy", 0, False),
        ("dali-mmap", 0, None),
        ("dali-gds", 0, None),
        ("pread-discard", 0, None),
        ("of-another-version", 0, None),
    ],
)
def test_read_calls_must_have_returned_the_samples_of_each_run(reader, returned, ok):
    made = content(reader=reader)
    made["runs"][1]["ranks"][0]["bytes_returned_by_reads"] = returned
    check = checks(made).get("read_calls")
    assert (check and check.ok) is ok
    made["runs"][1]["ranks"][0]["bytes_returned_by_reads"] = None
    assert "read_calls" not in checks(made)


PIXELS = [(0, 8, True), (2, 8, True), (3, 8, False), (10, 100_000, True), (11, 100_000, False), (0, 0, False)]


@pytest.mark.parametrize("place", ["verification", "timed", "compute"])
@pytest.mark.parametrize(("differing", "pixels", "ok"), PIXELS)
def test_masks_are_equal_but_for_a_few_pixels(place, differing, pixels, ok):
    made = content(mode="compute" if place == "compute" else "inference", engine="eager-fp32")
    compared = {"samples": 2, "pixels": pixels, "differing_pixels": differing}
    runs = [run["ranks"][1] for run in made["runs"]]
    for found in runs if place == "timed" else [made["verification"][1]]:
        found["masks"] = compared
    if place == "timed":
        runs[0]["masks"] = None
    assert failed(made) == ([] if ok else ["masks"])


@pytest.mark.parametrize("place", ["verification", "timed"])
def test_masks_that_were_not_compared_are_an_error(place):
    made = content(mode="inference", engine="eager-fp32")
    for found in [made["verification"][0]] if place == "verification" else [run["ranks"][0] for run in made["runs"]]:
        found["masks"] = None
    assert "masks" in failed(made)


def test_an_engine_that_nobody_judged_is_a_warning():
    made = content(mode="inference", engine="eager-fp32") | {"engine": {"precision": "fp32", "accuracy": []}}
    check = checks(made)["engine_judged"]
    assert (check.ok, check.level) == (False, "warning")
    made["engine"]["accuracy"] = [verdict()]
    assert checks(made)["engine_judged"].ok


def test_every_rank_must_have_run_an_engine_file_that_was_judged():
    made = content(mode="compute", reader="none", cache="none", engine="eager-fp32")
    first, second = "a" * 64, "b" * 64
    judged = [verdict() | {"engine_sha256": sha256} for sha256 in (first, second)]
    made |= {"engine": {"precision": "fp32", "accuracy": judged}}
    for place, sha256 in zip(made["environment"]["ranks"], (first, second), strict=True):
        place["engine_sha256"] = sha256
    assert checks(made)["engine_file"].ok
    made["environment"]["ranks"][1]["engine_sha256"] = "c" * 64
    check = checks(made)["engine_file"]
    assert not check.ok and check.actual == "another one, SHA-256 cccccccccccc..."
    made["engine"]["accuracy"][0]["engine_sha256"] = None
    assert "engine_file" not in checks(made)


def judged_content(mode):
    made = content(mode=mode, engine="eager-fp32")
    return made | {"engine": {"precision": "fp32", "accuracy": [verdict()]}}


@pytest.mark.parametrize("mode", ["inference", "compute"])
@pytest.mark.parametrize(("differing", "ok"), [(5, True), (6, False)])
def test_half_a_percent_of_the_judged_pixels_may_differ(mode, differing, ok):
    made = judged_content(mode)
    made["verification"][1]["judged_masks"] = {"samples": 1, "pixels": 1000, "differing_pixels": differing}
    assert checks(made)["judged_masks"].ok is ok


def test_masks_must_be_compared_if_some_were_judged():
    made = judged_content("inference")
    made["verification"][1]["judged_masks"] = None
    assert failed(made) == ["judged_masks"]
    made["engine"]["accuracy"][0]["masks_sha256"] = None
    assert "judged_masks" not in checks(made)


def test_timed_masks_of_mode_compute_count_if_they_were_kept():
    made = content(mode="compute", engine="eager-fp32")
    rank = made["runs"][1]["ranks"][0]
    rank["masks"] |= {"differing_pixels": 8}
    assert "masks" in failed(made)
    for run in made["runs"]:
        for rank in run["ranks"]:
            rank["masks"] = None
    assert "masks" not in failed(made)


def test_records_that_do_not_say_have_no_check():
    made = content(mode="inference", engine="eager-fp32")
    made["verification"] = None
    for run in made["runs"]:
        for rank in run["ranks"]:
            rank |= {"delivery": None, "masks": None, "bytes_returned_by_reads": None}
    assert checks(made) == {}
