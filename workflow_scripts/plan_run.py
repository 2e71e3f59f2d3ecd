"""Print what a run would take: samples, bytes, cells, jobs and time. It starts nothing."""

import collections
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from deepcam import cli, grid, launch, paths
from deepcam.plan import dry_run, estimates, plan, terminal
from deepcam.record import run_records, store
from deepcam.record.compact import Compact
from deepcam.rounds import command


def main() -> None:
    parser = cli.Parser(description=__doc__, epilog="All arguments are Snakemake's.")
    _, arguments = parser.parse_known_args()
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
    print(terminal.text(made, config, devices, disks(config.data.places)), *found.notes(), sep="\n")


def disks(places: Mapping[str, str]) -> list[terminal.Disk]:
    """The file systems that hold these folders, or will hold them; several places may share one."""
    found: dict[int, list[str]] = collections.defaultdict(list)
    existing = {}
    for name, folder in places.items():
        path = Path(folder).absolute()
        existing[name] = next(parent for parent in (path, *path.parents) if parent.exists())
        found[existing[name].stat().st_dev].append(name)
    return [terminal.Disk(names, shutil.disk_usage(existing[names[0]]).free) for names in found.values()]


if __name__ == "__main__":
    cli.run(main, log=paths.log("plan_run"))
