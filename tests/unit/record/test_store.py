"""Records and accuracy verdicts on disk: read back as they were, converted if they are old, refused in one line."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from deepcam.errors import InputError
from deepcam.record import consistency_checks, store, validity
from deepcam.record.packed import pack, unpack
from deepcam.record.schema import Record
from record_example import cell_content, judged, measurement, rank_run, record, verdict

VERSION_6 = Path(__file__).parents[2] / "fixtures/record_v6.json"
"""A real record of mode inference, of commit 665a5df."""

JUDGED = ("checks", "metrics", "digest")


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def failed(record):
    return [check.name for check in record.checks if not check.ok]


def test_a_record_is_read_as_it_was_written(tmp_path):
    made = judged(cell_content(mode="inference", engine="eager-fp32"))
    store.write(made, tmp_path / "0.json")
    [found] = store.read([tmp_path / "0.json"])
    assert measurement(found.model_dump(mode="json", exclude=set(JUDGED))) == measurement(
        made.model_dump(mode="json", exclude=set(JUDGED))
    )
    assert found.metrics == made.metrics
    assert found.checks[:-1] == made.checks and found.checks[-1].name == "record_digest"
    assert failed(found) == []


def test_each_rank_of_a_run_has_one_line(tmp_path):
    store.write(record(), tmp_path / "0.json")
    lines = (tmp_path / "0.json").read_text().splitlines()
    assert sum('"batch_interval_nanoseconds": "u4:' in line for line in lines) == 4
    assert lines[0] == "{" and lines[1] == ' "schema_version": 7,' and lines[-1] == "}"


def test_the_digest_can_be_computed_without_this_program(tmp_path):
    store.write(record(), tmp_path / "0.json")
    content = json.loads((tmp_path / "0.json").read_text())
    digest = content.pop("digest")
    assert hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest() == digest


def test_a_record_that_was_edited_is_invalid_and_the_others_are_shown(tmp_path):
    for number in range(2):
        store.write(record(), tmp_path / f"{number}.json")
    content = json.loads((tmp_path / "1.json").read_text())
    content["environment"]["python"] = "3.12"
    good, edited = store.read([tmp_path / "0.json", write(tmp_path / "1.json", content)])
    assert good.metrics.valid and not edited.metrics.valid
    assert (
        edited.metrics.invalid_reasons == "record_digest: expected the digest of the record, got another one in 1.json"
    )


def test_a_record_without_a_digest_is_unverified_but_valid(tmp_path):
    [found] = store.read([write(tmp_path / "0.json", record().model_dump(mode="json"))])
    [old] = store.read([VERSION_6])
    assert failed(found) == ["record_unverified"] and "record_unverified" in failed(old)
    assert found.metrics.valid


def test_a_record_from_the_future_has_a_warning(tmp_path):
    made = cell_content()
    made["environment"]["date"] = "2999-01-01T00:00:00+00:00"
    store.write(judged(made), tmp_path / "0.json")
    [found] = store.read([tmp_path / "0.json"])
    assert failed(found) == ["record_date"] and found.metrics.valid


def signed(content):
    return content | {"digest": consistency_checks.digest(content)}


def test_checks_are_made_again_whatever_the_file_says(tmp_path):
    content = record().model_dump(mode="json")
    content["settings"]["min_seconds"] = 9.0  # the checks in the file still say that all is well
    [found] = store.read([write(tmp_path / "0.json", signed(content))])
    assert failed(found) == ["run_seconds"] and not found.metrics.valid


def test_metrics_that_do_not_follow_from_the_times_are_told_and_replaced(tmp_path):
    content = record().model_dump(mode="json")
    content["metrics"]["samples_per_second"] *= 2
    [found] = store.read([write(tmp_path / "0.json", signed(content))])
    assert found.metrics.samples_per_second == record().metrics.samples_per_second
    assert found.metrics.warnings == (
        "record_metrics: expected the metrics that follow from the raw times, got another samples_per_second in 0.json"
    )


def test_a_record_of_version_6_is_converted():
    old = json.loads(VERSION_6.read_text())
    [new] = store.read([VERSION_6])
    assert new.schema_version == 7
    assert dataclasses.asdict(new.cell) == old["cell"] | {"storage": ""}
    assert new.start.model_dump() == old["start"]
    [verdict] = old["engine"].pop("accuracy")
    assert new.engine.model_dump() == old["engine"] | {
        "accuracy": [verdict | {"engine_sha256": None, "masks_sha256": None}]
    }
    assert (new.environment.allocator, new.environment.nodes[0].transparent_huge_pages) == ("not recorded", None)
    assert {rank.page_faults for run in new.runs for rank in run.ranks} == {None}
    assert [run.epochs for run in new.runs] == [run["epochs"] for run in old["runs"]]
    for run, old_run in zip(new.runs, old["runs"], strict=True):
        for rank, old_rank in zip(run.ranks, old_run["ranks"], strict=True):
            assert rank.batch_interval_seconds == pytest.approx(old_rank["batch_interval_seconds"], abs=1.1e-9)
            assert rank.batch_interval_seconds.sum() == pytest.approx(sum(old_rank["batch_interval_seconds"]), abs=1e-9)
            assert rank.batch_sizes.tolist() == old_rank["batch_samples"]
            names = [new.dataset.samples[number] for number in unpack(rank.sample_numbers)]
            assert dict(zip(names, unpack(rank.sample_counts).tolist(), strict=True)) == old_rank["samples"]
    [node] = new.environment.nodes
    assert (node.cpu_quota, node.memory_limit_bytes, node.machine_lock) == (None, None, "not recorded")
    assert new.verification is new.runs[0].ranks[0].delivery is new.environment.ranks[0].engine_sha256 is None
    assert {"delivered_bytes", "masks", "engine_file"}.isdisjoint(check.name for check in new.checks)


def test_a_converted_record_is_judged_anew():
    [new] = store.read([VERSION_6])
    assert list(new.checks[:-1]) == validity.checks(new)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a benchmark record (Invalid JSON: EOF while parsing"),
        ("[]", "not a benchmark record ("),
        ('{"runs": []}', "not a benchmark record (schema_version: Field required)"),
        (f'{{"schema_version": 1{"0" * 400}}}', "not a benchmark record (schema_version: "),
        ('{"schema_version": 7}', "not a benchmark record (cell: Field required)"),
        ('{"schema_version": 6}', "not a benchmark record (cell: Field required)"),
        (
            '{"schema_version": 5}',
            "version 5, but versions 6 and 7 are supported; delete it and run the workflow again",
        ),
        ('{"schema_version": 8}', "version 8, but versions 6 and 7 are supported; update the workflow"),
    ],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(content, message, tmp_path):
    (tmp_path / "0.json").write_text(content)
    with pytest.raises(InputError) as error:
        store.read([tmp_path / "0.json"])
    assert message in str(error.value) and str(error.value).startswith(f"{tmp_path}/0.json: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("settings.runs", 0, "greater than or equal to 1"),
        ("settings.shuffle", "sometimes", "should be 'none', 'rank' or 'global'"),
        ("cell.cache", "lukewarm", "should match pattern"),
        ("cell.ranks", "2", "should be a valid integer"),
        ("dataset.samples", [], "at least 1 item"),
        ("dataset.sample_shape", [2, 2], "Field required"),
        ("runs.0.ranks.0.part_seconds.0", 0, "greater than or equal to 0.000000001"),
        ("runs.0.ranks.0.batch_samples", pack([0]), "must have numbers from 1 to 65,536"),
        ("runs.0.ranks.0.batch_samples", pack([]), "must have at least 1 number"),
        ("runs.0.ranks.0.batch_samples", [1, 1], "should be a valid string"),
        ("runs.0.ranks.0.batch_samples", "u3:AAAA", "should match pattern"),
        ("runs.0.ranks.0.batch_samples", "u4:AAAA", ""),
        ("runs.0.ranks.0.batch_samples", "u1:AAA", ""),
        ("runs.0.ranks.0.batch_samples", "u1:A", ""),
        ("runs.0.page_cache_residency_max.0", 1.1, "less than or equal to 1"),
        ("runs.0.ranks.1.part_seconds.0", float("nan"), "finite number"),
        ("environment.ranks.0.cores.0", -1, "greater than or equal to 0"),
        ("runs.0.ranks.0.part_seconds.0", 1e-320, "greater than or equal to"),
        ("runs.0.ranks.0.batch_interval_nanoseconds", pack([2**64 - 1]), "must have numbers from 0"),
        (
            "runs.0.ranks.0",
            rank_run(1.0, ["a.npy"]) | {"sample_counts": pack([])},
            "1 sample_numbers and 0 sample_counts",
        ),
        ("runs.0.ranks.1.peak_rss_bytes", 10**15, "less than or equal to 100000000000000"),
        ("runs.0.ranks.0.reader.o_direct", 10**400, ""),
        ("runs.0", {**record().model_dump(mode="json")["runs"][0], "ranks": []}, ""),
        ("cell.reader", "$\\nope{$", "should match pattern"),
        ("cell.engine", "`<img>`\n# x", "should match pattern"),
        ("cell.ranks", 10**6, "less than or equal to 65536"),
        ("environment.nodes.0.memory_bytes", "x", "should be a valid integer"),
        ("environment.extra", 1, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(path, value, message, tmp_path):
    content = record().model_dump(mode="json")
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place = content
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(InputError) as error:
        store.read([write(tmp_path / "0.json", content)])
    assert f"({path}" in str(error.value) and message in str(error.value)


def test_a_sample_number_is_that_of_a_sample(tmp_path):
    made = record().model_dump(mode="json")
    made["runs"][0]["ranks"][1]["sample_numbers"] = pack([2, 4])
    with pytest.raises(InputError, match="sample_numbers has 4, but the dataset has 4 samples"):
        store.read([write(tmp_path / "0.json", made)])


def test_a_record_without_what_its_metrics_need_is_refused(tmp_path):
    missing_rank, no_readings = (record().model_dump(mode="json") for _ in range(2))
    del missing_rank["runs"][1]["ranks"][1]
    for rank in no_readings["runs"][0]["ranks"]:
        rank["background_cpu_load"] = None
    for content, message in (
        (missing_rank, "run of 1 ranks in an environment of 2"),
        (no_readings, "no rank has backg"),
    ):
        with pytest.raises(InputError, match=message):
            store.read([write(tmp_path / "0.json", content)])


def test_a_record_lies_in_the_folder_of_its_cell(tmp_path):
    folder = tmp_path / "benchmark" / record().cell.id
    folder.mkdir(parents=True)
    content = record().model_dump(mode="json")
    assert store.read([write(folder / "0.json", content)])
    with pytest.raises(InputError, match="in the folder of another cell; move it there, or delete it"):
        store.read([write(folder.rename(folder.with_name("io_other")) / "0.json", content)])


def test_a_record_has_the_name_of_its_start(tmp_path):
    folder = tmp_path / "benchmark" / record().cell.id
    store.write(record(), folder / "0.json")
    shutil.copy(folder / "0.json", folder / "1.json")
    with pytest.raises(
        InputError, match=r"1\.json: a record of start 0 with the name of another start; rename it to 0"
    ):
        store.read([folder / "0.json", folder / "1.json"])


def test_files_and_values_have_limits_of_size(tmp_path, monkeypatch):
    path = write(tmp_path / "0.json", record().model_dump(mode="json"))
    monkeypatch.setattr(store, "MOST_BATCHES", 7)
    with pytest.raises(InputError, match="has 8 batches, but at most 7 are read"):
        store.read([path])
    monkeypatch.setattr(store, "MOST_VALUES", 100)
    with pytest.raises(InputError, match="has more than 100 values"):
        store.read([path])
    monkeypatch.setattr(store, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match=r"has [\d,]+ bytes, but at most 1,000 are read"):
        store.read([path])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean_iou", float("nan")), ("mean_iou", 2.0), ("samples", 64.0), ("samples", 10**400), ("min_iou_ratio", -1.0),
        ("iou", {}), ("iou", {"mean_iou": 1.0}), ("reference_iou", {"background": 1e308}), ("passed", 1),
        ("max_logit_margin_loss", 1e300), ("median_logit_margin", float("inf")),
    ],
)  # fmt: skip
def test_a_verdict_whose_numbers_are_none_is_refused(key, value, tmp_path):
    with pytest.raises(InputError, match=rf"cpu\.json: not an accuracy verdict \({key}"):
        store.read_verdict(write(tmp_path / "cpu.json", verdict() | {key: value}))


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    made = verdict()
    assert store.read_verdict(write(tmp_path / "cpu.json", made)).model_dump() == made
    for content in ([], {}, {"samples": 0}):
        with pytest.raises(InputError, match=r"cpu\.json: not an accuracy verdict"):
            store.read_verdict(write(tmp_path / "cpu.json", content))


def test_every_field_has_a_description():
    schema = Record.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), f"{part['title']}.{name}"
