"""result.json says what the results page says, with numbers that are not rounded."""

import html
import re

import pytest
from deepcam.report import summary_page
from deepcam.report.page.words import digits, factor, percent
from deepcam.report.result_file import Result, result
from page_example import CASES, gather, limits, row, table
from record_example import cell

FAILED = row("io", 9.0, ranks=2, invalid_reasons="run_count: expected 3, got 2")


def shown(page):
    """The text of the results page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", summary_page.render(page))).split())


def plain(text):
    return " ".join(text.split())


@pytest.mark.parametrize("case", CASES)
def test_page_and_file_say_the_same(case):
    page = gather(table(*CASES[case], FAILED), missing=2)
    made, text = result(page), shown(page)
    said = [made.verdict.title, made.verdict.sentence, *(step.step for step in made.verdict.steps)]
    said += made.side.reasons + made.precision.reasons
    said += [f"Which side limits: {made.side.level} confidence", f"Precision of the numbers: {made.precision.level}"]
    said += [f"{digits(best.value)} {best.unit}" for best in made.best]
    said += [words for best in made.best for words in (best.label, best.basis, best.settings)]
    fed = made.sizing.devices_fed
    said.append(f"{int(fed):,} devices" if fed >= 2 else f"{percent(fed)} of a device")
    said += [words for need in made.sizing.needs for words in (f"{need.devices:,}", digits(need.gigabytes_per_second))]
    said += [words for problem in made.problems for words in (problem.title, str(problem.number), problem.remedy)]
    said += [made.provenance.machine, made.provenance.storage, made.provenance.when, made.provenance.commit]
    said += [f"{made.valid} of {made.configurations} configurations are VALID"]
    assert [words for words in said if plain(words) not in text] == []


def test_the_numbers_behind_the_verdict_are_those_of_the_table():
    made = result(gather(table(*limits(2, 36, 2.1, 38), *limits(2.05, 110, 2.1, cache="warm"))))
    cold, warm = made.limits
    assert (cold.cache, warm.cache) == ("cold", "warm")
    assert (cold.end_to_end_samples_per_second, cold.io_only_samples_per_second) == (2, 36)
    assert cold.bottleneck == "compute" and cold.bottleneck_confidence == "high"
    assert cold.headroom == pytest.approx(18) and factor(cold.headroom) in made.verdict.sentence
    assert cold.configuration == "inference_pread_cold_eager-fp32_r0001_b002_t01x01"


def test_what_was_not_measured_is_null():
    made = result(gather(table(row("io", 36.0))))
    assert (made.limits, made.side, made.precision, made.sizing) == ([], None, None, None)
    assert [best.value for best in made.best] == [1.8]
    assert made.verdict.title == "I/O only: 1.80 GB/s cold"


def test_equal_results_give_equal_bytes_in_any_order():
    summary = table(*CASES["compute"], *limits(2.05, 110, 2.1, cache="warm"))
    one, other = (result(gather(rows, [cell()])).model_dump_json() for rows in (summary, summary.sample(frac=1)))
    assert one == other


def test_every_field_has_a_description():
    schema = Result.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        assert all(field.get("description") for field in part["properties"].values()), part["title"]
