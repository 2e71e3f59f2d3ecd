"""The jobs in the text of a real dry run."""

import pytest
from deepcam.errors import InputError
from deepcam.plan import dry_run
from deepcam.plan.dry_run import Job

STATS = """\
Building DAG of jobs...
Job stats:
job                 count
----------------  -------
fetch_file_index        1
synthesize_shard        1
run_benchmark           1
data                    1
total                   4

"""
JOBS = """\
[Thu Nov 26 00:48:14 2026]
rule fetch_file_index:
    output: results/data/index.tsv, results/data/statistics.json
    log: results/logs/fetch_file_index.log
    jobid: 4
    reason: Missing output files: results/data/statistics.json, results/data/index.tsv
    resources: tmpdir=/tmp, download_slot=1
[Thu Nov 26 00:48:14 2026]
rule synthesize_shard:
    input: results/data/index.tsv
    output: results/data/hdf5/synthetic/shard-00001/manifest.tsv
    log: results/logs/synthesize_shard/00001.log
    jobid: 7
    reason: Missing output files: results/data/hdf5/synthetic/shard-00001/manifest.tsv
    wildcards: shard=00001
    threads: 2
    resources: tmpdir=/tmp, slurm_account=, slurm_partition=, runtime=60, mem_mb=4000, mem=4 GB, mem_mib=3815
[Thu Nov 26 00:48:14 2026]
rule run_benchmark:
    input: results/data/dataset.json
    output: results/benchmark/io_pread_warm_none_r0008_b001_t01x03/3.json
    log: results/logs/run_benchmark/io_pread_warm_none_r0008_b001_t01x03/3.log
    jobid: 3407
    reason: Missing output files: results/benchmark/io_pread_warm_none_r0008_b001_t01x03/3.json
    wildcards: cell=io_pread_warm_none_r0008_b001_t01x03, start=3
    priority: -3
    threads: 2
    resources: tmpdir=/tmp, mpi=mpirun --mca btl self,sm -n 8, tasks=8, nodes=1, timeout_seconds=1800, mem_mb=16000
[Thu Nov 26 00:48:14 2026]
rule data:
    input: results/data/dataset.json
    jobid: 0
    reason: Input files updated by another job: results/data/dataset.json
    resources: tmpdir=/tmp
"""
END = (
    STATS
    + """\
Reasons:
    (check individual jobs above for details)
    output files have to be generated:
        fetch_file_index, run_benchmark, synthesize_shard
This was a dry-run (flag -n). The order of jobs does not reflect the order of execution.
"""
)


def test_each_job_has_its_rule_and_wildcards():
    assert dry_run.parse(STATS + JOBS + END) == [
        Job("fetch_file_index"),
        Job("synthesize_shard", {"shard": "00001"}),
        Job("run_benchmark", {"cell": "io_pread_warm_none_r0008_b001_t01x03", "start": "3"}),
        Job("data"),
    ]


def test_where_nothing_is_to_be_done_there_are_no_jobs():
    assert dry_run.parse("Building DAG of jobs...\nNothing to be done (all requested files are present).\n") == []


def test_jobs_that_are_counted_but_not_listed_are_an_error():
    with pytest.raises(InputError, match=r"lists 0 of 4 jobs; leave out options"):
        dry_run.parse(STATS)
