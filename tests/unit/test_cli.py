"""How a program ends after an error: one line, which is the last on stderr, and a traceback that does not hide it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deepcam.report import failures

ROOT = Path(__file__).parents[2]

PLAIN_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
"""An environment in which Python's default encoding is ASCII."""


def end(tmp_path, raising, options="", **environment):
    """Run a program that raises an error in a folder of its own."""
    (tmp_path / "program.py").write_text(
        "import errno, os, sys\n"
        "from deepcam import cli, files\n"
        "from deepcam.errors import InputError\n"
        f"def main():\n    {raising}\n"
        f"cli.run(main, {options})\n",
        encoding="utf-8",
    )
    ranks = {"PMIX_RANK", "SLURM_PROCID"}
    inherited = {name: value for name, value in os.environ.items() if name not in ranks}
    return subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=inherited | {"PYTHONPATH": str(ROOT / "workflow_scripts")} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_bad_input_is_one_line_per_mistake(tmp_path):
    ended = end(tmp_path, "raise InputError('a: wrong', 'b: wrong, too')")
    assert (ended.returncode, ended.stderr) == (1, "error: a: wrong\nerror: b: wrong, too\n")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        *(
            (f"OSError(errno.{name}, 'words', 'there')", advice)
            for name, advice in {
                "EACCES": "give this user access",
                "EROFS": "this file system is read-only",
                "ENOSPC": "make room on this disk",
                "EMFILE": "raise the limit of open files (ulimit -n)",
                "ENOMEM": "a machine with more memory",
                "EIO": "look at the kernel's messages",
            }.items()
        ),
        ("MemoryError()", "a machine with more memory"),
        ("RuntimeError('CUDA out of memory. Tried to')", "a machine with more memory"),
        ("'\\udcfc'.encode()", "is not UTF-8"),
        ("KeyError('of the program')", "report this fault of the program with the traceback above"),
    ],
)
def test_an_unexpected_error_is_one_line_with_advice_below_its_traceback(tmp_path, error, advice):
    ended = end(tmp_path, f"raise {error}")
    *above, last = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert last.startswith("error: ") and advice in last
    assert "    Traceback (most recent call last):" in above
    assert not [line for line in above if line and not line.startswith("    ")]


def test_the_line_says_where_in_the_library_it_happened(tmp_path):
    ended = end(tmp_path, "files.sha256('nowhere')")
    assert "FileNotFoundError: [Errno 2]" in ended.stderr.splitlines()[-1]
    assert "(deepcam/files.py, line " in ended.stderr.splitlines()[-1]


def test_text_of_many_lines_and_escape_sequences_becomes_one_line(tmp_path):
    ended = end(tmp_path, "raise RuntimeError('Critical error:\\nerror: \\x1b[31mthe disk is full\\n' + 'x ' * 9999)")
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(r"error: RuntimeError: Critical error: error: \x1b[31mthe disk is full x x")
    assert len(last) < 1000


def test_a_job_that_failed_is_explained_by_that_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = end(tmp_path, "raise RuntimeError('cause\\nerror: not this one')")
    (tmp_path / "job.log").write_text(ended.stderr)
    (tmp_path / "snakemake.log").write_text("Error in rule plot:\n    output: none\n    log: job.log\n")
    assert failures.lines(["snakemake.log"])[0] == f"failed: job.log: {ended.stderr.splitlines()[-1]}"


def test_a_program_that_people_start_keeps_the_traceback_in_a_file(tmp_path):
    ended = end(tmp_path, "raise KeyError(1)", "failure_status=2, log='logs/program.log'")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.endswith("with the traceback in logs/program.log\n")
    assert (tmp_path / "logs/program.log").read_text().startswith("Traceback")


def test_the_line_is_told_even_where_the_traceback_cannot_be_written(tmp_path):
    (tmp_path / "logs").touch()
    ended = end(tmp_path, f"raise OSError({errno.ENOSPC}, 'full')", "log='logs/program.log'")
    assert ended.stderr == "error: OSError: [Errno 28] full; make room on this disk, or use another one\n"


def test_the_rank_that_failed_is_named(tmp_path):
    assert end(tmp_path, "raise InputError('wrong')", PMIX_RANK="3").stderr == "error: rank 3: wrong\n"


def test_an_interruption_has_no_traceback(tmp_path):
    ended = end(tmp_path, "raise KeyboardInterrupt")
    assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n")


def test_a_file_name_that_is_not_utf_8_can_be_written_into_a_text(tmp_path):
    name = b"Z\xfcrich " + "☃".encode()
    ended = end(tmp_path, f"files.write_text('text', os.fsdecode({name!r}))")
    assert (ended.returncode, (tmp_path / "text").read_text()) == (0, r"Z\xfcrich ☃")


def test_text_files_are_utf_8_and_the_terminal_shows_what_it_can(tmp_path):
    ended = end(
        tmp_path,
        "files.write_text('text', 'Zürich ☃\\nb'); print(files.read_lines('text', 'Zürich ☃')); print('Zürich ☃')",
        **PLAIN_LOCALE,
    )
    assert (ended.returncode, ended.stdout.splitlines()[1]) == (0, r"Z\xfcrich \u2603"), ended.stderr
    assert (tmp_path / "text").read_text(encoding="utf-8") == "Zürich ☃\nb"
