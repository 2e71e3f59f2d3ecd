"""Measure one cell of the grid: one process per rank, under an MPI launcher. --help lists all options."""

import sys

from deepcam import cli
from deepcam.benchmark import arguments, run


def main() -> None:
    job = arguments.parse(sys.argv[1:])
    predictions = run.run(job)
    if predictions and job.visualization:
        from deepcam.report.figures import predictions as figure
        from deepcam.report.figures import style

        job.visualization.mkdir(parents=True, exist_ok=True)
        paths = (job.visualization / f"predictions.{suffix}" for suffix in ("svg", "png"))
        style.save(figure.figure(predictions, job.dataset.source), *paths)


if __name__ == "__main__":
    cli.run(main)
