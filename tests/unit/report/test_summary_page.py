"""The results page: its elements and when they are left out, its weight, and text that somebody else wrote."""

import re

import pytest
from page_example import ACCURACY, CASES, large, limits, render, row, table
from record_example import cell, cell_content, judged, node

INVALID = "run_count: expected 3, got 2"

HEADINGS = [
    "Best results",
    "What limits inference: the same settings, measured three ways",
    "Readers",
    "Engines",
    "Storage sizing",
    "Problems",
    "How it was measured, and how to repeat it",
]


def headings(page):
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page)


def without(*names):
    return [heading for heading in HEADINGS if heading not in names]


PICTURE = HEADINGS[1]


@pytest.mark.parametrize(
    ("made", "title", "expected"),
    [
        (CASES["compute"], "Compute-bound", HEADINGS),
        ([row("io", 36.0)], "I/O only: 1.80 GB/s cold", without(PICTURE, "Engines", "Storage sizing")),
        ([row("compute", 2.0)], "Compute only: 2.00 samples/s", without(PICTURE, "Readers")),
        (
            [row("io", 1.0, invalid_reasons=INVALID), row("compute", 1.0, invalid_reasons=INVALID)],
            "No valid result",
            without("Best results", PICTURE, "Readers", "Storage sizing"),
        ),
        (
            [row("train", 2.0)],
            "Training only",
            without("Best results", PICTURE, "Readers", "Engines", "Storage sizing"),
        ),
    ],
    ids=["all modes", "I/O-only", "compute-only", "nothing valid", "training"],
)
def test_elements_are_in_order_and_left_out_without_data(made, title, expected):
    page = render(table(*made))
    assert headings(page) == [title, *expected]
    assert (PICTURE in expected) == ("<figure>" in page) == ("Which side limits" in page)


def test_the_title_holds_verdict_host_and_date():
    page = render(table(*CASES["compute"]))
    assert "<title>Compute-bound: DeepCAM storage and inference benchmark, n0, 2026-11-01 12:00 UTC</title>" in page


def test_without_problems_there_is_one_sentence():
    assert "None: all 4 configurations are VALID and without warnings." in render(table(*CASES["compute"]))
    assert "None: the only configuration is VALID" in render(table(row("io", 1.0)))


def test_problems_link_to_the_explorer_and_missing_records_do_not():
    page = render(table(*CASES["compute"], row("io", 9.0, ranks=2, invalid_reasons=INVALID)), missing=2)
    assert 'href="explorer.html#problem=run_count">1</a>' in page
    assert "4 of 5 configurations are VALID" in page and "Missing records" in page
    assert '1 of 5 configurations is INVALID and excluded. See <a href="#problems">Problems</a>.' in page


def test_without_a_verdict_only_the_cautions_are_left():
    page = render(table(row("io", 1.0), stopped=["max_starts"]), [cell(seconds=0.5)])
    assert "A cold I/O-only pass lasts 0.50–0.51 s" in page and "1 of 1 configuration was not measured" in page
    assert "Precision of the numbers" not in page
    assert '<div class="confidence">' not in render(table(row("io", 1.0)), [cell(seconds=9.0)])


def test_the_readers_of_one_state_have_one_group_of_columns():
    page = render(table(*CASES["compute"]))
    assert "Cold page cache</th>" in page and "Warm page cache</th>" not in page


def test_a_faster_invalid_engine_is_named_in_the_picture():
    faster = row("inference", 9.0, engine="tensorrt-fp16", invalid_reasons=INVALID)
    page = render(table(*CASES["compute"], faster))
    assert "tensorrt-fp16 is faster, but INVALID in this cache state." in page
    assert "in this cache state" not in render(table(*CASES["compute"]))


def test_a_faster_engine_without_partners_is_named_in_the_picture():
    page = render(table(*CASES["compute"], row("inference", 9.0, engine="tensorrt-fp16")))
    assert "tensorrt-fp16 is faster, but has no valid I/O-only and compute-only results to compare with" in page


def test_the_bracket_says_the_headroom_and_where_it_is():
    assert 'aria-label="18× headroom in storage, between 17 and 19 times"' in render(table(*CASES["compute"]))
    assert 'aria-label="7.0× headroom in compute' in render(table(*CASES["storage"]))
    assert 'aria-label="no headroom, between' in render(table(*limits(100, 100, 101)))


def test_differences_between_nodes_are_a_warning_in_the_header():
    made = cell_content(ranks=4)
    made["environment"]["nodes"] = [node("n0"), node("n1", kernel="7")]
    assert "Differences: node.kernel (6, 7)." in render(table(*CASES["compute"]), [judged(made)])
    assert "Differences:" not in render(table(*CASES["compute"]))


def test_the_page_does_not_grow_with_the_grid():
    summary = table(*large())
    assert len(summary) == 403
    assert len(render(summary).encode()) < 60_000


def test_the_page_loads_nothing():
    page = render(table(*CASES["compute"]))
    assert not re.search(r"https?://|<script|<img|<link|url\(|@import", page)


def test_equal_results_give_equal_bytes_in_any_order():
    summary = table(*CASES["compute"], *limits(2.05, 110, 2.1, cache="warm"))
    shuffled = summary.sample(frac=1, random_state=1)
    assert render(shuffled) == render(summary)


HOSTILE = "</td></title><script>alert(1)</script>{{ 7777 * 7777 }}&\"'"


def test_text_that_somebody_else_wrote_is_shown_as_text():
    content = cell_content()
    content["environment"] |= {"git_commit": HOSTILE, "container": HOSTILE, "date": HOSTILE, "mpi": HOSTILE}
    content["environment"]["nodes"] = [node(HOSTILE, cpu=HOSTILE, kernel=HOSTILE, driver=HOSTILE)]
    content["environment"]["ranks"] = [one | {"node": HOSTILE} for one in content["environment"]["ranks"]]
    content["dataset"]["source"] = HOSTILE
    made = row("io", 1.0, ranks=2, warnings=f"{HOSTILE}: expected {HOSTILE}, got {HOSTILE}; x: expected 1, got 2")
    late = row("io", 1.0, ranks=4, num_nodes=2, straggler_gap=0.5, straggler_node=HOSTILE)
    page = render(table(*CASES["compute"], made, late), [judged(content)], accuracy=ACCURACY)
    assert "<script" not in page and "</td></title>" not in page and "60481729" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
