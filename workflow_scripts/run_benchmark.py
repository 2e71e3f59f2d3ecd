"""Measure one cell of the grid: one process per rank, under an MPI launcher. --help lists all options."""

import sys

from deepcam import benchmark, cli, driver_options


def main() -> None:
    benchmark.run(driver_options.parse(sys.argv[1:]))


if __name__ == "__main__":
    cli.run(main)
