"""Run the eager fp32 network over samples and write its logit margins, which engines are compared with."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from deepcam import cli, climate, files
from deepcam.config_types import Channel, Fraction, Positive, argument
from deepcam.model import accuracy, engine
from deepcam.model.network import NetworkSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json; file names in it are relative to it")
    parser.add_argument(
        "--max-batch", type=argument(Positive), required=True, help="largest number of samples in a batch"
    )
    parser.add_argument(
        "--width-multiplier", type=argument(Fraction, float), required=True, help="width of every layer; 1 is MLPerf's"
    )
    parser.add_argument(
        "--channels", type=argument(Channel), nargs="+", default=climate.MODEL_CHANNELS, help="channel numbers"
    )
    parser.add_argument("--output", type=Path, required=True, help="margins (samples, classes, H, W) float16, .npy")
    arguments = parser.parse_args()
    network = NetworkSpec(arguments.width_multiplier, tuple(arguments.channels), arguments.model)
    reference = engine.reference(network, arguments.dataset, arguments.device, arguments.max_batch)
    margins = accuracy.predict(reference, accuracy.EvaluationSet.read(arguments.dataset))
    with files.atomic_path(arguments.output) as temporary, open(temporary, "wb") as file:
        np.save(file, margins)


if __name__ == "__main__":
    cli.run(main)
