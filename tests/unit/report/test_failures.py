"""The summary of failed jobs, from the text of real logs of Snakemake."""

import pytest
from deepcam.report import failures

LOG = "results/logs/run_benchmark/io_pread_warm_none_r0001_b002_t01x01/0.log"
RECORD = "results/benchmark/io_pread_warm_none_r0001_b002_t01x01/0.json"
STARTED = f"""\
[Thu Nov 26 00:50:48 2026]
localrule run_benchmark:
    input: results/data/dataset.json
    output: {RECORD}
    log: {LOG}
    jobid: 1
    reason: Missing output files: {RECORD}
    resources: tmpdir=/tmp, mpi=mpirun -n 1, tasks=1
RuleException:
CalledProcessError in file "rules/benchmark.smk", line 57:
Command 'set -euo pipefail;  mpirun -n 1 python -m mpi4py' returned non-zero exit status 127.
[Thu Nov 26 00:50:48 2026]
"""
FAILED = f"""\
Error in rule run_benchmark:
    message: None
    jobid: 1
    input: results/data/dataset.json
    output: {RECORD}
    log: {LOG} (check log file(s) for error details)
    shell:
        mpirun -n 1 python -m mpi4py -m run_benchmark > {LOG} 2>&1 || echo 'error: the job took too long' >> {LOG}
        (command exited with non-zero exit code)
"""
CANCELLED = FAILED.replace(
    "message: None",
    "message: SLURM-job '7' failed, SLURM status is: 'CANCELLED'. For further error details see the cluster log.",
)
MODEL = """\
Error in rule assemble_model:
    message: None
    jobid: 3
    output: results/model/model.pth
    log: results/logs/assemble_model.log (check log file(s) for error details)
"""
ENDED = "Exiting because a job execution failed. Look above for error messages\n"


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The lines about failed jobs, without the advice, from Snakemake's log and the text of the benchmark's log."""
    monkeypatch.chdir(tmp_path)

    def lines(text, job_log=None):
        (tmp_path / "snakemake.log").write_text(text)
        if job_log is not None:
            (tmp_path / LOG).parent.mkdir(parents=True)
            (tmp_path / LOG).write_text(job_log)
        *jobs, advice = failures.lines(["snakemake.log"])
        assert advice == failures.ADVICE
        return jobs

    return lines


def test_the_error_lines_of_the_jobs_log_are_the_reasons(told):
    job_log = "2026-11-26 INFO start\nerror: one cell failed\nerror: another cell failed\nbye\n"
    assert told(STARTED + FAILED + ENDED, job_log) == [
        f"failed: {LOG}: error: one cell failed",
        f"failed: {LOG}: error: another cell failed",
    ]


def test_the_error_line_of_a_launcher_counts(told):
    assert told(CANCELLED, "srun: error: n2: task 2: Killed\n") == [f"failed: {LOG}: srun: error: n2: task 2: Killed"]


def test_without_an_error_line_the_executors_message_is_the_reason(told):
    reason = "SLURM-job '7' failed, SLURM status is: 'CANCELLED'."
    assert told(CANCELLED, "INFO measuring\n") == [f"failed: {LOG}: {reason}"]


def test_without_either_the_last_line_is_the_reason(told):
    assert told(FAILED, "starting\nsh: mpirun: not found\n\n") == [f"failed: {LOG}: sh: mpirun: not found"]


KILLED = """\
starting
--------------------------------------------------------------------------
prterun noticed that process rank 1 with PID 2663 on node vm exited on
signal 9 (Killed).
--------------------------------------------------------------------------
"""
NO_MODULE = """\
Traceback (most recent call last):
  File "run.py", line 8, in <module>
ModuleNotFoundError: No module named 'numpy'
--------------------------------------------------------------------------
MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD
--------------------------------------------------------------------------
--------------------------------------------------------------------------
prterun has exited due to process rank 1 with PID 0 on node vm calling
"abort".
--------------------------------------------------------------------------
 """
STATUS = """\
starting
--------------------------------------------------------------------------
prterun detected that one or more processes exited with non-zero status.

   Exit code:    3
--------------------------------------------------------------------------
"""


@pytest.mark.parametrize(
    ("job_log", "reason"),
    [
        (KILLED, "prterun noticed that process rank 1 with PID 2663 on node vm exited on signal 9 (Killed)."),
        (NO_MODULE, "ModuleNotFoundError: No module named 'numpy'"),
        (STATUS, "prterun detected that one or more processes exited with non-zero status. Exit code: 3"),
        (KILLED + "error: the job took longer than 5 s\n", "error: the job took longer than 5 s"),
        ("no device\n----------\n", "no device"),
    ],
    ids=["a killed rank", "a traceback", "an exit status", "an error line", "a line of dashes"],
)
def test_the_frames_of_mpirun_do_not_hide_the_cause(told, job_log, reason):
    assert told(FAILED, job_log) == [f"failed: {LOG}: {reason}"]


def test_a_folder_whose_name_begins_like_the_outputs_is_not_the_output(told, tmp_path):
    (tmp_path / "my").mkdir()
    assert told(MODEL.replace("results/model", "my disk")) == [
        "failed: results/logs/assemble_model.log: its log is empty"
    ]


@pytest.mark.parametrize("job_log", [None, "", "\n"], ids=["no log", "empty log", "blank log"])
def test_a_job_that_wrote_nothing_is_named(told, job_log):
    assert told(FAILED, job_log) == [f"failed: {LOG}: its log is empty"]


def test_a_job_that_failed_twice_is_named_once(told):
    assert told(STARTED + FAILED + "Trying to restart job 1.\n" + STARTED + FAILED, "error: no\n") == [
        f"failed: {LOG}: error: no"
    ]


def test_a_job_that_succeeded_when_it_was_restarted_is_left_out(told, tmp_path):
    (tmp_path / RECORD).parent.mkdir(parents=True)
    (tmp_path / RECORD).write_text("{}")
    text = STARTED + FAILED + "Trying to restart job 1.\n" + MODEL
    assert told(text, "error: no\n") == ["failed: results/logs/assemble_model.log: its log is empty"]


def test_without_failed_jobs_there_is_the_advice_only(told):
    assert told(STARTED) == []
