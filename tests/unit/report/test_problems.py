"""Problems by cause, with count, worst value, kinds and remedy."""

import ast
from pathlib import Path

from deepcam.record import validity
from deepcam.report.page import problems, rows
from deepcam.report.page.remedies import REMEDIES
from page_example import row, table


def found(*made, missing=0):
    return problems.problems(rows.prepare(table(*made)), missing)


def test_a_cause_has_one_row_however_many_configurations_it_has():
    fault = {"invalid_reasons": "run_count: expected 3, got 2; o_direct: expected True, got False"}
    slow = {"warnings": "storage_local: expected a local file system, got nfs: a server's cache"}
    made = [row("io", 1.0, ranks=n, reader="dali-direct", **fault) for n in (1, 2)]
    shown = found(*made, row("io", 1.0, **slow), row("compute", 1.0))
    assert [(p.level, p.cause, p.number) for p in shown] == [
        ("INVALID", "o_direct", 2),
        ("INVALID", "run_count", 2),
        ("Warning", "storage_local", 1),
    ]
    assert shown[0].kinds == "2 × I/O-only dali-direct cold"


def test_starts_that_fail_the_same_check_count_once_with_the_worst_value():
    text = "background_cpu_load_small: expected at most 10% of the job's cores, got {}"
    reasons = "; ".join(text.format(load) for load in ("12% before, 31% during", "15% before, 14% during"))
    (shown,) = found(row("io", 1.0, warnings=reasons))
    assert shown.number == 1 and shown.title.endswith("up to 31\u00a0%")


def test_at_most_four_kinds_are_named():
    fault = {"warnings": "not_steady: expected 1, got 2"}
    readers = ("pread", "torch", "numpy", "dali-mmap", "dali-direct", "dali-buffered")
    (shown,) = found(*(row("io", 1.0, reader=reader, **fault) for reader in readers))
    assert shown.kinds.count("×") == 4 and shown.kinds.endswith(", and 2 more kinds")


def test_missing_records_are_a_problem_with_a_remedy():
    (shown,) = found(row("io", 1.0), missing=3)
    assert (shown.title, shown.number, shown.cause) == ("Missing records", 3, "")
    assert "Run the same command again" in shown.remedy
    assert found(row("io", 1.0)) == []


def test_an_unknown_check_is_shown_by_its_name():
    (shown,) = found(row("io", 1.0, warnings="some_check: expected <b>, got <i>"))
    assert (shown.title, shown.remedy) == ("some_check", "")


def test_every_check_has_a_remedy():
    modules = [ast.parse(path.read_text()) for path in Path(validity.__file__).parent.glob("*.py")]
    calls = [node for module in modules for node in ast.walk(module) if isinstance(node, ast.Call)]
    names = {
        call.args[0].value
        for call in calls
        if getattr(call.func, "id", "") in ("_check", "check") and isinstance(call.args[0], ast.Constant)
    }
    assert len(names) > 10
    assert REMEDIES.keys() == names | {"bottleneck"}
