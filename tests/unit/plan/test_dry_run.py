"""What a dry run tells the plan: written by the workflow, read by the plan."""

import os
from pathlib import Path

from deepcam import config
from deepcam.plan import dry_run
from deepcam.plan.dry_run import DryRun, Job


def test_an_outline_is_read_as_it_was_written(tmp_path):
    folder = os.fsdecode(b"/data/caf\xe9")  # no UTF-8
    complete = config.parse({"data": {"num_files": 3, "dir": "/data/schön"}}).model_dump(mode="json", exclude_none=True)
    jobs = [Job("describe_dataset"), Job("run_benchmark", {"cell": "io_none", "start": "3"})]
    dry_run.write_outline(f"{tmp_path}/outline.json", complete, folder, iter(jobs))
    assert dry_run.read_outline(tmp_path / "outline.json") == DryRun(config.parse(complete), Path(folder), jobs)
