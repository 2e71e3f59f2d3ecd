"""Build an inference engine for this machine from a checkpoint and the statistics of a dataset."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import get_args

from deepcam import cli, climate
from deepcam.config import Engine
from deepcam.config.types import Backend, Channel, Fraction, Positive, Precision, argument
from deepcam.model import engine
from deepcam.model.engine import choice
from deepcam.model.network import NetworkSpec


def main() -> None:
    parser = cli.Parser(description=__doc__)
    # choose_engine.py chooses where the configuration says auto.
    for option, names in (("--backend", get_args(Backend)), ("--precision", get_args(Precision))):
        parser.add_argument(option, choices=[name for name in names if name != "auto"], required=True)
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
    parser.add_argument(
        "--candidate", action="store_true", help="if it cannot be built, write the reason in place of an engine"
    )
    parser.add_argument("--output", type=Path, required=True, help="engine to write, .pt2; adds a .json beside it")
    arguments = parser.parse_args()
    spec = Engine(backend=arguments.backend, precision=arguments.precision, cuda_graphs=arguments.cuda_graphs)
    network = NetworkSpec(arguments.width_multiplier, tuple(arguments.channels), arguments.model)
    with choice.kept_reason(spec, arguments.output) if arguments.candidate else contextlib.nullcontext():
        engine.build(spec, network, arguments.dataset, arguments.device, arguments.max_batch, arguments.output)


if __name__ == "__main__":
    cli.run(main)
