"""Run an engine over the first samples of a dataset and write the maps for the figure of predictions."""

import argparse
from pathlib import Path

from deepcam import cli
from deepcam.config_types import Positive, argument
from deepcam.data import dataset
from deepcam.model import predict
from deepcam.record import predictions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", type=Path, required=True, help="engine to run")
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--samples", type=argument(Positive), required=True, help="number of samples")
    parser.add_argument("--output", type=Path, required=True, help="maps to write, .npz")
    arguments = parser.parse_args()
    described = dataset.from_description(arguments.dataset)
    samples = list(zip(described.files, described.labels, strict=True))[: arguments.samples]
    predictions.save(predict.predict(arguments.engine, arguments.device, samples), arguments.output)


if __name__ == "__main__":
    cli.run(main)
