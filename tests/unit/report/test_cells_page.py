"""The page of all configurations holds every row of the summary, and no value of it becomes markup."""

import json
import re

import pandas as pd
import pytest
from deepcam.report import cells_page

WARNING = "<script>alert('x')</script> & {{ cells }}"


@pytest.fixture
def page():
    summary = pd.DataFrame(
        {
            "samples_per_second": [1 / 3, 2.0],
            "mode": ["io", "compute"],
            "warnings": [WARNING, ""],
            "device_watts": [None, None],
        }
    )
    return cells_page.render(summary)


def rows(page):
    """The rows of the table as the browser gets them."""
    found = re.search(r'"data_json": ("(?:[^"\\]|\\.)*")', page)
    return json.loads(json.loads(found[1]))


def test_every_configuration_has_a_row(page):
    assert "<p>2 configurations." in page
    assert [row[:2] for row in rows(page)] == [["io", 0.3333], ["compute", 2.0]]


def test_the_settings_come_first_and_empty_columns_are_left_out(page):
    assert re.findall(r"<th>(\w+)</th>", page) == ["mode", "samples_per_second", "warnings"]


def test_values_are_escaped(page):
    assert WARNING not in page
    assert rows(page)[0][2] == "&lt;script&gt;alert('x')&lt;/script&gt; &amp; {{ cells }}"


def test_the_same_cells_give_the_same_bytes(page):
    assert cells_page.render(pd.DataFrame({"mode": ["io"]})) == cells_page.render(pd.DataFrame({"mode": ["io"]}))
