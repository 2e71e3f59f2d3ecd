"""A record of this version has everything that its validity depends on; a converted one may lack it."""

import json
from pathlib import Path

import pytest
from deepcam.record import completeness_checks, store
from record_example import cell_content, content, judged, measurement, verdict

VERSION_6 = Path(__file__).parents[2] / "fixtures/record_v6.json"


def failed(made):
    return {check.name: check.actual for check in completeness_checks.checks(measurement(made)) if not check.ok}


def rank(made):
    return made["runs"][1]["ranks"][0]


@pytest.mark.parametrize(
    ("edit", "missing"),
    [
        (lambda made: made.update(verification=None), "no verification"),
        (lambda made: rank(made).update(delivery=None), "no delivery in run 1, rank 0"),
        (lambda made: rank(made).update(bytes_returned_by_reads=None), "no bytes_returned_by_reads in run 1, rank 0"),
        (lambda made: rank(made).update(thread_cores=None), "no thread_cores in run 1, rank 0"),
        (lambda made: rank(made).update(thread_cores=[]), "no thread_cores in run 1, rank 0"),
    ],
)
def test_what_a_check_needs_may_not_be_removed(edit, missing):
    made = content()
    assert failed(made) == {}
    edit(made)
    assert failed(made) == {"record_complete": missing}
    assert not judged(made).metrics.valid


@pytest.mark.parametrize("missing", ["masks in run 1, rank 0", "verification"])
def test_masks_of_an_engine_that_was_judged_may_not_be_removed(missing):
    made = cell_content(mode="compute", reader="none", cache="none", engine="eager-fp32")
    made["engine"] = {"precision": "fp32", "accuracy": [verdict()]}
    assert failed(made) == {}
    (made if missing == "verification" else rank(made))[missing.split()[0]] = None
    assert failed(made) == {"record_complete": f"no {missing}"}


def test_nothing_is_delivered_in_mode_compute():
    made = cell_content(mode="compute", reader="none", cache="none", engine="eager-fp32")
    assert made["verification"][0]["delivery"] is None
    for run in made["runs"]:
        for one in run["ranks"]:
            one["delivery"] = None
    assert failed(made) == {}


def test_a_converted_record_may_lack_what_was_not_recorded():
    [old] = store.read([VERSION_6])
    assert all(check.ok for check in completeness_checks.checks(old))


def test_a_record_with_a_digest_is_no_converted_one(tmp_path):
    [old] = store.read([VERSION_6])
    made = json.loads(old.model_dump_json())
    made |= {"start": None, "digest": None}
    (tmp_path / "0.json").write_text(json.dumps(made))
    store.write(judged({key: made[key] for key in content()}), tmp_path / "1.json")
    without, forged = store.read([tmp_path / "0.json", tmp_path / "1.json"])
    assert "record_complete" not in without.metrics.invalid_reasons
    assert "record_complete" in forged.metrics.invalid_reasons


@pytest.mark.parametrize(("scope", "ok"), [("machine", True), ("not recorded", True), ("network namespace", False)])
def test_a_lock_that_does_not_cover_the_machine_is_a_warning(scope, ok):
    made = content()
    made["environment"]["nodes"][0]["machine_lock"] = scope
    assert failed(made) == ({} if ok else {"machine_lock": scope})
    assert judged(made).metrics.valid
