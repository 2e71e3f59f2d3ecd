"""The program that compares results: what it writes and prints, and its exit status."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import compare
import matplotlib.image
import pandas as pd
import pytest
from record_example import node
from results_example import GRID, measured, noisy, scaled, started, write

PROGRAM = Path(__file__).parents[3] / "workflow_scripts/compare.py"


def program(*arguments, cwd):
    return subprocess.run(
        [sys.executable, PROGRAM, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Results folders of a baseline, of the same again, and of one with a slower, an invalid and a missing cell."""
    folder = tmp_path_factory.mktemp("runs")
    good = {cell: started(cell, noisy(i)) for i, cell in enumerate(GRID[:4])}
    worse = dict(good)
    worse[GRID[1]] = started(GRID[1], scaled(0.8, noisy(9, 10)), nodes=[node("n0", kernel="6|7")])
    worse[GRID[2]] = started(GRID[2], valid=False)
    del worse[GRID[3]]
    return {
        "good": write(folder / "good", good, {"devices": "cpu"}),
        "worse": write(folder / "worse", worse, {"devices": [0]}),
    }


@pytest.fixture(scope="module")
def compared(runs, tmp_path_factory):
    """What the program says of the baseline and the worse results, and the folder it writes."""
    folder = tmp_path_factory.mktemp("compared")
    return program(runs["good"], runs["worse"], cwd=folder), folder / "results/comparison"


def test_the_program_writes_and_prints_regressions_first(compared):
    result, out = compared
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == [
        f"comparison.{suffix}" for suffix in ("csv", "md", "png", "svg")
    ]
    assert (out / "comparison.md").read_text() == result.stdout
    headings = [line for line in result.stdout.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Slower", "## No difference seen", "## Not valid", "## Only in A", "## Drift of the machine",
        "## What else differs",
    ]  # fmt: skip
    assert "**1 slower, 1 no difference seen, 1 not valid, 1 only in A. Lowest ratio: 0.800, " in result.stdout
    assert "Starts needed in A and in B" in result.stdout and "too few starts" not in result.stdout
    assert "| storage | 1.000 | 1.000 to 1.000 |" in result.stdout
    assert re.search(
        rf"`{GRID[2].id}` \| \d\.\d+ \| B: run_seconds: expected at least 0.9 s, got 0.4 s \|", result.stdout
    )
    assert "| `config.devices` | `cpu` | `[0]` |" in result.stdout
    assert r"| `environment.node.kernel` | `6` | `6; 6\|7` |" in result.stdout
    table = pd.read_csv(out / "comparison.csv")
    assert list(table["verdict"]) == ["slower", "no difference seen", "not valid", "only in A"]
    assert list(table["local_batch_size"]) == [GRID[i].local_batch_size for i in (1, 0, 2, 3)]
    assert matplotlib.image.imread(out / "comparison.png").std() > 0


def test_the_same_results_give_the_same_bytes(runs, compared, tmp_path):
    assert program(runs["good"], runs["worse"], "--output", "again", cwd=tmp_path).returncode == 0
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (compared[1] / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("b", "status", "lines"), [("good", 0, 0), ("worse", 1, 3)])
def test_fail_below_ends_with_status_1_and_a_line_per_cell(b, status, lines, runs, tmp_path):
    result = program(runs["good"], runs[b], "--fail-below", "0.9", cwd=tmp_path)
    assert result.returncode == status
    said = result.stderr.splitlines()
    assert len(said) == lines and all(line.startswith("--fail-below 0.9: io_") for line in said)
    assert (tmp_path / "results/comparison/comparison.md").exists()


@pytest.fixture(scope="module")
def three(runs, tmp_path_factory):
    """The program's output for three results and the folder that it writes. The second result is the slow one."""
    folder = tmp_path_factory.mktemp("three")
    result = program(runs["good"], runs["worse"], runs["good"], "--fail-below", "0.9", cwd=folder)
    return result, folder / "results/comparison"


def test_more_than_two_results_are_a_series_and_the_last_is_compared_with_the_first(three):
    result, out = three
    assert (result.returncode, result.stderr) == (0, "")  # the second result does not count
    assert result.stdout == (out / "series.md").read_text()
    assert result.stdout.count("## What changed from ") == 2
    assert "**Last (B) against first (A): 4 no difference seen." in result.stdout
    assert "4 no difference seen" in (out / "comparison.md").read_text()
    assert len(pd.read_csv(out / "series.csv")) == 11
    assert matplotlib.image.imread(out / "series.png").std() > 0


def test_the_same_series_gives_the_same_bytes(runs, three, tmp_path):
    program(runs["good"], runs["worse"], runs["good"], "--output", "again", cwd=tmp_path)
    written = sorted(path.name for path in (tmp_path / "again").iterdir())
    assert len(written) == 8
    for name in written:
        assert (tmp_path / "again" / name).read_bytes() == (three[1] / name).read_bytes(), name


def test_starts_of_an_earlier_run_hide_no_slowdown(tmp_path):
    """B was measured with six starts at first. Then its storage became half as fast, and three starts replaced them."""
    a = write(tmp_path / "a", {GRID[0]: started(GRID[0], [10.0, 10.1, 9.9])})
    b = write(tmp_path / "b", {GRID[0]: started(GRID[0], [5.0, 5.1, 4.9, 10.0, 10.1, 9.9])})
    (b / "benchmark/records.txt").write_text((a / "benchmark/records.txt").read_text())
    result = program(a, b, "--fail-below", "0.9", cwd=tmp_path)
    assert result.returncode == 1
    assert "- B: Records left out because they are not of this run: " in result.stdout


def test_bad_input_ends_with_status_2_and_one_line(runs, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, message in {
        ("nowhere", runs["good"]): "error: nowhere: does not exist; give a results folder, or a bundle of one",
        (runs["good"], runs["good"], "--output", "file"): "File exists",
        (runs["good"],): "error: one result is given; give at least two",
    }.items():
        result = program(*arguments, "--fail-below", "0.9", cwd=tmp_path)
        assert result.returncode == 2
        assert result.stderr.startswith("error: ") and message in result.stderr and result.stderr.count("\n") == 1, (
            result.stderr
        )


def test_names_that_are_not_ascii_are_written_as_utf_8_in_any_locale(runs, tmp_path, monkeypatch):
    other = write(tmp_path / "Zürich ☃", {GRID[0]: [measured(GRID[0])]}, {"data": {"dir": "Zürich ☃"}})
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)  # Python's default encoding is then ASCII
    result = program(runs["good"], other, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    written = (tmp_path / "results/comparison/comparison.md").read_text(encoding="utf-8")
    assert f"{tmp_path}/Zürich ☃" in written and "`Zürich ☃`" in written


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "much"])
def test_a_ratio_is_a_number_over_0(text):
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        compare.ratio(text)
    assert compare.ratio("0.9") == 0.9
