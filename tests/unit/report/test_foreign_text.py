"""Names and reasons that somebody else wrote are shown as text: in Markdown, HTML and CSV, and on a terminal."""

import pandas as pd
import pytest
from deepcam.report import explorer_page, tables, templates
from deepcam.report.comparison import differences, markup, presentation, significance
from deepcam.report.comparison.sides import Results
from deepcam.report.figures import style
from record_example import content, judged
from results_example import GRID, measured, measured_content, with_check

HTML = "<img src=x onerror=alert(1)>"
HOSTILE = [
    HTML,
    f"3` {HTML} `",
    f"`{HTML}`\n# Owned",
    "\x1b]0;owned\x07",
    "\u202eabc",
    "\x9b31m",
    "a\r\n\n# b",
    "a|b|c",
]


def compared(made):
    """The Markdown of a comparison with a record."""
    a, b = ({GRID[0]: [record]} for record in (measured(GRID[0]), made))
    a, b = Results("a", a, None), Results("b", b, None)
    cells = significance.compare(a.records, b.records, {})
    return presentation.markdown(a, b, cells, {}, differences.differences(a, b))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_version_is_text_in_markdown(text):
    shown = compared(measured(GRID[0], python=text))
    assert HTML not in shown and "\n# " not in shown[1:] and shown.replace("\n", "").isprintable()
    [row] = [line for line in shown.splitlines() if "environment.python" in line]
    assert row.replace(r"\|", "").count("|") == 4


@pytest.mark.parametrize("text", HOSTILE)
def test_a_failed_check_is_text_in_markdown(text):
    made = with_check(measured_content(GRID[0]), False)
    check = made.checks[0].model_copy(update={"name": text, "expected": text, "ok": False})
    shown = compared(made.model_copy(update={"checks": [check]}))
    assert HTML not in shown and "\n# " not in shown[1:] and shown.replace("\n", "").isprintable()
    [row] = [line for line in shown.splitlines() if line.startswith(f"| `{GRID[0].id}`")]
    assert row.replace(r"\|", "").count("|") == 4


def test_harmless_names_are_code_and_reasons_are_not_escaped():
    assert markup.code("a_b=c") == "`a_b=c`"
    assert markup.escaped("B: run_count: expected 3, got 2") == "B: run_count: expected 3, got 2"


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@x"])
def test_a_table_has_no_formulas_and_keeps_its_numbers(text, tmp_path):
    tables.write(pd.DataFrame({"name": [text, "a=b"], "value": [-1.5, None]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == f"name,value\n'{text},-1.5\na=b,\n"


def test_a_table_has_no_control_characters(tmp_path):
    tables.write(pd.DataFrame({"name": ["\x1b]0;x\x07"]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "name\n\\x1b]0;x\\x07\n"


@pytest.mark.parametrize("text", [HTML, "</script><script>alert(1)</script>"])
def test_pages_show_names_as_text(text):
    made = judged(content())
    check = made.checks[0].model_copy(update={"ok": False, "expected": text})
    summary = tables.summary([made.model_copy(update={"checks": [check]})])
    assert text in summary["invalid_reasons"][0]
    assert text not in explorer_page.render(summary)
    page = templates.environment().from_string("{{ name }}").render(name=text)
    assert "<" not in page


def test_a_name_is_no_formula_in_a_figure(tmp_path):
    style.save(style.empty_figure("$\\nope{$"), tmp_path / "f.svg", tmp_path / "f.png")
    assert (tmp_path / "f.svg").stat().st_size > 0
