"""A ReFrame test of how fast a system reads: one configuration, judged by the checks of its record.

Make a dataset on the storage to test with `snakemake data`, and then run from the root of this repository:

    reframe --checkpath tests/reframe --run -S dataset=/scratch/deepcam/dataset.json

To fail when a system gets slower, set `reference` to what it should reach, as ReFrame's documentation describes.
"""

import json
import pathlib

import reframe as rfm
import reframe.utility.sanity as sn

ROOT = pathlib.Path(__file__).parents[2]


@rfm.simple_test
class DeepcamRead(rfm.RunOnlyRegressionTest):
    """Reads the samples of `dataset` with the reader `reader`, on `num_tasks` ranks."""

    valid_systems = ["*"]  # noqa: RUF012 ReFrame copies it
    valid_prog_environs = ["*"]  # noqa: RUF012
    dataset = variable(str, value=str(ROOT / "results/data/dataset.json"))  # noqa: F821 names that ReFrame gives a class
    reader = variable(str, value="pread")  # noqa: F821
    batch_size = variable(int, value=2)  # noqa: F821
    threads = variable(int, value=4)  # noqa: F821
    cache = parameter(["cold", "warm"])  # noqa: F821
    num_tasks = 1
    executable = str(ROOT / ".venv/bin/python")

    @run_before("run")  # noqa: F821
    def set_options(self):
        self.env_vars["PYTHONPATH"] = str(ROOT / "workflow_scripts")
        launched = ["-m", "mpi4py"] if self.num_tasks > 1 else []
        self.executable_opts = [
            *launched, "-m", "run_benchmark", "--dataset", self.dataset, "--outputfile", "record.json",
            "--mode", "io", "--reader", self.reader, "--cache", self.cache, "--ranks", str(self.num_tasks),
            "--batch-size", str(self.num_tasks * self.batch_size), "--max-inter-threads", str(self.threads),
        ]  # fmt: skip

    @sn.deferrable
    def record(self):
        return json.loads(pathlib.Path(self.stagedir, "record.json").read_text())

    @sanity_function  # noqa: F821
    def checks_of_the_record_pass(self):
        failed = sn.defer(
            [
                check["name"]
                for check in self.record().evaluate()["checks"]
                if check["level"] == "error" and not check["ok"]
            ]
        )
        return sn.assert_eq(failed, [])

    @performance_function("GB/s")  # noqa: F821
    def gigabytes_per_second(self):
        return self.record()["metrics"]["gigabytes_per_second"]

    @performance_function("samples/s")  # noqa: F821
    def samples_per_second(self):
        return self.record()["metrics"]["samples_per_second"]
