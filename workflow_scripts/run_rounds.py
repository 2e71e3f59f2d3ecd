"""Measure a group of configurations in rounds, each in fresh processes, until their numbers are precise enough or a
limit of starts or time is reached.

Each start leaves a record at once, so that a run that was interrupted goes on where it was.
"""

import signal
import sys
from pathlib import Path

import yaml
from deepcam import cli, config, grid
from deepcam.errors import InputError
from deepcam.rounds import group


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--group", required=True, help="name of the group, as in the name of its rounds file")
    parser.add_argument("--config", type=Path, required=True, help="complete configuration, YAML")
    parser.add_argument(
        "--datasets", type=Path, nargs="+", required=True, help="dataset.json of each place, in the order of data.dir"
    )
    parser.add_argument("--launcher", required=True, help="command that starts {ranks} processes")
    parser.add_argument("--output", type=Path, required=True, help="rounds file to write, JSON")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the running start ends, too
    settings = config.parse(yaml.safe_load(args.config.read_text(encoding="utf-8")))
    groups = grid.groups(grid.cells(settings), settings.benchmark.ranks_per_node)
    share = len(groups[args.group]) / sum(map(len, groups.values()))
    datasets = dict(zip(settings.data.places, args.datasets, strict=True))
    measured = group.Group(settings, groups[args.group], datasets, args.launcher).measure(
        60 * settings.benchmark.minutes * share
    )
    if failures := [one.failure for one in measured if one.failure]:
        raise InputError(*failures)
    group.write(args.output, measured)


if __name__ == "__main__":
    cli.run(main)
