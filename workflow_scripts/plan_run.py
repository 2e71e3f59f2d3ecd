"""Print what a run would take: samples, bytes, cells, jobs and time. It starts nothing."""

import collections
import os
import shutil
from pathlib import Path

from deepcam import cli, grid, launch, paths
from deepcam.plan import dry_run, estimates, plan, terminal
from deepcam.record import run_records, store
from deepcam.record.compact import Compact
from deepcam.rounds import command
from prepare_run import check_files


def main() -> None:
    parser = cli.Parser(description=__doc__, epilog="All arguments are Snakemake's.")
    _, arguments = parser.parse_known_args()
    check_files(arguments)
    asked = dry_run.run(arguments)
    config, devices = asked.config, launch.device_names(asked.config.devices)
    os.chdir(asked.folder)
    found = run_records.of_cells(cell.id for cell in grid.cells(config))
    records = [*map(Compact(), store.read_each(found.present))]
    rates = estimates.measured_rates(records, config.data)
    starts = collections.Counter(
        record.cell.id for record in records if record.settings == command.settings(config, record.cell)
    )
    made = plan.make(config, devices, asked.jobs, rates, starts, cores=len(os.sched_getaffinity(0)))
    data = Path(config.data.dir).absolute()
    free_bytes = shutil.disk_usage(next(path for path in (data, *data.parents) if path.exists())).free
    print(terminal.text(made, config, devices, free_bytes), *found.notes(), sep="\n")


if __name__ == "__main__":
    cli.run(main, log=paths.log("plan_run"))
