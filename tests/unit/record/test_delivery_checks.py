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
    assert list(checks(content(mode="inference", engine="eager-fp32"))) == ["delivered_bytes", "masks"]


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
    ("device", "differing", "ok"),
    [("cpu", 0, True), ("cpu", 1, False), ("cuda:0", 1, True), ("cuda:0", 2, False)],
)
def test_masks_are_equal_on_a_cpu_and_nearly_equal_on_a_gpu(device, differing, ok):
    made = content(mode="inference", engine="eager-fp32")
    made["verification"][1]["masks"] = {"samples": 2, "pixels": 10_000, "differing_pixels": differing}
    for place in made["environment"]["ranks"]:
        place["device"] = device
    assert failed(made) == ([] if ok else ["masks"])


@pytest.mark.parametrize("masks", [None, {"samples": 0, "pixels": 0, "differing_pixels": 0}])
def test_masks_that_were_not_compared_are_an_error(masks):
    made = content(mode="inference", engine="eager-fp32")
    made["verification"][0]["masks"] = masks
    assert failed(made) == ["masks"]


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


def test_records_that_do_not_say_have_no_check():
    made = content(mode="inference", engine="eager-fp32")
    made["verification"] = None
    for run in made["runs"]:
        for rank in run["ranks"]:
            rank["delivery"] = None
    assert checks(made) == {}
