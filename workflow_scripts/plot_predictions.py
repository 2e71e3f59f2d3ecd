"""Draw the masks that an engine predicts for a few samples, beside the true ones."""

import argparse
from pathlib import Path

from deepcam import cli, dataset, figures, predictions
from deepcam.climate import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", type=Path, required=True, help="engine to run")
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--samples", type=int, required=True, help="samples to draw")
    parser.add_argument("--svg", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.samples < 1:
        raise InputError(f"--samples {arguments.samples}: must be at least 1")
    described = dataset.from_description(arguments.dataset)
    samples = list(zip(described.files, described.labels, strict=True))[: arguments.samples]
    made = predictions.predict(arguments.engine, arguments.device, samples)
    figures.save(predictions.figure(made), arguments.svg, arguments.png)


if __name__ == "__main__":
    cli.run(main)
