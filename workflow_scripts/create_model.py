"""Write a checkpoint of seeded, untrained weights: right for speed, meaningless as a forecast."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepcam import checkpoint, cli, network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width-multiplier", type=float, default=0.25, help="width of every layer, 1 is MLPerf's")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    arguments = parser.parse_args()
    checkpoint.save_half(network.untrained(arguments.width_multiplier, arguments.seed), arguments.output)


if __name__ == "__main__":
    cli.run(main)
