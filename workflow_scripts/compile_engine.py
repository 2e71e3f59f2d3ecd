"""Build an inference engine for this machine from a checkpoint and the statistics of a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from deepcam import cli, climate, config
from deepcam.config_types import Channel, Fraction, Positive, argument
from deepcam.model import engine
from deepcam.model.network import NetworkSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=get_args(config.Backend), required=True, help="what compiles the engine")
    parser.add_argument("--precision", choices=get_args(config.Precision), default="auto", help="default auto")
    parser.add_argument("--cuda-graphs", action="store_true", help="replay CUDA graphs, on a GPU only")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json with shape and channel statistics")
    parser.add_argument(
        "--max-batch", type=argument(Positive), required=True, help="largest number of samples in a batch"
    )
    parser.add_argument(
        "--width-multiplier", type=argument(Fraction, float), required=True, help="width of every layer; 1 is MLPerf's"
    )
    parser.add_argument(
        "--channels", type=argument(Channel), nargs="+", default=climate.MODEL_CHANNELS, help="channel numbers"
    )
    parser.add_argument("--output", type=Path, required=True, help="engine to write, .pt2; adds a .json beside it")
    arguments = parser.parse_args()
    engine.build(
        config.Engine(backend=arguments.backend, precision=arguments.precision, cuda_graphs=arguments.cuda_graphs),
        NetworkSpec(arguments.width_multiplier, tuple(arguments.channels), arguments.model),
        arguments.dataset,
        arguments.device,
        arguments.max_batch,
        arguments.output,
    )


if __name__ == "__main__":
    cli.run(main)
