"""The explorer holds every configuration, and no value of it becomes markup."""

import json
import re

from deepcam.report import explorer_page
from page_example import CASES, large, row, table

HOSTILE = "</script><script>alert('x')</script> & {{ 7 * 7 }} <!--"


def data(page):
    """The data as the browser gets them, and a configuration's values by the columns' keys."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    content = json.loads(found)
    keys = [key for key, *_ in content["columns"]]
    return content, [dict(zip(keys, values, strict=True)) for values in content["rows"]]


def test_every_configuration_has_a_row_with_plain_words():
    _, rows = data(explorer_page.render(table(*CASES["compute"])))
    (found,) = [one for one in rows if one["mode"] == "end-to-end"]
    assert found | {"low": 1.96, "high": 2.04} == {
        "mode": "end-to-end", "reader": "pread", "cache": "cold", "engine": "eager-fp32", "ranks": 1, "batch": 2,
        "threads": 1, "chunks": 1, "rate": 2.0, "low": 1.96, "high": 2.04, "gb": 0.1, "p50": found["p50"],
        "p99": found["p99"], "half": 2.0, "cpu": 20.0, "au": 95.24, "headroom": 18.0, "starts": 5,
        "stopped": "precise", "verdict": "compute-bound", "state": "VALID", "why": [],
    }  # fmt: skip
    (compute,) = [one for one in rows if one["mode"] == "compute-only"]
    assert (compute["reader"], compute["cache"], compute["threads"], compute["gb"]) == (None, None, None, None)


def test_failed_checks_are_those_that_decide():
    reasons = {"invalid_reasons": "run_count: expected 3, got 2", "warnings": "storage_local: expected a, got b"}
    _, (found,) = data(explorer_page.render(table(row("io", 1.0, **reasons))))
    assert (found["state"], found["why"]) == ("INVALID", ["run_count: expected 3, got 2"])


def test_values_are_data_and_never_markup():
    page = explorer_page.render(table(row("io", 1.0, warnings=f"{HOSTILE}: expected a, got b")))
    assert HOSTILE not in page and page.count("<script") == 2
    assert data(page)[1][0]["why"] == [f"{HOSTILE}: expected a, got b"]


def test_equal_tables_give_equal_bytes_and_a_large_grid_is_light():
    summary = table(*large())
    page = explorer_page.render(summary)
    assert page == explorer_page.render(summary)
    assert len(data(page)[1]) == 403 and len(page.encode()) < 100_000
    assert not re.search(r"https?://|<link|<img|@import", page)
